"""The decoded cache: once for all, whole or absent, and clear words where it cannot be written."""

import errno
import logging
import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_texts import raising

from ablate.errors import BadData, NoSpaceOrPermission
from ablate.parts.reading.source import Block, Reading, Source
from ablate.study.recipes.recipe import Data
from ablate.training.data import cache as cache_module
from ablate.training.data import forget_data, load_data
from ablate.training.data import load as load_module
from ablate.training.data.cache import cache_key, decode

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 3, 5, 5), dtype=np.uint8)
LABELS = np.arange(12) % 3
MakeFolder = Callable[..., Path]


def blocks(bad: tuple[tuple[str, str], ...] = ()) -> Iterator[Block]:
    yield Block("train", IMAGES[:5], LABELS[:5], np.arange(5))
    yield Block("train", IMAGES[5:8], LABELS[5:8], np.arange(5, 8), bad)
    yield Block("test", IMAGES[8:], LABELS[8:], np.arange(8, 12))


def source(
    read: Callable[[int | None], Reading] | None = None, fingerprint: tuple[str, ...] | None = ("a\t1\t2",)
) -> Source:
    return Source("made", "blocks", "here", fingerprint, read or (lambda _: Reading(("a", "b", "c"), 12, blocks())))


def cache_folder(home: Path) -> Path:
    (folder,) = (path for path in (home / "cache").iterdir() if path.is_dir())
    return folder


def test_what_is_decoded_comes_back_from_the_disk(home: Path) -> None:
    first = decode(source(lambda _: Reading(("a", "b", "c"), 12, blocks((("x.jpg", "empty file"),)))), None, home)

    def never(_: int | None) -> Reading:
        raise AssertionError("decoded twice")

    second = decode(source(never), None, home)
    for decoded in (first, second):
        assert torch.equal(decoded.images, torch.from_numpy(IMAGES))
        assert decoded.labels.tolist() == LABELS.tolist()
        assert decoded.ids.tolist() == list(range(12))
        assert decoded.parts == {"train": (0, 8), "test": (8, 12)}
        assert decoded.classes == ("a", "b", "c")
        assert decoded.bad == (("x.jpg", "empty file"),)
        assert decoded.digest == first.digest


def test_sums_are_exact(home: Path) -> None:
    decoded = decode(source(), None, home)
    wide = IMAGES.astype(np.int64)
    assert (decoded.sums[:, 0] == wide.sum(axis=(2, 3))).all()
    assert (decoded.sums[:, 1] == (wide**2).sum(axis=(2, 3))).all()


def test_in_memory_and_on_disk_have_one_digest(home: Path) -> None:
    assert decode(source(fingerprint=None), None, home).digest == decode(source(), None, home).digest
    assert len(list((home / "cache").glob("made-*/meta.json"))) == 1


def test_mapped_images_cannot_change_the_cache(home: Path) -> None:
    decode(source(), None, home).images.zero_()
    assert torch.equal(decode(source(), None, home).images, torch.from_numpy(IMAGES))


@pytest.mark.parametrize("other", [("a\t1\t3",), ("a\t2\t2",), ("b\t1\t2",)])
def test_key_changes_with_the_files(other: tuple[str, ...]) -> None:
    assert cache_key(source(), 32) != cache_key(source(fingerprint=other), 32)
    assert cache_key(source(), 32) != cache_key(source(), 33)
    assert cache_key(source(), 32) == cache_key(source(), 32)


@pytest.mark.parametrize("damage", ["truncate", "meta", "labels", "no images"])
def test_a_damaged_cache_is_made_again(home: Path, damage: str) -> None:
    decode(source(), None, home)
    folder = cache_folder(home)
    if damage == "truncate":
        os.truncate(folder / "images.u8", 100)
    elif damage == "meta":
        (folder / "meta.json").write_text("{")
    elif damage == "labels":
        (folder / "labels.npy").write_bytes(b"")
    else:
        (folder / "images.u8").unlink()
    assert torch.equal(decode(source(), None, home).images, torch.from_numpy(IMAGES))


def test_what_a_killed_process_left_is_swept(home: Path) -> None:
    decode(source(), None, home)
    folder = cache_folder(home)
    shutil.move(folder, folder.with_suffix(".unfinished"))
    (folder.with_suffix(".unfinished") / "images.u8").write_bytes(b"half")
    assert torch.equal(decode(source(), None, home).images, torch.from_numpy(IMAGES))
    assert not folder.with_suffix(".unfinished").exists()


def test_a_failed_decode_leaves_nothing(home: Path) -> None:
    def broken(_: int | None) -> Reading:
        return Reading(("a", "b", "c", "never seen"), 12, blocks())

    with raising(BadData):
        decode(source(broken), None, home)
    assert [path.suffix for path in (home / "cache").iterdir()] == [".lock"]


