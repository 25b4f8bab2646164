"""`status`, `plan` and `report` only look; a study is read by file as it is now, by name as it was run."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import ablate
from ablate.errors import NotFound

PROFILE = "profiles:\n  cpu: {recipe: {epochs: 1}}\n"


def listing(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["status"], ["status", "tiny"], ["grid", "plan", "tiny.yaml"], ["grid", "check", "tiny.yaml"],
        ["report", "--format", "md"], ["report", "tiny.yaml", "--format", "json", "--check"], ["runs", "list"],
        ["db", "info"], ["db", "check"], ["data", "list"], ["doctor"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_looking_changes_nothing(call, tiny: Path, fill, tmp_path: Path, command: list[str]) -> None:
    fill(tiny)
    before = listing(tmp_path)
    call(*command)
    assert listing(tmp_path) == before


def test_planning_without_a_database_makes_none(call, tiny: Path, tmp_path: Path) -> None:
    call("grid", "plan", tiny)
    assert list(listing(tmp_path)) == ["tiny.yaml"]


@pytest.mark.slow
def test_a_plan_says_what_its_seeds_can_show(call, tiny: Path) -> None:
    """The study's own test and family; the head marks the study's own number of seeds."""
    text = call("grid", "plan", tiny, "--power").out.split("* this study:\n")[1]
    heads, rows = (line.strip() for line in text.splitlines()[:2])
    assert heads.split() == ["n", "=", "2*", "n", "=", "3", "n", "=", "5", "n", "=", "10"]
    assert rows.split() == [
        *["top1_top5:", "from", "the", "baseline", "(1", "comparison,", "moderated)"],
        "nothing",
        "3.7",
        "2.2",
        "1.4",
    ]
    assert "(1 comparison, moderated) takes 18 seeds" in text
    assert "fewer than 3 seeds" in text


@pytest.mark.slow
def test_power_is_of_each_tables_test_and_design(call, tiny: Path) -> None:
    tables = """tables:
  pooled: {rows: refinements, columns: [top1], test: dunnett}
  own: {rows: refinements, columns: [top1], test: welch-holm}
  effects: {rows: effect, columns: [top1]}
