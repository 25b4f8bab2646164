"""One image file to one uint8 array: what is accepted, what is refused, and how it becomes a square.

The rule, the same for every data set: three channels (grey is repeated, CMYK and palettes are converted, alpha is
dropped, grey of 16 bits becomes 8 by the nearest value, of RGB of 16 bits Pillow keeps the upper byte, the first frame of
an animation counts, EXIF orientation is not applied, as in torchvision's `ImageFolder`); then, where `image_size` is set, the shorter side is resized to it (bilinear,
antialiased, the longer side rounded down) and the centre is cropped: torchvision's `Resize(image_size)` and
`CenterCrop(image_size)`.

Pillow decodes and torch resizes. Caltech-101 on one thread: 1,860 images a second at 32 pixels and 1,200 at 224; with
Pillow's own resizing 1,610 and 700; with torchvision's `decode_jpeg` 2,780 and 1,410. On two threads that lead is
nothing at 32 pixels and a quarter at 224; and `decode_jpeg` is deprecated since torchvision 0.29.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError, features

from ablate.errors import BadData

EXTENSIONS = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp", ".gif"}
    | ({".avif"} if features.check("avif") else set())
)
"""What an image file's name ends in, in lower case. AVIF is read where this Pillow was built with it."""
MAX_PIXELS = 89_478_485
"""An image of more pixels is taken for a decompression bomb: Pillow's own line for a warning (a quarter gigabyte of
RGB)."""
MAX_BYTES = 256 * 2**20
"""An image file of more bytes is not read."""

Pixels = npt.NDArray[np.uint8]


class BadImage(Exception):
    """Why one image cannot be decoded, in a few words."""


@contextmanager
def strict_decoding() -> Iterator[None]:
    """While images are decoded, Pillow's bomb warning is an error and its other warnings are silent.

    Warning filters belong to the process, so this wraps the whole pool of threads instead of one image.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode_image(content: bytes, image_size: int | None) -> Pixels:
    """The image of a file's `content` as uint8 (3, H, W); raises `BadImage` with the reason."""
    if not content:
        raise BadImage("empty file")
    try:
        with Image.open(io.BytesIO(content)) as opened:
            _refuse_bomb(*opened.size)
            image = _to_rgb(opened)
    except UnidentifiedImageError:
        raise BadImage("not an image in a known format") from None
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise BadImage(f"more than {MAX_PIXELS:,} pixels, which looks like a decompression bomb") from None
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on broken files, and the bytes are all here
        raise BadImage(str(error).strip() or type(error).__name__) from None
    if image_size is None:
        return np.ascontiguousarray(image)
    tall, wide = resized_shape(image.shape[1], image.shape[2], image_size)
    if tall * wide > MAX_PIXELS:
        raise BadImage(f"{image.shape[2]}x{image.shape[1]} pixels are too long and thin to be resized")
    square: Pixels = resize_square(image[None], image_size)[0]
    return square


def _refuse_bomb(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise Image.DecompressionBombError
    if not width * height:
        raise ValueError("no pixels")


def _to_rgb(image: Image.Image) -> Pixels:
    """A Pillow image as uint8 (3, H, W), a view of (H, W, 3). 16 bits are scaled here: Pillow would clip them."""
    if image.mode.startswith("I;16"):
        wide = np.asarray(image).astype(np.uint32)
        grey = ((wide + 128) // 257).astype(np.uint8)
        return np.repeat(grey[None], 3, axis=0)
    if image.mode in ("I", "F"):
        raise ValueError(f"pixels of 32 bits (mode {image.mode}) have no defined range; save it with 8 or 16 bits")
    return np.array(image.convert("RGB")).transpose(2, 0, 1)


def resized_shape(height: int, width: int, image_size: int) -> tuple[int, int]:
    """Height and width once the shorter side is `image_size`, the longer one rounded down."""
    if height <= width:
        return image_size, int(image_size * width / height)
    return int(image_size * height / width), image_size


def resize_square(images: Pixels, image_size: int) -> Pixels:
    """uint8 (N, C, H, W) to (N, C, image_size, image_size): shorter side, antialiased bilinear, centre crop."""
    height, width = images.shape[-2:]
    if (height, width) == (image_size, image_size):
        return np.ascontiguousarray(images)
    tall, wide = resized_shape(height, width, image_size)
    pixels = torch.from_numpy(images)
    if image_size == 1:  # torch's uint8 kernel breaks on a side of one pixel
        exact = torch.nn.functional.interpolate(pixels.float(), (tall, wide), mode="bilinear", antialias=True)
        resized = exact.round().clamp(0, 255).to(torch.uint8)
    else:
        resized = torch.nn.functional.interpolate(pixels, (tall, wide), mode="bilinear", antialias=True)
    top, left = round((tall - image_size) / 2.0), round((wide - image_size) / 2.0)
    return resized[..., top : top + image_size, left : left + image_size].contiguous().numpy()


def to_planes(images: npt.NDArray[np.generic], where: str) -> Pixels:
    """uint8 (N, H, W), (N, H, W, 1) or (N, H, W, 3) to (N, 3, H, W), grey repeated; else raises `BadData`."""
    check_pixels(images, where)
    if images.ndim == 3:
        images = images[..., None]
    planes = images.transpose(0, 3, 1, 2)
    if planes.shape[1] == 1:
        planes = planes.repeat(3, axis=1)
    return np.ascontiguousarray(planes).astype(np.uint8, copy=False)


def check_pixels(images: npt.NDArray[np.generic], where: str) -> None:
    """Raises `BadData` for an array that `to_planes` cannot take."""
    if images.dtype != np.uint8 or not (images.ndim == 3 or (images.ndim == 4 and images.shape[-1] in (1, 3))):
        raise BadData(
            f"{where}: images are {images.dtype} of shape {images.shape}; "
            "allowed: uint8 of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3)"
        )
    if len(images) and not images.shape[1] * images.shape[2]:
        raise BadData(f"{where}: images of {images.shape[2]}x{images.shape[1]} pixels; each needs at least one pixel")
