"""`ablate report --all`: which pages are written, that they repeat byte for byte, and what is said where it cannot be done."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

CHILD = """
study: child
about: Does a start from tiny's weights help?
recipe:
  data: {name: digits, limit: 80, split: {train: 0.5, test: 0.5}}
  model: {arch: three-layer-cnn}
  batch_size: 40
  epochs: 2
factors:
  start:
    levels:
      scratch: {model.init: scratch}
      tiny: {model.init: {study: tiny2020/tiny2020.yaml, arm: plain, seed: same, weights: last}}
seeds: 2
baseline: {start: scratch}
profiles: {cpu: {recipe: {epochs: 1}}}
tables: {starts: {rows: start, columns: [top1]}}
"""
DIFFERS = "- The paper has <b>90</b> digits, ours `80`.\n\n### In detail\n\nNothing more."


@pytest.fixture
def papers(tiny: Path) -> Path:
    """experiments/ with a paper of two studies and a README, a paper of one study that starts from it, and the quickstart."""
    folder = tiny.parent / "experiments"
    text = tiny.read_text().replace("study: tiny", "study: tiny2020").replace("seeds: 2", "seeds: 3")
    for name, content in {
        "tiny2020/tiny2020.yaml": text + "cite: {title: Tiny digits, source: Nobody 2020}\n",
        "tiny2020/again.yaml": text.replace("tiny2020", "again").replace("epochs: 2", "epochs: 3"),
        "tiny2020/README.md": f"# Tiny\n\n## What differs\n\n{DIFFERS}\n\n## Thanks\n\nNone.\n",
        "child.yaml": CHILD,
        "quickstart.yaml": text.replace("tiny2020", "quickstart"),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    tiny.unlink()
    return folder


@pytest.fixture
def run(papers: Path, fill) -> Path:
    """The same, with tiny2020 and child done."""
    fill(papers / "tiny2020" / "tiny2020.yaml")
    fill(papers / "child.yaml", profile="cpu")
    return papers


def markdown(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.glob("*.md"))}


def test_a_page_for_each_study_that_was_run_and_one_for_each_paper(call, run: Path, tmp_path: Path) -> None:
    said = call("report", "--all")
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
        "README.md",
        "child.html",
        "child.md",
        "index.html",
        "plotly.min.js",
        "tiny2020.html",
        "tiny2020.md",
    ]
    assert said.out.splitlines() == [
        "child (profile cpu): 4 of 4 runs done; claims: —",
        "tiny2020 (full scale): 6 of 6 runs done; claims: 1 contradicted",
        "again (not run): 0 of 6 runs done; claims: —",
    ]
    assert "reports/index.html " in said.told().err
    assert "reports/README.md" in said.err


def test_a_papers_page_has_its_tables_and_what_differs(call, run: Path, tmp_path: Path) -> None:
    call("report", "--all")
    page = (tmp_path / "reports" / "tiny2020.md").read_text()
    assert page.startswith("# tiny2020: Tiny digits\n\n*Nobody 2020*\n\nMade by `make reports`; do not edit.")
    assert f"\n\n## What differs\n\n{DIFFERS}\n\n## tiny2020\n\n" in page
    assert re.search(
        r"\n### top1_top5\n\n6 of 6 runs done\.\n\n\| smoothing \|.*\n.*\n"
        r"\| plain \| 0\.810 ±0\.010 \(sd, n=3\) \| baseline \| — \| 0\.90 differs",
        page,
    )
    assert "- **contradicted**: smooth > plain (smooth - plain = -0.1 (p < 0.001))" in page
    assert "`experiments/tiny2020/tiny2020.yaml`: 6 of 6 runs done, 20" in page


def test_a_study_without_runs_says_so_with_the_commands(call, run: Path, tmp_path: Path) -> None:
    call("report", "--all")
    page = (tmp_path / "reports" / "tiny2020.md").read_text()
    assert page.endswith(
        "\n\nNot run: none of 6 runs of `experiments/tiny2020/again.yaml` is done. To run it:\n\n"
        "```\nablate grid run experiments/tiny2020/again.yaml\n```\n"
    )
    assert (
        "<pre><code>ablate grid run experiments/tiny2020/again.yaml</code></pre>"
        in (tmp_path / "reports" / "index.html").read_text()
    )


def test_a_profile_and_weights_that_are_not_imagenets_are_said(call, run: Path, tmp_path: Path) -> None:
    call("report", "--all")
    page = (tmp_path / "reports" / "child.md").read_text()
    assert "\n> profile cpu, digits, at most 80 training images, 1 epoch, " in page
    assert "some first weights from our three-layer-cnn on digits, not ImageNet, cpu\n" in page
    index = (tmp_path / "reports" / "README.md").read_text()
    assert "ablate grid run experiments/child.yaml --profile cpu\n" in index


def test_the_index_counts_verdicts(call, run: Path, tmp_path: Path) -> None:
    call("report", "--all")
    index = (tmp_path / "reports" / "README.md").read_text()
    assert index.startswith("# Published results\n\nFrom `results.db`: 10 of 16 runs done, 20")
    day = r"20\d\d-\d\d-\d\d(?: to 20\d\d-\d\d-\d\d)?"
    line = rf"\| \[tiny2020\]\(tiny2020\.md\): Tiny digits \| 1 of 2 \| full scale \| 6 of 12 \| {day} \| 1 contradicted \| 1 agrees, 1 differs \|"
    assert re.search(line, index)
    assert "- contradicted: smooth > plain ([tiny2020](tiny2020.md), tiny2020, top1_top5)" in index
    assert "Hardware: cpu (10 runs)." in index


class _Links(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "a" and found.get("href"):
            self.links.append(str(found["href"]))
        if found.get("id"):
            self.ids.add(str(found["id"]))


def test_every_link_of_the_index_leads_somewhere(call, run: Path, tmp_path: Path) -> None:
    call("report", "--all")
    folder = tmp_path / "reports"
    index = _Links((folder / "index.html").read_text())
    assert {"tiny2020.html", "tiny2020.html#table-1-top1-top5", "child.html", "tiny2020.md"} <= set(index.links)
    for link in index.links:
        name, _, anchor = link.partition("#")
        there = _Links((folder / (name or "index.html")).read_text())
        assert not anchor or anchor in there.ids, link
    page = (folder / "tiny2020.html").read_text()
    assert '<a href="index.html">All reports</a>' in page
    assert '<script id="plotly" src="plotly.min.js" async></script>' in page


@pytest.mark.slow
def test_the_same_database_gives_the_same_bytes_from_anywhere(
    call, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("report", "--all")
    first = markdown(tmp_path / "reports")
    call("report", "--all")
    assert markdown(tmp_path / "reports") == first
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    call("report", "--all", "--experiments", run, "--db", tmp_path / "results.db", "--out", elsewhere / "pages")
    assert markdown(elsewhere / "pages") == first
    assert all(str(tmp_path) not in text for text in first.values())


@pytest.mark.slow
def test_the_pages_do_not_depend_on_weights_of_this_machine(
    call, run: Path, fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = CHILD.replace("study: child", "study: pre").replace("arch: three-layer-cnn", "arch: resnet18")
    start = text.index("      tiny: "), text.index("seeds: 2")
    path = run / "pre.yaml"
    path.write_text(text[: start[0]] + "      imagenet: {model.init: imagenet}\n" + text[start[1] :])
    fill(path, lambda arm, seed: {"top1": 0.5 + 0.1 * seed} if arm == "scratch" else None)
    assert "(not run: " in call("report", path, "--format", "md").out
    call("report", "--all")
    first = markdown(tmp_path / "reports")
    assert "| imagenet | — (not run: no weights) |" in first["pre.md"]
    weights = tmp_path / "home" / "weights"
    weights.mkdir(parents=True)
    (weights / "resnet18-f37072fd.pth").write_bytes(b"")
    monkeypatch.setenv("ABLATE_HOME", str(weights.parent))
    call("report", "--all")
    assert markdown(tmp_path / "reports") == first


def test_a_file_with_mistakes_is_left_out_named_and_leaves_with_3(call, run: Path, tmp_path: Path) -> None:
    (run / "tiny2020" / "again.yaml").write_text("study: again\nseedz: 3\n")
    (run / "twin.yaml").write_text(CHILD)
    (run / "index.yaml").write_text(CHILD.replace("study: child", "study: index"))
    said = call("report", "--all", code=3)
    assert "experiments/tiny2020/again.yaml:2: seedz: " in said.err
    twin = "the study name 'child' is already used by experiments/child.yaml. Choose another."
    assert f"experiments/twin.yaml: {twin}" in said.err
    assert "experiments/index.yaml: " in said.told("study").err
    assert "'index'" in said.err
    pages = markdown(tmp_path / "reports")
    left_out = "`experiments/tiny2020/again.yaml` has mistakes and was skipped; `ablate grid check experiments/tiny2020/again.yaml` names them."  # fmt: skip
    assert left_out in pages["tiny2020.md"]
    assert left_out in pages["README.md"]
    assert "### top1_top5" in pages["tiny2020.md"]


def test_nothing_done_leaves_with_5_and_writes_nothing(call, papers: Path, fill, tmp_path: Path) -> None:
    fill(papers / "child.yaml", lambda arm, seed: None)
    said = call("report", "--all", code=5).told("nothing-done")
    for fact in ("3 study files", "results.db", "ablate grid run experiments/child.yaml", "--db"):
        assert fact in said.err
    assert not (tmp_path / "reports").exists()
    (papers / "tiny2020" / "again.yaml").write_text("study: again\nseedz: 3\n")
    assert "again.yaml:2: seedz: " in call("report", "--all", code=3).err


def test_a_changed_file_is_told(call, run: Path) -> None:
    path = run / "tiny2020" / "tiny2020.yaml"
    path.write_text(path.read_text().replace("lr: 0.02", "lr: 0.03"))
    said = call("report", "--all")
    assert "experiments/tiny2020/tiny2020.yaml " in said.told().err
    assert "tiny2020 (not run): 0 of 6 runs done" in said.out


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["tiny"], "STUDY"),
        (["--table", "t"], "--table"),
        (["--format", "json"], "--format json"),
        (["--profile", "cpu", "--check"], "--profile, --check"),
    ],
)
def test_what_does_not_go_with_all_leaves_with_2(call, options: list[str], named: str) -> None:
    said = call("report", "--all", *options, code=2).told("usage")
    for fact in (f" {named}. ", "--out", "--experiments", "--db"):
        assert fact in said.err


def test_experiments_goes_with_all_only(call) -> None:
    said = call("report", "--experiments", "x", code=2).told("usage")
    assert "--experiments" in said.err
    assert "--all" in said.err


def test_places_that_cannot_be_meant(call, run: Path, tmp_path: Path) -> None:
    said = call("report", "--all", "--out", "all.html", code=2).err
    assert said == "error: all.html: must be a folder, for the pages of all studies. Choose the folder with --out.\n"
    assert "--experiments" in call("report", "--all", "--experiments", "studies", code=5).told("no-study-files").err
    (tmp_path / "empty").mkdir()
    assert "--experiments" in call("report", "--all", "--experiments", "empty", code=5).told("no-study-files").err
    (tmp_path / "README.md").write_text("# My project\n")
    said = call("report", "--all", "--out", ".", code=2).told("would-overwrite")
    assert "README.md " in said.err
    assert "--out" in said.err
    assert (tmp_path / "README.md").read_text() == "# My project\n"
    assert not (tmp_path / "plotly.min.js").exists()
