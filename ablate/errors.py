"""Every error that ablate raises on purpose, and the exit code that each one means.

    AblateError             1   unexpected: a defect of ours
    |-- UsageError          2   a command line that cannot be meant
    |-- StudyError          3   a study file with mistakes: holds all of them, each with its place
    |-- RunFailure          4   a run failed, was lost or is blocked
    |   |-- Diverged        4   the loss was not finite
    |   `-- BadData         4   an image that cannot be decoded, a class without images
    |-- NotFound            5   a study, run, data set or weights that are not there
    |-- StoreError          6   a results database that is locked, too old or unreadable
    |   `-- DatabaseGone    6   the file that was opened is not at its path any more: removed, or replaced by another
    |-- ClaimContradicted   7   a claim contradicted under --check
    |-- NoSpaceOrPermission 8   a full disk, a read-only folder
    `-- LeaseLost          75   another worker holds the run now; only ever seen by workers

`Interrupted` is no error: it carries the signal that asked a run to checkpoint and leave (exit 130 or 143). Nor is `StopRun`, by which
a custom trainer learns of it.
Each message says what is wrong, where, what is allowed, and what to do next.
"""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass


class AblateError(Exception):
    """Root of the tree; `exit_code` is what the command line leaves with, and `code` names the mistake for programs.

    `code` is a word such as `unknown-study`. The class gives it where the one who raises does not.
    """

    exit_code = 1
    code = "error"

    def __init__(self, message: str = "", *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code

    def document(self) -> dict[str, object]:
        """What `--json` gives of it: code, exit_code, message, and problems, which are those of a study file."""
        return {"code": self.code, "exit_code": self.exit_code, "message": str(self), "problems": []}


class UsageError(AblateError):
    exit_code = 2
    code = "usage"


@dataclass(frozen=True)
class Problem:
    """One mistake in a study file.

    `line` counts from 1; `key` is the dotted path inside the file, empty for the file itself. `code` names the kind of mistake
    for programs, as in `unknown-key`; `docs/errors.md` lists them.
    """

    file: str
    line: int | None
    key: str
    message: str
    code: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.message}" if self.key else f"{place}: {self.message}"


class StudyError(AblateError):
    """A study file with one or more mistakes, all of them in `problems`."""

    exit_code = 3
    code = "study"

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def document(self) -> dict[str, object]:
        """As for every error, with each problem's file, line, key, message and code."""
        return {**super().document(), "problems": [asdict(problem) for problem in self.problems]}


class RunFailure(AblateError):
    exit_code = 4
    code = "run-failed"


class Diverged(RunFailure):
    code = "diverged"


class BadData(RunFailure):
    code = "bad-data"


class NotFound(AblateError):
    exit_code = 5
    code = "not-found"


class StoreError(AblateError):
    exit_code = 6
    code = "store"


class DatabaseGone(StoreError):
    code = "database-gone"


class ClaimContradicted(AblateError):
    exit_code = 7
    code = "claim-contradicted"


class NoSpaceOrPermission(AblateError):
    exit_code = 8
    code = "no-space-or-permission"


class LeaseLost(AblateError):
    exit_code = 75
    code = "lease-lost"


class Interrupted(Exception):
    """A run that was asked to stop has checkpointed and left."""

    def __init__(self, signal_number: int = 2) -> None:
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number
        super().__init__(f"stopped by signal {signal_number}")


class StopRun(Exception):
    """Raised by `report` in a Python trainer: the run should end now. Save what is needed to go on, and let it through."""


def nearest(name: str, known: Iterable[str]) -> str:
    """`" Did you mean 'x'?"` for the known name closest to `name`, or `""` where none is close.

    Long texts and the tail of long lists are not compared: an error must not take minutes to write.
    """
    if len(name) > 100:
        return ""
    candidates = [other for other in itertools.islice(known, 2000) if len(other) <= 100]
    close = difflib.get_close_matches(name, candidates, n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""


def few(names: Sequence[str], most: int = 20) -> str:
    """The first of these names, and `...` where there are more."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def check_choice(shown: str, value: str, allowed: Iterable[str], code: str = "usage") -> None:
    """Raise UsageError where a value is none of these; `shown` is what was given, as in `--format pdf`."""
    names = list(allowed)
    if value not in names:
        raise UsageError(f"{shown}: must be one of {', '.join(names)}.{nearest(value, names)}", code=code)
