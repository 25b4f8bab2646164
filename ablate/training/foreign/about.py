"""What the numbers of another trainer depend on besides the recipe: machine, versions, and the files that make it up."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ablate.study.code.provenance import Code, code_of
from ablate.study.recipes.digest import SHORT
from ablate.study.records import Context
from ablate.study.values.run import Run
from ablate.training.foreign.place import code_folder, own_source, snapshot_of, study_folder
from ablate.version import __version__

LARGEST = 8 << 20
"""Bytes of a file that is still looked at: scripts and settings are small, data are not."""


def code(run: Run, context: Context) -> Code:
    """The run's code as it was when its attempt began, whatever is edited meanwhile."""
    if context.code is None:
        watch = context.options.get("watch") or ()
        context.code = code_of(run, code_folder(run, context), tuple(map(str, watch)))
    return context.code


def own_folder(run: Run, context: Context, *, make: bool = True) -> Path:
    """What `{run_dir}` is: a folder for each code within the run's, so that a script never meets a checkpoint of other code."""
    folder = context.run_dir.absolute() / f"code-{code(run, context).digest[:SHORT]}"
    if make:
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def epochs_file(run: Run, context: Context) -> Path:
    """Where the epochs of a run's attempts by one code are kept for those to come, out of the script's sight."""
    folder = own_folder(run, context)
    return folder.with_name(f"epochs-{folder.name}.jsonl")


def about(
    run: Run, context: Context, names: Iterable[Path] = (), where: Path | None = None
) -> tuple[dict[str, Any], str]:
    """(environment, fingerprint) of an attempt. Of the files that a command names, those that are no code are in the fingerprint;
    `where` it runs, if not in the study's folder."""
    folder, place = study_folder(context), where or code_folder(run, context)
    known = code(run, context)
    snapshot = snapshot_of(run, context)
    if snapshot and snapshot.commit:  # what the commit holds is code; what is linked is not
        copies = (snapshot.folder.resolve(), own_source(context, snapshot).resolve())
        names = [name for name in names if not any((place / name).resolve().is_relative_to(copy) for copy in copies)]
    others = {str(name): digest for name in names if (digest := _digest(place / name)) is not None}
    environment: dict[str, Any] = {
        **known.recorded(),
        "trainer": dict(run.trainer or {}),
        "folder": str(folder),
        "packages": {"ablate": __version__},
        **({"source": snapshot.document()} if snapshot else {}),
    }
    if context.device == "cpu":
        environment["device"] = _processor()
    data = (f"{name} {digest[:12]}" for name, digest in others.items() if digest not in known.files.values())
    return environment, ", ".join((context.device, f"{context.threads} threads", *data))


def _digest(path: Path) -> str | None:
    """The SHA-256 of a small file; None for anything else."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
