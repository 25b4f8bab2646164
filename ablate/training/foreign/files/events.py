"""Numbers out of TensorBoard's event files, by the package that wrote them (extra `tensorboard`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import NotFound
from ablate.training.foreign.files.cells import Cell, Wanted

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

NAMED = "tfevents"
"""What stands in the name of every event file."""


class Events:
    """Reads the scalars of some tags, each counted by its step. A file that has half an event is read on from there."""

    def __init__(self, path: Path, wanted: Mapping[str, Wanted], *, skip: bool = False) -> None:
        self._tags: dict[str, list[str]] = {}
        for metric, where in wanted.items():
            self._tags.setdefault(where.where[0], []).append(metric)
        self._there: dict[str, None] = {}
        self._loader = _loader()(str(path))
        for _ in self._loader.Load() if skip else ():
            pass

    @property
    def there(self) -> Sequence[str]:
        return list(self._there)

    def read(self, *, ended: bool) -> Iterator[Cell]:
        for event in self._loader.Load():
            for value in event.summary.value:
                number = _scalar(value)
                if number is None:
                    continue
                self._there[value.tag] = None
                for metric in self._tags.get(value.tag, ()):
                    yield Cell(metric, number, {"step": event.step}, None, f"step {event.step}")


def _loader() -> Any:
    try:
        from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader
    except ImportError as error:
        raise NotFound(
            f"TensorBoard's files cannot be read here: {error}; pip install 'ablate-studies[tensorboard]'"
        ) from None
    return LegacyEventFileLoader


def _scalar(value: Summary.Value) -> float | None:
    """A scalar as the decimal number that it was before it was stored in 32 bits; None for histograms, images and text."""
    import numpy as np

    kind = value.WhichOneof("value")
    if kind == "simple_value":
        return float(str(np.float32(value.simple_value)))
    if kind != "tensor" or value.tensor.tensor_shape.dim:
        return None
    from tensorboard.util import tensor_util

    number = tensor_util.make_ndarray(value.tensor)
    return float(str(number)) if number.dtype.kind in "fiu" else None
