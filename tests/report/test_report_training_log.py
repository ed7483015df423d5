import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lartpc_sparse.report.blocks import Note
from lartpc_sparse.report.training_log import TrainingLog, read_training_log, running_mean, thinned_rows
from lartpc_sparse.report.training_section import training_section
from lartpc_sparse.schema import UserError

HEADER = "step,epoch,train/semantic/ce,train/loss,val/loss,lr\n"


def log_of(tmp_path, text):
    path = tmp_path / "log.csv"
    path.write_text(text)
    return path


def test_columns_become_curves_without_their_empty_cells(tmp_path):
    log = read_training_log(log_of(tmp_path, HEADER + "0,0,1.5,2.5,,0.1\n1,0,1.0,2.0,,\n1,0,,,3.0,\n"))
    assert log.curve("train/loss").steps.tolist() == [0, 1]
    assert log.curve("train/loss").values.tolist() == [2.5, 2.0]
    assert log.curve("val/loss").steps.tolist() == [1]
    assert log.curve("lr").values.tolist() == [0.1]
    assert log.curve("absent") is None
    assert log.terms == ("loss", "semantic/ce")


def test_a_resumed_training_is_sorted_and_keeps_the_last_value_of_a_step(tmp_path):
    rows = "0,0,,5,,\n1,0,,4,,\n2,0,,9,,\n2,0,,3,,\n1,0,,8,,\n"
    curve = read_training_log(log_of(tmp_path, HEADER + rows)).curve("train/loss")
    assert curve.steps.tolist() == [0, 1, 2]
    assert curve.values.tolist() == [5, 8, 3]


def test_values_that_are_not_finite_are_counted_and_said(tmp_path):
    log = read_training_log(log_of(tmp_path, HEADER + "0,0,,nan,,\n1,0,,4,,\n2,0,,inf,,\n"))
    assert log.curve("train/loss").dropped == 2
    assert log.curve("train/loss").values.tolist() == [4]
    assert "train/loss: 2" in training_section(log).blocks[-1].text


@pytest.mark.parametrize(
    ("shares", "text"),
    [
        (
            "0,0.04\n5,0.02\n",
            "Waited for data: 3.0\u2009% of the time, in the mean over the epochs; 2.0\u2009% in the last.",
        ),
        ("0,0.3\n", "over the epochs. Reading is the bottleneck: raise data.workers"),
    ],
)
def test_the_share_of_waiting_for_data_is_said(tmp_path, shares, text):
    log = read_training_log(log_of(tmp_path, "step,epoch_data_wait_fraction\n" + shares))
    assert text in training_section(log).blocks[-1].text


@pytest.mark.parametrize(
    ("text", "message"),
    [("a,b\n1,2\n", "no column `step`"), (HEADER + "0,0,x,1,1,1\n", "line 2, column train/semantic/ce")],
)
def test_a_damaged_log_is_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        read_training_log(log_of(tmp_path, text))


def test_a_missing_log_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_training_log(tmp_path / "none.csv")


@pytest.mark.parametrize(("log", "words"), [(None, "no training log"), (TrainingLog({}), "empty training log")])
def test_the_section_says_when_there_was_no_training(log, words):
    (note,) = training_section(log).blocks
    assert words in note.text


def test_an_empty_log_has_no_curves(tmp_path):
    assert read_training_log(log_of(tmp_path, HEADER)).curves == {}


@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_running_mean_is_the_mean_of_the_window(values, half):
    array = np.array(values)
    expected = [array[max(i - half, 0) : i + half + 1].mean() for i in range(len(array))]
    np.testing.assert_allclose(running_mean(array, 2 * half + 1), expected, atol=1e-8)


@pytest.mark.parametrize("width", [0, 2, -1])
def test_running_mean_refuses_an_even_window(width):
    with pytest.raises(ValueError, match="odd"):
        running_mean(np.zeros(3), width)


@given(st.integers(0, 500), st.integers(2, 60))
@settings(max_examples=60, deadline=None)
def test_thinned_rows_are_spread_with_both_ends(n, limit):
    rows = thinned_rows(n, limit)
    assert len(rows) == min(n, limit)
    assert (np.diff(rows) > 0).all()
    if n:
        assert rows[0] == 0
        assert rows[-1] == n - 1
    if n > limit:
        steps = np.diff(rows)
        assert steps.max() - steps.min() <= 1


def test_a_term_that_is_0_throughout_is_named_and_not_drawn(tmp_path):
    header = "step,epoch,train/loss,train/gaps/track,train/gaps/nontrack,val/gaps/nontrack\n"
    section = training_section(read_training_log(log_of(tmp_path, header + "0,0,2.0,2.0,0.0,\n1,0,1.0,1.0,0.0,0.0\n")))
    figures, note, *_ = section.blocks
    assert [figure.title for figure in figures.figures] == ["total loss", "gaps: track"]
    assert note.text == "Terms that are 0 throughout, without a figure: gaps: nontrack."


def test_a_term_that_is_never_finite_is_not_called_0(tmp_path):
    header = "step,epoch,train/loss,train/gaps/track\n"
    section = training_section(read_training_log(log_of(tmp_path, header + "0,0,nan,0.0\n1,0,nan,0.0\n")))
    notes = [block.text for block in section.blocks if isinstance(block, Note)]
    assert "Terms that are 0 throughout, without a figure: gaps: track." in notes
