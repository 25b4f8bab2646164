"""`checkpoint` and `resume` of a trainer's block: words that a later attempt gets where the run has left a checkpoint. Not hashed."""

from __future__ import annotations

import glob
from collections.abc import Mapping
from pathlib import Path

from ablate.study.assign import command_words
from ablate.study.assign.foreign_call import read_word, read_words
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key

CHECKPOINT = "checkpoint"
RESUME = "resume"


def check_resume(problems: Problems, place: Key, spec: Mapping[str, object]) -> None:
    """Both keys or neither; `checkpoint` lies in the run's own folder, `resume` asks for nothing of the recipe."""
    given = [name for name in (CHECKPOINT, RESUME) if spec.get(name) is not None]
    if not given:
        return
    if len(given) == 1:
        other = 'resume: "--resume {checkpoint}"' if given == [CHECKPOINT] else 'checkpoint: "{run_dir}/last*.pt"'
        problems.add((*place, *given), "missing", f"needs the other one, too, as in {other}.")
    if CHECKPOINT in given:
        _check_glob(problems, (*place, CHECKPOINT), str(spec.get("cwd") or ""))
    if RESUME in given:
        words = read_words(
            problems, (*place, RESUME), spec[RESUME], empty="has no words; write, for example, --resume {checkpoint}."
        )
        _only_of_the_run(problems, (*place, RESUME), words, (*command_words.OF_THE_RUN, *command_words.OFFERED))


def newest(pattern: str, seed: int, run_dir: str, folder: Path) -> str | None:
    """The newest match of a `checkpoint` as an absolute path; None where there is none. `folder` is where the command runs."""
    (text,) = command_words.expand([pattern], seed, run_dir, quote=glob.escape)
    found = [folder / name for name in glob.glob(text, root_dir=folder, recursive=True)]
    dated = [(path.stat().st_mtime_ns, str(path)) for path in found if path.exists()]
    return max(dated)[1] if dated else None


def resume_words(given: object, seed: int, known: Mapping[str, str]) -> list[str]:
    """The words of `resume`, filled; `known` has the checkpoint and what else is of the run."""
    words = list(map(str, given)) if isinstance(given, list) else command_words.split(str(given))
    return command_words.expand(words, seed, known["run_dir"], known)


def _check_glob(problems: Problems, key: Key, cwd: str) -> None:
    text = problems.text(key, "a glob, as in {run_dir}/last*.pt")
    word = read_word(problems, key, text)
    _only_of_the_run(problems, key, (word,), command_words.OF_THE_RUN)
    if word and "{run_dir}" not in (text + cwd):
        message = f"{show(text)} does not lie in {{run_dir}}: runs would go on from each other's checkpoints."
        problems.add(key, "bad-format", message)


def _only_of_the_run(
    problems: Problems, key: Key, words: tuple[command_words.Word, ...], allowed: tuple[str, ...]
) -> None:
    for hole in command_words.holes(words):
        if hole not in allowed:
            known = ", ".join(f"{{{name}}}" for name in allowed)
            problems.add(
                key, "unknown-field", f"{{{hole}}} cannot stand here, as nothing here is hashed; allowed: {known}."
            )
    for flag in command_words.flags(words):
        problems.add(key, "bad-format", f"{{{flag}?...}} cannot stand here.")