"""
    text = tiny.read_text()
    factor = text.split("factors:\n")[1].split(":")[0].strip()
    tiny.write_text(text.split("tables:")[0] + tables.replace("refinements", factor))
    said = call("grid", "plan", tiny, "--power").out
    assert re.search(r"pooled: .*\(1 comparison, dunnett\)", said)
    assert re.search(r"own: .*\(1 comparison, welch-holm\)", said)
    assert re.search(r"effects: .*\(1 effect, moderated\)", said)


@pytest.mark.slow
def test_html_goes_to_reports(call, tiny: Path, fill, tmp_path: Path) -> None:
    fill(tiny)
    said = call("report", tiny)
    page = tmp_path / "reports" / "tiny.html"
    assert "written: reports/tiny.html" in said.told().err
    assert page.read_text().lower().startswith("<!doctype html>")
    assert "top1_top5" in said.out, "the first table is printed as well"


@pytest.mark.slow
@pytest.mark.parametrize(("format_", "suffix"), [("md", "md"), ("latex", "tex"), ("csv", "csv"), ("json", "json"), ("text", "txt")])  # fmt: skip
def test_formats_go_to_stdout_or_to_a_file(call, tiny: Path, fill, tmp_path: Path, format_: str, suffix: str) -> None:
    fill(tiny)
    said = call("report", "tiny", "--table", "top1_top5", "--format", format_)
    assert "4 of 4 runs done" in said.told().err
    assert "plain" in said.out
    written = call("report", "tiny", "--table", "top1_top5", "--format", format_, "--out", "tables/")
    assert written.out == ""
    assert f"written: tables/tiny-top1_top5.{suffix}\n" in written.err
    text = (tmp_path / "tables" / f"tiny-top1_top5.{suffix}").read_text()
    assert text.strip() == said.out.strip()


@pytest.mark.slow
def test_without_a_name_the_study_run_last_that_has_the_table(call, tiny: Path, fill, tmp_path: Path) -> None:
    fill(tiny)
    other = tmp_path / "other.yaml"
    other.write_text(tiny.read_text().replace("study: tiny", "study: other").replace("top1_top5", "accuracy"))
    fill(other)
    said = call("report", "--format", "md")
    assert "study other " in said.told().err
    said = call("report", "--table", "top1_top5", "--format", "md")
    assert said.told().err.startswith("study tiny ")
    assert "top1_top5" in said.err


@pytest.mark.slow
def test_a_file_is_read_as_it_is_and_a_name_as_it_was_run(call, tiny: Path, fill) -> None:
    fill(tiny)
    text = tiny.read_text()
    tiny.write_text(text.replace("top1_top5:", "renamed:"))
    assert "### renamed" in call("report", tiny, "--format", "md").out
    by_name = call("report", "tiny", "--format", "md")
    assert "### renamed" in by_name.out, "the runs are the same, so the file's tables are those of the name"
    assert "has changed" not in by_name.err
    tiny.write_text(text.replace("top1_top5:", "renamed:").replace("epochs: 2", "epochs: 1"))
    by_name = call("report", "tiny", "--format", "md")
    assert "### top1_top5" in by_name.out
    assert f"{tiny} " in by_name.told().err
    assert "changed since" in call("status", "tiny").err
    tiny.write_text("broken: [")
    call("report", tiny, "--format", "md", code=3)
    assert "### top1_top5" in call("report", "tiny", "--format", "md").out


@pytest.mark.slow
def test_a_plain_name_means_the_scale_with_more_complete_arms(call, tiny: Path, fill) -> None:
    tiny.write_text(PROFILE + tiny.read_text())
    fill(tiny, lambda arm, seed: None)
    fill(tiny, profile="cpu")
    for study in (tiny, "tiny"):
        said = call("report", study, "--format", "md")
        assert said.err.startswith("tiny, profile cpu: 4 of 4 runs done"), study
        assert "\ntiny, profile cpu, digits" in said.out
    fill(tiny, lambda arm, seed: {"top1": 0.5} if (arm, seed) == ("plain", 0) else None)
    for study in (tiny, "tiny"):
        assert call("report", study, "--format", "md").err.startswith("tiny, profile cpu: 4 of 4"), study
    said = call("status")
    assert "tiny: 1 of 4 runs done, 3 to run" in said.out
    assert "tiny (cpu): 4 of 4 runs done" in said.out
    assert f"3 runs left: ablate grid run {tiny}\n" in said.told().err
    assert f": ablate report {tiny} --profile cpu\n" in said.err
    fill(tiny, lambda arm, seed: {"top1": 0.5})
    for study in (tiny, "tiny"):
        assert call("report", study, "--format", "md").err.startswith("tiny, full scale: 4 of 4 runs done"), study
    assert call("report", tiny, "--profile", "cpu", "--format", "md").err.startswith("tiny, profile cpu: 4 of 4")


@pytest.mark.slow
def test_a_study_run_with_settings_is_continued_with_them(call, tiny: Path) -> None:
    call("grid", "run", tiny, "--set", "epochs=1", "--seeds", "1", "--limit", "1", "--executor", "inline")
    said = call("status")
    assert "tiny [epochs=1]: 1 of 2 runs done, 1 to run" in said.out
    assert f"1 run left: ablate grid run {tiny} --set epochs=1 --seeds 1\n" in said.told().err
    assert call("status", tiny).out.startswith("tiny: 0 of 4 runs done, 4 to run"), "the file alone is another study"


def test_frame_by_run_and_by_epoch(tiny: Path, fill) -> None:
    fill(tiny, lambda arm, seed: {"top1": 0.5 + seed / 10, "loss": 1.0} if arm == "plain" else None)
    runs = ablate.frame(str(tiny))
    assert list(runs["arm"]) == ["plain", "plain", "smooth", "smooth"]
    assert list(runs["state"])[:2] == ["done", "done"]
    assert list(runs["top1"][:2]) == [0.5, 0.6]
    assert runs["top1"][2:].isna().all()
    epochs = ablate.frame("tiny", by="epoch")
    assert list(epochs["epoch"]) == [1, 2, 1, 2]
    with pytest.raises(NotFound, match="nothing: neither a study file nor a study in the database"):
        ablate.frame("nothing")


@pytest.mark.slow
def test_a_table_without_arms_is_passed_over_by_a_whole_report_and_an_error_by_name(call, tiny: Path, fill) -> None:
    nothing = "exclude: [{smoothing: smooth}]\ntables:\n  smoothed: {rows: smoothing, where: {smoothing: smooth}, columns: [top1]}\n"
    tiny.write_text(tiny.read_text(encoding="utf-8").replace("tables:\n", nothing), encoding="utf-8")
    fill(tiny)
    assert "tables.smoothed: shows no arm" in " ".join(call("grid", "plan", "tiny.yaml").out.split())
    whole = call("report", "tiny", "--format", "json")
    assert (whole.code, [one["table"] for one in whole.document["tables"]]) == (0, ["top1_top5", "curve"])
    assert (call("report", "tiny").code, call("grid", "run", "tiny.yaml").code) == (0, 0)
    alone = call("report", "tiny", "--table", "smoothed", code=3)
    assert alone.error == "study"
