"""Where a worker trains what a request asks for, and with which copies of its code: never with other scripts than the asker's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from ablate.errors import NotFound, UsageError
from ablate.study.code.provenance import codes_in, digest_of
from ablate.study.code.snapshot import read_snapshot, take
from ablate.study.code.tree import look
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


def sources_here(
    sources: Mapping[str, Mapping[str, str]], asked: str, home: Path, file: str = "STUDY"
) -> dict[str, dict[str, str]]:
    """The snapshots of a request, by commit, where this host has them: as they were made, else made from the request's folder or the
    current one, where that holds the same. Raises NotFound with the digests where neither does."""
    here: dict[str, dict[str, str]] = {}
    for commit, given in sources.items():
        snapshot = read_snapshot(given)
        if snapshot.whole:
            here[commit] = dict(given)
            continue
        found: list[str] = []
        for place in dict.fromkeys([*([Path(asked)] if asked else []), Path.cwd()]):
            digest = _digest_there(place, home, commit)
            if digest == snapshot.digest and (made := take(place, home, commit)).digest == digest:
                here[commit] = made.document()
                break
            found.append(f"{place} has {digest[:12]}" if digest else f"{place} does not have it")
        else:
            raise NotFound(
                f"Nothing was trained: the snapshot of the request's code, {snapshot.digest[:12]}, is not in {snapshot.folder}; "
                f"{'; '.join(found)}. Share ABLATE_HOME with the host that asked, start the worker in a folder with the request's "
                f"code, or request a run of the code here: ablate grid run {file}."
            )
    return here


def _digest_there(place: Path, home: Path, commit: str) -> str:
    """The digest of a snapshot of that folder; empty where none can be made."""
    try:
        return look(place, home, commit).digest() if place.is_dir() else ""
    except (NotFound, UsageError):
        return ""
