"""A study file to start from: a small one that trains in a minute, or a copy of another study under its own name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.errors import NotFound, StudyError, UsageError
from ablate.project.advice import command
from ablate.project.database import require_results
from ablate.project.telling import tell

if TYPE_CHECKING:
    from ablate.study.values.study import Study

DEFAULT = "study.yaml"
ENDINGS = (".yaml", ".yml")

TEMPLATE = """\
# A small ablation study to start from: 12 runs on a built-in data set, less than a minute on an idle machine.
#   {plan}      what it comes to; nothing is trained
#   {run}       trains what is missing, prints the first table
#   {report}
# The whole grammar: docs/study-files.md; for completion in an editor: ablate grid schema

study: {name}
about: Do cosine decay or label smoothing help a small network on handwritten digits?

recipe:                             # what all arms share; what is left out has its default
  data: {{name: digits, limit: 200, split: {{train: 0.7, test: 0.3}}}}    # others: ablate data list
  model: {{arch: three-layer-cnn}}
  optimizer: {{name: sgd, lr: 0.02, momentum: 0.9}}
  batch_size: 32
  epochs: 3

factors:                            # what varies
  refinements:
    subsets:                        # arms: none, c, l, c+l
      c: {{schedule.name: cosine}}
      l: {{loss.label_smoothing: 0.1}}
  # rate: {{path: optimizer.lr, levels: [0.01, 0.02]}}    # one factor more: twice the arms

seeds: 3                            # replicates of each arm; below 3 nothing is decided
baseline: {{refinements: none}}       # what the other arms are compared with

tables:
  effects: {{rows: effect, columns: [top1]}}
  arms:
    rows: refinements
    columns: [top1, loss]
    claims: [c > none]              # gets a verdict: holds, undecided or contradicted

labels:                             # how people read the names; claims and options keep the names
  refinements=c: cosine decay
  refinements=l: label smoothing
"""


def write_study(
    file: str | Path = DEFAULT,
    source: str | None = None,
    *,
    script: str | None = None,
    ask: bool = False,
    db: str | None = None,
) -> Path:
    """Write a new study file: the small one, a copy of `source`, a study file or the name of a stored study, or one of the command
    line `script`, with `ask` also from its `--help`; where it lies.

    `.yaml` is added to a name without it, and a folder gets `study.yaml`. Raises UsageError where the file exists, NotFound or
    StudyError for the source, OSError.
    """
    path = _place(Path(file))
    name = _name(path)
    if script is not None:
        text = _drafted(path, name, script, ask)
    else:
        text = _small(path, name) if source is None else _copy(path, name, source, db)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise _exists(path) from None
    return path


def _place(path: Path) -> Path:
    if path.is_dir():
        path /= DEFAULT
    elif path.suffix not in ENDINGS:
        path = path.with_name(f"{path.name}.yaml")
    if path.exists() or path.is_symlink():
        raise _exists(path)
    return path


def _exists(path: Path) -> UsageError:
    return UsageError(f"{path} already exists, and nothing is written over it. Name another file.", code="exists")


def _name(path: Path) -> str:
    """A study's name from its file's."""
    return re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip(".-")[:80] or "study"


def _small(path: Path, name: str) -> str:
    return TEMPLATE.format(name=name, **_next(path))


def _next(path: Path) -> dict[str, str]:
    """The lines to copy: plan, run, report."""
    lines = {verb: command("grid", verb, str(path)) for verb in ("plan", "run")}
    return {**lines, "report": command("report", str(path))}


def _drafted(path: Path, name: str, script: str, ask: bool) -> str:
    from ablate.project.draft_text import study_text
    from ablate.project.drafting import draft

    found = draft(script, path.parent.resolve(), ask=ask)
    metrics = ", ".join(metric.name for metric in found.metrics) or "none found, so one is guessed"
    tell(
        f"{found.program or script}: options of {found.reader or 'no parser'}; settings {', '.join(found.recipe) or 'none'}; metrics {metrics}"
    )
    for name_ in found.unset:
        tell(f"warning: {name_} must be given, and its value is not known: look for FILL_IN in {path}")
    if not found.seed:
        tell("warning: no option for a seed was found, so the study has one seed")
    return study_text(found, name, _next(path))


def _copy(path: Path, name: str, source: str, db: str | None) -> str:
    """The source's text under another name. Raises UsageError where it names files that lie beside the source alone."""
    from ablate.study.loader import load_text

    study = _source(source, db)
    head = f"# From {study.full_name} ({study.file}), under a name of its own: runs with the same recipe are shared.\n"
    text = head + re.sub(r"(?m)^study:[^\n#]*?(?=\s*(#|$))", f"study: {name}", study.source.lstrip("\ufeff"), count=1)
    beside = Path(study.file).parent
    if path.parent.resolve() == beside.resolve():
        return text
    named = study.trainer is not None or study.tune or study.parent_sources or study.weights
    try:
        whole = not named and load_text(text, str(path)).name == name
    except StudyError:
        whole = False
    if not whole:
        there = command("init", str(beside / path.name), "--from", source)
        raise UsageError(f"{source} names files that lie beside it, in {beside}. Write the copy there: {there}")
    return text


def _source(source: str, db: str | None) -> Study:
    """A file as it is now, a name as it was last run; a name without runs as its file in `experiments/` is."""
    from ablate.project.stored import stored_study
    from ablate.study.loader import find, load

    if source.endswith(ENDINGS) or "/" in source:
        return load(source)
    try:
        with require_results(db) as store:
            return stored_study(store, source)
    except NotFound as missing:
        try:
            file = find(source)
        except NotFound:
            raise missing from None
        return load(file)
