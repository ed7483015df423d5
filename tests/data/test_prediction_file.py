"""Predictions written and read back; damaged files give a clear error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_events import Recipe, recipes

from lartpc_sparse.data import growing_column
from lartpc_sparse.data.event import EventKey
from lartpc_sparse.data.prediction_file import Prediction, PredictionFile, PredictionWriter, scatter_to_input
from lartpc_sparse.schema import UserError

CLASSES = ("HIP", "MIP")


def made(entry: int, voxels: int, rows: int = 0, *, dim: int = 3, status: str = "ok") -> Prediction:
    rng = np.random.default_rng(entry)
    return Prediction(
        key=EventKey(f"fÿle {entry % 3}.h5", entry),
        coords=rng.integers(0, 50, (voxels, dim)).astype(np.int32),
        energy=rng.random(voxels).astype(np.float32),
        truth={"semantic": rng.integers(-1, 2, voxels), "instance": rng.integers(-1, 9, voxels)},
        columns={
            "semantic/probability": rng.random((voxels, 5)).astype(np.float32),
            "semantic/label": rng.integers(0, 5, voxels).astype(np.int8),
            "particles/cluster": rng.integers(-1, 5, voxels),
        },
        tables={
            "gaps": {
                "coords": rng.integers(0, 50, (rows, dim)).astype(np.int32),
                "probability": rng.random(rows).astype(np.float32),
                "active": rng.random(rows) > 0.5,
            }
        },
        status=status,
    )


def skipped(entry: int, voxels: int = 0) -> Prediction:
    full = made(entry, voxels)
    return Prediction(key=full.key, coords=full.coords, energy=full.energy, status="coords are broken")


def write(path: Path, predictions: list[Prediction], image_size: tuple[int, ...] = (50, 50, 50)) -> None:
    with PredictionWriter(
        path, image_size=image_size, classes=CLASSES, attributes={"weights": "w.ckpt", "rank": 2}, config_yaml="a: 1\n"
    ) as writer:
        for prediction in predictions:
            writer.write(prediction)


def assert_same(one: Prediction, other: Prediction) -> None:
    assert (one.key, one.status) == (other.key, other.status)
    pairs = [(one.coords, other.coords), (one.energy, other.energy)]
    mappings = [(one.truth, other.truth), (one.columns, other.columns)]
    assert set(one.tables) == set(other.tables)
    mappings += [(one.tables[head], other.tables[head]) for head in one.tables]
    for a, b in mappings:
        assert set(a) == set(b)
        pairs += [(a[name], b[name]) for name in a]
    for left, right in pairs:
        assert left.dtype == right.dtype
        np.testing.assert_array_equal(left, right)


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 5)), max_size=6),
    st.sampled_from([2, 3]),
    st.sampled_from([1, 3, 16384]),
)
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[tuple[int, int]], dim: int, chunk_rows: int
) -> None:
    path = tmp_path_factory.mktemp("round") / "p.h5"
    predictions = [made(n, voxels, rows, dim=dim) for n, (voxels, rows) in enumerate(sizes)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(growing_column, "CHUNK_ROWS", chunk_rows)
        write(path, predictions, (50,) * dim)
    with PredictionFile(path) as file:
        assert len(file) == len(predictions)
        for expected, found in zip(predictions, file, strict=True):
            assert_same(expected, found)


def test_many_rows_cross_chunks(tmp_path: Path) -> None:
    predictions = [made(n, 9000 + n, 20_000) for n in range(5)]
    write(tmp_path / "p.h5", predictions)
    with PredictionFile(tmp_path / "p.h5") as file:
        for index in (4, 0, 2):
            assert_same(predictions[index], file.read(index))
        with h5py.File(tmp_path / "p.h5") as raw:
            assert raw["voxels/semantic/probability"].chunks == (16384, 5)
            assert raw["input/energy"].id.get_create_plist().get_filter(0)[0] == 32001  # blosc


def test_header(tmp_path: Path) -> None:
    write(tmp_path / "new folder" / "p.h5", [made(0, 3)])
    with PredictionFile(tmp_path / "new folder" / "p.h5") as file:
        assert file.classes == CLASSES
        assert file.image_size == (50, 50, 50)
        assert file.config_yaml == "a: 1\n"
        assert file.attributes["weights"] == "w.ckpt"
        assert file.attributes["rank"] == 2
        assert {"lartpc_sparse_version", "git_hash", "created"} <= set(file.attributes)
        with pytest.raises(IndexError):
            file.read(1)
        with pytest.raises(IndexError):
            file.read(-1)


def test_a_long_configuration_fits(tmp_path: Path) -> None:
    text = "files:\n" + "- a/long/path/to/a/file.h5\n" * 50_000
    with PredictionWriter(tmp_path / "p.h5", image_size=(4, 4), classes=(), attributes={}, config_yaml=text) as writer:
        writer.write(made(0, 2, dim=2))
    with PredictionFile(tmp_path / "p.h5") as file:
        assert file.config_yaml == text


def test_skipped_events_are_filled(tmp_path: Path) -> None:
    write(tmp_path / "p.h5", [skipped(0, 2), skipped(1), made(2, 3, 4), skipped(3, 1), made(4, 1, 1)])
    with PredictionFile(tmp_path / "p.h5") as file:
        found = list(file)
    assert [p.key.entry for p in found] == [0, 1, 2, 3, 4]
    assert [p.status for p in found] == ["coords are broken"] * 2 + ["ok", "coords are broken", "ok"]
    assert [len(p) for p in found] == [2, 0, 3, 1, 1]
    assert_same(made(2, 3, 4), found[2])
    assert_same(made(4, 1, 1), found[4])
    for index in (0, 3):
        np.testing.assert_array_equal(found[index].coords, skipped(index, len(found[index])).coords)
        assert (found[index].truth["semantic"] == -1).all()
        assert (found[index].columns["semantic/label"] == -1).all()
        assert found[index].columns["semantic/label"].dtype == np.int8
        assert np.isnan(found[index].columns["semantic/probability"]).all()
        assert found[index].tables["gaps"]["coords"].shape == (0, 3)


def test_a_skipped_event_keeps_the_truth_it_has(tmp_path: Path) -> None:
    full = made(1, 4)
    late = Prediction(key=full.key, coords=full.coords, energy=full.energy, truth=full.truth, status="too large")
    for order in ([made(0, 2, 1), late], [late, made(0, 2, 1)]):
        write(tmp_path / "p.h5", order)
        with PredictionFile(tmp_path / "p.h5") as file:
            found = next(p for p in file if p.status == "too large")
        np.testing.assert_array_equal(found.truth["semantic"], full.truth["semantic"])
        assert (found.columns["particles/cluster"] == -1).all()


def test_only_skipped_events_and_no_events(tmp_path: Path) -> None:
    write(tmp_path / "p.h5", [skipped(0, 2), skipped(1)])
    with PredictionFile(tmp_path / "p.h5") as file:
        assert [len(p) for p in file] == [2, 0]
        assert file.read(0).columns == {}
    write(tmp_path / "p.h5", [])
    with PredictionFile(tmp_path / "p.h5") as file:
        assert list(file) == []


def test_a_failed_job_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"
    write(path, [made(0, 3)])
    before = path.read_bytes()

    def fail() -> None:
        with PredictionWriter(path, image_size=(50,) * 3, classes=(), attributes={}) as writer:
            writer.write(made(1, 5))
            assert path.read_bytes() == before
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["p.h5"]


def test_columns_must_stay_the_same(tmp_path: Path) -> None:
    first, second = made(0, 3, 2), made(1, 3, 2)
    changes: list[tuple[dict[str, Any], str]] = [
        ({"truth": {"semantic": second.truth["semantic"]}}, r"missing \['truth/instance'\]"),
        ({"truth": {**second.truth, "pid": second.truth["semantic"]}}, r"new \['truth/pid'\]"),
        ({"tables": {}}, "missing"),
        ({"columns": {**second.columns, "semantic/label": np.zeros(3, np.int64)}}, "semantic/label has type"),
        ({"columns": {**second.columns, "semantic/probability": np.zeros((3, 4), np.float32)}}, "row shape"),
    ]
    with PredictionWriter(tmp_path / "p.h5", image_size=(50,) * 3, classes=(), attributes={}) as writer:
        writer.write(first)
        for change, message in changes:
            fields: dict[str, Any] = {
                "truth": second.truth,
                "columns": second.columns,
                "tables": second.tables,
                **change,
            }
            wrong = Prediction(key=second.key, coords=second.coords, energy=second.energy, **fields)
            with pytest.raises(ValueError, match=f"entry 1.*{message}"):
                writer.write(wrong)
        with pytest.raises(ValueError, match="2 axes"):
            writer.write(made(2, 3, dim=2))
        writer.write(second)  # a refused event has left no trace
    with PredictionFile(tmp_path / "p.h5") as file:
        assert_same(second, file.read(1))
        assert len(file) == 2


def test_writer_refuses_text_columns_reserved_attributes_and_use_after_the_end(tmp_path: Path) -> None:
    plain = made(0, 1)
    text = Prediction(key=plain.key, coords=plain.coords, energy=plain.energy, truth={"name": np.array(["a"])})
    with PredictionWriter(tmp_path / "p.h5", image_size=(50,) * 3, classes=(), attributes={}) as writer:
        with pytest.raises(ValueError, match="truth/name has type"):
            writer.write(text)
        writer.write(plain)
    with pytest.raises(RuntimeError, match="with block"):
        writer.write(plain)
    with pytest.raises(ValueError, match="config"):
        PredictionWriter(tmp_path / "q.h5", image_size=(5,), classes=(), attributes={"config": ""})


def test_prediction_refuses_what_does_not_fit() -> None:
    good = made(0, 3, 2)
    with pytest.raises((ValueError, TypeError), match="semantic"):  # TypeError: the tests' type checks
        Prediction(good.key, good.coords, good.energy, truth={"semantic": np.zeros(2, np.int64)})
    changes: tuple[tuple[dict[str, Any], str], ...] = (
        ({"columns": {"probability": np.zeros(3)}}, "<head>/<column>"),
        ({"columns": {"a/b/c": np.zeros(3)}}, "<head>/<column>"),
        ({"columns": {"../b": np.zeros(3)}}, "cannot be a name"),
        ({"tables": {"gaps": {"a": np.zeros(2), "b": np.zeros(3)}}}, "differ in length"),
        ({"tables": {"gaps": {"offsets": np.zeros(2)}}}, "offsets"),
    )
    for change, message in changes:
        with pytest.raises(ValueError, match=message):
            Prediction(key=good.key, coords=good.coords, energy=good.energy, **change)


def test_files_that_are_not_predictions(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no predictions file"):
        PredictionFile(tmp_path / "absent.h5")
    (tmp_path / "text.h5").write_text("not HDF5")
    with pytest.raises(UserError, match="not an HDF5 file"):
        PredictionFile(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as raw:
        raw.attrs["format"] = "lartpc_sparse.voxels"
    with pytest.raises(UserError, match=r"format 'lartpc_sparse.voxels'"):
        PredictionFile(tmp_path / "other.h5")


def test_inconsistent_files(tmp_path: Path) -> None:
    path = tmp_path / "p.h5"

    def damage(name: str, values: object | None) -> None:
        write(path, [made(0, 3, 2), made(1, 2, 1)])
        with h5py.File(path, "a") as raw:
            if values is not None:
                raw[name][...] = values
            elif "/" in name or name in raw:
                del raw[name]
            else:
                raw.attrs[name] = 99

    for name, values in (
        ("offsets", [0, 3, 6]),
        ("offsets", [0, 7, 5]),
        ("offsets", [1, 3, 5]),
        ("tables/gaps/offsets", [0, 2, 4]),
        ("events/status", None),
        ("input/coords", None),
        ("tables/gaps/offsets", None),
        ("truth", None),
        ("classes", None),
    ):
        damage(name, values)
        with pytest.raises(UserError, match=r"p.h5 is damaged or incomplete .*predict"):
            PredictionFile(path)
    damage("format_version", None)
    with pytest.raises(UserError, match="format_version 99"):
        PredictionFile(path)


def test_truncated_and_overwritten_files_never_crash(tmp_path: Path) -> None:
    predictions = [made(0, 30, 20), made(1, 25, 10)]
    write(tmp_path / "good.h5", predictions)
    good = (tmp_path / "good.h5").read_bytes()
    path = tmp_path / "bad.h5"
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(40):
        where = int(rng.integers(1, len(good)))
        bad = good[:where] if trial % 2 else good[:where] + rng.bytes(64) + good[where + 64 :]
        path.write_bytes(bad)
        try:
            with PredictionFile(path) as file:
                list(file)
        except UserError as error:
            refused += "bad.h5" in str(error)
        else:
            assert trial % 2 == 0, "a truncated copy was read"
    assert refused >= 20


@given(recipes(), st.data())
@settings(max_examples=50, deadline=None)
def test_scatter_to_input_equals_a_plain_loop(recipe: Recipe, data: st.DataObject) -> None:
    event = recipe.event()
    order = data.draw(st.permutations(range(len(event))))
    chosen = event.select(np.array(order[: data.draw(st.integers(0, len(order)))], dtype=np.int64))
    back = scatter_to_input(chosen.labels["instance"], chosen.inverse_index, -1)
    kept = set(chosen.labels["instance"].tolist())
    assert back.tolist() == [row if row in kept else -1 for row in range(len(event))]
    wide = scatter_to_input(np.tile(chosen.feats, (1, 3)), chosen.inverse_index, np.nan)
    assert wide.shape == (len(event), 3)
    assert np.isnan(wide).all(axis=1).tolist() == [row not in kept for row in range(len(event))]


def test_scatter_to_input_serves_merged_rows() -> None:
    index = np.array([1, 0, 1, -1])
    assert scatter_to_input(np.array([5, 7]), index, -1).tolist() == [7, 5, 7, -1]
    assert scatter_to_input(np.zeros((0, 2), np.float32), np.array([-1]), 0).tolist() == [[0.0, 0.0]]
    with pytest.raises(ValueError, match="2 rows"):
        scatter_to_input(np.zeros(2), np.array([2]), 0)
    with pytest.raises(ValueError, match="cannot be held"):
        scatter_to_input(np.zeros(2, np.uint8), index, -1)
    with pytest.raises(ValueError, match="cannot be held"):
        scatter_to_input(np.zeros(2, np.int64), index, np.nan)
