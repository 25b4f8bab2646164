"""`ablate data fetch` and `verify` from the command line: what is said where, and the exit codes."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from ablate.cli.commands import data
from ablate.parts.declare import DataSet
from ablate.parts.found import parts
from ablate.training.data import download

LABELS = np.arange(10)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change_part) -> Iterator[str]:
    """A server of CIFAR-10's binary files in an archive, ten images each, which becomes the official one."""
    monkeypatch.setenv("no_proxy", "*")
    folder = tmp_path / "site"
    folder.mkdir()
    archive = folder / "cifar-10-python.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        for name in (*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"):
            rows = np.zeros((10, 3073), np.uint8)
            rows[:, 0] = LABELS
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = rows.size
            tar.addfile(info, io.BytesIO(rows.tobytes()))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/{archive.name}"
        official = parts(DataSet)["cifar10"].archive
        assert official is not None
        official = replace(official, url=url, md5=hashlib.md5(archive.read_bytes()).hexdigest())
        change_part(DataSet, "cifar10", archive=official, each={"train": 5, "test": 1})
        yield url
        server.shutdown()
        thread.join()


def test_fetch_then_verify(call, site: str, tmp_path: Path) -> None:
    place = tmp_path / "data" / "cifar-10-batches-py"
    found = call("data", "fetch", "cifar10")
    assert found.out == f"{place}\n"
    assert found.told().err.startswith(f"fetching {site}\n")
    assert "recipe: {data: {name: cifar10}}" in found.err
    again = call("data", "fetch", "cifar10")
    assert again.out == f"{place}\n"
    assert again.told().err.startswith("cifar10 ")
    assert "\x1b" not in found.err + again.err

    found = call("data", "verify", "cifar10")
    found.told(out=True)
    for fact in ("cifar10 ", " whole ", "60 of 60,000", "10 of 10", f"    {place} "):
        assert fact in found.out
    assert call("data", "verify").out == found.out


def test_what_is_not_whole_leaves_with_4(call, site: str, tmp_path: Path) -> None:
    call("data", "fetch", "cifar10")
    place = tmp_path / "data" / "cifar-10-batches-py"
    (place / "test_batch.bin").write_bytes((place / "test_batch.bin").read_bytes()[: 9 * 3073])
    found = call("data", "verify", code=4)
    found.told(out=True)
    for fact in ("cifar10 ", " incomplete ", "59 of 60,000", f"    {place} ", "    test: 9 of 10", "1 of truck"):
        assert fact in found.out
    assert "ablate data fetch cifar10 --force" in found.err
    document = call("data", "verify", "cifar10", "--json", code=4).document
    assert document == {
        "schema": 1,
        "data": [
            {
                "name": "cifar10",
                "state": "incomplete",
                "where": str(place),
                "form": "official binary files",
                "images": 59,
                "official_images": 60_000,
                "classes": 10,
                "official_classes": 10,
                "decoded": True,
                "problems": ["test: 9 of 10 images; missing: 1 of truck"],
                "get": "ablate data fetch cifar10 --force gets the official files",
            }
        ],
    }
    call("data", "fetch", "cifar10", "--force")
    assert call("data", "verify").out.split()[1] == "whole"


def test_images_that_fail_are_named(call, tmp_path: Path, change_part) -> None:
    change_part(DataSet, "caltech101", classes=2, images=2)
    place = tmp_path / "data" / "caltech101" / "101_ObjectCategories"
    for name in ("ant", "bass"):
        (place / name).mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(place / name / "image_0001.jpg")
    assert "--decode" in call("data", "verify", "caltech101").told().err
    assert "--decode" not in call("data", "verify", "caltech101", "--decode").told().err
    (place / "bass" / "image_0001.jpg").write_bytes(b"[data]")
    found = call("data", "verify", "caltech101", "--decode", code=4)
    found.told(out=True)
    for fact in ("caltech101 ", " broken ", "2 of 2", f"    {place} ", "    bass/image_0001.jpg "):
        assert fact in found.out


def test_a_file_that_cannot_be_counted(call, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "cifar10.npz").write_bytes(b"no archive")
    first = call("data", "verify", code=4).told(out=True).out.splitlines()[0]
    assert first.startswith("cifar10      broken      ? of 60,000 ")


def test_what_is_not_here_leaves_with_5(call, site: str, tmp_path: Path) -> None:
    missing = site.replace("cifar-10", "cifar-11")
    said = call("data", "fetch", "cifar10", "--url", missing, code=5).told("not-found")
    for fact in (f"error: {missing}: ", " 404 ", f"{tmp_path / 'data' / 'cifar-10-python.tar.gz'}", "ablate data fetch cifar10"):  # fmt: skip
        assert fact in said.err
    assert "'cifar100'?" in call("data", "fetch", "cifar1000", code=5).told("unknown-data-set").err
    assert "ablate data fetch cifar10" in call("data", "verify", "cifar10", code=5).told("absent-data-set").err
    assert "ablate data fetch NAME" in call("data", "verify", code=5).told("not-found").err


def test_what_needs_no_fetching(call, tmp_path: Path) -> None:
    call("data", "fetch", "digits").told()
    call("data", "verify", "synthetic").told()
    assert call("data", "verify", "digits", "--json").document == {"schema": 1, "data": []}
    call("data", "fetch", "npz", code=2).told("usage")
    assert "--url x: " in call("data", "fetch", "cifar10", "--url", "x", code=2).told("usage").err
    assert not (tmp_path / "data").exists()


def test_a_wrong_checksum_leaves_with_4(call, site: str, tmp_path: Path) -> None:
    (tmp_path / "site" / "cifar-10-python.tar.gz").write_bytes(b"something else")
    found = call("data", "fetch", "cifar10", code=4)
    assert f"error: {site}: " in found.told("bad-data").err
    assert found.out == ""


def test_a_place_that_cannot_be_written_leaves_with_8(call, site: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    said = call("data", "fetch", "cifar10", code=8).told("no-space-or-permission")
    assert said.err.startswith(f"error: {tmp_path / 'data'}: ")


def test_ctrl_c_leaves_with_130_and_says_what_is_kept(
    call, site: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(response, part: Path, *_: object) -> int:
        part.write_bytes(response.read(100))
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(download, "_receive", stop)
        found = call("data", "fetch", "cifar10", code=130)
    part = tmp_path / "data" / "cifar-10-python.tar.gz.part"
    assert "100 bytes" in found.told().err
    assert str(part) in found.err
    assert part.stat().st_size == 100
    call("data", "fetch", "cifar10")
    assert not part.exists()


def test_a_bar_is_drawn_on_a_terminal_alone(call, site: str, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    terminal = Console(file=screen, force_terminal=True, width=100, highlight=False)
    monkeypatch.setattr(data, "stderr_console", lambda: terminal)
    call("data", "fetch", "cifar10")
    assert f"fetching {site}\n" in screen.getvalue()
    assert "━" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K"), "nothing of the bar is left"
