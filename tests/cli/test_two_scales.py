"""A study at two scales: which one its plain name means, how the other is named, and the pages of both."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

STUDY = """
study: two
about: Does smoothing help, small or large?
cite: {title: Two scales, source: Nobody 2021}
recipe:
  data: {name: digits, limit: 80, split: {train: 0.5, test: 0.5}}
  model: {arch: three-layer-cnn}
  batch_size: 40
  epochs: 2
factors: {smoothing: {path: loss.label_smoothing, levels: {plain: 0.0, smooth: 0.1}}}
seeds: 2
baseline: {smoothing: plain}
profiles: {cpu: {recipe: {epochs: 1}}, half/size: {recipe: {epochs: 3}}}
tables: {top: {rows: smoothing, columns: [top1], claims: [smooth > plain]}}
"""


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """experiments/two.yaml, with nothing run yet."""
    for name, value in {"DB": "results.db", "HOME": "home", "DATA": "data"}.items():
        monkeypatch.setenv(f"ABLATE_{name}", str(tmp_path / value) if name != "DB" else f"sqlite:///{tmp_path / value}")
    path = tmp_path / "experiments" / "two.yaml"
    path.parent.mkdir()
    path.write_text(STUDY)
    return path


def part(*cells: tuple[str, int]) -> Callable[[str, int], dict[str, float] | None]:
    """Only these runs are done; their accuracy is nobody else's."""
    return lambda arm, seed: {"top1": 0.25 + 0.01 * seed, "top5": 0.5, "loss": 1.0} if (arm, seed) in cells else None


ONE_ARM = part(("plain", 0), ("plain", 1))
THREE = part(("plain", 0), ("plain", 1), ("smooth", 0))
HALVES = part(("plain", 0), ("smooth", 0))


def meant(call, *words: object) -> str:
    said = call("report", *words, "--format", "md")
    found = re.match(r"two, (.*?): \d+ of \d+ runs? done", said.err)
    assert found, said.err
    return found[1]


@pytest.mark.slow
@pytest.mark.parametrize("study", ["two", "two.yaml"])
@pytest.mark.parametrize(
    ("full", "cpu", "plain"),
    [
        (ONE_ARM, None, "profile cpu"),
        (None, ONE_ARM, "full scale"),
        (ONE_ARM, HALVES, "full scale"),  # as many runs, but of no arm all
        (HALVES, ONE_ARM, "profile cpu"),
        (ONE_ARM, THREE, "profile cpu"),  # as many arms, but more runs
        (None, None, "full scale"),
        (HALVES, HALVES, "full scale"),
        (part(), HALVES, "profile cpu"),
        (part(), part(), "profile cpu"),
    ],
)
def test_the_plain_name_means_the_scale_with_more_complete_arms(
    call, two: Path, fill, made_up, study, full, cpu, plain
) -> None:
    for order in (("full", "cpu"), ("cpu", "full")):  # run last is not what counts
        for scale in order:
            tell = (full if scale == "full" else cpu) or made_up
            fill(two, tell, profile=None if scale == "full" else scale)
        assert meant(call, study) == plain
        assert meant(call, study, "--profile", "full") == "full scale"
        assert meant(call, study, "--profile", "cpu") == "profile cpu"


def test_all_that_was_asked_counts_as_complete_and_more_runs_win(call, two: Path, fill) -> None:
    fill(two, seeds=1)
    fill(two, profile="cpu")
    assert meant(call, "two") == "profile cpu"
    fill(two, seeds=(1,))  # the rest of the seeds, later and by a call of its own
    assert meant(call, "two") == "full scale"
    assert "two, full scale: 4 of 4 runs done" in call("report", "two", "--format", "md").err


def test_a_profile_called_full_is_that_profile(call, two: Path, fill) -> None:
    two.write_text(STUDY.replace("cpu:", "full:"))
    fill(two, ONE_ARM)
    fill(two, profile="full")
    for study in ("two", "two.yaml"):
        assert meant(call, study, "--profile", "full") == "profile full"


def test_a_profile_that_is_not_there_is_told_with_those_that_are(call, two: Path, fill) -> None:
    fill(two, ONE_ARM)
    fill(two, profile="cpu")
    said = call("report", "--profile", "cqu", code=5).err
    assert "No study in the database was run with profile 'cqu'. Did you mean 'cpu'? Profiles: cpu, full." in said
    said = call("report", "two", "--profile", "cqu", code=5).told("unknown-profile").err
    assert " cqu, " in said
    assert "cpu, full" in said
    assert "cpu, half/size" in call("grid", "plan", "two.yaml", "--profile", "cqu", code=3).told("study").err
    for full in ("full", ""):
        assert call("report", "--profile", full, "--format", "md").err.startswith(
            "study two (run last)\ntwo, full scale:"
        )


@pytest.mark.slow
def test_files_of_the_other_scale_have_its_name(call, two: Path, fill, tmp_path: Path) -> None:
    fill(two, ONE_ARM)
    fill(two, profile="cpu")
    call("report", "two")
    call("report", "two", "--profile", "cpu")
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["two.html"]
    plain = (tmp_path / "reports" / "two.html").read_bytes()
    call("report", "two", "--profile", "full")
    call("report", "two", "--profile", "full", "--format", "md", "--out", "reports")
    assert sorted(path.name for path in (tmp_path / "reports").iterdir()) == [
        "two-full.html",
        "two-full.md",
        "two.html",
    ]
    assert (tmp_path / "reports" / "two.html").read_bytes() == plain
    assert "two (full scale)</title>" in (tmp_path / "reports" / "two-full.html").read_text()


