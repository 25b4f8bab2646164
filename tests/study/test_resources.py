"""`resources:` what one run takes. It is no part of a run's identity."""

from __future__ import annotations

from typing import Any

import pytest

from ablate.study.values.resources import Resources, memory_of, memory_text

OWN = "study: s\nseeds: 1\nrecipe: {lr: 1}\ntrainer: {command: 'x {lr} {seed}', metrics: {loss: {pattern: '(.+)'}}}\n"
GIB = 1 << 30


def test_what_a_run_takes_is_read_and_moves_no_id(read: Any) -> None:
    plain, needy = read(OWN), read(OWN + "resources: {gpus: 2, cpus: 8, memory: 20G}\n")
    assert not plain.resources
    assert needy.resources == Resources(2, 8, 20 * GIB)
    assert str(needy.resources) == "2 GPUs, 8 cores, 20G of memory"
    assert [run.run_id for run in plain.runs] == [run.run_id for run in needy.runs]
    assert plain.text == needy.text
    assert Resources.of(needy.resources.json) == needy.resources


def test_a_profile_replaces_it(read: Any) -> None:
    text = (
        OWN
        + "resources: {gpus: 2, cpus: 8}\nprofiles: {cpu: {resources: {gpus: 0}}, same: {seeds: 2}, any: {resources: {}}}\n"
    )
    assert read(text).resources == read(text, profile="same").resources == Resources(2, 8)
    assert read(text, profile="cpu").resources == Resources(gpus=0)
    assert not read(text, profile="any").resources


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ("{gpu: 1}", "resources.gpu: unknown-key"),
        ("{gpus: 1.5}", "resources.gpus: wrong-type"),
        ("{gpus: true}", "resources.gpus: wrong-type"),
        ("{gpus: -1}", "resources.gpus: out-of-range"),
        ("{cpus: 0}", "resources.cpus: out-of-range"),
        ("{memory: 20}", "resources.memory: bad-format"),
        ("{memory: 20 apples}", "resources.memory: bad-format"),
        ("{memory: 0G}", "resources.memory: bad-format"),
        ("{memory: [1G]}", "resources.memory: bad-format"),
        ("2", "resources: wrong-type"),
    ],
)  # fmt: skip
def test_amounts_that_cannot_be_meant(mistakes: Any, block: str, told: str) -> None:
    assert mistakes(OWN + f"resources: {block}\n") == [f"s.yaml:5: {told}"]
    assert mistakes(OWN + f"profiles: {{p: {{resources: {block}}}}}\n") == [f"s.yaml:5: profiles.p.{told}"]


def test_the_built_in_trainer_takes_one_gpu(read: Any, mistakes: Any) -> None:
    assert read("study: s\nresources: {gpus: 1, cpus: 4}").resources == Resources(1, 4)
    assert mistakes("study: s\nresources: {gpus: 2}") == ["s.yaml:2: resources.gpus: unsupported"]
    assert mistakes("study: s\nprofiles: {big: {resources: {gpus: 4}}}") == ["s.yaml:2: profiles.big.resources.gpus: unsupported"]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "amount"), [("20G", 20 * GIB), ("512M", GIB // 2), ("1.5 TiB", 1536 * GIB), ("1GB", GIB)]
)
def test_memory_is_in_powers_of_1024(text: str, amount: int) -> None:
    assert memory_of(text) == amount
    assert memory_of(memory_text(amount)) == amount
