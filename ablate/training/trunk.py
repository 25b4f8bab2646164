"""Frozen trunks: what a network's frozen layers give for the images of a run is computed once, kept in `HOME/cache/trunk-KEY/`
and shared by all runs with the same layers and images.

Numbers stay what they are without it, bit for bit. So nothing is kept where the images of a step are not those of the data (augmentation,
mixing), where a refinement looks at images, or where the layers draw (dropout). What a layer gives for an image can depend on
the size of the batch: outputs are computed in batches of the size in which they are used, and a shorter batch is computed in its step. At the
start of a run both ways are compared; where one bit differs, the run goes the ordinary way and its log says so.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from ablate.errors import Interrupted, NoSpaceOrPermission
from ablate.parts.packages import packages_used
from ablate.training.batches import Batch, Feed, fits
from ablate.training.checkpoint import save_weights
from ablate.training.cut import Halves, NoCut, cut
from ablate.training.data.cache import locked, writing
from ablate.training.freeze import train_mode
from ablate.training.loop import Loop

VERSION = 1
"""Raised when outputs are computed in another way, so that old ones are not taken for them."""

LARGEST = 2 * 2**30
"""Bytes of outputs of one split; layers that give more are computed in each step."""

Forward = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Kept:
    """The outputs (N, ...) of the frozen layers for the images of a split, and `head`, what is above them.

    `ids` (N,) are the images' ids, ascending, and `rows` (N,) where their outputs are; `strides` are those of a batch as the layers
    give it. `batch_size` is None where a batch of any size may be looked up.
    """

    outputs: torch.Tensor
    ids: torch.Tensor
    rows: torch.Tensor
    strides: tuple[int, ...]
    head: Forward
    batch_size: int | None

    def of(self, batch: Batch) -> torch.Tensor | None:
        """What the head takes for a batch, or None where that must be computed."""
        if self.batch_size not in (None, len(batch.ids)):
            return None
        rows = self.rows[torch.searchsorted(self.ids, batch.ids)]
        found = self.outputs[rows.to(self.outputs.device)]
        return found.new_empty_strided(found.shape, self.strides, device=batch.ids.device).copy_(found)


def keep_trunk(
    loop: Loop, evaluated: dict[str, Feed], data: str, here: str, home: Path, should_stop: Callable[[], int]
) -> None:
    """Give the feeds of a run the outputs of its frozen layers, where they may be kept.

    `data` is the digest of the data's content, `here` the fingerprint. Raises Interrupted where `should_stop` gives a signal.
    """
    if not loop.frozen.tensors or loop.numerics.compiled:
        return
    why = _unfit(loop)
    if not why:
        try:
            _Keeper(loop, data, here, home, should_stop).keep(evaluated)
            return
        except NoCut as error:
            why = str(error)
    print(f"frozen layers are computed in each step: {why}", file=sys.stderr)


def _unfit(loop: Loop) -> str:
    """Why what the layers give cannot be kept, whatever the network."""
    if loop.recipe.data.augment:
        return "images are augmented"
    if loop.hooks.mixers:
        return "images are mixed"
    if loop.hooks.at("loss"):
        return "a refinement looks at the images"
    if len(loop.feed) < loop.recipe.batch_size:
        return "there are fewer images than a batch takes"
    return ""


class _Keeper:
    def __init__(self, loop: Loop, data: str, here: str, home: Path, should_stop: Callable[[], int]) -> None:
        self.loop = loop
        self.data = data
        self.here = here
        self.home = home
        self.should_stop = should_stop

    def keep(self, evaluated: dict[str, Feed]) -> None:
        """Raises NoCut, and leaves all feeds as they were, where that cannot be done without moving a bit."""
        loop, size = self.loop, self.loop.recipe.batch_size
        kept = []
        with _trying(loop) as switch:
            for feed in (loop.feed, *evaluated.values()):
                training = feed is loop.feed
                switch(training)
                halves = cut(loop.network, loop.frozen.norms)
                outputs = self._outputs(halves, feed, _training_batches(loop) if training else feed.slices(size))
                first = next(feed.shuffled(size, seed=loop.seed, epoch=0) if training else feed.in_order(size))
                direct = _through(loop, halves, first)
                kept.append(self._kept(halves, feed, outputs, direct.stride()))
                _compare(loop, first, direct, kept[-1])
        for feed, found in zip((loop.feed, *evaluated.values()), kept, strict=True):
            feed.kept = found

    def _kept(self, halves: Halves, feed: Feed, outputs: torch.Tensor, strides: tuple[int, ...]) -> Kept:
        ids, rows = feed.ids.sort()
        if bool((ids[1:] == ids[:-1]).any()):
            raise NoCut("images share an id")
        return Kept(
            outputs=outputs.to(feed.device) if fits(outputs, feed.device) else outputs,
            ids=ids,
            rows=rows,
            strides=strides,
            head=self.loop.numerics.forward(halves.head),
            batch_size=self.loop.recipe.batch_size if feed is self.loop.feed else None,
        )

    def _outputs(self, halves: Halves, feed: Feed, batches: list[slice]) -> torch.Tensor:
        """(N, ...), in the order of the feed, from the cache where they are there."""
        path = self.home / "cache" / f"trunk-{self._key(halves, feed, batches)}" / "outputs.pt"
        try:
            with writing(path), locked(path.parent.with_suffix(".lock")):
                found = _read(path, len(feed))
                if found is None:
                    found = self._computed(halves, feed, batches)
                    save_weights(path.parent, path.name, {"outputs": found})
                return found
        except NoSpaceOrPermission as error:
            print(f"the outputs of frozen layers are not kept on disk: {error}", file=sys.stderr)
            return self._computed(halves, feed, batches)

    def _key(self, halves: Halves, feed: Feed, batches: list[slice]) -> str:
        loop = self.loop
        weights = hashlib.sha256()
        for name, tensor in sorted(halves.trunk.state_dict().items()):
            weights.update(name.encode())
            weights.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        parts = {
            "version": VERSION,
            "layers": halves.trunk.code,
            "modules": str(halves.trunk),
            "packages": packages_used(loop.recipe.model.arch),
            "weights": weights.hexdigest(),
            "data": self.data,
            "images": hashlib.sha256(feed.ids.cpu().numpy().tobytes()).hexdigest(),
            "shape": feed.shape,
            "normalisation": [loop.mean.tolist(), loop.std.tolist()],
            "precision": loop.recipe.precision,
            "fingerprint": self.here,
            "batches": [[batch.start, batch.stop] for batch in batches],
        }
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

    def _computed(self, halves: Halves, feed: Feed, batches: list[slice]) -> torch.Tensor:
        print(f"computing the frozen layers up to {halves.last} for {len(feed):,} images", file=sys.stderr)
        outputs: torch.Tensor | None = None
        for where, batch in zip(batches, feed.gather(batches), strict=True):
            if signal := self.should_stop():
                raise Interrupted(signal)
            given = _through(self.loop, halves, batch)
            if outputs is None:
                if given[0].numel() * given.element_size() * len(feed) > LARGEST:
                    raise NoCut(f"their outputs take more than {LARGEST // 2**30} GiB")
                outputs = torch.empty((len(feed), *given.shape[1:]), dtype=given.dtype)
            outputs[where] = given.cpu()
        assert outputs is not None
        return outputs


def _read(path: Path, images: int) -> torch.Tensor | None:
    """The outputs in a file, mapped; None where it is absent or is not what was written."""
    try:
        outputs = torch.load(path, mmap=True, weights_only=True)["outputs"]
    except (OSError, RuntimeError, KeyError, EOFError, pickle.UnpicklingError):
        return None
    return outputs if isinstance(outputs, torch.Tensor) and len(outputs) == images else None


def _training_batches(loop: Loop) -> list[slice]:
    """Whole batches over all training images in order; the last one overlaps the one before it."""
    size, images = loop.recipe.batch_size, len(loop.feed)
    starts = [*range(0, images - size + 1, size), images - size]
    return [slice(start, start + size) for start in dict.fromkeys(starts)]


def _through(loop: Loop, halves: Halves, batch: Batch) -> torch.Tensor:
    """The trunk's outputs for a batch. Raises NoCut where it draws random numbers, or gives no tensor with a row for each image."""
    before = _random_state(loop.numerics.device)
    with torch.no_grad():
        given = loop.numerics.forward(halves.trunk)(loop.inputs(batch))
    if not isinstance(given, torch.Tensor) or given.dim() < 1 or len(given) != len(batch.ids):
        raise NoCut("their output is not a tensor with a row for each image")
    if not torch.equal(before, _random_state(loop.numerics.device)):
        raise NoCut("they draw random numbers")
    return given


