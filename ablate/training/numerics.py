"""How a network runs on a device: threads, layout, autocast, compilation, determinism, and what memory it takes."""

from __future__ import annotations

import contextlib
import os
import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ablate.errors import UsageError
from ablate.study.records import Context

AUTOCAST: dict[str, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""The type of convolutions and matrix products by `precision`."""


@dataclass(frozen=True)
class Numerics:
    """The choices of one run. `layout` is the memory format of images and weights; `autocast` the type of its products."""

    device: torch.device
    layout: torch.memory_format
    autocast: torch.dtype | None
    compiled: bool

    def forward(self, network: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
        """`network` as a function from images to logits, under autocast where the recipe says bf16 or fp16.

        Parameters, BatchNorm statistics and the optimizer stay fp32.
        """
        called: Callable[[torch.Tensor], torch.Tensor] = torch.compile(network) if self.compiled else network

        def run(images: torch.Tensor) -> torch.Tensor:
            if self.autocast is None:
                return called(images)
            with torch.autocast(self.device.type, self.autocast):
                return called(images)

        return run

    def scaler(self) -> torch.amp.GradScaler | None:
        """What keeps float16 gradients from vanishing; None for the other precisions, whose range is that of float32."""
        return torch.amp.GradScaler(self.device.type) if self.autocast is torch.float16 else None


def numerics(context: Context, *, precision: str, has_convolutions: bool) -> Numerics:
    """What `context.options` and the recipe ask for. `channels_last` is on for convolutional networks unless said otherwise.

    Raises UsageError for a device that this machine does not have.
    """
    device = torch.device(context.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UsageError(f"--device {context.device}: torch sees no CUDA device here; allowed: cpu, or auto")
    last = bool(context.options.get("channels_last", True)) and has_convolutions
    return Numerics(
        device=device,
        layout=torch.channels_last if last else torch.contiguous_format,
        autocast=AUTOCAST[precision],
        compiled=bool(context.options.get("compile", False)),
    )


@contextlib.contextmanager
def settings(context: Context) -> Iterator[None]:
    """Set threads and determinism for one run, and put back what was there, the global random state included."""
    deterministic = bool(context.options.get("deterministic", False))
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    threads, random_state = torch.get_num_threads(), torch.get_rng_state()
    was_deterministic, was_benchmark = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    try:
        torch.set_num_threads(max(1, context.threads))
        torch.use_deterministic_algorithms(deterministic)
        torch.backends.cudnn.benchmark = not deterministic
        yield
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(random_state)
        torch.use_deterministic_algorithms(was_deterministic)
        torch.backends.cudnn.benchmark = was_benchmark


def start_memory_peak(device: torch.device) -> None:
    """Start counting the peak again. On the CPU only Linux can; elsewhere the peak is that of the whole process."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def memory_peak(device: torch.device) -> int:
    """Bytes: the allocator's peak on CUDA, the process's peak of resident memory on the CPU."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