def test_the_report_that_is_named_next_is_of_the_scale_that_was_looked_at(call, two: Path, fill) -> None:
    fill(two, seeds=1)
    fill(two, profile="cpu")
    said = call("status", "two", "--profile", "full").err
    assert "The report: ablate report " in said
    assert said.endswith("two.yaml --profile full\n")


def pages(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("two"))


@pytest.mark.slow
def test_each_scale_has_its_pages_and_the_index_both(call, two: Path, fill, tmp_path: Path) -> None:
    fill(two, ONE_ARM)
    fill(two, profile="cpu")
    out = tmp_path / "reports"
    said = call("report", "--all")
    assert pages(out) == ["two-full.html", "two-full.md", "two.html", "two.md"]
    assert said.out.splitlines() == [
        "two (profile cpu): 4 of 4 runs done; claims: 1 undecided",
        "two (full scale): 2 of 4 runs done; claims: 1 undecided",
    ]
    main, other, index = ((out / name).read_text() for name in ("two.md", "two-full.md", "README.md"))
    assert main.startswith("# two: Two scales\n")
    assert "Also: [two (full scale)](two-full.md)." in main
    assert "\n> profile cpu, digits" in main
    assert other.startswith("# two (full scale): Two scales\n")
    assert "Also: [two](two.md)." in other
    assert "\n> full scale, digits" in other
    assert "The rest:\n\n```\nablate grid run experiments/two.yaml\n```" in other
    assert "From `results.db`: 6 of 8 runs done" in index
    assert "\n| [two](two.md): Two scales | 1 of 1 | profile cpu | 4 of 4 |" in index
    assert "\n| [two (full scale)](two-full.md): Two scales | 1 of 1 | full scale | 2 of 4 |" in index
    assert "\n| **all** | 1 of 1 | profile cpu, full scale | 6 of 8 |" in index
    assert "- undecided: smooth > plain ([two (full scale)](two-full.md), two, top)" in index
    html = (out / "index.html").read_text()
    for link in (
        "two.html",
        "two-full.html",
        "two.html#table-1-top",
        "two-full.html#table-1-top",
        "two.md",
        "two-full.md",
    ):
        assert f'href="{link}"' in html, link


@pytest.mark.slow
def test_pages_change_their_names_with_what_the_plain_name_means(call, two: Path, fill, tmp_path: Path) -> None:
    fill(two, ONE_ARM)
    fill(two, profile="cpu")
    call("report", "--all")
    (tmp_path / "reports" / "two-half.html").write_text("<p>Mine.</p>")
    fill(two)  # the rest of the full scale
    said = call("report", "--all")
    assert pages(tmp_path / "reports") == ["two-cpu.html", "two-cpu.md", "two-half.html", "two.html", "two.md"]
    assert "\nremoved: reports/two-full.md, " in f"\n{said.told().err}"
    assert (tmp_path / "reports" / "two.md").read_text().count("\n> full scale") == 1


def test_a_page_that_is_somebody_elses_is_left(call, two: Path, fill, tmp_path: Path) -> None:
    fill(two)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports" / "two-full.md").write_text("# Mine\n")
    call("report", "--all")
    assert (tmp_path / "reports" / "two-full.md").read_text() == "# Mine\n"


@pytest.mark.slow
def test_a_scale_that_nobody_asked_for_has_no_page(call, two: Path, fill, tmp_path: Path) -> None:
    fill(two, ONE_ARM)
    fill(two, profile="cpu")
    shared = two.parent / "shared.yaml"
    shared.write_text(STUDY.replace("study: two", "study: shared"))
    fill(shared, profile="cpu")
    call("report", "--all")
    found = sorted(path.name for path in (tmp_path / "reports").glob("shared*"))
    assert found == ["shared.html", "shared.md"], "its runs at full scale are two's"


@pytest.mark.slow
def test_a_profile_whose_name_is_no_file_name(call, two: Path, fill, tmp_path: Path) -> None:
    fill(two)
    fill(two, ONE_ARM, profile="half/size")
    call("report", "--all")
    (other,) = (name for name in pages(tmp_path / "reports") if name.endswith(".md") and name != "two.md")
    assert re.fullmatch(r"two-[0-9a-f]{8}\.md", other)
    assert (tmp_path / "reports" / other).read_text().startswith("# two (half/size): Two scales\n")


@pytest.mark.slow
def test_two_pages_of_one_name_are_told(call, two: Path, fill, tmp_path: Path) -> None:
    fill(two, ONE_ARM)
    fill(two, profile="cpu")
    twin = two.parent / "two-full.yaml"
    twin.write_text(STUDY.replace("study: two", "study: two-full").replace("epochs: 2", "epochs: 5"))
    fill(twin)
    said = call("report", "--all", code=3).err
    name = "the study's name, 'two-full', is that of experiments/two.yaml"
    page = "the page of this scale would be two-full, which experiments/two-full.yaml already has"
    assert name in said or page in said
    assert "# two: Two scales" in (tmp_path / "reports" / "two.md").read_text()


@pytest.mark.slow
def test_seeds_that_come_from_another_machine_join_those_that_are_here(
    call, two: Path, fill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(two, profile="cpu")
    here = os.environ["ABLATE_DB"]
    for seed in (0, 1):
        monkeypatch.setenv("ABLATE_DB", f"sqlite:///{tmp_path / 'gpu.db'}{seed}")
        fill(two, seeds=(seed,))
        monkeypatch.setenv("ABLATE_DB", here)
        call("db", "import", tmp_path / f"gpu.db{seed}")
        full = call("report", "two", "--profile", "full", "--format", "md")
        assert f"two, full scale: {2 * seed + 2} of {2 * seed + 2} runs done" in full.err
        assert meant(call, "two") == ("full scale" if seed else "profile cpu")
