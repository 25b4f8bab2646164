"""Random streams: every draw is a pure function of the seed and of what it is for.

Streams are `split`, `init`, `order`, `augment`, `mixup` and `dropout`. Order is keyed by (seed, epoch), augmentation by
(seed, epoch, sample), initialisation by parameter name, mixup by (seed, epoch, step). So threads, workers, packing, batch
layout and a resumed run never change what is drawn.
"""

from __future__ import annotations

import hashlib

import torch

_GOLDEN = 0x9E3779B97F4A7C15
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB


def derive(seed: int, *keys: int | str) -> int:
    """A 63-bit key for one stream: the first bytes of SHA-256 over the seed and the keys."""
    text = "\x1f".join([str(seed), *(str(key) for key in keys)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *keys: int | str) -> torch.Generator:
    """A CPU generator at the start of the stream that the keys name, as in `generator(seed, "order", epoch)`."""
    return torch.Generator().manual_seed(derive(seed, *keys))


def uniforms(key: int, ids: torch.Tensor, draws: int) -> torch.Tensor:
    """Numbers in [0, 1) of shape (len(ids), draws), float32: row i depends on `key` and `ids[i]` alone.

    Counter-based (SplitMix64, Steele et al. 2014, doi 10.1145/2660193.2660195), on the device of `ids`, so a sample draws
    the same numbers in any batch.
    """
    counters = ids.to(torch.int64).unsqueeze(1) * draws + torch.arange(1, draws + 1, device=ids.device)
    z = counters * _signed(_GOLDEN) + key
    z = (z ^ _shift(z, 30)) * _signed(_MIX_1)
    z = (z ^ _shift(z, 27)) * _signed(_MIX_2)
    z = z ^ _shift(z, 31)
    return _shift(z, 40).to(torch.float32) * 2.0**-24


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _shift(value: torch.Tensor, bits: int) -> torch.Tensor:
    """Logical right shift; torch shifts int64 arithmetically."""
    return (value >> bits) & ((1 << (64 - bits)) - 1)
