"""Tensors out of a file of weights. Nothing else is ever loaded, as a pickle can run code; what is refused is told why."""

from __future__ import annotations

import importlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import torch

from ablate.parts.reading.contents import LENGTH, looks_like, printable

State = Mapping[str, torch.Tensor]

INSIDE = (
    *("state_dict", "model_state_dict", "model", "module", "net", "network", "weights", "params"),
    *("ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict", "params_ema"),
)
"""Keys under which checkpoints keep their state dict, the trained weights before an average of them."""
WRAPPERS = frozenset({"module", "model", "_orig_mod", "net", "network", "backbone"})
"""Parts that DataParallel, torch.compile and training scripts put before a tensor's name."""
_SAVE = "save its tensors where it was made, with torch.save(model.state_dict(), FILE)"
_ADVICE = re.compile(r"weights_only|torch\.load|allow_pickle|unsafe|trust", re.IGNORECASE)
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


class NotWeights(Exception):
    """Why a file gives no state dict, as the end of a sentence."""


def read_tensors(file: BinaryIO) -> Any:
    """What the file holds, if that is tensors in plain containers. Raises `NotWeights`."""
    start = file.read(LENGTH)
    file.seek(0)
    if start[8:10] == b'{"' and int.from_bytes(start[:8], "little") < 2**27:
        return _safetensors(file)
    known = _known(file, start)
    file.seek(0)
    if known:
        raise NotWeights(known)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(file, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # a foreign file raises nearly anything
        raise NotWeights(_reason(error, start)) from None


def state_in(loaded: Any) -> tuple[State, str]:
    """The state dict in what was loaded, and the keys that lead to it, '' where it is that itself. Raises `NotWeights`."""
    trouble = _trouble(loaded)
    if not trouble:
        return loaded, ""
    if isinstance(loaded, Mapping):
        for key in INSIDE:
            if isinstance(loaded.get(key), Mapping):
                try:
                    state, inner = state_in(loaded[key])
                except NotWeights:
                    continue
                return state, f"{key}.{inner}" if inner else key
    raise NotWeights(f"it is not a state dict, a mapping of names to tensors: {trouble}; {_SAVE}")


def without_wrappers(state: State, names: Iterable[str]) -> tuple[State, str]:
    """The state dict with wrappers' parts (`module.`) taken off where more of the network's `names` fit then; and those parts."""
    wanted = set(names)
    best, taken, fitting = state, "", len(wanted & state.keys())
    bare: dict[str, torch.Tensor] = dict(state)
    prefix = ""
    for _ in range(4):
        heads = {name.partition(".")[0] for name in bare if "." in name} & WRAPPERS
        # one wrapper goes round all layers, so of several the one with most tensors is meant
        head = max(sorted(heads), key=lambda part: sum(name.startswith(f"{part}.") for name in bare), default="")
        shorter = {name.removeprefix(f"{head}."): tensor for name, tensor in bare.items()}
        if not head or len(shorter) < len(bare):
            break
        bare, prefix = shorter, f"{prefix}{head}."
        if (found := len(wanted & bare.keys())) > fitting:
            best, taken, fitting = bare, prefix, found
    return best, taken


def unfit(state: State, own: State) -> str:
    """What keeps one of these tensors from being a weight of the network with the state dict `own`; '' where nothing does."""
    for name, tensor in state.items():
        kind = str(tensor.dtype).removeprefix("torch.")
        if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
            return f"{name} is not a plain tensor ({'meta' if tensor.is_meta else kind}, {tensor.layout})"
        if own[name].is_floating_point() and not tensor.is_floating_point():
            return f"{name} holds {kind} numbers, the network's are {str(own[name].dtype).removeprefix('torch.')}"
        if tensor.is_floating_point() and not bool(tensor.float().isfinite().all()):
            return f"{name} holds NaN or infinity"
    return ""


def _trouble(loaded: Any) -> str:
    """Why this is no state dict; '' where it is one."""
    if not isinstance(loaded, Mapping):
        return f"it holds a {type(loaded).__name__}"
    if not loaded:
        return "it is empty"
    if any(not isinstance(name, str) for name in loaded):
        return "its keys are not all text"
    others = [name for name, value in loaded.items() if not isinstance(value, torch.Tensor)]
    if others:
        shown = ", ".join(f"{printable(name)[:60]} is {type(loaded[name]).__name__}" for name in others[:3])
        return f"{shown}{', ...' if len(others) > 3 else ''}"
    return ""


def _known(file: BinaryIO, start: bytes) -> str:
    """Why a file cannot be weights, as far as its beginning and a zip archive's list of names tell; '' where they do not."""
    if start.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(file) as archive:
                names = archive.namelist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
            return "the file is truncated or damaged; copy or fetch it again"
        ends = {name.partition("/")[2] for name in names}
        if "constants.pkl" in ends or any(end.startswith("code/") for end in ends):
            return f"it is TorchScript (torch.jit.save), a program, which ablate never loads; {_SAVE}"
        if any(name.endswith(".npy") for name in names):
            return f"it is an npz file of NumPy arrays; {_SAVE}"
        return "" if "data.pkl" in ends else f"it is a zip archive that torch.save did not write; {_SAVE}"
    if start.startswith(b"\x80"):
        return ""
    what = looks_like(start)
    return f"it is {what}" if what else ""


def _reason(error: Exception, start: bytes) -> str:
    """What torch's error means, without its advice to load the file all the same."""
    text = str(error)
    named = _GLOBAL.search(text)
    if named:
        return (
            f"it holds more than tensors ({named[1]}, as in a whole pickled model), which are not loaded "
            f"since they could run code; {_SAVE}"
        )
    if isinstance(error, EOFError) or re.search("truncated|unexpected EOF|ran out of input", text, re.IGNORECASE):
        return "the file is truncated; copy or fetch it again"
    if isinstance(error, pickle.UnpicklingError) and start.startswith(b"\x80"):
        return f"it is a pickle of more than tensors, which is not loaded since it could run code; {_SAVE}"
    said = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if not said or _ADVICE.search(said) or isinstance(error, KeyError):
        return f"it was not written by torch.save, or it is damaged; fetch it again, or {_SAVE}"
    return f"{said[:200]}; is it damaged? Fetch it again, or {_SAVE}"


def _safetensors(file: BinaryIO) -> Any:
    try:
        library = importlib.import_module("safetensors.torch")
    except ImportError:
        raise NotWeights(
            "it is a safetensors file, but the package safetensors is not installed; "
            f"`pip install safetensors`, or {_SAVE}"
        ) from None
    try:
        return library.load(file.read())
    except Exception as error:
        raise NotWeights(f"its safetensors content is damaged ({str(error)[:200]}); fetch it again") from None
