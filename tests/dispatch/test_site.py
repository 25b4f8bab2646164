"""Settings of a cluster: the site file and the command line over it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablate.dispatch.site import options, sections
from ablate.errors import NotFound, UsageError

SITE = """
slurm:
  partition: gpu
  time: "1-12"
  setup: [module load cuda, ulimit -n 4096]
  extra: {licenses: matlab, exclusive: true}
ray: {address: "head:6379", num_gpus: 0.5, resources: {tpu: 2}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    path = tmp_path / "site.yaml"
    path.write_text(SITE)
    return path


def test_without_a_file_and_options_nothing_is_set(tmp_path: Path) -> None:
    assert options("slurm", (), tmp_path) == {}


def test_a_site_file_is_read_from_home(site: Path) -> None:
    assert options("slurm", (), site.parent) == {
        "partition": "gpu",
        "time": 36 * 60,
        "setup": ["module load cuda", "ulimit -n 4096"],
        "extra": {"licenses": "matlab", "exclusive": True},
    }
    assert options("ray", (), site.parent) == {"address": "head:6379", "num_gpus": 0.5, "resources": {"tpu": 2.0}}


def test_another_place_can_be_named(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATE_SITE", str(site))
    assert options("ray", (), tmp_path / "elsewhere")["address"] == "head:6379"
    monkeypatch.setenv("ABLATE_SITE", str(tmp_path / "none.yaml"))
    with pytest.raises(NotFound, match=r"^ABLATE_SITE names .*none\.yaml, which does not exist\.$"):
        options("ray", (), tmp_path)


def test_the_command_line_goes_over_the_file(site: Path) -> None:
    items = ["partition=cpu", "extra.licenses=none", "setup=echo a", "setup=echo b", "gres=gpu:a100:2"]
    found = options("slurm", items, site.parent)
    assert (found["partition"], found["gres"], found["time"]) == ("cpu", "gpu:a100:2", 36 * 60)
    assert found["setup"] == ["echo a", "echo b"]
    assert found["extra"] == {"licenses": "none", "exclusive": True}


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("90", 90), ("0:30", 1), ("12:30", 13), ("4:00:00", 240), ("1:00:01", 61), ("2-0", 2880), ("1-2:03", 1563), ("1-2:03:04", 1564)],
)  # fmt: skip
def test_time_limits_are_read_as_slurm_reads_them(tmp_path: Path, text: str, minutes: int) -> None:
    assert options("slurm", [f"time={text}"], tmp_path) == {"time": minutes}


@pytest.mark.parametrize(
    ("section", "item", "said"),
    [
        ("slurm", "partition", "--slurm partition: must be KEY=VALUE, as in --slurm partition=gpu."),
        ("slurm", "partiton=gpu", "--slurm partiton=gpu: unknown key 'partiton'. Did you mean 'partition'? Allowed: partition, account, qos,"),
        ("slurm", "time=soon", "--slurm time=soon: time must be minutes, HH:MM:SS or D-HH:MM; it is time limit of a job"),
        ("slurm", "time=0", "--slurm time=0: time must be at least a minute"),
        ("slurm", "cpus_per_task=0", "cpus_per_task must be a whole number, 1 or more"),
        ("slurm", "max_requeues=-1", "max_requeues must be a whole number, 0 or more"),
        ("slurm", "qos=", "qos must be a text"),
        ("slurm", "qos=a\n#SBATCH --uid=0", "qos must be one line"),
        ("slurm", "extra=x", "extra must name each option, as in NAME: VALUE"),
        ("slurm", "extra.a b=x", "'a b' is not an option"),
        ("ray", "num_gpus=half", "num_gpus must be a number, 0 or more, such as 1 or 0.5"),
        ("ray", "partition=gpu", "unknown key 'partition'. Allowed: address, num_cpus, num_gpus, memory, resources, max_replaced."),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(tmp_path: Path, section: str, item: str, said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        options(section, [item], tmp_path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("slrum: {}", "site.yaml: unknown key 'slrum'. Did you mean 'slurm'? Allowed: command, ray, slurm."),
        ("slurm: {time: [1]}", "site.yaml: slurm.time: time must be minutes"),
        ("slurm: gpu", "site.yaml: slurm: must be a mapping of options, such as {partition: ...}"),
        ("- slurm", "the site file must be a mapping of executors to their options (command:, ray:, slurm:)"),
        ("slurm: {qos: a}\nslurm: {qos: b}", "site.yaml:2: "),
    ],
)
def test_mistakes_of_the_file_name_it(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "site.yaml").write_text(text)
    with pytest.raises(UsageError, match=re.escape(said)):
        options("slurm", (), tmp_path)


def test_every_setting_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs" / "clusters.md").read_text()
    assert [name for engine in sections().values() for name in engine.options if f"`{name}`" not in page] == []
