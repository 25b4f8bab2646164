"""The code of a study with `source` or `replace`: looked at when it is planned, copied when its runs are asked for."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.dispatch.contract.executor import run_folder
from ablate.errors import NotFound, UsageError, few, nearest
from ablate.project.calls import folder_of
from ablate.project.telling import tell
from ablate.study.code import git
from ablate.study.code.provenance import Code, codes_in, codes_of
from ablate.study.code.replaced import WrongCount, replaced
from ablate.study.code.snapshot import Snapshot, read_snapshot, take
from ablate.study.code.tree import Tree, look
from ablate.study.document.problems import Problems
from ablate.study.document.source import Key, parse
from ablate.study.recipes.places import home
from ablate.study.values.study import Study

if TYPE_CHECKING:
    from ablate.store.store import Store

COPY = ""
"""What the copy of the folder as it is goes by, among commits."""
_SOURCE: Key = ("trainer", "source")
_SHOWN = 3


def commits_of(study: Study) -> list[str]:
    """What the study's runs use, in order: commits, and COPY; nothing where they run in the study's folder."""
    trainer = study.trainer or {}
    copies = bool(trainer.get("source") or trainer.get("replace"))
    named = (str((run.trainer or {}).get("commit") or COPY) for run in study.runs) if copies else ()
    return list(dict.fromkeys(named))


def check_sources(study: Study) -> Study:
    """The study, where its code can be had as it says. Raises StudyError with every mistake: a text to replace that does not stand
    exactly once in its file, more than may be copied, a file of the command's that would not be in the copy."""
    commits = commits_of(study)
    if not commits or not Path(study.file).is_file():
        return study
    problems = Problems(parse(study.source, study.file))
    for commit in commits:
        try:
            tree = look(folder_of(study), home(), commit)
            tree.check()
        except (UsageError, NotFound) as error:
            problems.add(_SOURCE, "unsupported", str(error))
            continue
        held = None if commit else {*tree.files, *tree.links}
        for file, texts in ((study.trainer or {}).get("replace") or {}).items():
            _check_texts(problems, tree, file, texts)
        for cwd in _working_folders(study):
            if posixpath.normpath(posixpath.join(tree.inner, cwd)).startswith(".."):
                problems.add(("trainer", "cwd"), "unsupported", f"{cwd} {_lies_outside(tree)}.{_move([cwd])}")
        if held is not None and (outside := list(_outside(study, tree.inner, held))):
            what = f"{few(outside, _SHOWN)} {'is' if len(outside) == 1 else 'are'} code of the study's and"
            where = _lies_outside(tree, plural=len(outside) > 1)
            advice = _move([name.rpartition("/")[0] for name in outside if name.startswith("../")])
            problems.add(_SOURCE, "absent-file", f"{what} {where}.{advice}")
    problems.stop()
    return study


def _working_folders(study: Study) -> list[str]:
    """The folders that commands run in, without those that are known when a run starts."""
    named = (str((run.trainer or {}).get("cwd") or "") for run in study.runs)
    return [cwd for cwd in dict.fromkeys(named) if cwd and "{" not in cwd]


def _lies_outside(tree: Tree, *, plural: bool = False) -> str:
    return f"{'lie' if plural else 'lies'} outside of what is copied, {tree.root}"


def _move(folders: list[str]) -> str:
    """Where the study's file would lie in what is copied, and all of these folders with it."""
    if not folders:
        return ""
    return f" Move the study's file into {posixpath.commonpath(folders)}, beside the code, or keep both in one git repository."


def take_sources(study: Study) -> dict[str, dict[str, str]]:
    """The snapshots of a study's runs, by commit, made where they are not there yet. Raises StudyError, NoSpaceOrPermission."""
    check_sources(study)
    taken = {commit: take(folder_of(study), home(), commit) for commit in commits_of(study)}
    for commit, snapshot in taken.items():
        if commit and (absent := _absent(study, commit, snapshot)):
            tell(
                f"warning: trainer.command names {', '.join(absent)}, which was not found in the commit {commit[:12]}."
            )
    return {commit: snapshot.document() for commit, snapshot in taken.items()}


def codes_of_sources(study: Study, sources: Mapping[str, Mapping[str, str]]) -> dict[str, Code]:
    """The code of each run as its snapshot has it, whatever is edited meanwhile; of a study without any, as its folder has it."""
    copied = sources.get(COPY)
    return codes_of(study, read_snapshot(copied).place if copied else None)


def begin_anew(study: Study, store: Store) -> None:
    """What a retry asks for again uses the code of its own request: an attempt that was cut off at its time limit told nobody."""
    from ablate.training.foreign.place import FIRST

    if commits_of(study):
        states = store.states([run.run_id for run in study.runs])
        for run_id, state in states.items():
            if state.state not in ("queued", "running"):
                (run_folder(home(), run_id) / FIRST).unlink(missing_ok=True)


def _check_texts(problems: Problems, tree: Tree, file: str, texts: Mapping[str, Any]) -> None:
    key: Key = ("trainer", "replace", file)
    name = posixpath.normpath(posixpath.join(tree.inner, file))
    if tree.commit:
        content, where = git.content(tree.root, tree.commit, name), f"the commit {tree.commit[:12]}"
    else:
        content = (tree.root / name).read_bytes() if name in tree.files else None
        where = f"what is copied of {tree.root}"
    if content is None:
        there = not tree.commit and (tree.root / name).is_file()
        if there and name.startswith("../"):
            problems.add(key, "absent-file", f"{file} {_lies_outside(tree)}.{_move([file.rpartition('/')[0]])}")
            return
        why = ": git ignores it, so it is a link there" if there else ""
        problems.add(key, "absent-file", f"{where} has no file {name}{why}.{_meant(file, tree)}")
        return
    where = f" of {where}" if tree.commit else ""
    counts = [error for text in texts if (error := _wrong(content, [text]))]
    for wrong in counts or filter(None, [_wrong(content, texts)]):
        said = str(wrong).replace("the file", f"the file{where}")
        problems.add(
            (*key, wrong.text),
            "wrong-count",
            f"{wrong.text!r} {said}. Write it as it stands there, with as much around it as makes it the only one.",
        )


def _meant(file: str, tree: Tree) -> str:
    """The nearest file that is copied, as the study would name it."""
    return nearest(file, (posixpath.relpath(name, tree.inner) for name in tree.files))


def _wrong(content: bytes, texts: Iterable[str]) -> WrongCount | None:
    """What keeps these texts from being replaced."""
    try:
        replaced(content, dict.fromkeys(texts, ""))
    except WrongCount as error:
        return error
    return None


def _absent(study: Study, commit: str, snapshot: Snapshot) -> list[str]:
    """The programs of a commit's runs that it does not have."""
    own = [run for run in study.runs if (run.trainer or {}).get("commit") == commit]
    plain = (
        replace(run, trainer={key: value for key, value in (run.trainer or {}).items() if key != "commit"})
        for run in own
    )
    return list(dict.fromkeys(code.absent for code in codes_in(snapshot.place, plain, ()).values() if code.absent))


def _outside(study: Study, inner: str, held: set[str]) -> Iterator[str]:
    """The files of the study's code, as it lies there, that are neither copied nor linked."""
    seen = {
        posixpath.normpath(file) for file in (study.trainer or {}).get("replace") or {}
    }  # told of where they are named
    for code in codes_of(study).values():
        for name in code.files:
            whole = posixpath.normpath(posixpath.join(inner, name))
            above = {whole, *(str(parent) for parent in Path(whole).parents)}
            if name not in seen and not posixpath.isabs(name) and not held & above:
                seen.add(name)
                yield name
