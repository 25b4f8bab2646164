"""`doctor`: each fault of a set-up is found, and each finding says what to do."""

from __future__ import annotations

import importlib.metadata
import os
import stat
from pathlib import Path

import pytest
from golden_texts import worded

from ablate.cli.commands import doctor
from ablate.parts.discover import Broken
from ablate.project import checkups
from ablate.project.checkups import Driver, Finding
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.loader import load

CPU_ONLY = {"torch": "2.11.0+cpu", "torchvision": "0.26.0", "cuda": None, "devices": []}
CUDA = {**CPU_ONLY, "torch": "2.11.0", "cuda": "12.8"}
DRIVER = Driver("550.54", (12, 4), ("NVIDIA H200", "NVIDIA H200"))
NFS = "36 35 98:0 / / rw - ext4 /dev/vda rw\n41 36 0:44 / /shared rw - nfs4 server:/shared rw\n"


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch is not asked: importing it takes seconds."""
    monkeypatch.setattr(checkups, "ask_torch", lambda: CPU_ONLY)
    monkeypatch.setattr(checkups, "ask_driver", lambda: None)


def found(findings: object, what: str) -> Finding:
    return next(one for one in findings if one.what == what)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("said", "driver", "visible", "level", "facts"),
    [
        (CPU_ONLY, None, None, "ok", ("no GPU", "CPU")),
        (CPU_ONLY, DRIVER, None, "warning", ("2 GPUs (NVIDIA H200)", "without CUDA", "CUDA 12.4 or older")),
        ({**CUDA, "cuda": "13.0"}, DRIVER, None, "warning", ("2 GPUs (NVIDIA H200)", "CUDA 13.0", "12.4 at most")),
        (CUDA, DRIVER, "", "warning", ("2 GPUs (NVIDIA H200)", "CUDA_VISIBLE_DEVICES is ''")),
        (CUDA, DRIVER, None, "warning", ("2 GPUs (NVIDIA H200)", "nvidia-smi", "container")),
    ],
    ids=["no GPU", "torch without CUDA", "older driver", "hidden", "unknown"],
)
def test_torch_and_the_driver(said, driver, visible, level, facts) -> None:
    one = found(checkups.torch_and_driver(said, driver, visible), "cuda")
    assert one.level == level
    worded([one.found, one.advice], *facts, file="doctor")
    assert bool(one.advice) == (level != "ok")


def test_gpus_that_torch_sees_are_named_with_the_driver() -> None:
    """A newer minor version than the driver's works, so nothing is said of it."""
    findings = list(checkups.torch_and_driver({**CUDA, "devices": ["NVIDIA H200"]}, DRIVER, None))
    assert [(one.what, one.level) for one in findings] == [("torch", "ok"), ("driver", "ok"), ("cuda:0", "ok")]
    facts = ("2.11.0", "torchvision 0.26.0", "CUDA 12.8", "NVIDIA 550.54", "CUDA 12.4", "NVIDIA H200")
    worded([one.found for one in findings], *facts, file="doctor")


def test_a_torch_that_cannot_be_imported() -> None:
    (one,) = checkups.torch_and_driver({"error": "ImportError: libcudart.so"}, DRIVER, None)
    assert (one.what, one.level) == ("torch", "error")
    worded([one.found, one.advice], "ImportError: libcudart.so", "torch and torchvision", file="doctor")


def test_the_driver_is_asked_by_its_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(
        "#!/bin/sh\n"
        'if [ -n "$1" ]; then echo "550.54, NVIDIA H200"; echo "550.54, NVIDIA H200"; exit; fi\n'
        'echo "| NVIDIA-SMI 550.54    Driver Version: 550.54    CUDA Version: 12.4 |"\n'
    )
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    assert checkups.ask_driver(str(tool)) == DRIVER
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert checkups.ask_driver(str(tool)) is None
    assert checkups.ask_driver("no-such-tool") is None


def test_torch_is_asked_in_a_process_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkups, "_PROBE", 'print("noise")\nprint(\'{"torch": "1"}\')')
    assert checkups.ask_torch() == {"torch": "1"}
    monkeypatch.setattr(checkups, "_PROBE", "import os; os.kill(os.getpid(), 11)")
    assert checkups.ask_torch() == {"error": "IndexError: importing it crashes or takes minutes"}


