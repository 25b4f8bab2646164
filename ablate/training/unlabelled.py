"""Images without labels: found in a folder, and decoded in batches as the training images of a run were."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from ablate.errors import NoSpaceOrPermission, NotFound
from ablate.parts.reading.images import EXTENSIONS, MAX_BYTES, BadImage, Pixels, decode_image, strict_decoding


@dataclass(frozen=True)
class Found:
    """The images under `root`: paths relative to it, with slashes, in natural order. `ignored` is what was passed over."""

    root: Path
    files: tuple[str, ...]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preparation:
    """How the images of a run were brought to `shape` (3, H, W). `image_size` None: they had that size already."""

    image_size: int | None
    shape: tuple[int, int, int]


def find_images(place: Path) -> Found:
    """The image files in the folder `place` and its subfolders, or `place` itself where it is a file.

    A file counts as an image by its ending, as in training. Hidden folders and links to folders are not entered. Raises
    NotFound where nothing is there or no image is, NoSpaceOrPermission for a folder that cannot be read.
    """
    if place.is_file():
        found = Found(place.parent, *_sorted_out([place.name]))
    elif place.is_dir():
        found = Found(place, *_sorted_out(_walk(place)))
    else:
        raise NotFound(f"{place}: no such folder; give a folder of images, or one image file")
    if not found.files:
        ignored = f" ({len(found.ignored):,} other files are)" if found.ignored else ""
        raise NotFound(f"{place}: no image found{ignored}; images end in {' '.join(sorted(EXTENSIONS))}")
    return found


def _walk(root: Path) -> Iterator[str]:
    def refuse(error: OSError) -> None:
        raise NoSpaceOrPermission(f"{error.filename}: cannot be read ({error.strerror}); check its permissions")

    for folder, folders, files in os.walk(root, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        inside = Path(folder).relative_to(root)
        yield from ((inside / name).as_posix() for name in files)


def _sorted_out(paths: Iterator[str] | list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Images and the rest. Hidden files are no images: `._cat.jpg` is what macOS leaves beside `cat.jpg`."""
    images: list[str] = []
    rest: list[str] = []
    for path in paths:
        name = path.rpartition("/")[2]
        (rest if name.startswith(".") or os.path.splitext(name)[1].lower() not in EXTENSIONS else images).append(path)
    return tuple(sorted(images, key=natural)), tuple(sorted(rest, key=natural))


def natural(path: str) -> tuple[tuple[tuple[str | int, ...], ...], str]:
    """The key of the natural order: folder by folder, digits by their number, so that 9.png comes before 10.png."""
    parts = (re.split("([0-9]+)", part) for part in path.split("/"))
    return tuple(tuple(int(p) if i % 2 else p for i, p in enumerate(part)) for part in parts), path


def decoded(found: Found, how: Preparation, *, batch: int, threads: int) -> Iterator[list[tuple[str, Pixels | str]]]:
    """Each file with its uint8 (3, H, W) image or the reason why it has none, `batch` at a time, in order.

    One batch is decoded ahead of the one that is in use, so a folder may be larger than memory.
    """
    waiting: deque[tuple[tuple[str, ...], Iterator[Pixels | str]]] = deque()
    with ThreadPoolExecutor(threads, thread_name_prefix="ablate-decode") as pool, strict_decoding():
        try:
            for start in range(0, len(found.files), batch):
                files = found.files[start : start + batch]
                waiting.append((files, pool.map(lambda file: _decode(found.root, file, how), files)))
                if len(waiting) > 1:
                    yield _taken(*waiting.popleft())
            while waiting:
                yield _taken(*waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _taken(files: tuple[str, ...], images: Iterator[Pixels | str]) -> list[tuple[str, Pixels | str]]:
    return list(zip(files, images, strict=True))


def _decode(root: Path, file: str, how: Preparation) -> Pixels | str:
    """A fault of the disk is raised: it says nothing about the image."""
    path = root / file
    try:
        file.encode()
        if not path.is_file():
            return "missing, or a broken link"
        if path.stat().st_size > MAX_BYTES:
            return f"file of more than {MAX_BYTES // 2**20} MiB"
        image = decode_image(path.read_bytes(), how.image_size)
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except OSError as error:
        raise NoSpaceOrPermission(
            f"{path}: cannot be read ({error.strerror}); check the file and its permissions"
        ) from None
    except BadImage as bad:
        return str(bad)
    if image.shape != how.shape:
        (_, height, width), (_, tall, wide) = image.shape, how.shape
        return f"{width}x{height} pixels, but the run saw {wide}x{tall} and its recipe sets no data.image_size"
    return image
