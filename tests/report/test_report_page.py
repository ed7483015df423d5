import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from synthetic_run import make_metrics, write_run

from lartpc_sparse.report import ReportConfig, write_report
from lartpc_sparse.schema import UserError

VOID = {"meta", "img", "br", "link", "input", "hr"}
HOSTILE = "</script><img src=x onerror=alert(1)>\"'{{ 7*7 }}"


class Page(HTMLParser):
    """Collects tags, texts and data of a page; fails on tags that do not match."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.texts, self.json, self.scripts = [], [], {}, [], []
        self.feed(text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
            if tag == "script":
                kind = self.json if dict(attrs).get("type") == "application/json" else self.scripts
                kind.append("")

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        tag = self.open[-1] if self.open else ""
        if tag == "script":
            kind = self.json if self.tags[-1][1].get("type") == "application/json" else self.scripts
            kind[-1] += data
        else:
            self.texts.setdefault(tag, []).append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]

    def text(self):
        return " ".join(data for parts in self.texts.values() for data in parts)


def report(tmp_path, *, title="demo", training=True, config=None, config_yaml="run: {name: demo}\n", **run_options):
    run = write_run(tmp_path, **run_options)
    output = write_report(
        tmp_path / "out" / "report.html",
        title=title,
        metrics=run.metrics,
        predictions=run.predictions,
        training_log=run.training_log if training else None,
        config_yaml=config_yaml,
        config=config or ReportConfig(),
    )
    return Page(output.read_text(encoding="utf-8"))


@pytest.mark.parametrize("dim", [2, 3])
def test_the_page_has_all_sections_and_displays(tmp_path, dim):
    page = report(tmp_path, dim=dim)
    anchors = {attrs["id"] for attrs in page.all("section")}
    assert anchors == {
        "summary", "training", "head-semantic", "head-particles", "head-gaps", "displays", "configuration"
    }  # fmt: skip
    assert {attrs["href"] for attrs in page.all("a")} == {f"#{anchor}" for anchor in anchors}
    displays = [json.loads(text) for text in page.json if '"coords"' in text]
    assert len(displays) == 7  # of eight events one is empty
    assert {display["dim"] for display in displays} == {dim}
    assert "run: {name: demo}" in page.texts["pre"][0]
    assert "0123456789ab" in page.text()


def test_the_page_loads_nothing(tmp_path):
    page = report(tmp_path)
    for tag, attrs in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "source", "video", "audio"}
        assert not {"src", "srcset", "action", "data", "background"} & set(attrs), (tag, attrs)
    styles = " ".join(page.texts["style"])
    assert "url(" not in styles
    assert "@import" not in styles
    own = "".join(page.scripts[1:])  # the first is plotly.js, which asks for nothing unless a map is drawn
    assert own
    assert not re.search(r"https?:|fetch\(|XMLHttpRequest|import\(|WebSocket|//\w+\.", own)
    (policy,) = [attrs["content"] for attrs in page.all("meta") if "http-equiv" in attrs]
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_only_the_scripts_of_the_page_may_run(tmp_path):
    page = report(tmp_path)
    (policy,) = [attrs["content"] for attrs in page.all("meta") if "http-equiv" in attrs]
    nonce = re.search(r"'nonce-([\w-]+)'", policy).group(1)
    scripts = [attrs for attrs in page.all("script") if attrs.get("type") != "application/json"]
    assert [attrs["nonce"] for attrs in scripts] == [nonce, nonce]
    assert page.scripts[0].lstrip().startswith("/**")


def test_hostile_names_stay_text(tmp_path):
    metrics = make_metrics(np.random.default_rng(0), 9, ("semantic", "particles", "gaps"))
    classes = [*metrics["heads"]["semantic"]["classes"][:-1], HOSTILE]
    metrics["heads"]["semantic"]["classes"] = classes
    metrics["heads"]["semantic"]["per_class"][HOSTILE] = {"n": 1}
    metrics["heads"][HOSTILE] = {"kind": HOSTILE, "value": 1.0}
    metrics["git_hash"] = HOSTILE
    plain = report(tmp_path / "plain")
    page = report(tmp_path / "hostile", file=HOSTILE, metrics=metrics, title=HOSTILE, config_yaml=HOSTILE)
    assert len(page.all("img")) == len(plain.all("img"))
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") for name in attrs)]
    assert len(page.scripts) == len(plain.scripts) == 2
    assert page.scripts[1] == plain.scripts[1]
    assert page.texts["h1"] == page.texts["pre"] == page.texts["title"] == [HOSTILE]
    sources = [attrs["title"] for attrs in page.all("h3") if "title" in attrs]
    assert f"{HOSTILE} entry 0" in sources
    assert f"{HOSTILE.rpartition('/')[2]} entry 0" in page.texts["h3"]
    heat = next(json.loads(text) for text in page.json if '"heatmap"' in text)
    assert heat["data"][0]["y"][-1].startswith("&lt;/script&gt;")


def test_a_page_without_heads_and_training_says_so(tmp_path):
    page = report(tmp_path, heads=(), training=False, truth=False)
    assert not [attrs for attrs in page.all("section") if attrs["id"].startswith("head-")]
    assert "no training log" in page.text()
    assert "gave no numbers" in page.text()
    displays = [json.loads(text) for text in page.json if '"coords"' in text]
    assert displays
    assert all(display["views"] == [] for display in displays)


@pytest.mark.parametrize(
    "metrics", [{}, {"heads": {}, "events": None, "created": None}, {"heads": {"semantic": None, "gaps": {}}}]
)
def test_metrics_may_be_null_or_missing(tmp_path, metrics):
    page = report(tmp_path, metrics=metrics)
    assert len([text for text in page.json if '"coords"' in text]) == 7


def test_only_the_sections_of_the_heads_that_exist(tmp_path):
    page = report(tmp_path, heads=("gaps",))
    assert [a["id"] for a in page.all("section") if a["id"].startswith("head-")] == ["head-gaps"]


def test_no_displays_when_none_are_asked_for(tmp_path):
    page = report(tmp_path, config=ReportConfig(displays=0))
    assert "No displays were asked for" in page.text()
    assert not page.all("article")


def test_a_file_without_usable_events(tmp_path):
    page = report(tmp_path, events=0)
    assert "No event can be displayed" in page.text()


def test_twelve_displays_of_three_thousand_voxels_stay_small(tmp_path):
    report(tmp_path, events=13, voxels=3000)
    assert (tmp_path / "out" / "report.html").stat().st_size < 12e6


def test_an_existing_report_stays_when_writing_fails(tmp_path, monkeypatch):
    report(tmp_path)
    before = (tmp_path / "out" / "report.html").read_bytes()

    def fail(self, target):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    run_files = {name: tmp_path / name for name in ("metrics.json", "predictions.h5")}
    with pytest.raises(OSError, match="disk full"):
        write_report(
            tmp_path / "out" / "report.html",
            title="other",
            metrics=run_files["metrics.json"],
            predictions=run_files["predictions.h5"],
            training_log=None,
            config_yaml="",
            config=ReportConfig(),
        )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report.html"]
    assert (tmp_path / "out" / "report.html").read_bytes() == before


def test_missing_inputs_are_named(tmp_path):
    arguments = {"title": "", "training_log": None, "config_yaml": "", "config": ReportConfig()}
    with pytest.raises(UserError, match=r"metrics\.json"):
        write_report(tmp_path / "r.html", metrics=tmp_path / "metrics.json", predictions=tmp_path / "p.h5", **arguments)
    (tmp_path / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match=r"p\.h5"):
        write_report(tmp_path / "r.html", metrics=tmp_path / "metrics.json", predictions=tmp_path / "p.h5", **arguments)
    with pytest.raises(UserError, match="folder"):
        write_report(tmp_path, metrics=tmp_path / "metrics.json", predictions=tmp_path / "p.h5", **arguments)


def test_the_configuration_refuses_nonsense():
    with pytest.raises(ValueError, match="displays"):
        ReportConfig(displays=-1)
    with pytest.raises(ValueError, match="Extra"):
        ReportConfig(colour="red")
