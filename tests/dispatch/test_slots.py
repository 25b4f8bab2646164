"""How many workers, where, with how many threads."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablate.dispatch.contract.room import usable_cores
from ablate.dispatch.contract.slots import Gpu, crowded, plan_slots, visible_gpus
from ablate.errors import UsageError

TWO = (Gpu(0, "0"), Gpu(1, "1"))


@pytest.fixture(autouse=True)
def _no_pins(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def driver(tmp_path: Path):
    """An `nvidia-smi` that lists so many GPUs."""

    def install(count: int, status: int = 0) -> dict[str, str]:
        tool = tmp_path / "nvidia-smi"
        lines = "".join(f"echo {index}\n" for index in range(count))
        tool.write_text(f"#!/bin/sh\n{lines}exit {status}\n")
        tool.chmod(0o755)
        return {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    return install


@pytest.mark.parametrize(
    ("workers", "threads", "cores", "each"),
    [(None, None, 8, [8]), (2, None, 8, [4, 4]), (3, None, 8, [2, 2, 2]), (4, None, 2, [1] * 4), (2, 3, 8, [3, 3])],
)
def test_threads_are_cores_over_slots(workers, threads, cores, each):
    slots = plan_slots("cpu", workers, threads, cores=cores)
    assert [slot.threads for slot in slots] == each
    assert all(slot.environment["OMP_NUM_THREADS"] == str(slot.threads) for slot in slots)
    assert all(slot.environment["MKL_NUM_THREADS"] == str(slot.threads) for slot in slots)
    assert {slot.device for slot in slots} == {"cpu"}


def test_auto_is_one_pinned_worker_a_gpu():
    first, second = plan_slots("auto", cores=16, gpus=TWO)
    assert (first.label, second.label) == ("cuda:0", "cuda:1")
    assert (first.device, second.device) == ("cuda:0", "cuda:0")
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in (first, second)] == ["0", "1"]
    assert first.environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    assert first.threads == 8


def test_more_workers_than_gpus_share_them_in_turn():
    assert [slot.label for slot in plan_slots("cuda", 3, cores=4, gpus=TWO)] == ["cuda:0", "cuda:1", "cuda:0"]


def test_one_gpu_can_be_named():
    (slot,) = plan_slots("cuda:1", cores=4, gpus=TWO)
    assert (slot.label, slot.device, slot.environment["CUDA_VISIBLE_DEVICES"]) == ("cuda:1", "cuda:0", "1")


def test_auto_without_a_gpu_is_the_cpu():
    (slot,) = plan_slots("auto", cores=4, gpus=())
    assert (slot.label, slot.threads) == ("cpu", 4)
    assert "CUDA_VISIBLE_DEVICES" not in slot.environment


@pytest.mark.parametrize(
    ("device", "gpus", "message"),
    [
        ("gpu", (), "unknown device 'gpu'; allowed: auto, cpu, mps, cuda, cuda:0, cuda:1 and so on"),
        ("cuda", (), "--device cuda: no CUDA GPU is visible here; allowed: auto, cpu"),
        ("cuda:2", TWO, "--device cuda:2: there is no such GPU; visible: cuda:0, cuda:1"),
    ],
)
def test_a_device_that_is_not_there_is_refused(device, gpus, message):
    with pytest.raises(UsageError) as caught:
        plan_slots(device, cores=2, gpus=gpus)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("wanted", "pins"),
    [
        (None, ["0", "1", "2"]),
        ("2,0", ["2", "0"]),
        ("", []),
        ("-1", []),
        ("1,7,0", ["1"]),
        ("GPU-5f,1", ["GPU-5f", "1"]),
    ],
)
def test_visible_gpus_follow_the_driver_and_the_variable(driver, wanted, pins):
    environment = driver(3)
    if wanted is not None:
        environment["CUDA_VISIBLE_DEVICES"] = wanted
    assert [gpu.pin for gpu in visible_gpus(environment)] == pins
    assert [gpu.index for gpu in visible_gpus(environment)] == list(range(len(pins)))


def test_a_variable_without_a_driver_is_no_gpu(tmp_path, monkeypatch):
    monkeypatch.setattr("ablate.dispatch.contract.slots._DEVICE_FILES", tmp_path)
    assert visible_gpus({"PATH": str(tmp_path), "CUDA_VISIBLE_DEVICES": "0"}) == ()


def test_device_files_stand_in_for_a_tool_that_fails(driver, tmp_path, monkeypatch):
    for name in ("nvidia0", "nvidia1", "nvidiactl"):
        (tmp_path / name).touch()
    monkeypatch.setattr("ablate.dispatch.contract.slots._DEVICE_FILES", tmp_path)
    assert [gpu.pin for gpu in visible_gpus(driver(3, status=9))] == ["0", "1"]


@pytest.mark.parametrize(("quota", "cores"), [("200000 100000\n", 2), ("50000 100000\n", 1), ("max 100000\n", 6)])
def test_a_containers_quota_bounds_the_cores(tmp_path, monkeypatch, quota, cores):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(6)))
    (tmp_path / "cpu.max").write_text(quota)
    assert usable_cores(tmp_path / "cpu.max") == cores


def test_without_a_quota_the_affinity_decides(tmp_path, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {1, 3})
    assert usable_cores(tmp_path / "absent") == 2


def test_a_busy_machine_is_told_where_threads_would_wait_for_each_other():
    two, one = plan_slots("cpu", 1, 2), plan_slots("cpu", 2, 1)
    assert crowded(two, load=4.8, cores=2) == (
        "this machine is busy (load 4.8 on 2 cores), and the threads of one run wait for each other there: "
        "with --threads 1 it may be many times as fast."
    )
    assert crowded(two, load=0.9, cores=2) == ""
    assert crowded(one, load=4.8, cores=2) == ""