def _random_state(device: torch.device) -> torch.Tensor:
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def _compare(loop: Loop, batch: Batch, direct: torch.Tensor, kept: Kept) -> None:
    """Raises NoCut where the kept outputs of a batch are not what the layers give, or the head makes other logits of them."""
    found = kept.of(batch)
    if found is None:
        raise NoCut("no batch has the recipe's batch size")
    if not _same(found, direct):
        raise NoCut("their output for an image depends on the other images of its batch")
    logits = []
    for forward, given in ((loop.forward, loop.inputs(batch)), (kept.head, found)):
        torch.manual_seed(0)  # dropout above the cut; each step seeds again
        try:
            with torch.no_grad():
                logits.append(forward(given))
        except (RuntimeError, TypeError, ValueError) as error:
            raise NoCut(f"the network cannot be cut there ({type(error).__name__}: {error})") from error
    if not _same(*logits):
        raise NoCut("the network gives other numbers when cut there")


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


@contextmanager
def _trying(loop: Loop) -> Iterator[Callable[[bool], None]]:
    """A switch between training and evaluation; afterwards the network is as it was, its BatchNorm statistics included."""
    state = {name: tensor.clone() for name, tensor in loop.network.state_dict().items()}

    def switch(training: bool) -> None:
        if training:
            train_mode(loop.network, loop.frozen)
        else:
            loop.network.eval()

    try:
        yield switch
    finally:
        loop.network.load_state_dict(state)
        loop.network.train()
