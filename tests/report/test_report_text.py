import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lartpc_sparse.report.metrics_file import heads_of, lookup, matrix, numbers, paired, read_metrics
from lartpc_sparse.report.palette import class_colours
from lartpc_sparse.report.text import MISSING, anchor, count, decimal, percent, plain
from lartpc_sparse.schema import UserError


@pytest.mark.parametrize(
    ("write", "value", "expected"),
    [
        (percent, 0.96123, "96.1\u2009%"),
        (percent, 1, "100.0\u2009%"),
        (decimal, 0.96123, "0.961"),
        (decimal, -2, "-2.000"),
        (count, 1234567, "1\u2009234\u2009567"),
        (count, 0, "0"),
    ],
)
def test_a_number_is_written_as_asked(write, value, expected):
    assert write(value) == expected


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "0.5", True, [], {}])
@pytest.mark.parametrize("write", [percent, decimal, count])
def test_what_is_no_finite_number_is_a_dash(write, value):
    assert write(value) == MISSING


def test_plain_text_has_no_markup_for_plotly():
    assert plain("<b>a & %{x}") == "&lt;b&gt;a &amp; %\u200b{x}"


@given(st.text(), st.text())
@settings(max_examples=50, deadline=None)
def test_an_anchor_is_safe(first, second):
    name = anchor(first, second)
    assert name
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


def test_known_classes_keep_their_colour_in_any_company():
    alone = class_colours(["Michel"])
    assert class_colours(["a", "Michel", "b"])[1] == alone[0]
    assert class_colours(["michel"]) == alone
    five = class_colours(["HIP", "MIP", "shower", "delta", "Michel"])
    assert len(set(five)) == 5


def test_lookup_stops_at_what_is_missing():
    tree = {"a": {"b": 1, "c": None}}
    assert lookup(tree, "a", "b") == 1
    assert lookup(tree, "a", "c", "d") is None
    assert lookup(tree, "x", "b") is None
    assert lookup(None, "a") is None
    assert lookup(tree, "a", "b", "deeper") is None


def test_numbers_leaves_out_what_is_none():
    assert numbers([1, None, math.nan, 2.5, "x"]).tolist() == [1, 2.5]
    assert numbers(None).tolist() == []


def test_paired_keeps_rows_together():
    a, b = paired([1, None, 3, 4], [10, 20, math.nan, 40])
    assert a.tolist() == [1, 4]
    assert b.tolist() == [10, 40]
    assert len(paired([1, 2], [1])[0]) == 0


@pytest.mark.parametrize("value", [None, [], [[1, 2], [3]], [[1, None], [1, 2]], [[1, 2]], [[], []]])
def test_matrix_refuses_what_is_not_rectangular(value):
    assert matrix(value, 2) is None


def test_matrix_of_numbers():
    assert np.array_equal(matrix([[1, 2, 0], [3, 4, 0]], 2), [[1, 2, 0], [3, 4, 0]])


def test_heads_without_metrics_are_left_out():
    assert heads_of({"heads": {"a": {"kind": "x"}, "b": None}}) == {"a": {"kind": "x"}}
    assert heads_of({"heads": None}) == {}
    assert heads_of({}) == {}


def test_metrics_errors_name_file_and_cure(tmp_path):
    path = tmp_path / "metrics.json"
    with pytest.raises(UserError, match=r"metrics\.json.*evaluate"):
        read_metrics(path)
    path.write_text("{")
    with pytest.raises(UserError, match=r"metrics\.json: not JSON.*evaluate"):
        read_metrics(path)
    path.write_text("[1]")
    with pytest.raises(UserError, match="list"):
        read_metrics(path)
    path.write_text(json.dumps({"events": 3}))
    assert read_metrics(path) == {"events": 3}
