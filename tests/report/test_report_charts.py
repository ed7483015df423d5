import numpy as np
import plotly.graph_objects as go
import pytest
from synthetic_run import CLASSES, make_metrics, write_training_log

from lartpc_sparse.cluster.connected import connected_components
from lartpc_sparse.metrics.clustering import clustering_scores, summarise_clustering
from lartpc_sparse.metrics.inpainting import GapResult, inpainting_scores
from lartpc_sparse.metrics.segmentation import confusion_matrix, segmentation_scores, track_shower_confusion
from lartpc_sparse.report.blocks import FigureGrid, Table, Tabs
from lartpc_sparse.report.charts import histogram, marks, normalised_confusion
from lartpc_sparse.report.inpainting_section import inpainting_section
from lartpc_sparse.report.summary import facts, head_section, summary_section
from lartpc_sparse.report.training_log import read_training_log
from lartpc_sparse.report.training_section import training_section

HEADS = ("semantic", "particles", "gaps")


def blocks_of(section):
    for block in section.blocks:
        if isinstance(block, Tabs):
            for _, parts in block.views:
                yield from parts
        else:
            yield block


def figures_of(section):
    return [figure for block in blocks_of(section) if isinstance(block, FigureGrid) for figure in block.figures]


def tables_of(section):
    return [block for block in blocks_of(section) if isinstance(block, Table)]


def titles_of(section):
    return [figure.title for figure in figures_of(section)]


@pytest.fixture
def sections(tmp_path):
    rng = np.random.default_rng(1)
    write_training_log(tmp_path / "log.csv", rng, steps=300)
    found = make_metrics(rng, 40, HEADS)["heads"]
    return {
        "training": training_section(read_training_log(tmp_path / "log.csv")),
        **{name: head_section(name, head) for name, head in found.items()},
    }


@pytest.mark.parametrize("name", ["training", *HEADS])
def test_plotly_accepts_every_figure(sections, name):
    figures = figures_of(sections[name])
    assert figures
    for figure in figures:
        go.Figure(figure.spec)  # raises on an unknown property or a value out of range


def test_every_loss_term_has_a_figure_of_training_and_validation(sections):
    figures = figures_of(sections["training"])
    assert [figure.title for figure in figures[:2]] == ["total loss", "semantic: cross entropy"]
    assert {trace["name"] for trace in figures[0].spec["data"]} == {"training", "validation"}
    assert figures[-2].title == "learning rate"


def test_epochs_are_on_an_axis_of_their_own(tmp_path):
    write_training_log(tmp_path / "log.csv", np.random.default_rng(1), steps=900)
    figure = figures_of(training_section(read_training_log(tmp_path / "log.csv")))[0]
    go.Figure(figure.spec)
    assert figure.spec["layout"]["xaxis2"]["tickvals"] == [0, 300, 600]
    assert figure.spec["layout"]["xaxis2"]["ticktext"] == ["epoch 0", "1", "2"]
    assert figure.spec["data"][-1]["xaxis"] == "x2"


def test_the_smooth_curve_lies_over_a_faint_one(sections):
    raw, smooth = figures_of(sections["training"])[0].spec["data"][:2]
    assert raw["opacity"] < 0.5
    assert smooth["opacity"] == 1
    assert np.std(np.diff(smooth["y"])) < np.std(np.diff(raw["y"]))


def test_histogram_counts_everything_once():
    values = np.array([-1.0, 0.0, 0.1, 0.1, 0.9, 1.0, 7.0])
    edges = np.linspace(0, 1, 5)
    trace = histogram([("a", "#112233", values)], edges, "x")["data"][0]
    expected = np.histogram(np.clip(values, 0, 1), edges)[0] / len(values)
    np.testing.assert_allclose(trace["y"][1:-1], expected, atol=1e-5)
    assert trace["y"][0] == trace["y"][-1] == 0
    assert trace["x"][1:] == edges.tolist()


def test_histogram_of_nothing_is_flat():
    trace = histogram([("a", "#112233", np.empty(0))], np.linspace(0, 1, 5), "x")["data"][0]
    assert set(trace["y"]) == {0}


def test_confusion_rows_add_up_to_one_and_empty_rows_stay_empty():
    counts = np.array([[3.0, 1.0], [0.0, 0.0]])
    trace = normalised_confusion(counts, ["a", "<b>"], ["a", "<b>"])["data"][0]
    assert trace["z"] == [[0.75, 0.25], [0.0, 0.0]]
    assert trace["text"] == [["75.0\u2009%", "25.0\u2009%"], ["", ""]]
    assert trace["customdata"] == [["3", "1"], ["0", "0"]]
    assert trace["y"] == ["a", "&lt;b&gt;"]


def test_marks_on_log_axes_leave_out_what_has_no_logarithm():
    spec = marks(np.array([0.0, 1, 10]), np.array([1.0, 0, 20]), "x", "y", colour="#112233", log=True)
    assert spec["data"][1]["x"] == [10]
    assert spec["layout"]["xaxis"]["range"] == spec["layout"]["yaxis"]["range"]


def test_the_column_without_prediction_is_shown_only_when_it_has_counts():
    head = {"kind": "semantic", "classes": ["a", "b"], "confusion": [[5, 1, 0], [2, 7, 0]]}
    assert figures_of(head_section("s", head))[0].spec["data"][0]["x"] == ["a", "b"]
    head["confusion"][1][2] = 4
    assert figures_of(head_section("s", head))[0].spec["data"][0]["x"] == ["a", "b", "no prediction"]


