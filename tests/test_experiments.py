"""Every study in experiments/ loads and comes to its stated number of runs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from ablate.study.document.source import read
from ablate.study.loader import Choices, load
from ablate.study.tuning.tuning import is_tuning, load_tuning

ROOT = Path(__file__).resolve().parents[1]

STATED = {
    ("bag-of-tricks/bag-of-tricks.yaml", None): {"arms": 14, "merged": 0, "runs": 42, "ids": "945b7cd4f209a2d9"},
    ("bag-of-tricks/bag-of-tricks.yaml", "cpu"): {"arms": 14, "merged": 2, "runs": 36, "ids": "c2ae2283e916c546"},
    ("bag-of-tricks/teacher.yaml", None): {"arms": 1, "merged": 0, "runs": 3, "ids": "b52f666dd53d9d5f"},
    ("bag-of-tricks/teacher.yaml", "cpu"): {"arms": 1, "merged": 0, "runs": 3, "ids": "370c7b91d16cb5d0"},
    ("examples/bigram.yaml", None): {"arms": 4, "merged": 0, "runs": 12, "ids": "8095e6f951d99d52"},
    ("examples/logistic.yaml", None): {"arms": 6, "merged": 0, "runs": 18, "ids": "868226edeede5103"},
    ("examples/wave.yaml", None): {"arms": 2, "merged": 0, "runs": 6, "ids": "9779983e7d73a0c5"},
    ("kallu2025/kallu2025.yaml", None): {"arms": 5, "merged": 0, "runs": 15, "ids": "33a10d3560fa9fbd"},
    ("kallu2025/kallu2025.yaml", "cpu"): {"arms": 5, "merged": 0, "runs": 15, "ids": "aa020f9cc51869e5"},
    ("lee2024/lee2024.yaml", None): {"arms": 18, "merged": 0, "runs": 54, "ids": "59f1110feeaf22e2"},
    ("lee2024/lee2024.yaml", "cpu"): {"arms": 18, "merged": 0, "runs": 54, "ids": "eff7a7cc5f2c82cb"},
    ("lee2024/readings.yaml", None): {"arms": 24, "merged": 0, "runs": 72, "ids": "b0ed5d50d272ae5d"},
    ("lee2024/readings.yaml", "cpu"): {"arms": 24, "merged": 0, "runs": 72, "ids": "7748e93cdde9f7e0"},
    ("lee2024/schedule.yaml", None): {"arms": 16, "merged": 0, "runs": 48, "ids": "f77168dc27952d1f"},
    ("lee2024/schedule.yaml", "cpu"): {"arms": 16, "merged": 0, "runs": 48, "ids": "b803de4fd0420a63"},
    ("picquet2025/picquet2025.yaml", None): {"arms": 5, "merged": 0, "runs": 15, "ids": "77c7338e746e623f"},
    ("picquet2025/picquet2025.yaml", "cpu"): {"arms": 5, "merged": 0, "runs": 15, "ids": "0e817a120ab7df87"},
    ("quickstart.yaml", None): {"arms": 16, "merged": 0, "runs": 48, "ids": "3670c6cbefe29f11"},
    ("refinements.yaml", None): {"arms": 64, "merged": 8, "runs": 168, "ids": "61c49c73883be32e"},
    ("refinements.yaml", "cpu"): {"arms": 36, "merged": 8, "runs": 84, "ids": "9bf9b658e5008a39"},
    ("shi2025/shi2025.yaml", None): {"arms": 16, "merged": 0, "runs": 48, "ids": "9ff9ebb05ebb2e0f"},
    ("shi2025/shi2025.yaml", "cpu"): {"arms": 16, "merged": 0, "runs": 48, "ids": "1619c809b37064d2"},
    ("strikes-back/leave-one-out.yaml", None): {"arms": 7, "merged": 0, "runs": 21, "ids": "02ec6fbc4797905f"},
    ("strikes-back/leave-one-out.yaml", "cpu"): {"arms": 7, "merged": 0, "runs": 21, "ids": "bc7850267832b49c"},
    ("strikes-back/strikes-back.yaml", None): {"arms": 3, "merged": 0, "runs": 9, "ids": "edc0e645cba7ffbe"},
    ("strikes-back/strikes-back.yaml", "cpu"): {"arms": 3, "merged": 0, "runs": 9, "ids": "b13a663720f88cb3"},
    ("torchvision-recipe/torchvision-recipe.yaml", None): {
        "arms": 10,
        "merged": 0,
        "runs": 30,
        "ids": "57237b67d003814e",
    },
    ("torchvision-recipe/torchvision-recipe.yaml", "cpu"): {
        "arms": 10,
        "merged": 0,
        "runs": 30,
        "ids": "b9e3b6d82c76960d",
    },
    ("transfer/transfer.yaml", None): {"arms": 13, "merged": 0, "runs": 39, "ids": "cf20f89b5f0f7598"},
    ("transfer/transfer.yaml", "cpu"): {"arms": 13, "merged": 0, "runs": 39, "ids": "ded2f2e7084df26d"},
    ("vit-tricks/vit-tricks.yaml", None): {"arms": 10, "merged": 0, "runs": 30, "ids": "8dbf6e91ff6502d2"},
    ("vit-tricks/vit-tricks.yaml", "cpu"): {"arms": 10, "merged": 0, "runs": 30, "ids": "bbb9550753a8d736"},
    ("xu2025/xu2025.yaml", None): {"arms": 2, "merged": 0, "runs": 6, "ids": "544e0f48f725ad36"},
    ("xu2025/xu2025.yaml", "cpu"): {"arms": 2, "merged": 0, "runs": 6, "ids": "46ddd9d1f204e419"},
}

"""What each study comes to. `ids` is the digest of its run ids: they are published, so it never changes for a study as it stands."""

TUNED = {
    ("quickstart_tune.yaml", None): {"arms": ["A/c"], "fields": [2], "budget": "20 trials"},
    ("examples/wave_tune.yaml", None): {"arms": ["0", "0.9"], "fields": [1, 1], "budget": "15 trials"},
    ("lee2024/tune.yaml", None): {"arms": ["A/none", "A/l", "B/c+l"], "fields": [1, 2, 2], "budget": "150 epochs"},
    ("lee2024/tune.yaml", "cpu"): {"arms": ["A/none", "A/l", "B/c+l"], "fields": [1, 2, 2], "budget": "150 epochs"},
}
"""The tuning files: their arms, how many fields each samples, and what each may spend."""


@pytest.mark.parametrize(("name", "profile"), TUNED)
def test_tuning_files(name: str, profile: str | None) -> None:
    tuning = load_tuning(ROOT / "experiments" / name, profile)
    found = {
        "arms": [arm.name for arm in tuning.arms],
        "fields": [len(tuning.space_of(arm)) for arm in tuning.arms],
        "budget": str(tuning.budget),
    }
    assert found == TUNED[name, profile]
    assert not [warning for warning in tuning.warnings if warning.code == "selects-on-reported"]


def test_every_tuning_file_is_stated() -> None:
    files = (ROOT / "experiments").glob("**/*.yaml")
    found = {path.relative_to(ROOT / "experiments").as_posix() for path in files if is_tuning(read(path).data)}
    assert found == {name for name, _ in TUNED}


@pytest.mark.parametrize(("name", "profile"), STATED)
def test_counts(name: str, profile: str | None) -> None:
    study = load(ROOT / "experiments" / name, Choices(profile))
    found = {
        "arms": len(study.arms),
        "merged": sum(arm.merged_into is not None for arm in study.arms),
        "runs": len(study.runs),
        "ids": hashlib.sha256("\n".join(sorted(run.run_id for run in study.runs)).encode()).hexdigest()[:16],
    }
    assert found == STATED[name, profile]


def test_every_study_and_profile_is_stated() -> None:
    found = set()
    for path in (ROOT / "experiments").glob("**/*.yaml"):
        if is_tuning(read(path).data):
            continue
        name = path.relative_to(ROOT / "experiments").as_posix()
        found |= {(name, None), *((name, profile) for profile in load(path).profiles)}
    assert found == set(STATED)


def test_resnet18_a_and_b_are_planned_once_with_the_reason() -> None:
    study = load(ROOT / "experiments" / "refinements.yaml")
    merged = [arm for arm in study.arms if arm.merged_into]
    assert all(arm.levels["arch"] == "resnet18" and arm.levels["tweak"] == "B" for arm in merged)
    assert {arm.why for arm in merged} == {
        "resnet18 has no bottleneck, so the stride has one place: A and B are one network"
    }
