"""`torch.compile` is opt-in; it changes speed and the last bits, and nothing else."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from ablate.training.trainer import fit


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning")
def test_a_compiled_run_agrees_with_an_eager_one(new_run: Any, watched: Any) -> None:
    run = new_run(model__arch="three-layer-cnn", epochs=2, mixup__alpha=0.2)
    eager, compiled = fit(run, watched("eager").context), fit(run, watched("compiled", compile=True).context)
    assert compiled.metrics["loss"] == pytest.approx(eager.metrics["loss"], rel=1e-3)
    assert "compiled" in compiled.details["fingerprint"]
