"""The parts of a written study that differ for somebody else's trainer: its texts, as they stand in the file or in a command."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from ablate.errors import UsageError
from ablate.study.assign.foreign_recipe import Written
from ablate.study.designs.variants import text_of_value
from ablate.study.document.source import Node, flow, flow_scalar, is_plain_word, parse
from ablate.study.values.study import Study
from ablate.study.values.trials import Tuning


def check_place(tuning: Tuning, file: Path) -> None:
    """A script is looked for from its study's folder. Raises UsageError for a file elsewhere, which would not find it."""
    folder = Path(tuning.study.file).parent
    if tuning.study.trainer is not None and file.resolve().parent != folder.resolve():
        raise UsageError(
            f"--write {file}: the trainer of {tuning.study.name} is found from the folder of its study file, so the new study must lie "
            f"there, too: --write {folder / file.name}.",
            code="other-folder",
        )


def settings_lines(settings: Mapping[str, Written], indent: str) -> list[str]:
    """Settings of a recipe, a line each, with the texts that fill a command."""
    return [f"{indent}{flow_scalar(path)}: {text_of_value(path, value)}".rstrip() for path, value in settings.items()]


def trainer_lines(study: Study) -> list[str]:
    """The study's `trainer` block, value by value as its file has it."""
    block = parse(study.source, study.file).node(("trainer",))
    assert block is not None
    return ["trainer:", *_block(block, "  ")]


def _block(node: Node, indent: str) -> Iterator[str]:
    for name, child in node.named.items():
        if child.named:
            yield f"{indent}{flow_scalar(name)}:"
            yield from _block(child, indent + "  ")
        else:
            yield f"{indent}{flow_scalar(name)}: {flow(child, _scalar)}"


def _scalar(node: Node) -> str:
    if node.plain and (not node.text or is_plain_word(node.text)):
        return node.text or "null"
    return json.dumps(node.text, ensure_ascii=False)
