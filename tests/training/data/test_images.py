"""One file to one array: formats, the resize rule, and what is refused with which words."""

import io
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from golden_texts import raising
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import v2

from ablate.errors import BadData
from ablate.parts.reading import images as images_module
from ablate.parts.reading.images import BadImage, decode_image, resize_square, resized_shape, strict_decoding, to_planes

RNG = np.random.default_rng(0)
NOISE = Image.fromarray(RNG.integers(0, 256, (60, 90, 3), dtype=np.uint8))


def encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def as_pillow_sees(content: bytes) -> np.ndarray:
    return np.array(Image.open(io.BytesIO(content)).convert("RGB")).transpose(2, 0, 1)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "PPM", "WEBP", "TIFF"])
def test_formats_decode_as_pillow_does(kind: str) -> None:
    content = encode(NOISE, kind)
    assert np.abs(decode_image(content, None).astype(int) - as_pillow_sees(content)).max() == 0


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_grey_becomes_three_equal_channels(kind: str) -> None:
    decoded = decode_image(encode(NOISE.convert("L"), kind), None)
    assert decoded.shape == (3, 60, 90)
    assert (decoded[0] == decoded[1]).all()
    assert (decoded[0] == decoded[2]).all()
    assert decoded.std() > 10


def test_cmyk_jpeg_is_converted() -> None:
    content = encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG")
    red, green, blue = decode_image(content, None)[:, 4, 4]
    assert red > 240
    assert green < 15
    assert blue < 15


def test_sixteen_bits_are_scaled_and_not_clipped() -> None:
    wide = np.array([[0, 257, 128 * 257, 65535]], dtype=np.uint16)
    assert decode_image(encode(Image.fromarray(wide), "PNG"), None)[0].tolist() == [[0, 1, 128, 255]]


def test_palette_and_alpha() -> None:
    assert decode_image(encode(NOISE.convert("P"), "GIF"), None).shape == (3, 60, 90)
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert decode_image(encode(clear, "PNG"), None)[:, 0, 0].tolist() == [10, 20, 30]


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_file_becomes_what_torchvision_makes_of_it(kind: str) -> None:
    content = encode(NOISE, kind)
    expected = v2.Compose([v2.Resize(24, antialias=True), v2.CenterCrop(24)])(torch.from_numpy(as_pillow_sees(content)))
    assert torch.equal(torch.from_numpy(decode_image(content, 24)), expected)


@pytest.mark.parametrize("size", [(60, 90), (90, 60), (31, 67), (7, 200), (32, 32), (10, 12)])
def test_resize_is_torchvisions_resize_and_centre_crop(size: tuple[int, int]) -> None:
    image = torch.from_numpy(RNG.integers(0, 256, (3, *size), dtype=np.uint8))
    expected = v2.Compose([v2.Resize(32, antialias=True), v2.CenterCrop(32)])(image)
    assert torch.equal(torch.from_numpy(resize_square(image.numpy()[None], 32)[0]), expected)


def test_resized_shape_rounds_the_longer_side_down() -> None:
    assert resized_shape(31, 67, 32) == (32, 69)
    assert resized_shape(67, 31, 32) == (69, 32)


JPEG = encode(NOISE, "JPEG")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"no image at all" * 20, "not an image in a known format"),
        (JPEG[: len(JPEG) // 2], "image file is truncated"),
        (JPEG[:400], "runcated"),
        (encode(NOISE, "PNG")[:300], "runcated"),
        (encode(Image.fromarray(np.ones((4, 4), dtype=np.float32)), "TIFF"), "pixels of 32 bits (mode F)"),
    ],
    ids=["empty", "text", "half a JPEG", "header only", "half a PNG", "float TIFF"],
)
def test_bad_images_say_why(content: bytes, reason: str) -> None:
    with pytest.raises(BadImage) as caught:
        decode_image(content, 16)
    assert reason in str(caught.value)


def test_decompression_bomb_is_refused_before_it_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "MAX_PIXELS", 1000)
    with raising(BadImage):
        decode_image(encode(NOISE, "PNG"), 16)


def test_a_long_thin_image_cannot_blow_up_when_it_is_resized(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images_module, "MAX_PIXELS", 100_000)
    content = encode(Image.new("L", (4000, 1)), "PNG")
    with raising(BadImage):
        decode_image(content, 32)
    assert decode_image(content, 4).shape == (3, 4, 4)


SMALL = Image.fromarray(RNG.integers(0, 256, (9, 11, 3), dtype=np.uint8))
FILES = [encode(SMALL, kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "PPM")]


@settings(max_examples=200)
@given(st.sampled_from(FILES), st.data())
def test_any_damage_is_an_image_or_a_bad_image(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    with strict_decoding():
        try:
            decoded = decode_image(bytes(damaged[: data.draw(st.integers(1, len(damaged)))]), 8)
        except BadImage as bad:
            reason = str(bad)
            assert reason
        else:
            assert decoded.shape == (3, 8, 8)


def test_pillows_own_bomb_warning_is_a_bad_image_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        with strict_decoding(), pytest.raises(BadImage, match="decompression bomb"):
            decode_image(encode(NOISE, "PNG"), 16)


@pytest.mark.parametrize("shape", [(2, 5, 6), (2, 5, 6, 1)])
def test_grey_arrays_become_three_planes(shape: tuple[int, ...]) -> None:
    planes = to_planes(RNG.integers(0, 256, shape, dtype=np.uint8), "here")
    assert planes.shape == (2, 3, 5, 6)
    assert (planes[:, 0] == planes[:, 2]).all()


def test_arrays_of_another_type_are_refused() -> None:
    with raising(BadData):
        to_planes(np.zeros((2, 5, 6, 3)), "my.npz: train")
