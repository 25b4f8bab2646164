"""How many runs fit here where a study says what one takes, and which GPUs each sees. The GPUs are made up."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablate.dispatch.contract.room import usable_memory
from ablate.dispatch.contract.slots import Gpu, Slot, plan_slots
from ablate.dispatch.engines import ray, slurm
from ablate.dispatch.executors import get_executor
from ablate.dispatch.site import options
from ablate.errors import UsageError
from ablate.study.values.resources import Resources

GIB = 1 << 30
EIGHT = tuple(Gpu(index, str(index)) for index in range(8))


def planned(needs: Resources, workers: int | None = None, gpus: int = 8, cores: int = 32, **more: object) -> tuple[Slot, ...]:  # fmt: skip
    given = {"device": "auto", "memory": 256 * GIB, **more}
    return plan_slots(workers=workers, cores=cores, gpus=EIGHT[:gpus], needs=needs, **given)


@pytest.fixture(autouse=True)
def _no_pins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("needs", "workers", "gpus", "slots"),
    [
        (Resources(gpus=2), None, 8, 4),  # by GPUs
        (Resources(gpus=2), None, 5, 2),  # one is left over
        (Resources(gpus=3), 9, 8, 2),
        (Resources(gpus=2), 3, 8, 3),  # by --workers
        (Resources(gpus=1, cpus=12), None, 8, 2),  # by cores
        (Resources(gpus=1, memory=100 * GIB), None, 8, 2),  # by memory
        (Resources(cpus=8), None, 0, 4),
        (Resources(cpus=8), None, 2, 2),  # one a GPU, as without resources
        (Resources(cpus=8), 3, 2, 3),
        (Resources(memory=20 * GIB), None, 0, 1),  # nothing says how many cores one takes: all, as without resources
        (Resources(memory=20 * GIB), 40, 0, 12),
        (Resources(gpus=0, cpus=16), None, 8, 2),
    ],
)
def test_slots_are_the_fewest_by_each_amount(needs, workers, gpus, slots):
    assert len(planned(needs, workers, gpus)) == slots


def test_each_slot_sees_its_own_gpus_and_no_others():
    slots = planned(Resources(gpus=2, cpus=4), gpus=7)
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["0,1", "2,3", "4,5"]
    assert [slot.label for slot in slots] == ["cuda:0,1", "cuda:2,3", "cuda:4,5"]
    assert {(slot.device, slot.threads, slot.environment["OMP_NUM_THREADS"]) for slot in slots} == {("cuda:0", 4, "4")}
    assert {slot.environment["CUDA_DEVICE_ORDER"] for slot in slots} == {"PCI_BUS_ID"}


def test_a_run_without_gpus_sees_none():
    (slot,) = planned(Resources(gpus=0))
    assert (slot.device, slot.label, slot.environment["CUDA_VISIBLE_DEVICES"]) == ("cpu", "cpu", "")


def test_pins_by_name_are_kept(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-5f,GPU-7a,GPU-9c,GPU-d1")
    named = tuple(Gpu(index, pin) for index, pin in enumerate(("GPU-5f", "GPU-7a", "GPU-9c", "GPU-d1")))
    slots = plan_slots(cores=8, gpus=named, memory=GIB, needs=Resources(gpus=2))
    assert [slot.environment["CUDA_VISIBLE_DEVICES"] for slot in slots] == ["GPU-5f,GPU-7a", "GPU-9c,GPU-d1"]
    assert "CUDA_DEVICE_ORDER" not in slots[0].environment


def test_threads_of_the_command_line_go_over_cores():
    assert [slot.threads for slot in planned(Resources(cpus=16), threads=2)] == [2, 2]
    assert [slot.threads for slot in planned(Resources(gpus=4))] == [16, 16]


@pytest.mark.parametrize(
    ("needs", "more", "key"),
    [
        (Resources(gpus=2), {"gpus": 1}, "resources.gpus"),
        (Resources(gpus=1), {"device": "cpu"}, "resources.gpus"),
        (Resources(gpus=2), {"device": "cuda:1"}, "resources.gpus"),
        (Resources(gpus=2, cpus=33), {}, "resources.cpus"),
        (Resources(memory=257 * GIB), {}, "resources.memory"),
        (Resources(gpus=9, cpus=64), {}, "resources.gpus, resources.cpus"),
    ],
)
def test_where_not_one_fits_it_is_a_usage_error(needs, more, key):
    with pytest.raises(UsageError) as caught:
        planned(needs, **more)
    assert caught.value.code == "does-not-fit"
    assert f"a run takes {needs}, and this host has " in str(caught.value)
    assert f"none fits ({key})" in str(caught.value)


def test_a_place_that_a_scheduler_made_holds_one_run_at_least():
    assert len(planned(Resources(gpus=2, cpus=8, memory=300 * GIB), gpus=1, cores=2, granted=True)) == 1
    assert len(planned(Resources(gpus=2, memory=300 * GIB), gpus=4, granted=True)) == 2


@pytest.mark.parametrize(("limit", "memory"), [(str(GIB), GIB), ("max", None), ("", None)])
def test_memory_is_the_hosts_or_the_containers(tmp_path: Path, limit: str, memory: int | None):
    (tmp_path / "max").write_text(limit)
    whole = usable_memory(tmp_path / "absent")
    assert whole > 1 << 28
    assert usable_memory(tmp_path / "max") == (memory or whole)


# What is asked of schedulers -------------------------------------------------------------------------------------------

NEEDS = Resources(gpus=2, cpus=8, memory=20 * GIB)


@pytest.mark.parametrize(
    ("site", "said", "asked"),
    [
        ({}, {}, {"gres": "gpu:2", "cpus_per_task": 8, "mem": "20480M"}),
        ({"gres": "gpu:a100:1,nvme:1"}, {}, {"gres": "nvme:1,gpu:a100:2", "cpus_per_task": 8, "mem": "20480M"}),
        ({"gpus_per_node": 1, "mem": "4G"}, {}, {"gpus_per_node": 2, "cpus_per_task": 8, "mem": "20480M"}),
        ({"gres": "gpu:1"}, {"gpus_per_node": 4}, {"gpus_per_node": 4, "cpus_per_task": 8, "mem": "20480M"}),
        ({"gres": "gpu:1", "cpus_per_task": 2}, {"gres": "gpu:v100:1", "cpus_per_task": 3, "mem": "9G"},
         {"gres": "gpu:v100:1", "cpus_per_task": 3, "mem": "9G"}),
        ({"extra": {"mem_per_cpu": "2G", "gpus": 1, "licenses": "x"}}, {},
         {"gres": "gpu:2", "cpus_per_task": 8, "mem": "20480M", "extra": {"licenses": "x"}}),
    ],
)  # fmt: skip
def test_slurm_is_asked_for_what_a_run_takes(site, said, asked):
    assert slurm.asks(NEEDS, site, said) == asked


def test_what_a_study_does_not_say_stays_the_sites():
    site = {"gres": "gpu:1", "cpus_per_task": 2, "mem": "4G"}
    assert slurm.asks(Resources(cpus=4), site, {}) == {**site, "cpus_per_task": 4}
    assert slurm.asks(Resources(gpus=0), site, {}) == {"cpus_per_task": 2, "mem": "4G"}
    assert ray.asks(Resources(gpus=1), {"num_gpus": 0.5, "num_cpus": 2.0}, {}) == {"num_gpus": 1, "num_cpus": 2.0}


def test_ray_is_asked_for_what_a_run_takes():
    assert ray.asks(NEEDS, {"num_gpus": 0.5}, {"num_cpus": 4.0}) == {"num_gpus": 2, "num_cpus": 4.0, "memory": 20 * GIB}


def test_a_study_goes_over_the_site_file_and_options_over_both(tmp_path: Path):
    site = "slurm: {partition: gpu, gres: 'gpu:1', cpus_per_task: 2, extra: {licenses: x}}\nray: {num_gpus: 0.5}\n"
    (tmp_path / "site.yaml").write_text(site)
    found = options("slurm", ["cpus_per_task=6", "extra.comment=y"], tmp_path, NEEDS)
    assert found == {
        "partition": "gpu", "gres": "gpu:2", "cpus_per_task": 6, "mem": "20480M",
        "extra": {"licenses": "x", "comment": "y"},
    }  # fmt: skip
    assert options("slurm", [], tmp_path)["gres"] == "gpu:1"
    assert options("ray", ["memory=1G"], tmp_path, NEEDS) == {"num_gpus": 2, "num_cpus": 8, "memory": GIB}
    with pytest.raises(UsageError, match="memory must be an amount with its unit M, G or T"):
        options("ray", ["memory=lots"], tmp_path, NEEDS)


def test_an_executor_is_made_with_what_a_run_takes(tmp_path: Path):
    pytest.importorskip("submitit")
    (tmp_path / "site.yaml").write_text("slurm: {gres: 'gpu:a100:1', partition: gpu}\n")
    told = get_executor("slurm", {"slurm": ["mem=40G"]}, tmp_path, NEEDS)._parameters()
    assert {name: told[name] for name in ("partition", "gres", "cpus_per_task", "mem", "srun_args")} == {
        "partition": "gpu", "gres": "gpu:a100:2", "cpus_per_task": 8, "mem": "40G", "srun_args": ["--cpus-per-task=8"],
    }  # fmt: skip
