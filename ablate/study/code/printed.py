"""What a program prints that looks like a metric: from the texts of its `print` and logging calls. Nothing is executed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ablate.study.code.options import called, literal, parse
from ablate.study.values.metrics import METRICS, SPLITS

_CALLS = ("print", "info", "log", "warning", "debug", "write", "echo", "secho")
_WORDS = {
    "loss": "lower", "nll": "lower", "perplexity": "lower", "ppl": "lower", "mse": "lower", "rmse": "lower", "mae": "lower", "error": "lower",
    "err": "lower", "wer": "lower", "cer": "lower", "fid": "lower",
    "accuracy": "higher", "acc": "higher", "top1": "higher", "acc1": "higher", "f1": "higher", "auc": "higher", "auroc": "higher", "score": "higher",
    "precision": "higher", "recall": "higher", "bleu": "higher", "rouge": "higher", "map": "higher", "iou": "higher", "miou": "higher", "r2": "higher",
    "reward": "higher", "return": "higher", "psnr": "higher", "dice": "higher",
}  # fmt: skip
_SPLIT = {
    **{split: split for split in SPLITS},
    "training": "train",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "eval": "val",
}
_HOLE = "\0"


@dataclass(frozen=True)
class Printed:
    """A metric that is printed: its name (`val_loss`), its direction, and a pattern for its line; None where it is a key of a JSON line.
    `unit` is `percent` where a percent sign follows."""

    name: str
    better: str
    pattern: str | None = None
    unit: str = ""


def read_printed(sources: Iterable[str]) -> tuple[Printed, ...]:
    """The metrics in what a program prints, those of a split that is held out first; each once."""
    found: dict[str, Printed] = {}
    for text in sources:
        tree = parse(text)
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)] if tree else []
        for call in calls:
            if called(call) in _CALLS:
                for metric in _of_call(call):
                    found.setdefault(metric.name, metric)
    order = ("", "val", "train")
    return tuple(sorted(found.values(), key=lambda metric: order.index(_split_of(metric.name))))


def _split_of(name: str) -> str:
    head = name.partition("_")[0]
    return head if head in SPLITS else ""


def _of_call(call: ast.Call) -> Iterator[Printed]:
    for inner in ast.walk(call):
        if (
            isinstance(inner, ast.Call)
            and called(inner) == "dumps"
            and inner.args
            and isinstance(inner.args[0], ast.Dict)
        ):
            yield from _of_json(inner.args[0])
            return
    line = _text(call)
    head = line.partition(_HOLE)[0]
    for found in re.finditer(rf"([^\0]*?)([\s:=|(\[]*){_HOLE}", line):
        words = re.findall(r"[A-Za-z][A-Za-z0-9]*", found[1])
        named = _metric(words[-2:] if len(words) > 1 else words) if words else None
        after = line[found.end() : found.end() + 2]
        after = "/" if after == f"/{_HOLE}" else after[:1]
        if named is not None and (shown := re.search(rf"\S*{re.escape(words[-1])}\S*$", found[1])):
            yield Printed(
                *named, _pattern(found[1], found[2], shown[0], head, after), "percent" if after == "%" else ""
            )


def _of_json(line: ast.Dict) -> Iterator[Printed]:
    """The metrics of a JSON line that is written out, `{"split": "val", "loss": loss}`."""
    pairs = [
        (literal(key), literal(value)) for key, value in zip(line.keys, line.values, strict=True) if key is not None
    ]
    split = next((_SPLIT.get(str(value).lower(), "") for key, value in pairs if key == "split"), "")
    for key, _ in pairs:
        if isinstance(key, str) and (named := _metric(re.split(r"[\s_/.]+", key), split)):
            yield Printed(*named)


def _metric(words: list[str], split: str = "") -> tuple[str, str] | None:
    """(name, direction) of words that end in a metric's: `val`, `Loss` is `val_loss`."""
    lower = [word.lower() for word in words]
    last = re.sub(r"^top1$|^acc1$|^prec1$", "top1", lower[-1])
    better = _WORDS.get(last, METRICS[last].better if last in METRICS else None)
    if better is None or better == "neither":
        return None
    before = next((_SPLIT[word] for word in reversed(lower[:-1]) if word in _SPLIT), split)
    if (
        not before
        and len(lower) > 1
        and lower[-2] not in ("epoch", "step", "iter", "final", "best", "average", "avg", "mean")
    ):
        return None
    return f"{before}_{last}" if before not in ("", "test") else last, better


def _pattern(before: str, between: str, literal: str, head: str, after: str) -> str:
    """A regular expression for the number: the words right before it, and what the line begins with where that is not they. A slash and
    another number behind it make a ratio."""
    said = re.search(rf"\b(?:{'|'.join(_SPLIT)})\W*$", before[: -len(literal)], re.IGNORECASE)
    shown = (said[0] if said else "") + literal
    gap = re.escape(between.strip()).replace(r"\ ", " ")
    text = re.sub(r"(\\ |\s)+", r"\\s+", re.escape(shown))
    counter = re.search(r"\b(epoch|step)\b[\s:=#\[(]*$", head, re.IGNORECASE)
    count = (
        rf"{counter[1]}\W*(?P<{counter[1].lower()}>\d+).*?" if counter and counter[0].strip() != before.strip() else ""
    )
    number = r"(\d+)/(?P<of>\d+)" if after == "/" else r"(\S+)"
    return rf"{count}\b{text}\s*{gap}\s*{number}" if gap else rf"{count}\b{text}\s+{number}"


def _text(call: ast.Call) -> str:
    """The line that a call prints, each value a NUL."""
    first = call.args[0] if call.args else None
    if called(call) != "print" and isinstance(first, ast.Constant) and "%" in str(first.value):
        return _filled(str(first.value))  # logging fills its arguments in
    parts = [_part(item) for item in call.args]
    return " ".join(parts).replace("\n", " ")


def _part(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_part(item) for item in node.values)
    if isinstance(node, ast.FormattedValue):
        return _HOLE + (
            "%" if node.format_spec is not None and ast.unparse(node.format_spec).rstrip("'\"").endswith("%") else ""
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and isinstance(node.left, ast.Constant):
        return _filled(str(node.left.value))
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _part(node.left) + _part(node.right)
    if isinstance(node, ast.Call) and called(node) == "format" and isinstance(node.func, ast.Attribute):
        return re.sub(r"\{[^{}]*\}", _HOLE, _part(node.func.value))
    return _HOLE


def _filled(text: str) -> str:
    """A text with `%d` and the like, each a NUL."""
    return re.sub(r"%[-+ 0#]*\d*(?:\.\d+)?[a-zA-Z]", _HOLE, text).replace("%%", "%")
