"""Every study in experiments/ loads and comes to its stated number of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablate.study.loader import Settings, load
from ablate.study.source import read
from ablate.study.tuning import is_tuning, load_tuning

ROOT = Path(__file__).resolve().parents[1]

STATED = {
    ("examples/bigram.yaml", None): {"arms": 4, "merged": 0, "runs": 12},
    ("examples/logistic.yaml", None): {"arms": 6, "merged": 0, "runs": 18},
    ("kallu2025/kallu2025.yaml", None): {"arms": 5, "merged": 0, "runs": 15},
    ("kallu2025/kallu2025.yaml", "cpu"): {"arms": 5, "merged": 0, "runs": 15},
    ("lee2024/lee2024.yaml", None): {"arms": 18, "merged": 0, "runs": 54},
    ("lee2024/lee2024.yaml", "cpu"): {"arms": 18, "merged": 0, "runs": 54},
    ("lee2024/readings.yaml", None): {"arms": 24, "merged": 0, "runs": 72},
    ("lee2024/readings.yaml", "cpu"): {"arms": 24, "merged": 0, "runs": 72},
    ("lee2024/schedule.yaml", None): {"arms": 16, "merged": 0, "runs": 48},
    ("lee2024/schedule.yaml", "cpu"): {"arms": 16, "merged": 0, "runs": 48},
    ("picquet2025/picquet2025.yaml", None): {"arms": 5, "merged": 0, "runs": 15},
    ("picquet2025/picquet2025.yaml", "cpu"): {"arms": 5, "merged": 0, "runs": 15},
    ("quickstart.yaml", None): {"arms": 16, "merged": 0, "runs": 48},
    ("refinements.yaml", None): {"arms": 64, "merged": 8, "runs": 168},
    ("refinements.yaml", "cpu"): {"arms": 36, "merged": 8, "runs": 84},
    ("shi2025/shi2025.yaml", None): {"arms": 16, "merged": 0, "runs": 48},
    ("shi2025/shi2025.yaml", "cpu"): {"arms": 16, "merged": 0, "runs": 48},
    ("xu2025/xu2025.yaml", None): {"arms": 2, "merged": 0, "runs": 6},
    ("xu2025/xu2025.yaml", "cpu"): {"arms": 2, "merged": 0, "runs": 6},
}

TUNED = {
    ("quickstart_tune.yaml", None): {"arms": ["A/c"], "fields": [2], "budget": "20 trials"},
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
    assert not [warning for warning in tuning.warnings if "flatter" in warning]


def test_every_tuning_file_is_stated() -> None:
    files = (ROOT / "experiments").glob("**/*.yaml")
    found = {path.relative_to(ROOT / "experiments").as_posix() for path in files if is_tuning(read(path).data)}
    assert found == {name for name, _ in TUNED}


@pytest.mark.parametrize(("name", "profile"), STATED)
def test_counts(name: str, profile: str | None) -> None:
    study = load(ROOT / "experiments" / name, Settings(profile))
    found = {
        "arms": len(study.arms),
        "merged": sum(arm.merged_into is not None for arm in study.arms),
        "runs": len(study.runs),
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
