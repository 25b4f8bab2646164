"""`doctor`: each fault of a set-up is found, and each finding says what to do."""

from __future__ import annotations

import importlib.metadata
import os
import stat
from pathlib import Path

import pytest

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
    ("said", "driver", "visible", "level", "text", "advice"),
    [
        (CPU_ONLY, None, None, "ok", "no GPU; runs use the CPU", ""),
        (
            CPU_ONLY, DRIVER, None, "warning", "torch sees none of 2 GPUs (NVIDIA H200)",
            "This torch was built without CUDA: install a build of CUDA 12.4 or older (pytorch.org says how).",
        ),
        (
            {**CUDA, "cuda": "13.0"}, DRIVER, None, "warning", "torch sees none of 2 GPUs (NVIDIA H200)",
            "This torch was built for CUDA 13.0 and the driver offers 12.4 at most: update the driver, or install a torch "
            "of CUDA 12.4 or older.",
        ),
        (
            CUDA, DRIVER, "", "warning", "torch sees none of 2 GPUs (NVIDIA H200)",
            "CUDA_VISIBLE_DEVICES is '': unset it, or name a GPU of nvidia-smi's list.",
        ),
        (
            CUDA, DRIVER, None, "warning", "torch sees none of 2 GPUs (NVIDIA H200)",
            "Check nvidia-smi. Reboot after a driver update; a container needs the NVIDIA runtime.",
        ),
    ],
)  # fmt: skip
def test_torch_and_the_driver(said, driver, visible, level, text, advice) -> None:
    assert found(checkups.torch_and_driver(said, driver, visible), "cuda") == Finding("cuda", level, text, advice)


def test_gpus_that_torch_sees_are_named_with_the_driver() -> None:
    """A newer minor version than the driver's works, so nothing is said of it."""
    findings = list(checkups.torch_and_driver({**CUDA, "devices": ["NVIDIA H200"]}, DRIVER, None))
    assert [(one.what, one.level, one.found) for one in findings] == [
        ("torch", "ok", "2.11.0, torchvision 0.26.0, built for CUDA 12.8"),
        ("driver", "ok", "NVIDIA 550.54, up to CUDA 12.4"),
        ("cuda:0", "ok", "NVIDIA H200"),
    ]


def test_a_torch_that_cannot_be_imported() -> None:
    (one,) = checkups.torch_and_driver({"error": "ImportError: libcudart.so"}, DRIVER, None)
    assert one == Finding(
        "torch", "error", "cannot be imported: ImportError: libcudart.so",
        "Install torch and torchvision of matching versions.",
    )  # fmt: skip


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
    assert checkups.disk("ABLATE_HOME", folder, 5, lambda path: 4e9) == Finding(
        "ABLATE_HOME", "warning", f"{folder} (not there yet), 4 GB free",
        "Less than 5 GB: free some space, or move ABLATE_HOME to a larger disk.",
    )  # fmt: skip
    assert checkups.disk("ABLATE_HOME", folder, 5, lambda path: 6e9).level == "ok"
    assert checkups.existing(folder) == tmp_path


def test_network_file_systems() -> None:
    (one,) = checkups.network_database(Path("/shared/results.db"), NFS.replace("/shared rw", "/ rw"))
    assert (one.level, one.found) == (
        "error", "/shared/results.db lies on a network file system (nfs4), where SQLite can lose results"
    )  # fmt: skip
    assert "ABLATE_DB=postgresql+psycopg://" in one.advice
    (one,) = checkups.network_home(Path("/"), NFS.replace("/shared rw", "/ rw"))
    assert (one.level, one.found) == ("warning", "/ lies on a network file system (nfs4)")
    assert "a local disk is faster" in one.advice
    assert list(checkups.network_home(Path("/"), NFS)) == []


@pytest.mark.parametrize(
    ("ours", "level", "text"),
    [
        (1003.0, "ok", "agrees with this machine's within 5 s"),
        (4600.0, "warning", "this machine's clock is 3600 s ahead of it"),
        (900.0, "warning", "this machine's clock is 100 s behind it"),
    ],
)
def test_clocks(ours: float, level: str, text: str) -> None:
    one = checkups.clock("clock of the database", 1000.0, ours)
    assert (one.level, one.found) == (level, text)
    assert ("Leases use the database's clock, so no run is lost" in one.advice) == (level == "warning")


def test_a_file_servers_clock_is_read_without_leaving_a_file(tmp_path: Path) -> None:
    assert checkups.server_time(tmp_path) is not None
    assert list(tmp_path.iterdir()) == []
    assert checkups.server_time(tmp_path / "absent") is None


