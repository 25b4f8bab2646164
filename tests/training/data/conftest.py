"""Tiny image folders, a server of one archive, and the real data where ABLATE_TEST_DATA names a folder that holds it."""

import hashlib
import io
import os
import pickle
import tarfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ablate.parts.declare import DataSet
from ablate.parts.found import parts
from ablate.parts.reading.cifar import CIFAR10
from ablate.training.data import fetch, forget_data
from ablate.training.data.download import Watch


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    forget_data()
    yield
    forget_data()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "root"
    folder.mkdir()
    return folder


def draw_picture(seed: int, height: int = 20, width: int = 24) -> Image.Image:
    """A smooth random picture, so that JPEG keeps it nearly as it is."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    return draw_picture


@pytest.fixture
def make_folder(root: Path) -> Callable[..., Path]:
    """`make_folder("pets", {"cat": 3, "dog": 2})` or `{"train/cat": 3, ...}`: JPEGs of 24x20 pixels."""

    def make(name: str, counts: dict[str, int], suffix: str = ".jpg") -> Path:
        for number, (folder, count) in enumerate(counts.items()):
            (root / name / folder).mkdir(parents=True)
            for index in range(count):
                draw_picture(100 * number + index).save(root / name / folder / f"image_{index:04d}{suffix}")
        return root / name

    return make


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = Path(os.environ.get("ABLATE_TEST_DATA", ""))
    if not os.environ.get("ABLATE_TEST_DATA") or not folder.is_dir():
        pytest.skip("needs real data: set ABLATE_TEST_DATA to a folder with caltech101/ and cifar10.npz")
    return folder


@dataclass
class Site:
    """A server's one file. `ways` says how the next requests are answered, then plainly; each request is logged."""

    change: Callable[..., Any]
    content: bytes = b""
    url: str = ""
    etag: str | None = '"first"'
    ways: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    images: Any = field(default_factory=lambda: np.random.default_rng(0).integers(0, 256, (60, 3072), dtype=np.uint8))

    def official(self, name: str) -> None:
        """What is served now becomes the official archive of `name`."""
        archive = parts(DataSet)[name].archive
        assert archive is not None
        archive = replace(archive, url=self.url, md5=hashlib.md5(self.content).hexdigest())
        self.change(DataSet, name, archive=archive)

    @staticmethod
    def tar(files: dict[str, bytes]) -> bytes:
        held = io.BytesIO()
        with tarfile.open(fileobj=held, mode="w:gz") as opened:
            for name, content in files.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                opened.addfile(info, io.BytesIO(content))
        return held.getvalue()

    def cifar10(self) -> bytes:
        """CIFAR-10's official archive in its Python form, with ten images a batch."""
        files = {}
        for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
            batch = {b"data": self.images[10 * number : 10 * number + 10], b"labels": list(range(10))}
            files[f"cifar-10-batches-py/{name}"] = pickle.dumps(batch, protocol=4)
        names = {b"label_names": [name.encode() for name in CIFAR10]}
        return self.tar({**files, "cifar-10-batches-py/batches.meta": pickle.dumps(names, protocol=4)})


class Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        way = site.ways.pop(0) if site.ways else "plain"
        site.paths.append(self.path)
        site.ranges.append(self.headers.get("Range"))
        site.sent.append(0)
        if way.isdecimal():
            return self.send_error(int(way))
        if way == "silent":
            return None
        if way == "moved":
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            return self.end_headers()
        self.answer(way)
        return None

    def answer(self, way: str) -> None:
        site, start = self.site, 0
        asked, only_if = self.headers.get("Range"), self.headers.get("If-Range")
        if asked and way != "no ranges" and (only_if is None or only_if == site.etag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start and start >= len(site.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(site.content)}")
            return self.end_headers()
        body = site.content[start:]
        self.send_response(206 if start else 200)
        if start:
            first = 0 if way == "another range" else start
            self.send_header("Content-Range", f"bytes {first}-{len(site.content) - 1}/{len(site.content)}")
        if way != "no length":
            self.send_header("Content-Length", str(len(body)))
        if site.etag:
            self.send_header("ETag", site.etag)
        self.end_headers()
        body = body[: len(body) // 2] if way == "cut" else body
        site.sent[-1] = len(body)
        self.wfile.write(body)
        return None

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, change_part: Callable[..., Any]) -> Iterator[Site]:
    """The server, with a small CIFAR-10 that is the official one."""
    monkeypatch.setenv("no_proxy", "*")
    found = Site(change_part)
    found.content = found.cifar10()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"site": found})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
        found.official("cifar10")
        yield found
        server.shutdown()
        thread.join()


@dataclass
class Heard:
    """What a fetch said, the bytes it counted, and the seconds it would have slept."""

    said: list[str] = field(default_factory=list)
    moved: list[tuple[int, int | None]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def fetch(self, name: str, root: Path, **more: Any) -> Path | None:
        watch = Watch(self.said.append, lambda here, total: self.moved.append((here, total)))
        return fetch.fetch(name, root, watch, **{"sleep": self.slept.append, **more})


@pytest.fixture
def heard() -> Heard:
    return Heard()
