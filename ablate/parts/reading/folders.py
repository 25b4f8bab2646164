"""Image folders: one folder a class, with or without train/, val/ and test/ above them; Caltech-101 is one of these.

Names are kept as the system gives them, bytes that are no UTF-8 as surrogates; what is shown or stored goes through
`printable`.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ablate.errors import BadData, NoSpaceOrPermission
from ablate.parts.reading.contents import printable
from ablate.parts.reading.images import EXTENSIONS, MAX_BYTES, BadImage, Pixels, decode_image, strict_decoding
from ablate.parts.reading.source import PARTS, WHOLE, Block, Reading, Source, some
from ablate.parts.splits import SPLIT_WORDS

log = logging.getLogger(__name__)

WORDS = {**SPLIT_WORDS, "testing": "test"}
"""What people call the folders of the parts, in lower case; they may be written in any."""
NO_CLASSES = frozenset({"__MACOSX"})
"""What macOS leaves in archives: no class and no part."""
BLOCK = 256
"""Images that are decoded before they are written; bounds the memory that decoding takes."""


File = tuple[str, int, str]
"""Part, class number and path under the root, with slashes, of one image."""
Chunk = tuple[str, int, list[File]]
"""Some files of one part, with the part's name and the id of the first."""


@dataclass
class Listing:
    """The files of an image folder: (part, class, path) in the order of their ids, and what was passed over.

    `loose` counts images beside the class folders, which have no label. `unlabelled` maps a part to its folder's name
    where there is no class folder in it; `beside` are the folders beside those of the parts.
    """

    root: Path
    classes: tuple[str, ...] = ()
    files: list[File] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    loose: int = 0
    unlabelled: dict[str, str] = field(default_factory=dict)
    beside: tuple[str, ...] = ()


def folder_source(name: str, root: Path, leave_out: frozenset[str] = frozenset()) -> Source:
    """The images under `root`: its official parts where it has a train/ folder beside val/ or test/, else one folder of
    classes.

    Classes are the folders' names in sorted order, images are sorted by path, and an image's id is its place in that
    order. Raises `BadData` for a folder of classes that cannot be one.
    """
    listing = list_folder(root, leave_out)
    fingerprint = (*(f"class\t{c}" for c in listing.classes), *listing.lines, str(root))

    def read(image_size: int | None) -> Reading:
        blocks = _blocks(listing, image_size)
        return Reading(listing.classes, len(listing.files), blocks)

    return Source(
        name,
        "image folder",
        printable(str(root)),
        fingerprint,
        read,
        tuple(listing.ignored),
        listing.loose,
        listing.unlabelled,
        listing.beside,
    )


def list_folder(root: Path, leave_out: frozenset[str] = frozenset()) -> Listing:
    """Every image under `root` with its part and class; raises `BadData` for folders without classes or images."""
    parts = _parts(root)
    names = {part: _class_folders(folder, leave_out) for part, folder in parts.items()}
    listing = Listing(root)
    if WHOLE not in parts:
        listing.beside = tuple(name for name in _class_folders(root, leave_out) if root / name not in parts.values())
    for part in [part for part, found in names.items() if part not in ("train", WHOLE) and not found]:
        listing.unlabelled[part] = printable(parts[part].name)
        del names[part]
    classes = sorted({name for found in names.values() for name in found})
    if len(classes) < 2:
        raise BadData(
            f"{_shown(root)}: {len(classes)} class folders found, at least 2 are needed; allowed: one folder for each class, "
            "or train/ and val/ or test/ with one folder for each class in each"
        )
    listing.classes = tuple(classes)
    for part, found in names.items():
        missing = [name for name in classes if name not in found]
        if part in ("train", WHOLE) and missing:
            place = printable(parts[part].name) if part == "train" else part
            raise BadData(
                f"{_shown(root)}: no folder in {place}/ for {some(missing)}; each class needs training images"
            )
        listing.loose += sum(1 for entry in _entries(parts[part]) if _is_image(entry))
        for number, name in enumerate(classes):
            if name in found:
                _list_class(listing, part, number, found[name])
    _refuse_empty(listing, names)
    return listing


def _parts(root: Path) -> dict[str, Path]:
    """The folders of the parts: where one means train and another val or test, whatever lies beside them."""
    folders = [entry.name for entry in _entries(root) if entry.is_dir() and entry.name not in NO_CLASSES]
    words = [(name, WORDS[name.casefold()]) for name in folders if name.casefold() in WORDS]
    meant = {part for _, part in words}
    if len(words) < 2 or (len(words) < len(folders) and ("train" not in meant or len(meant) < 2)):
        return {WHOLE: root}
    official: dict[str, Path] = {}
    for part in PARTS:
        named = [name for name, means in words if means == part]
        if len(named) > 1:
            raise BadData(f"{_shown(root)}: both {named[0]}/ and {named[1]}/ exist, and both mean {part}; keep one")
        if named:
            official[part] = root / named[0]
    if "train" not in official:
        there = " and ".join(f"{path.name}/" for path in official.values())
        raise BadData(f"{_shown(root)}: {there} are parts, but there is no train/ beside them; add it")
    if len(words) < len(folders):
        _refuse_doubt(root, official, folders)
    return official


def _refuse_doubt(root: Path, official: dict[str, Path], folders: list[str]) -> None:
    """Folders called like parts beside others: they are parts where class folders lie in train/, else it is unclear."""
    if _class_folders(official["train"], frozenset()):
        return
    parts = " and ".join(f"{path.name}/" for path in official.values())
    others = [f"{printable(name)}/" for name in folders if root / name not in official.values()]
    raise BadData(
        f"{_shown(root)}: {parts} are names of parts, but hold no class folders, and {some(others)} are beside them; if they "
        "are parts, put one folder for each class into each; if they are classes, rename them"
    )


