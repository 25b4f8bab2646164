"""Every exit code that needs no training, with what is said: what is wrong, where, what is allowed, what to do next."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ablate.cli.app import main


@pytest.fixture
def study(tiny: Path):
    """The tiny study with one text replaced by another."""

    def change(old: str, new: str) -> Path:
        text = tiny.read_text()
        assert old in text
        tiny.write_text(text.replace(old, new))
        return tiny

    return change


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("batch_size: 40", "batchsize: 40", "tiny.yaml:8: recipe.batchsize: "),
        ("epochs: 2", "epochs: two", "tiny.yaml:9: recipe.epochs: "),
        ("path: loss.label_smoothing", "path: loss.smooth", "tiny.yaml:11: factors.smoothing"),
        ("seeds: 2", "seeds: 2\nexclude: [{smoothing: [plain, smooth]}]", "exclude"),
        ("seeds: 2", "seeds: 2\nexclude: [{smoothing: rough}]", "tiny.yaml:13: exclude"),
        ("baseline: {smoothing: plain}", "baseline: {smoothing: rough}", "tiny.yaml:13: baseline"),
    ],
    ids=["unknown key", "wrong type", "path to nowhere", "excludes all", "excludes nothing", "no such baseline"],
)  # fmt: skip
def test_mistakes_in_a_file_leave_with_3(call, study, old: str, new: str, said: str) -> None:
    found = call("grid", "check", study(old, new), code=3)
    assert found.err.startswith("error: ")
    assert found.err.splitlines()[0].endswith("tiny.yaml")
    assert said in found.err
    assert found.out == ""


def test_settings_of_the_command_line(call, tiny: Path) -> None:
    call("grid", "plan", tiny, "--set", "epochs", code=2).told("bad-setting")
    call("grid", "plan", tiny, "--set", "optimizer.lrr=1", code=3).told("study")
    call("grid", "plan", tiny, "--profile", "cpu", code=3).told("study")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        (["--retry", "everything"], "usage", "--retry everything: "),
        (["--executor", "slum"], "usage", "'slurm'?"),
        (["--slurm", "time=10"], "usage", "--slurm time=10: "),
        (["--executor", "inline", "--ray", "num_gpus=1"], "usage", "--ray num_gpus=1: "),
        (["--executor", "slurm", "--slurm", "tme=10"], "usage", "'time'? Allowed: partition, account,"),
        (["--spool"], "spool-unsupported", "--spool."),
        (["--device", "gpu"], "usage", "'gpu'; allowed: auto, cpu, mps, cuda, cuda:0"),
        (["--limit", "0"], "", "'--limit'"),
        (["--workers", "0"], "", "'--workers'"),
        (["--threads", "many"], "", "'--threads'"),
        (["--seeds", "1.5"], "bad-seeds", "'1.5'"),
    ],
)
def test_wrong_usage_leaves_with_2_and_writes_nothing(
    call, tiny: Path, options: list[str], error: str, said: str
) -> None:
    told = call("grid", "run", tiny, *options, code=2)
    assert (told.error, said in told.err) == (error, True)
    if error:  # the others are the command line's own, whose wording is another library's
        told.told(error)
    assert sorted(path.name for path in tiny.parent.iterdir()) == ["tiny.yaml"]


@pytest.mark.parametrize("command", [["status"], ["runs", "list"], ["report"], ["db", "info"], ["runs", "show", "ab"]])
def test_no_database_leaves_with_5_and_makes_none(call, tmp_path: Path, command: list[str]) -> None:
    call(*command, code=5).told("no-database")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_unknown_studies_tables_and_runs_leave_with_5(call, tiny: Path, fill) -> None:
    fill(tiny)
    call("status", "tinny", code=5).told("unknown-study")
    call("report", "tiny", "--table", "top1", code=5).told("unknown-table")
    call("report", "--table", "top9", code=5).told("unknown-table")
    call("runs", "show", "zz", code=5).told("unknown-run")
    call("report", "tiny", "--profile", "cpu", code=5).told("unknown-profile")
    assert "tiny" in call("runs", "list", "--study", "other", code=5).err


def test_a_study_that_was_never_run_names_its_file(call, tiny: Path, fill) -> None:
    fill(tiny)
    below = Path("experiments/lee")
    below.mkdir(parents=True)
    (below / "readings.yaml").write_text("study: lee-readings  # of table 1\n")
    (below / "broken.yaml").write_bytes(b"\xff\xfe")
    call("report", "lee-readings", "--table", "table1", code=5).told("no-runs")
    call("report", "lee", code=5).told("unknown-study")


def test_a_format_or_state_that_is_none_leaves_with_2(call, tiny: Path, fill) -> None:
    fill(tiny)
    call("report", "--format", "htm", code=2).told("unknown-format")
    call("runs", "list", "--state", "don", code=2).told("unknown-state")


def test_a_file_that_is_no_database_leaves_with_6_untouched(call, tiny: Path, tmp_path: Path) -> None:
    other = tmp_path / "thesis.txt"
    other.write_text("not a database, but a thesis\n")
    for command in (["status"], ["grid", "plan", tiny], ["grid", "run", tiny], ["db", "check"], ["db", "upgrade"]):
        call(*command, "--db", other, code=6).told("store")
    assert other.read_text() == "not a database, but a thesis\n"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name not in ("home", "tiny.yaml")) == ["thesis.txt"]


def test_a_contradicted_claim_leaves_with_7_only_under_check(call, three: Path, fill) -> None:
    fill(three)
    call("report", "tiny", "--format", "md")
    found = call("report", "tiny", "--format", "md", "--check", code=7).told("claim-contradicted")
    assert "contradicted: smooth > plain" in found.out.replace("*", "")


def test_a_failed_run_comes_before_a_contradicted_claim(call, three: Path, fill, made_up) -> None:
    three.write_text(three.read_text().replace("seeds: 3", "seeds: 4"))
    fill(three, lambda arm, seed: "failed" if (arm, seed) == ("plain", 3) else made_up(arm, seed))
    call("report", "tiny", "--format", "md", "--check", code=4).told("run-failed")


def test_a_held_claim_passes_the_check(call, three: Path, fill) -> None:
    three.write_text(three.read_text().replace("smooth > plain", "plain > smooth"))
    fill(three)
    assert "holds: plain > smooth" in call("report", "tiny", "--format", "md", "--check").out.replace("*", "")


def test_a_backup_never_replaces_a_file_unasked(call, tiny: Path, fill, tmp_path: Path) -> None:
    fill(tiny)
    target = tmp_path / "copy.db"
    call("db", "backup", target)
    before = target.read_bytes()
    call("db", "backup", target, code=2).told("exists")
    assert target.read_bytes() == before
    call("db", "backup", target, "--overwrite")
    assert call("status", "--db", target).out.startswith("tiny: 4 of 4 runs done")


def test_grid_run_leaves_with_4_for_an_earlier_failure_and_trains_nothing(call, tiny: Path, fill) -> None:
    fill(tiny, lambda arm, seed: "failed" if arm == "smooth" else {"top1": 0.5, "top5": 0.9})
    found = call("grid", "run", tiny, code=4).told()
    assert found.err.splitlines()[-1].endswith("--retry failed")


@pytest.mark.slow
def test_runs_cancelled_by_hand_are_left_alone_and_told(call, tiny: Path, fill) -> None:
    fill(tiny, lambda arm, seed: None)
    ids = [run["run_id"][:12] for run in call("runs", "list", "--json").document["runs"]]
    call("runs", "cancel", *ids, ids[0]).told()
    call("runs", "cancel", ids[0]).told()
    call("grid", "run", tiny, code=4).told()


@pytest.mark.slow
def test_a_reader_that_goes_away_is_no_failure(tiny: Path, fill) -> None:
    fill(tiny)
    for args in ("runs list --json", "status tiny", "report tiny --format md"):
        line = f"{sys.executable} -m ablate {args} | true; exit ${{PIPESTATUS[0]}}"
        done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, cwd=tiny.parent)
        assert (done.returncode, "Traceback" in done.stderr, "Exception" in done.stderr) == (0, False, False), args


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_output_to_a_full_disk_leaves_with_8(tiny: Path) -> None:
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "ablate", "grid", "plan", str(tiny), "--json"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 8
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def _as_nobody(*args: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root and setpriv, to become somebody who may not write everywhere")
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-B", "-m", "ablate"]
    if subprocess.run([*command, "--version"], capture_output=True, cwd="/").returncode:
        pytest.skip("an unprivileged user cannot read this checkout or its Python")
    env = {**os.environ, "ABLATE_DB": str(cwd / "results.db")}
    return subprocess.run([*command, *map(str, args)], capture_output=True, text=True, cwd=cwd, env=env)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that any user may read: pytest's own are private, and made private again by each pytest that starts."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        yield Path(made)


def _copy_files(there: Path, here: Path) -> None:
    for path in there.iterdir():
        if path.is_file():
            shutil.copy(path, here)


@pytest.mark.slow
def test_a_folder_without_leave_to_write_leaves_with_8(tiny: Path, fill, open_to_all: Path) -> None:
    fill(tiny, lambda arm, seed: None)
    _copy_files(tiny.parent, open_to_all)
    before = {path.name: path.read_bytes() for path in open_to_all.iterdir()}
    tiny = open_to_all / tiny.name
    done = _as_nobody("grid", "run", tiny, cwd=open_to_all)
    assert done.returncode == 8, done.stderr
    assert "Permission denied" in done.stderr
    assert "Traceback" not in done.stderr
    for command in (["status", "tiny"], ["grid", "plan", str(tiny)], ["report", "tiny", "--format", "md"]):
        looked = _as_nobody(*command, cwd=open_to_all)
        assert looked.returncode == 0, looked.stderr
    assert {path.name: path.read_bytes() for path in open_to_all.iterdir()} == before


@pytest.mark.slow
def test_reports_into_a_folder_without_leave_to_write_leave_with_8(tiny: Path, fill, open_to_all: Path) -> None:
    fill(tiny)
    _copy_files(tiny.parent, open_to_all)
    place = open_to_all / "reports"
    done = _as_nobody("report", "--all", "--experiments", ".", cwd=open_to_all)
    assert done.returncode == 8, done.stderr
    assert done.stderr == (
        f"error: cannot write {place / 'plotly.min.js'}: permission denied. "
        "Choose a folder that you can write to with --out.\n"
    )
    assert not place.exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_what_the_system_refuses_is_a_document_under_json_too(
    number: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse() -> None:
        raise OSError(number, os.strerror(number), "/some/file")

    monkeypatch.setattr(sys, "argv", ["ablate", "status", "--json"])
    monkeypatch.setattr("ablate.cli.app.app", refuse)
    monkeypatch.setattr("ablate.cli.app.streams.prepare", lambda: None)
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    error = json.loads(said.out)["error"]
    assert left.value.code == error["exit_code"] == 8
    assert error["code"] == "no-space-or-permission"
    assert error["message"].startswith(f"/some/file: {os.strerror(number)}.")
    assert said.err == f"error: {error['message']}\n"