def test_the_class_table_has_the_numbers(sections):
    table, two_classes = tables_of(sections["semantic"])
    assert table.header == ("class", "voxels", "recall", "precision", "F1", "IoU")
    assert [row[0] for row in table.rows] == [*CLASSES, "unweighted mean"]
    assert table.rows[0][3].startswith("95.12\u2009% (")  # and its interval
    assert two_classes.rows[0][:3] == ("all events", "", "81\u2009700")
    assert two_classes.rows[0][3].startswith("99.14\u2009% (")


def test_baselines_stand_beside_the_network(sections):
    expected = ["network, predicted semantics", "network, true semantics", "connected components"]
    assert expected in [[row[1] for row in table.rows[:3]] for table in tables_of(sections["particles"])]
    (gaps,) = tables_of(sections["gaps"])
    assert gaps.header == ("", "network", "nothing filled")
    rows = {row[0]: row[1:] for row in gaps.rows}
    assert rows["F1"] == ("0.839", "0.000")
    assert rows["relative charge error"] == ("0.161", "1.000")


def test_the_chosen_threshold_is_marked(sections):
    figures = {figure.title: figure for figure in figures_of(sections["gaps"])}
    point = figures["Precision against recall"].spec["data"][1]
    assert (point["x"], point["y"]) == ([0.903], [0.784])
    assert figures["F1 against the threshold"].spec["layout"]["shapes"][0]["x0"] == 0.46


def test_thresholds_by_width_are_marked_and_named():
    metrics = make_metrics(np.random.default_rng(0), 5, ("gaps",))["heads"]["gaps"]
    metrics["threshold"] = [[5.0, 0.24], [20.0, 0.16]]
    section = inpainting_section("gaps", metrics)
    curve = {figure.title: figure for figure in figures_of(section)}["F1 against the threshold"].spec["layout"]
    assert [shape["x0"] for shape in curve["shapes"]] == [0.24, 0.16]
    assert [note["text"] for note in curve["annotations"]] == ["chosen 0.24, 0.16"]
    (table,) = tables_of(section)
    assert table.caption == "Scores of what is filled, threshold 0.24 at 5 voxels, 0.16 at 20 voxels"


def test_the_summary_lists_each_head_and_leaves_out_what_is_undefined():
    metrics = make_metrics(np.random.default_rng(0), 5, HEADS)
    metrics["heads"]["semantic"]["macro"] = None
    (table,) = summary_section(metrics).blocks
    cells = {row[:2]: row[2] for row in table.rows}
    assert cells["semantic", "accuracy"].startswith("96.12\u2009% (")
    assert cells["particles", "mean ARI, true semantics"] == "0.969"
    assert ("semantic", "mean F1") not in cells
    assert dict(facts(metrics))["events"] == "5 (1 skipped)"


@pytest.mark.parametrize("kind", ["semantic", "spatial_embedding", "inpaint", "mypackage.module:Config"])
@pytest.mark.parametrize("extra", [{}, {"classes": None, "confusion": None, "semantics": None, "curve": None}])
def test_a_head_without_numbers_has_a_section_that_says_so(kind, extra):
    section = head_section("x", {"kind": kind, **extra})
    assert not figures_of(section)
    assert "no" in section.blocks[0].text


def null(tree):
    return {key: null(value) for key, value in tree.items()} if isinstance(tree, dict) else None


@pytest.mark.parametrize("name", HEADS)
def test_null_in_place_of_any_value_leaves_the_figure_out(name):
    head = make_metrics(np.random.default_rng(0), 5, HEADS)["heads"][name]
    empty = {**null(head), "kind": head["kind"]}
    assert not figures_of(head_section(name, empty))


def test_another_kind_of_head_shows_its_numbers():
    section = head_section("x", {"kind": "new", "a": 1.5, "b": {"c": 2, "d": [1]}, "e": None})
    assert tables_of(section)[0].rows == (("a", "1.5"), ("b/c", "2"))


def test_a_table_refuses_a_row_of_another_length():
    with pytest.raises(ValueError, match="2 columns"):
        Table("x", ("a", "b"), (("1",),))


def test_what_the_metrics_room_writes_is_shown():
    rng = np.random.default_rng(3)
    truth, predicted = rng.integers(0, 5, 500), rng.integers(-1, 5, 500)
    confusion = confusion_matrix(truth, predicted, 5)
    merged = track_shower_confusion(confusion, CLASSES)
    semantic = {
        "kind": "semantic",
        "classes": list(CLASSES),
        "confusion": confusion.tolist(),
        **segmentation_scores(confusion, CLASSES),
        "track_shower": {"classes": ["track", "shower"], "confusion": merged.tolist(), "accuracy": 0.5},
    }
    section = head_section("semantic", semantic)
    assert titles_of(section) == ["Confusion matrix", "Track against shower"]
    assert len(tables_of(section)[0].rows) == 6

    coords = rng.integers(0, 9, (60, 3))
    scores = [
        clustering_scores(
            connected_components(np.unique(coords, axis=0)), np.arange(len(np.unique(coords, axis=0))) % 4
        )
    ]
    summary = summarise_clustering(scores)
    section = head_section("p", {"kind": "spatial_embedding", "semantics": {"true": {"MIP": summary}}})
    assert len(figures_of(section)) == 5

    gap = GapResult(
        coords=np.unique(coords, axis=0)[:30].astype(np.int32),
        active_true=rng.random(30) < 0.5,
        probability=rng.random(30).astype(np.float32),
        energy_true=rng.random(30).astype(np.float32),
        energy_predicted=rng.random(30).astype(np.float32),
    )
    section = head_section("gaps", {"kind": "inpaint", **inpainting_scores([gap, gap], 0.5)})
    assert len(figures_of(section)) == 6
    assert tables_of(section)[0].header == ("", "network", "nothing filled")
