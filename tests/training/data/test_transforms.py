"""What holds for every transform that is registered, alone and in any list."""

import math
from typing import Any

import pytest
import torch
from golden_texts import raising
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from ablate.parts.declare import Transform
from ablate.parts.found import parts
from ablate.study.recipes.recipe import Data
from ablate.training.data import augment as augment_module
from ablate.training.data import augment_batch

NAMES = list(parts(Transform))
TRIED = (0, 1, 2, 0.0, 0.3, 0.5, 1.0, 4, 8, 30, 128, 255)


def allowed(declared: Any) -> list[Any]:
    """Those of some values that a setting takes, and its default."""
    adapter: TypeAdapter[Any] = TypeAdapter(declared.type)
    found = [declared.default]
    for value in TRIED:
        try:
            found.append(adapter.validate_python(value, strict=True))
        except ValidationError:
            continue
    return found


def transform(name: str) -> st.SearchStrategy[Any]:
    fields = parts(Transform)[name].fields
    arguments = st.fixed_dictionaries({key: st.sampled_from(allowed(declared)) for key, declared in fields.items()})
    return arguments.map(lambda given: {name: given})


def default(name: str) -> Any:
    return {name: {key: declared.default for key, declared in parts(Transform)[name].fields.items()}}


lists = st.lists(st.sampled_from(NAMES).flatmap(transform), max_size=4)
shapes = st.tuples(st.sampled_from([1, 3]), st.integers(1, 13), st.integers(1, 13))


def noise(count: int, shape: tuple[int, int, int], seed: int) -> torch.Tensor:
    return torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


@pytest.mark.slow
@settings(max_examples=150)
@given(lists, shapes, st.integers(0, 2**31), st.integers(1, 50), st.integers(0, 1000))
def test_any_list_follows_from_seed_epoch_and_id_alone(
    listed: Any, shape: tuple[int, int, int], seed: int, epoch: int, start: int
) -> None:
    images = noise(9, shape, seed)
    before, ids = images.clone(), start + 3 * torch.arange(9)
    whole = augment_batch(images, ids, listed, seed=seed, epoch=epoch)
    assert (whole.shape, whole.dtype, whole.device) == (images.shape, torch.uint8, images.device)
    assert torch.equal(images, before)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    assert torch.equal(augment_batch(images[order], ids[order], listed, seed=seed, epoch=epoch), whole[order])
    for part in (slice(0, 1), slice(4, 9)):
        assert torch.equal(augment_batch(images[part], ids[part], listed, seed=seed, epoch=epoch), whole[part])
    for laid_out in (
        images.to(memory_format=torch.channels_last),
        images.transpose(2, 3).contiguous().transpose(2, 3),
        images.repeat_interleave(2, dim=0)[::2],
        images.repeat_interleave(2, dim=3)[..., ::2],
    ):
        assert torch.equal(augment_batch(laid_out, ids, listed, seed=seed, epoch=epoch), whole)


@pytest.mark.parametrize(
    ("name", "argument"), [(name, argument) for name, part in parts(Transform).items() for argument in part.fields]
)
def test_a_bad_argument_is_named_with_what_is_allowed(name: str, argument: str) -> None:
    for value in (-1, "much", None, [1], math.nan, math.inf, True):
        with raising(ValidationError) as caught:
            Data(augment=[{name: {argument: value}}])
        assert repr(value) in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_extremes_are_finite(name: str) -> None:
    images = noise(32, (3, 9, 9), 5)
    extremes = {}
    for argument, declared in parts(Transform)[name].fields.items():
        bounds = TypeAdapter(declared.type).json_schema()
        extremes[argument] = bounds.get("maximum", declared.default)
    listed = Data(augment=[{name: extremes}]).augment
    made = augment_batch(images, torch.arange(32), listed, seed=0, epoch=0)
    assert made.shape == images.shape


@pytest.mark.parametrize("name", NAMES)
def test_chunks_epochs_and_seeds(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    images, ids = (noise(1, (3, 24, 24), 3) // 2 + 40).repeat(64, 1, 1, 1), torch.arange(64)
    listed = [default(name)]
    first = augment_batch(images, ids, listed, seed=0, epoch=1)
    monkeypatch.setattr(augment_module, "CHUNK", 5 * images[0].numel())
    assert torch.equal(augment_batch(images, ids, listed, seed=0, epoch=1), first)
    if name == "color_jitter":  # does nothing unless told to
        assert torch.equal(first, images)
        return
    assert not torch.equal(augment_batch(images, ids, listed, seed=0, epoch=2), first)
    assert not torch.equal(augment_batch(images, ids, listed, seed=1, epoch=1), first)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize("name", NAMES)
def test_a_gpu_draws_the_same(name: str) -> None:
    images, ids = noise(256, (3, 32, 32), 1), torch.arange(256)
    here = augment_batch(images, ids, [default(name)], seed=0, epoch=1)
    there = augment_batch(images.cuda(), ids, [default(name)], seed=0, epoch=1)
    assert there.is_cuda
    assert ((there.cpu().int() - here.int()).abs() > 1).float().mean() < 0.01
