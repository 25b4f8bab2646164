"""What trainers are told besides the run: the same, whoever starts the worker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.study.places import data_root, home
from ablate.study.scripts import globs_of

if TYPE_CHECKING:
    from ablate.study.study import Study


def trainer_options(study: Study) -> dict[str, Any]:
    """`Context.options` for the runs of a study: what to keep, where things lie, and which files are code too."""
    watch = globs_of(study.trainer)
    return {
        "keep": study.keep,
        "home": str(home().resolve()),
        "data_root": str(data_root().resolve()),
        "study_dir": str(Path(study.file).resolve().parent),
        "parent_study_dirs": [str(Path(folder).resolve()) for folder in study.parent_folders],
        **({"watch": list(watch)} if watch else {}),
    }