def test_two_threads_at_once_decode_once(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The second one waits for the lock while the first one is inside; flock holds between threads as between
    processes."""
    inside, waiting = threading.Event(), threading.Event()
    reads: list[int] = []

    def slow(_: int | None) -> Reading:
        reads.append(1)
        inside.set()
        assert waiting.wait(20)
        return Reading(("a", "b", "c"), 12, blocks())

    class Signal(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "waiting for another process" in record.getMessage():
                waiting.set()

    handler = Signal()
    logging.getLogger(cache_module.__name__).addHandler(handler)
    results: list[Any] = []
    with caplog.at_level(logging.INFO):
        first = threading.Thread(target=lambda: results.append(decode(source(slow), None, home)))
        first.start()
        assert inside.wait(20)
        second = threading.Thread(target=lambda: results.append(decode(source(slow), None, home)))
        second.start()
        first.join(20)
        second.join(20)
    logging.getLogger(cache_module.__name__).removeHandler(handler)
    assert reads == [1]
    assert len(results) == 2
    assert torch.equal(results[0].images, results[1].images)


PROCESS = """
import logging, sys
from pathlib import Path
from ablate.study.recipes.recipe import Data
from ablate.training.data import load_data
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
root = Path(sys.argv[1])
data = Data(name="imagefolder", path="pets", image_size=16, split={"train": 0.5, "val": 0.5})
splits = load_data(data, 0, home=root / "home", data_root=root)
print("digest", splits.digest, splits.train.ids.tolist())
"""


@pytest.mark.slow
def test_two_processes_at_once_decode_once(make_folder: MakeFolder, root: Path) -> None:
    make_folder("pets", {"cat": 40, "dog": 40})
    command = [sys.executable, "-c", PROCESS, str(root)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0]
    assert sum("decoding 80 images" in output for output in outputs) == 1
    assert len({line for output in outputs for line in output.splitlines() if line.startswith("digest")}) == 1


def test_too_little_space_is_said_before_decoding(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 10, 300_000_000))

    def read(_: int | None) -> Reading:
        return Reading(("a", "b", "c"), 1_000_000, blocks())

    with raising(NoSpaceOrPermission):
        decode(source(read), 32, home)
    assert [path.suffix for path in (home / "cache").iterdir()] == [".lock"]


def test_a_disk_that_fills_up_while_writing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with raising(NoSpaceOrPermission) as caught:
        decode(source(), None, home)
    assert str(caught.value).startswith(f"cannot write {home / 'cache'}")
    assert [path.suffix for path in (home / "cache").iterdir()] == [".lock"]


def test_a_cache_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    with raising(NoSpaceOrPermission):
        decode(source(), None, tmp_path / "home")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_cache_folder(home: Path) -> None:
    (home / "cache").mkdir(parents=True)
    (home / "cache").chmod(0o500)
    with raising(NoSpaceOrPermission):
        decode(source(), None, home)


def test_data_that_cannot_be_read_is_not_called_unwritable(home: Path) -> None:
    def read(_: int | None) -> Reading:
        raise PermissionError(errno.EACCES, "Permission denied", "/elsewhere/data.npz")

    with raising(NoSpaceOrPermission):
        decode(source(read), None, home)


def test_a_changed_file_is_decoded_anew(make_folder: MakeFolder, root: Path, home: Path) -> None:
    folder = make_folder("pets", {"cat": 2, "dog": 2})
    data = Data(name="imagefolder", path="pets", image_size=8, split={"train": 0.5, "val": 0.5})
    before = load_data(data, 0, home=home, data_root=root).digest
    shutil.copy(folder / "dog" / "image_0001.jpg", folder / "dog" / "image_0000.jpg")
    assert load_data(data, 0, home=home, data_root=root).digest == before  # this process keeps what it loaded
    forget_data()
    assert load_data(data, 0, home=home, data_root=root).digest != before


def test_large_parts_are_mapped_files_with_the_same_content(
    make_folder: MakeFolder, root: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder("pets", {"cat": 9, "dog": 9})
    data = Data(name="imagefolder", path="pets", image_size=8, split={"train": 0.5, "val": 0.5})
    copied = load_data(data, 0, home=home, data_root=root)
    forget_data()
    monkeypatch.setattr(load_module, "IN_MEMORY", 0)
    for _ in range(2):
        mapped = load_data(data, 0, home=home, data_root=root)
        assert torch.equal(mapped.train.images, copied.train.images)
        forget_data()
    assert len(list(cache_folder(home).glob("rows-*.u8"))) == 2
    assert not list(cache_folder(home).glob("*.unfinished"))


@pytest.mark.parametrize("fingerprint", [None, ("x",)], ids=["memory", "disk"])
def test_blocks_of_unlike_shape_are_refused(home: Path, fingerprint: Any) -> None:
    def read(_: int | None) -> Reading:
        tall = Block("test", IMAGES[8:, :, 1:], LABELS[8:], np.arange(8, 12))
        return Reading(("a", "b", "c"), 12, iter([Block("train", IMAGES[:8], LABELS[:8], np.arange(8)), tall]))

    with raising(BadData):
        decode(source(read, fingerprint), None, home)