def test_disks(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    one = checkups.disk("ABLATE_HOME", folder, 5, lambda path: 4e9)
    assert (one.what, one.level) == ("ABLATE_HOME", "warning")
    worded([one.found, one.advice], f"{folder} ", "4 GB free", "5 GB", "move ABLATE_HOME", file="doctor")
    assert checkups.disk("ABLATE_HOME", folder, 5, lambda path: 6e9).level == "ok"
    assert checkups.existing(folder) == tmp_path


def test_network_file_systems() -> None:
    (one,) = checkups.network_database(Path("/shared/results.db"), NFS.replace("/shared rw", "/ rw"))
    assert one.level == "error"
    worded([one.found, one.advice], "/shared/results.db ", "nfs4", "ABLATE_DB=postgresql+psycopg://", file="doctor")
    (one,) = checkups.network_home(Path("/"), NFS.replace("/shared rw", "/ rw"))
    assert one.level == "warning"
    worded([one.found, one.advice], "/ ", "nfs4", "local disk", file="doctor")
    assert list(checkups.network_home(Path("/"), NFS)) == []


@pytest.mark.parametrize(
    ("ours", "level", "text"),
    [
        (1003.0, "ok", "within 5 s"),
        (4600.0, "warning", "3600 s ahead"),
        (900.0, "warning", "100 s behind"),
    ],
)
def test_clocks(ours: float, level: str, text: str) -> None:
    one = checkups.clock("clock of the database", 1000.0, ours)
    assert one.level == level
    assert bool(one.advice) == (level == "warning")
    worded([one.found, one.advice], text, file="doctor")


def test_a_file_servers_clock_is_read_without_leaving_a_file(tmp_path: Path) -> None:
    assert checkups.server_time(tmp_path) is not None
    assert list(tmp_path.iterdir()) == []
    assert checkups.server_time(tmp_path / "absent") is None


def test_shared_memory_and_open_files(tmp_path: Path) -> None:
    (one,) = checkups.shared_memory(tmp_path, lambda path: 64e6)
    assert one.level == "warning"
    worded([one.found, one.advice], f"{tmp_path} ", "64 MB", "--shm-size=2g", file="doctor")
    (one,) = checkups.shared_memory(tmp_path, lambda path: 8e9)
    assert one.level == "ok"
    assert list(checkups.shared_memory(tmp_path / "absent")) == []
    one = checkups.open_files(256)
    assert (one.what, one.level) == ("open files", "warning")
    worded([one.found, one.advice], "256", "Ray", "ulimit -n 4096", file="doctor")
    assert checkups.open_files(4096).level == checkups.open_files(-1).level == "ok"


def test_extras_that_are_not_there_are_no_fault() -> None:
    def version(name: str) -> str:
        if name == "ray":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    findings = list(checkups.extras(version))
    assert [one.level for one in findings] == ["ok"] * 3
    one = found(findings, "ray")
    worded([one.found, one.advice], "not installed", "pip install 'ablate-studies[ray]'", file="doctor")


def test_another_distribution_called_ablate_is_told(call, light, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = {"ablate-studies": "0.1.0"}

    def version(name: str) -> str:
        if name not in installed:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    assert list(checkups.namesake(version)) == []
    installed["ablate"] = "9.9"
    (one,) = checkups.namesake(version)
    assert (one.what, one.level) == ("ablate", "warning")
    worded([one.found, one.advice], "ablate 9.9", "pip uninstall ablate ablate-studies", file="doctor")
    monkeypatch.setattr(checkups, "namesake", lambda: iter([one]))
    assert f"warn  ablate: {one.found}\n      {one.advice}\n" in call("doctor").out


def test_a_cluster_that_is_half_there_is_told_and_none_is_no_fault() -> None:
    here = {"sbatch", "squeue", "scancel"}
    (one,) = checkups.programs(lambda name: f"/bin/{name}" if name in here else None)
    assert (one.what, one.level) == ("slurm", "warning")
    worded([one.found, one.advice], "srun", file="doctor")
    assert list(checkups.programs(lambda name: None)) == []


def test_a_declaration_that_cannot_be_loaded_is_told() -> None:
    broken = Broken(
        "the entry point 'kube' in ablate.executors of the package kube", "kube", "ImportError: no kubernetes"
    )
    (one,) = checkups.declarations([broken])
    assert (one.what, one.level) == ("kube", "warning")
    assert one.advice
    worded([one.found, one.advice], broken.what, broken.why, file="doctor")


def test_sqlite_before_the_fix_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sqlite3, "sqlite_version_info", (3, 40, 1))
    (one,) = doctor._sqlite()
    worded(one.advice, "3.51.3", "WAL", file="doctor")
    monkeypatch.setattr(doctor.sqlite3, "sqlite_version_info", (3, 51, 3))
    (one,) = doctor._sqlite()
    assert one.advice == ""


def test_runs_of_the_dead_are_told(call, light, tiny: Path) -> None:
    with Store.open(os.environ["ABLATE_DB"]) as store:
        key = store.save_study(load(tiny), call_options={})
        claim = store.claim(key, WorkerInfo.here(pid=2**22 - 1))
        assert claim is not None
    said = call("doctor")
    short = claim.run.run_id[:12]
    (line,) = [line for line in said.out.splitlines() if line.startswith("warn  leases: 1 run ")]
    assert f"{short}, process 4194303 on " in line


def test_an_old_schema_says_how_to_upgrade(call, light, tiny: Path, fill, monkeypatch: pytest.MonkeyPatch) -> None:
    from ablate.store import migrate

    fill(tiny)
    monkeypatch.setattr(migrate, "REVISIONS", (*migrate.REVISIONS, "9999"))
    said = call("doctor", code=1)
    assert "FAIL  database: " in said.out
    assert "`ablate db upgrade`" in said.out


def test_a_damaged_database_is_a_fault(call, light, tmp_path: Path) -> None:
    (tmp_path / "results.db").write_bytes(b"no database at all")
    said = call("doctor", code=1)
    assert f"FAIL  database: {tmp_path}/results.db\n      {tmp_path}/results.db is not " in said.out
    assert (tmp_path / "results.db").read_bytes() == b"no database at all"
    assert said.err.splitlines()[-1].startswith("1 fault")


def test_a_new_set_up_says_what_is_not_there_yet(call, light, tmp_path: Path) -> None:
    said = call("doctor")
    assert f"database: {tmp_path}/results.db (none yet; " in said.out
    assert f"ABLATE_DATA: {tmp_path}/data (not there yet)\n      digits and synthetic " in said.out
