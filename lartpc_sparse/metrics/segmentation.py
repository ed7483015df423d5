"""Semantic segmentation: confusion matrix and the scores that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int, Int64

__all__ = ["accuracy", "confusion_matrix", "segmentation_scores", "track_shower_confusion", "track_shower_members"]

_TRACK = frozenset({"track", "hip", "mip"})
_SHOWER = frozenset({"shower", "delta", "michel"})


def confusion_matrix(
    truth: Int[np.ndarray, " N"], prediction: Int[np.ndarray, " N"], num_classes: int
) -> Int64[np.ndarray, "K K1"]:
    """Count voxels by true class (row) and predicted class (column).

    Matrices of several events are added with `+`.

    Args:
        truth: class index of each voxel; -1 is "not labelled", such voxels are left out.
        prediction: class index of each voxel; -1 is "no prediction".
        num_classes: number of classes K.

    Returns:
        Shape (K, K + 1), NOT square: the last column counts the voxels without a prediction, so that they
        count against recall and accuracy.

    Raises:
        ValueError: lengths differ, values are not integers or lie outside -1..K-1.
    """
    _check_labels("truth", truth, num_classes)
    _check_labels("prediction", prediction, num_classes)
    if len(truth) != len(prediction):
        raise ValueError(f"{len(truth)} true labels but {len(prediction)} predicted ones")
    labelled = truth >= 0
    columns = num_classes + 1
    # -1 modulo K + 1 is K: the "no prediction" column
    cells = truth[labelled].astype(np.int64) * columns + prediction[labelled].astype(np.int64) % columns
    counts = np.bincount(cells, minlength=num_classes * columns)
    return counts.astype(np.int64).reshape(num_classes, columns)


def _check_labels(name: str, labels: Int[np.ndarray, " N"], num_classes: int) -> None:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"{name} must be one-dimensional integers, not {labels.dtype} of shape {labels.shape}; "
            "take the argmax of scores first"
        )
    if len(labels) and (labels.min() < -1 or labels.max() >= num_classes):
        raise ValueError(
            f"{name} has values {labels.min()}..{labels.max()}, expected -1..{num_classes - 1} "
            f"for {num_classes} classes"
        )


def accuracy(confusion: Int[np.ndarray, "K K1"]) -> float | None:
    """Share of the labelled voxels with the right class; None without labelled voxels."""
    return _ratio(int(np.trace(confusion)), int(confusion.sum()))


def segmentation_scores(confusion: Int[np.ndarray, "K K1"], class_names: Sequence[str]) -> dict[str, Any]:
    """Scores of a confusion matrix, ready for JSON; an undefined value is None.

    Per class, with true positives TP, false positives FP and false negatives FN: recall = TP / (TP + FN),
    precision = TP / (TP + FP), f1 = 2 TP / (2 TP + FP + FN), iou = TP / (TP + FP + FN); `n` = TP + FN.
    `macro` is the unweighted mean over the classes for which the score is defined.

    Args:
        confusion: from `confusion_matrix`.
        class_names: one name a row.

    Returns:
        `{"accuracy", "per_class": {name: {"n", "recall", "precision", "f1", "iou"}}, "macro": {...}}`.

    Raises:
        ValueError: the shape of `confusion` does not fit the names, or a name occurs twice.
    """
    _check_confusion(confusion, class_names)
    true_positive = np.diagonal(confusion)
    n_true = confusion.sum(axis=1)
    n_predicted = confusion[:, :-1].sum(axis=0)
    per_class: dict[str, dict[str, Any]] = {}
    for k, name in enumerate(class_names):
        tp, n, predicted = int(true_positive[k]), int(n_true[k]), int(n_predicted[k])
        per_class[name] = {
            "n": n,
            "recall": _ratio(tp, n),
            "precision": _ratio(tp, predicted),
            "f1": _ratio(2 * tp, n + predicted),
            "iou": _ratio(tp, n + predicted - tp),
        }
    macro = {
        score: _mean_of_defined([row[score] for row in per_class.values()])
        for score in ("recall", "precision", "f1", "iou")
    }
    return {"accuracy": accuracy(confusion), "per_class": per_class, "macro": macro}


def track_shower_members(class_names: Sequence[str]) -> tuple[list[int], list[int]]:
    """Numbers of the classes that are track (HIP, MIP, track) and shower (shower, delta, Michel), by their names."""
    names = [name.casefold() for name in class_names]
    track, shower = ([k for k, name in enumerate(names) if name in group] for group in (_TRACK, _SHOWER))
    return track, shower


def track_shower_confusion(
    confusion: Int[np.ndarray, "K K1"], class_names: Sequence[str]
) -> Int64[np.ndarray, "2 3"] | None:
    """Two-class view of a confusion matrix: track against shower, without new inference.

    track = HIP, MIP or track; shower = shower, delta or Michel (arXiv:2012.08513, section on the two-class
    accuracy). Voxels whose TRUE class is neither (low energy, say) are left out; voxels PREDICTED as
    neither count as "no prediction". Names are compared without regard to case.

    Args:
        confusion: from `confusion_matrix`.
        class_names: one name a row.

    Returns:
        Rows track, shower; columns track, shower, no prediction. None when the scheme lacks one of the two.

    Raises:
        ValueError: the shape of `confusion` does not fit the names, or a name occurs twice.
    """
    _check_confusion(confusion, class_names)
    groups = track_shower_members(class_names)
    if not all(groups):
        return None
    merged = np.zeros((2, 3), dtype=np.int64)
    for row, true_classes in enumerate(groups):
        rows = confusion[true_classes].sum(axis=0)
        merged[row, :2] = [rows[predicted].sum() for predicted in groups]
        merged[row, 2] = rows.sum() - merged[row, :2].sum()
    return merged


def _check_confusion(confusion: Int[np.ndarray, "K K1"], class_names: Sequence[str]) -> None:
    expected = (len(class_names), len(class_names) + 1)
    if confusion.shape != expected:
        raise ValueError(
            f"confusion has shape {confusion.shape}, expected {expected} for the classes {list(class_names)}; "
            "the last column counts voxels without a prediction"
        )
    if len(set(class_names)) != len(class_names):
        raise ValueError(f"class names must differ, got {list(class_names)}")


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _mean_of_defined(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
