"""Files that are no weights: each is refused with its reason, and never with the advice to load it all the same."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from golden_texts import raising

from ablate.errors import BadData
from ablate.study.recipes.recipe import Model
from ablate.training.init import initialise
from ablate.training.models import build_model
from ablate.training.state_dict import NotWeights, read_tensors, state_in, without_wrappers


class Runs:
    """Runs code when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, ("sprung",)


def saved(value: object, **options: bool) -> bytes:
    held = io.BytesIO()
    torch.save(value, held, **options)
    return held.getvalue()


def archive(*names: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        for name in names:
            opened.writestr(name, "x")
    return held.getvalue()


def npz() -> bytes:
    held = io.BytesIO()
    np.savez(held, weight=np.zeros(3))
    return held.getvalue()


HEADER = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
TENSORS = {"w": torch.arange(2000.0)}
OLD = {"_use_new_zipfile_serialization": False}
FILES = {
    "empty": b"",
    "text": b"these are no weights\n",
    "html": b"<!DOCTYPE html>\n<html><body>404</body></html>",
    "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:12\nsize 3\n",
    "gzip": b"\x1f\x8b\x08\x00" + bytes(30),
    "hdf5": b"\x89HDF\r\n\x1a\n" + bytes(30),
    "npz": npz(),
    "zip": archive("a.txt"),
    "script": archive("m/code/__torch__.py", "m/data.pkl", "m/constants.pkl"),
    "whole model": saved(torch.nn.Linear(2, 2)),
    "old whole model": saved(torch.nn.Linear(2, 2), **OLD),
    "malicious": saved({"w": Runs()}),
    "malicious pickle": pickle.dumps({"w": Runs()}),
    "old pickle": pickle.dumps({"w": Runs()}, protocol=2),
    "cut": saved(TENSORS)[:-200],
    "cut in the middle": saved(TENSORS)[:3000],
    "old cut": saved(TENSORS, **OLD)[:-9],
    "old cut early": saved(TENSORS, **OLD)[:40],
    "noise": bytes(range(200, 256)) * 9,
    "list": saved([1, 2]),
    "tensor": saved(torch.zeros(3)),
    "nothing": saved({}),
    "no names": saved({1: torch.zeros(1)}),
    "numbers": saved({"w": torch.zeros(1), "epoch": 3}),
}


@pytest.mark.parametrize("kind", FILES)
def test_each_kind_of_bad_file_is_told(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content = FILES[kind]
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    model = Model(arch="two-layer-fc", init=str(path))
    network = build_model(model, num_classes=2, image_shape=(3, 8, 8), seed=0).network
    with raising(BadData) as raised:
        initialise(network, model, classes=("a", "b"), home=tmp_path)
    text = str(raised.value)
    assert "\n" not in text
    for advice in ("weights_only", "torch.load", "trust", "allow_pickle"):
        assert advice not in text
    assert not (tmp_path / "sprung").exists()


def test_safetensors_without_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    with raising(NotWeights):
        read_tensors(io.BytesIO(struct.pack("<Q", len(HEADER)) + HEADER + bytes(4)))


def test_a_name_of_the_networks_own_is_no_wrapper() -> None:
    state = {"model.model.weight": torch.zeros(1)}
    assert without_wrappers(state, ["model.weight"]) == ({"model.weight": torch.zeros(1)}, "model.")
    assert without_wrappers(state, ["model.model.weight"])[1] == ""
    assert without_wrappers(state, ["other"]) == (state, "")


def test_two_names_that_would_become_one_keep_their_wrapper() -> None:
    state = {"module.w": torch.zeros(1), "w": torch.ones(1)}
    assert without_wrappers(state, ["w", "module.w"]) == (state, "")


def test_an_average_alone_is_taken() -> None:
    state = {"w": torch.zeros(1)}
    assert state_in({"epoch": 1, "model_ema": state}) == (state, "model_ema")
