"""First weights that must lie on this machine before a run can start: which file, where it is looked for, what to do.

The trainer finds and loads them (`training/init.py`) and needs torch for it. A plan must say beforehand which runs are
blocked, without torch; so the places and torchvision's file names stand here again, and a test holds the two together.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from ablate.parts.packages import weights_folders
from ablate.study.recipes.digest import SHORT
from ablate.study.recipes.places import expand, variable
from ablate.study.recipes.recipe import weights_paths
from ablate.study.values.recipe import AnyRecipe

URL = "https://download.pytorch.org/models/"
"""Where torchvision's `Weights.url` points to, without the file's name."""

TORCHVISION = {
    ("resnet18", "IMAGENET1K_V1"): "resnet18-f37072fd.pth",
    ("resnet34", "IMAGENET1K_V1"): "resnet34-b627a593.pth",
    ("resnet50", "IMAGENET1K_V1"): "resnet50-0676ba61.pth",
    ("resnet50", "IMAGENET1K_V2"): "resnet50-11ad3fa6.pth",
    ("resnet101", "IMAGENET1K_V1"): "resnet101-63fe2227.pth",
    ("resnet101", "IMAGENET1K_V2"): "resnet101-cd907fc2.pth",
    ("resnet152", "IMAGENET1K_V1"): "resnet152-394f9c45.pth",
    ("resnet152", "IMAGENET1K_V2"): "resnet152-f82ba261.pth",
}
"""The file of each architecture and entry, by the `url`s in torchvision's models/resnet.py; its digits begin its SHA-256."""


def folder(home: Path) -> Path:
    """Where weights are to be put: ABLATE_HOME/weights."""
    return home / "weights"


def torch_cache() -> Path:
    """torch.hub's folder of downloaded weights, by torch's own rule: TORCH_HOME, else XDG_CACHE_HOME, else ~/.cache."""
    cache = variable("XDG_CACHE_HOME") or "~/.cache"
    given = variable("TORCH_HOME") or os.path.join(cache, "torch")
    return expand(given, "torch's folder of weights") / "hub" / "checkpoints"


def absent(recipe: AnyRecipe, *, home: Path, folders: Iterable[Path] = ()) -> str:
    """Why weights that a stored recipe names are not here and what to do, in one line; '' where they are.

    `home` is ABLATE_HOME; `folders` are those of the study file and of the studies that its parents come from. Only the
    weights of a file or of torchvision are looked for: a parent's are another run's. A file that is there counts as there
    whatever it holds, and one that torchvision does not have is no file to wait for: the trainer says what is wrong.
    """
    places = tuple(folders)
    return next(filter(None, (_absent(recipe, path, home, places) for path in weights_paths())), "")


def _absent(recipe: AnyRecipe, path: str, home: Path, folders: Iterable[Path]) -> str:
    init = recipe.get(path)
    if not isinstance(init, Mapping):
        return ""
    if "entry" in init:
        name = TORCHVISION.get((recipe.get("model.arch"), str(init["entry"]).rpartition(".")[2]))
        if name is None or any((place / name).is_file() for place in (folder(home), torch_cache())):
            return ""
        return f"no weights: fetch {URL}{name} into {folder(home)}"
    if "file" in init:
        return _absent_file(expand(str(init["file"]), f"{path}.file"), str(init.get("sha256", "")), home, folders)
    return ""


def _absent_file(name: Path, digest: str, home: Path, folders: Iterable[Path]) -> str:
    """A file lies as named in this folder, one of `folders`, the weights' own or that of a package, or, in the weights' own, under
    any name with its SHA-256."""
    store = folder(home)
    if any((place / name).is_file() for place in (Path(), *folders, store, *weights_folders())):
        return ""
    if digest and any(path.is_file() and _sha256(path) == digest for path in store.glob("*")):
        return ""
    told = f" (SHA-256 {digest[:SHORT]}...)" if digest else ""
    return f"no weights: put {name.name}{told} into {store}"


def _sha256(path: Path) -> str:
    """'' for a file that cannot be read: it is not the one."""
    try:
        found = path.stat()
        return _digest(path, found.st_size, found.st_mtime_ns)
    except OSError:
        return ""


@lru_cache(maxsize=256)
def _digest(path: Path, size: int, modified: int) -> str:
    """Read once for each state of the file: a plan asks for every arm."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