def test_shared_memory_and_open_files(tmp_path: Path) -> None:
    (one,) = checkups.shared_memory(tmp_path, lambda path: 64e6)
    assert (one.level, one.found) == ("warning", f"{tmp_path} holds 64 MB")
    assert "--shm-size=2g" in one.advice
    (one,) = checkups.shared_memory(tmp_path, lambda path: 8e9)
    assert one.level == "ok"
    assert list(checkups.shared_memory(tmp_path / "absent")) == []
    assert checkups.open_files(256) == Finding(
        "open files", "warning", "256 at a time",
        "Many workers, or Ray, need more: ulimit -n 4096 in the shell that starts ablate.",
    )  # fmt: skip
    assert checkups.open_files(4096).level == checkups.open_files(-1).level == "ok"


def test_extras_that_are_not_there_are_no_fault() -> None:
    def version(name: str) -> str:
        if name == "ray":
            raise importlib.metadata.PackageNotFoundError(name)
        return "1.0"

    findings = list(checkups.extras(version))
    assert [one.level for one in findings] == ["ok"] * 3
    assert found(findings, "ray") == Finding(
        "ray", "ok", "not installed", "Needed for the executor ray only: pip install 'ablate-studies[ray]'"
    )


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
    assert "the distribution ablate 9.9 is installed beside ablate-studies" in one.found
    assert "pip uninstall ablate ablate-studies" in one.advice
    monkeypatch.setattr(checkups, "namesake", lambda: iter([one]))
    assert f"warn  ablate: {one.found}\n      {one.advice}\n" in call("doctor").out


def test_a_cluster_that_is_half_there_is_told_and_none_is_no_fault() -> None:
    here = {"sbatch", "squeue", "scancel"}
    (one,) = checkups.programs(lambda name: f"/bin/{name}" if name in here else None)
    assert (one.what, one.level, one.found) == ("slurm", "warning", "no srun on this host")
    assert list(checkups.programs(lambda name: None)) == []


def test_a_declaration_that_cannot_be_loaded_is_told() -> None:
    broken = Broken(
        "the entry point 'kube' in ablate.executors of the package kube", "kube", "ImportError: no kubernetes"
    )
    (one,) = checkups.declarations([broken])
    assert (one.what, one.level) == ("kube", "warning")
    assert (
        one.found
        == "the entry point 'kube' in ablate.executors of the package kube can't be used: ImportError: no kubernetes"
    )
    assert one.advice


def test_sqlite_before_the_fix_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sqlite3, "sqlite_version_info", (3, 40, 1))
    (one,) = doctor._sqlite()
    assert one.advice.startswith("Versions before 3.51.3 can, very rarely, damage a WAL database")
    monkeypatch.setattr(doctor.sqlite3, "sqlite_version_info", (3, 51, 3))
    (one,) = doctor._sqlite()
    assert one.advice == ""


def test_runs_of_the_dead_are_told(call, light, tiny: Path) -> None:
    with Store.open(os.environ["ABLATE_DB"]) as store:
        key = store.save_study(load(tiny), settings={})
        claim = store.claim(key, WorkerInfo.here(pid=2**22 - 1))
        assert claim is not None
    said = call("doctor")
    short = claim.run.run_id[:12]
    assert f"warn  leases: 1 run is marked running but its worker is gone: {short}, process 4194303 on " in said.out
    assert "the next ablate grid run of the study continues from the last checkpoint" in said.out


def test_an_old_schema_says_how_to_upgrade(call, light, tiny: Path, fill, monkeypatch: pytest.MonkeyPatch) -> None:
    from ablate.store import migrate

    fill(tiny)
    monkeypatch.setattr(migrate, "REVISIONS", (*migrate.REVISIONS, "9999"))
    said = call("doctor", code=1)
    assert "FAIL  database: " in said.out
    assert "Run `ablate db upgrade`: it makes a backup first." in said.out


def test_a_damaged_database_is_a_fault(call, light, tmp_path: Path) -> None:
    (tmp_path / "results.db").write_bytes(b"no database at all")
    said = call("doctor", code=1)
    assert "is not a results database (no SQLite file); it was left as it is." in said.out
    assert said.err.splitlines()[-1].startswith("1 fault")


def test_a_new_set_up_says_what_is_not_there_yet(call, light, tmp_path: Path) -> None:
    said = call("doctor")
    assert f"database: {tmp_path}/results.db (none yet; the first grid run creates it)" in said.out
    assert f"ABLATE_DATA: {tmp_path}/data (not there yet)\n      digits and synthetic need no files" in said.out
