"""Which of a script's options are likely to change a result: by their names and values."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ablate.study.code.options import UNKNOWN, Option

MOST_SETTINGS, MOST_SWITCHES = 12, 4
_SEED = re.compile(r"(random|manual|rng|np|torch)?_?(seed|random_state)")
_OUT = re.compile(
    r"(out|output|save|log|run|work|ckpt|checkpoint|result|results|exp|default_root)_?(dir|path|folder)|logdir|workdir|outdir|out|output|save"
)
_NOT_A_SETTING = re.compile(
    r".*(data|dir|path|file|folder|worker|device|gpu|cuda|mps|accel|log|print|resume|ckpt|checkpoint|wandb|tensorboard|project|experiment"
    r"|verbose|debug|port|host|rank|world|config|save|test|eval|dry|pin|download|profile|version|name|tag|note|dist|backend|plot|show|url|seed).*"
)  # fmt: skip
_NO_SWITCH = re.compile(
    rf"{_NOT_A_SETTING.pattern}|(no_|disable|quiet|fast|compile|amp|fp16|bf16|silent|force|overwrite).*"
)
_LIKELY = (
    r"lr|learning_rate|.*_lr", r"batch_?size|batch|bs", r"(max_|num_|n_)?epochs?|niter", r"(max_|num_|n_|train_)?(steps|iters|iterations)",
    r"weight_decay|wd|.*decay", r"momentum", r".*dropout|drop.*", r"opt|optim|optimizer", r".*sched.*", r".*warmup.*",
    r"model|arch|network|net", r"(n_|num_)?(hidden|width|dim|embd|embed|layers?|depth|heads?|units)|.*_(dim|size|layers|heads)|d_model|hidden.*|nhid|nlayers|nhead|emsize",
    r".*smooth.*", r".*mixup.*|.*cutmix.*", r"gamma|beta.*|alpha|tau|temperature|eps", r"loss|criterion", r"act|activation", r".*norm.*", r".*aug.*",
)  # fmt: skip


def is_seed(name: str) -> bool:
    """Whether an option of that name is a seed."""
    return bool(_SEED.fullmatch(_last(name)))


def is_out(name: str) -> bool:
    """Whether an option of that name says where results go."""
    return bool(_OUT.fullmatch(_last(name)))


def likely(given: Iterable[Option]) -> list[Option]:
    """The options that are likely to change a result, the likeliest first; a few switches among them."""
    options, ranked = list(given), []
    for option in options:
        name = _last(option.name).lower()
        if re.match(r"(test|val|eval)_", name):
            continue
        rank = next((place for place, form in enumerate(_LIKELY) if re.fullmatch(form, name)), None)
        if _has_value(option) and option.kind != "switch" and (rank is not None or not _NOT_A_SETTING.fullmatch(name)):
            numeric = option.kind in ("number", "whole", "truth") or bool(option.choices)
            if rank is not None or numeric:
                ranked.append((rank if rank is not None else len(_LIKELY), option))
    chosen = [option for _, option in sorted(ranked, key=lambda pair: pair[0])]
    switches = [
        option for option in options if option.kind == "switch" and not _NO_SWITCH.fullmatch(option.name.lower())
    ]
    return [*chosen[:MOST_SETTINGS], *switches[:MOST_SWITCHES]]


def _has_value(option: Option) -> bool:
    value = option.default
    plain = isinstance(value, bool | int | float) or (isinstance(value, str) and re.fullmatch(r"[\w.+-]+", value))
    return value is not UNKNOWN and bool(plain) and option.kind != "list" and value == value and value != "???"


def _last(name: str) -> str:
    """The last part of a dotted name; of `optim.name` and `model.type` the one before."""
    parts = name.split(".")
    return parts[-2] if len(parts) > 1 and parts[-1] in ("name", "type") else parts[-1]
