"""ablate: run an ablation study from one YAML file and get the paper's table back, with error bars."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ablate.version import __version__

if TYPE_CHECKING:
    from ablate.errors import StopRun
    from ablate.project.api import (
        GridResult,
        frame,
        load_study,
        plan,
        results,
        run_grid,
        run_tuning,
        table,
        write_report,
    )

__all__ = [
    "GridResult",
    "StopRun",
    "__version__",
    "frame",
    "load_study",
    "plan",
    "results",
    "run_grid",
    "run_tuning",
    "table",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Each name when it is asked for: `ablate --help` imports next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("ablate.errors" if name == "StopRun" else "ablate.project.api"), name)