def _shown(root: Path) -> str:
    return printable(str(root))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
    except OSError as error:
        raise NoSpaceOrPermission(
            f"{_shown(folder)}: cannot be read ({error.strerror}); check its permissions"
        ) from None


def _class_folders(folder: Path, leave_out: frozenset[str]) -> dict[str, Path]:
    """Class name, as it is shown, to its folder."""
    found: dict[str, Path] = {}
    for entry in _entries(folder):
        if entry.is_dir() and entry.name not in leave_out | NO_CLASSES:
            name = printable(entry.name)
            if name in found:
                raise BadData(f"{_shown(folder)}: two folders are shown as {name}; rename the one that is not UTF-8")
            found[name] = folder / entry.name
    return found


def _is_image(entry: os.DirEntry[str]) -> bool:
    return os.path.splitext(entry.name)[1].lower() in EXTENSIONS and entry.is_file()


def _list_class(listing: Listing, part: str, number: int, folder: Path) -> None:
    """Adds the images of one class folder and its subfolders; links to other folders are not followed inside a class.

    Names stay text and each file is looked at once: a million of them are listed at the start of every process.
    """
    pending = [folder.relative_to(listing.root).as_posix()]
    found: list[tuple[str, int, int]] = []
    while pending:
        current = pending.pop()
        for entry in _entries(listing.root / current):
            name = f"{current}/{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                pending.append(name)
            elif _is_image(entry):
                stat = entry.stat()
                found.append((name, stat.st_size, stat.st_mtime_ns))
            else:
                listing.ignored.append(printable(name))
    for name, size, modified in sorted(found):
        listing.files.append((part, number, name))
        listing.lines.append(f"{part}\t{name}\t{size}\t{modified}")


def _refuse_empty(listing: Listing, names: dict[str, dict[str, Path]]) -> None:
    filled = {(part, number) for part, number, _ in listing.files}
    empty = [
        name if part == WHOLE else f"{printable(folders[name].parent.name)}/{name}"
        for part, folders in names.items()
        for number, name in enumerate(listing.classes)
        if name in folders and (part, number) not in filled
    ]
    if empty:
        allowed = " ".join(sorted(EXTENSIONS))
        raise BadData(
            f"{_shown(listing.root)}: no images in {some(empty)}; fill or remove the folder (images end in {allowed})"
        )


def _blocks(listing: Listing, image_size: int | None) -> Iterator[Block]:
    """Decodes in as many threads as there are cores, one chunk ahead of the one that is taken; the order is kept."""
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    log.info("decoding %s images of %s once, in %d threads", f"{len(listing.files):,}", _shown(listing.root), threads)
    first: tuple[Pixels, str] | None = None
    pool = ThreadPoolExecutor(threads)
    try:
        with strict_decoding():
            ahead: deque[tuple[Chunk, Iterator[Pixels | str]]] = deque()
            for chunk in itertools.chain(_chunks(listing), [None, None]):
                if chunk is not None:
                    ahead.append(
                        (chunk, pool.map(lambda row: _decode_file(listing.root / row[2], image_size), chunk[2]))
                    )
                if ahead and (chunk is None or len(ahead) > 1):
                    done, decoded = ahead.popleft()
                    first = yield from _block(listing.root, done, list(decoded), first)
    finally:
        pool.shutdown(cancel_futures=True)


def _block(
    root: Path, chunk: Chunk, decoded: list[Pixels | str], first: tuple[Pixels, str] | None
) -> Generator[Block, None, tuple[Pixels, str] | None]:
    """Yields one chunk's block and gives back the first image of all, whose size the others must have."""
    part, start, rows = chunk
    images: list[Pixels] = []
    labels: list[int] = []
    ids: list[int] = []
    bad: list[tuple[str, str]] = []
    for number, ((_, label, path), image) in enumerate(zip(rows, decoded, strict=True), start):
        if isinstance(image, str):
            bad.append((printable(path), image))
            continue
        first = first or (image, path)
        if image.shape != first[0].shape:
            _refuse_sizes(root, first, (image, path))
        images.append(image)
        labels.append(label)
        ids.append(number)
    pixels = np.stack(images) if images else np.empty((0, 3, 0, 0), dtype=np.uint8)
    yield Block(part, pixels, np.array(labels, dtype=np.int64), np.array(ids, dtype=np.int64), tuple(bad))
    return first


def _chunks(listing: Listing) -> Iterator[Chunk]:
    """At most `BLOCK` files of one part at a time, with the id of the first."""
    start = 0
    for part, rows in itertools.groupby(listing.files, key=lambda row: row[0]):
        while chunk := list(itertools.islice(rows, BLOCK)):
            yield part, start, chunk
            start += len(chunk)


def _refuse_sizes(root: Path, one: tuple[Pixels, str], other: tuple[Pixels, str]) -> None:
    (a, first), (b, second) = [(f"{image.shape[2]}x{image.shape[1]}", printable(path)) for image, path in (one, other)]
    raise BadData(
        f"{_shown(root)}: images differ in size ({first} is {a} pixels, {second} is {b}); "
        "set data.image_size to resize all images to one square size"
    )


def _decode_file(path: Path, image_size: int | None) -> Pixels | str:
    """The decoded image, or why it has none. A fault of the disk is raised: it says nothing about the image."""
    try:
        if path.stat().st_size > MAX_BYTES:
            return f"file of more than {MAX_BYTES // 2**20} MiB"
        content = path.read_bytes()
    except OSError as error:
        raise NoSpaceOrPermission(
            f"{_shown(path)}: cannot be read ({error.strerror}); check the file and its permissions"
        ) from None
    try:
        return decode_image(content, image_size)
    except BadImage as bad:
        return str(bad)
