"""ablate: run an ablation study from one YAML file and get the paper's table back, with error bars."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from ablate.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas

    from ablate.errors import StopRun

__all__ = ["StopRun", "__version__", "frame"]


def __getattr__(name: str) -> Any:
    """`StopRun` when it is asked for: `ablate --help` imports next to nothing."""
    if name == "StopRun":
        from ablate.errors import StopRun

        return StopRun
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def frame(
    study: str,
    *,
    by: Literal["run", "epoch"] = "run",
    profile: str | None = None,
    set: str | Sequence[str] = (),
    db: str | None = None,
) -> pandas.DataFrame:
    """A study's results as a data frame: one row a run, or one row an epoch of a run.

    `study` is a file or the name of a study in the database; `db` a URL or a file, else `ABLATE_DB`, else `results.db`. `set` names a
    variant as `--set` does: "epochs=3", or several in a list. The columns are the study, the variant, the arm, one column a factor, the seed, the state, every metric in its own unit, seconds, device and run id.
    Raises `NotFound` where there is no such study or database.
    """
    from ablate.analysis import frame as build
    from ablate.cli.common import require_reader
    from ablate.project.stored import stored_study

    with require_reader(db) as store:
        loaded = stored_study(store, study, profile, [set] if isinstance(set, str) else list(set))
        return build(loaded, store.results([run.run_id for run in loaded.runs]), by=by)
