"""Where a worker trains what a request asks for: never with other scripts than the asker's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ablate.errors import NotFound
from ablate.study.code.provenance import codes_in, digest_of
from ablate.study.values.run import Run


def working_folder(
    runs: Iterable[Run], watch: Sequence[str], code: str | None, asked: str, file: str = "STUDY"
) -> Path:
    """The request's own folder where that has the scripts that it was made with, else the current folder where that has them.

    runs     all that the study of the request trains, its parents too
    watch    the globs of its trainer's other files
    code     the digest of the scripts as the asker saw them; None where that is unknown
    asked    the request's folder; empty where that is unknown

    Our own trainer is the same in every folder. Raises NotFound with the digests where neither folder has the scripts.
    """
    folder, here, runs = Path(asked) if asked else None, Path.cwd(), list(runs)
    if all(run.trainer is None for run in runs):
        return folder if folder is not None and folder.is_dir() else here
    again = f"request a run of the scripts here: ablate grid run {file}."
    if code is None:
        if folder is not None and folder.is_dir():
            return folder
        raise NotFound(f"the folder {asked or 'of this request'} is not here, and its scripts are unknown; {again}")
    found: list[str] = []
    for place in dict.fromkeys([*([folder] if folder else []), here]):
        digest = digest_of(codes_in(place, runs, watch)) if place.is_dir() else None
        if digest == code:
            return place
        found.append(f"{place} has {digest[:12]}" if digest else f"{place} does not have these scripts")
    raise NotFound(
        f"Nothing was trained: the scripts here differ from the request's. The request, made in {asked or 'an unknown folder'}, "
        f"has {code[:12]}; {'; '.join(found)}. Start the worker in a folder with the request's scripts, or {again}"
    )
