"""The options of a call: what is stored with a request, and what trainers get."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import UsageError
from ablate.study.recipes.places import data_root, home

if TYPE_CHECKING:
    from ablate.study.values.study import Study


def folder_of(study: Study) -> Path:
    """Where a study's script runs and its relative files lie: its file's folder, as this call sees it."""
    return Path(study.file).resolve().parent


def options_of_call(study: Study, seeds: str | None = None) -> dict[str, Any]:
    """What is stored with a request so that the study can be read again from any folder; `seeds` as the command line gives them."""
    return {
        "set": list(study.sets),
        "seeds": list(study.seeds),
        "seeds_given": seeds,
        "folder": str(folder_of(study)),
        "parents": dict(study.parent_sources),
        "weights": dict(study.weights),
        **({"commits": dict(study.commits)} if study.commits else {}),
    }


def trainer_options(
    study: Study, folder: Path | None = None, sources: Mapping[str, Mapping[str, str]] | None = None
) -> dict[str, Any]:
    """`Context.options` for the runs of a study: what to keep, where things lie, which files are code too, how many epochs a
    script has, what is recorded of its files, and the snapshots by commit."""
    from ablate.study.assign.foreign_trainer import options_of
    from ablate.study.assign.metric_files import artifacts_of
    from ablate.study.code.scripts import globs_of

    watch, epochs = globs_of(study.trainer), (study.trainer or {}).get("epochs")
    artifacts = artifacts_of(study.trainer)
    return {
        "keep": study.keep,
        "home": str(home().resolve()),
        "data_root": str(data_root().resolve()),
        "study_dir": str(folder or folder_of(study)),
        "parent_study_dirs": [str(Path(folder).resolve()) for folder in study.parent_folders],
        **({"watch": list(watch)} if watch else {}),
        **({"epochs": epochs} if epochs else {}),
        **({"sources": {commit: dict(own) for commit, own in sources.items()}} if sources else {}),
        **options_of(study.trainer),
        **({"artifacts": list(artifacts)} if artifacts else {}),
    }


def parse_seeds(text: str | None) -> int | tuple[int, ...] | None:
    """`3` is three seeds, `0,5` are these two. Raises UsageError."""
    if text is None:
        return None
    try:
        if "," in text:
            return tuple(int(part) for part in text.split(",") if part.strip())
        return int(text)
    except ValueError:
        message = f"seeds {text!r}: must be a number of seeds such as 3, or a list such as 0,5,7."
        raise UsageError(message, code="bad-seeds") from None
