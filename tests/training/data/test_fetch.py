"""`fetch` against a server of the test's own: whole, cut, resumed, wrong, away; then loaded by ablate's own loader."""

import errno
import fcntl
import hashlib
import inspect
import io
import json
import os
import pickle
import re
import socket
import tarfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ablate.errors import BadData, NoSpaceOrPermission, NotFound, UsageError
from ablate.study.recipe import Data
from ablate.training.data import archives, download, fetch, load_data
from ablate.training.data.cifar import CIFAR10
from ablate.training.data.download import Watch

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (60, 3072), dtype=np.uint8)


def tar(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as opened:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            opened.addfile(info, io.BytesIO(content))
    return held.getvalue()


def cifar10() -> bytes:
    """CIFAR-10's official archive in its Python form, with ten images a batch."""
    files = {}
    for number, name in enumerate([*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"]):
        batch = {b"data": IMAGES[10 * number : 10 * number + 10], b"labels": list(range(10))}
        files[f"cifar-10-batches-py/{name}"] = pickle.dumps(batch, protocol=4)
    names = {b"label_names": [name.encode() for name in CIFAR10]}
    return tar({**files, "cifar-10-batches-py/batches.meta": pickle.dumps(names, protocol=4)})


def caltech101(picture: Callable[..., Any]) -> bytes:
    """Caltech-101's official archive, with the tar inside the zip, and three classes."""
    files = {}
    for number, name in enumerate(("BACKGROUND_Google", "Faces", "Faces_easy", "anchor", "ant")):
        for index in (1, 2):
            held = io.BytesIO()
            picture(10 * number + index).save(held, "JPEG")
            files[f"101_ObjectCategories/{name}/image_{index:04d}.jpg"] = held.getvalue()
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        opened.writestr("caltech-101/101_ObjectCategories.tar.gz", tar(files))
        opened.writestr("caltech-101/Annotations.tar", b"not looked at")
        opened.writestr("__MACOSX/caltech-101/._101_ObjectCategories.tar.gz", b"nor this")
    return held.getvalue()


@dataclass
class Site:
    """A server's one file. `ways` says how the next requests are answered, then plainly; each request is logged."""

    content: bytes
    url: str = ""
    etag: str | None = '"first"'
    ways: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)


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
            self.send_header("Content-Range", f"bytes {start}-{len(site.content) - 1}/{len(site.content)}")
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
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The server, and CIFAR-10's entry of the table pointing to it."""
    monkeypatch.setenv("no_proxy", "*")
    found = Site(cifar10())
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"site": found})) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        found.url = f"http://127.0.0.1:{server.server_port}/cifar-10-python.tar.gz"
        official(monkeypatch, "cifar10", found.content, found.url)
        yield found
        server.shutdown()
        thread.join()


def official(monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, url: str) -> None:
    entry = replace(fetch.ARCHIVES[name], url=url, md5=hashlib.md5(content).hexdigest())
    monkeypatch.setitem(fetch.ARCHIVES, name, entry)


@dataclass
class Heard:
    """What a fetch said, the bytes it counted, and the seconds it would have slept."""

    said: list[str] = field(default_factory=list)
    moved: list[tuple[int, int | None]] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)

    def fetch(self, name: str, root: Path, **more: Any) -> Path | None:
        watch = Watch(self.said.append, lambda here, total: self.moved.append((here, total)))
        return fetch.fetch(name, root, watch, sleep=self.slept.append, **more)


@pytest.fixture
def heard() -> Heard:
    return Heard()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


LOCK = ".cifar-10-python.tar.gz.lock"
PART = "cifar-10-python.tar.gz.part"


def by_hand(url: str, root: Path) -> str:
    file = root / "cifar-10-python.tar.gz"
    return f"To do it by hand: download {url} to {file}, then run ablate data fetch cifar10 again."


def test_what_is_fetched_is_loaded(site: Site, root: Path, home: Path, heard: Heard) -> None:
    place = heard.fetch("cifar10", root)
    assert place == root / "cifar-10-batches-py"
    splits = load_data(Data(name="cifar10"), 0, home=home, data_root=root)
    assert splits.test is not None
    assert splits.train.images.numpy().reshape(50, 3072).tolist() == IMAGES[:50].tolist()
    assert splits.test.images.numpy().reshape(10, 3072).tolist() == IMAGES[50:].tolist()
    assert names(root) == [LOCK, "cifar-10-batches-py"]
    assert site.ranges == [None]
    assert heard.moved[0] == (0, len(site.content))
    assert heard.moved[-1] == (len(site.content), len(site.content))
    assert heard.said == [f"fetching {site.url}", "unpacking cifar-10-python.tar.gz"]
    assert heard.slept == []


def test_a_folder_that_is_not_there_is_made(site: Site, root: Path, heard: Heard) -> None:
    assert heard.fetch("cifar10", root / "new" / "data") == root / "new" / "data" / "cifar-10-batches-py"


@pytest.mark.parametrize("name", ["caltech101", "caltech100"])
def test_caltech_and_its_inner_tar(
    site: Site, root: Path, home: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch, picture: Callable[..., Any], name: str
) -> None:  # fmt: skip
    site.content = caltech101(picture)
    official(monkeypatch, "caltech101", site.content, site.url)
    assert heard.fetch(name, root) == root / "caltech101" / "101_ObjectCategories"
    data = Data.model_validate({"name": name, "image_size": 8, "split": {"train": 0.5, "val": 0.5}})
    easy = ["Faces_easy"] if name == "caltech101" else []
    assert list(load_data(data, 0, home=home, data_root=root).classes) == ["Faces", *easy, "anchor", "ant"]
    assert names(root) == [".caltech-101.zip.lock", "caltech101"]
    assert names(root / "caltech101") == ["101_ObjectCategories"]


def test_what_is_there_is_left_alone(site: Site, root: Path, heard: Heard) -> None:
    place = heard.fetch("cifar10", root)
    assert place is not None
    (place / "mine").write_text("kept")
    assert heard.fetch("cifar10", root) == place
    assert len(site.paths) == 1
    assert heard.said[-1] == (
        "cifar10 is already there; nothing was downloaded. ablate data verify cifar10 looks whether it is whole, "
        "--force fetches the official files again."
    )
    assert (place / "mine").exists()
    assert heard.fetch("cifar10", root, force=True) == place
    assert len(site.paths) == 2
    assert not (place / "mine").exists()


def test_a_place_that_is_looked_at_before_is_told(site: Site, root: Path, heard: Heard) -> None:
    other = root / "cifar-10-batches-bin"
    other.mkdir()
    (other / "test_batch.bin").write_bytes(b"")
    with pytest.raises(BadData) as caught:
        heard.fetch("cifar10", root)
    assert str(caught.value).startswith(f"{other}: the official binary files are incomplete; missing: data_batch_1.bin")
    assert str(caught.value).endswith("; or put the official files in its place with ablate data fetch cifar10 --force")
    place = heard.fetch("cifar10", root, force=True)
    assert heard.said[-1].startswith(f"note: {other}: the official binary files are incomplete; ")
    assert heard.said[-1].endswith(f" is looked at before {place}; move it away, or it is what runs will use.")


def test_something_else_in_its_place_is_not_removed(site: Site, root: Path, heard: Heard) -> None:
    place = root / "cifar-10-batches-py"
    place.mkdir()
    (place / "thesis").write_text("the only copy")
    with pytest.raises(BadData) as caught:
        heard.fetch("cifar10", root)
    assert str(caught.value) == (
        f"{place}: holds something else than cifar10; move it away, or replace it with ablate data fetch cifar10 --force"
    )
    assert (place / "thesis").read_text() == "the only copy"
    assert site.paths == []


def test_a_broken_connection_is_continued_by_a_second_try(site: Site, root: Path, heard: Heard) -> None:
    site.ways = ["cut"]
    heard.fetch("cifar10", root)
    half = len(site.content) // 2
    assert site.ranges == [None, f"bytes={half}-"]
    assert site.sent == [half, len(site.content) - half]
    assert heard.slept == [1]
    assert heard.said[1] == (
        f"the connection broke at {download.megabytes(half)} of {download.megabytes(len(site.content))}; "
        "try 2 of 5 in 1 s"
    )


def test_an_interrupted_fetch_is_continued_by_the_next_call(site: Site, root: Path, heard: Heard) -> None:
    site.ways = ["cut"]

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch.fetch("cifar10", root, Watch(heard.said.append, lambda here, total: None), sleep=stop)
    part = root / PART
    half = len(site.content) // 2
    assert part.read_bytes() == site.content[:half]
    assert heard.said[-1] == (
        f"stopped. {download.megabytes(half)} are kept in {part}. Run the same command again to continue."
    )
    heard.fetch("cifar10", root)
    assert site.ranges == [None, f"bytes={half}-"]
    assert sum(site.sent) == len(site.content)
    assert names(root) == [LOCK, "cifar-10-batches-py"]


def test_a_server_that_ignores_ranges_sends_all_again(site: Site, root: Path, heard: Heard) -> None:
    site.ways = ["cut", "no ranges"]
    heard.fetch("cifar10", root)
    assert site.ranges[1] is not None
    assert site.sent == [len(site.content) // 2, len(site.content)]


@pytest.mark.parametrize("etag", ['"first"', None, 'W/"weak"'])
def test_a_file_that_changed_meanwhile_comes_from_its_beginning(
    site: Site, root: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch, etag: str | None
) -> None:
    """By If-Range where the server named its file, else by the size."""
    site.ways, site.etag = ["cut"], etag
    old = site.content
    site.content = b"an older file" + site.content

    def change(_: float) -> None:
        site.content, site.etag = old, etag and etag.replace("first", "second")

    watch = Watch(heard.said.append, lambda here, total: None)
    assert fetch.fetch("cifar10", root, watch, sleep=change) == root / "cifar-10-batches-py"
    assert site.sent[-1] == len(old)
    if etag == '"first"':
        assert len(site.paths) == 2
    else:
        assert heard.said[2] == "the file on the server is another one by now, starting again; try 3 of 5 in 2 s"


def test_a_part_of_another_address_is_not_continued(site: Site, root: Path, heard: Heard) -> None:
    (root / PART).write_bytes(b"from elsewhere")
    (root / f"{PART}.json").write_text(json.dumps({"url": "http://other/", "validator": None, "total": None}))
    heard.fetch("cifar10", root)
    assert site.ranges == [None]


@pytest.mark.parametrize("memo", ["", "[]", '{"url": 1}'])
def test_a_part_without_a_readable_memo_is_not_continued(site: Site, root: Path, heard: Heard, memo: str) -> None:
    (root / PART).write_bytes(b"from elsewhere")
    (root / f"{PART}.json").write_text(memo)
    heard.fetch("cifar10", root)
    assert site.ranges == [None]


def test_a_part_that_is_whole_costs_no_request(site: Site, root: Path, heard: Heard) -> None:
    (root / PART).write_bytes(site.content)
    heard.fetch("cifar10", root)
    assert site.paths == []
    assert names(root) == [LOCK, "cifar-10-batches-py"]


def test_a_part_that_is_longer_than_the_file_is_dropped(site: Site, root: Path, heard: Heard) -> None:
    (root / PART).write_bytes(site.content + b"more")
    (root / f"{PART}.json").write_text(json.dumps({"url": site.url, "validator": '"first"', "total": None}))
    heard.fetch("cifar10", root)
    assert site.ranges == [f"bytes={len(site.content) + 4}-", None]
    assert site.sent == [0, len(site.content)]


def test_an_unknown_length_is_no_hindrance(site: Site, root: Path, heard: Heard) -> None:
    site.ways = ["no length"]
    assert heard.fetch("cifar10", root) == root / "cifar-10-batches-py"
    assert heard.moved[-1] == (len(site.content), None)


def test_a_redirect_is_followed_with_its_range(site: Site, root: Path, heard: Heard) -> None:
    site.ways = ["moved", "cut", "moved"]
    heard.fetch("cifar10", root)
    assert site.paths == ["/cifar-10-python.tar.gz", "/elsewhere"] * 2
    assert site.ranges[3] == f"bytes={len(site.content) // 2}-"


def test_a_server_that_is_overloaded_is_asked_again(site: Site, root: Path, heard: Heard) -> None:
    site.ways = ["503", "silent"]
    assert heard.fetch("cifar10", root) is not None
    assert heard.said[1] == "the server answered 503 Service Unavailable; try 2 of 5 in 1 s"
    assert heard.said[2].startswith("Remote end closed connection without response; try 3 of 5 in 2 s")
    assert heard.slept == [1, 2]


def test_after_five_tries_it_says_what_is_kept_and_what_next(site: Site, root: Path, heard: Heard) -> None:
    site.ways = ["cut"] + ["502"] * 9
    with pytest.raises(NotFound) as caught:
        heard.fetch("cifar10", root)
    half = download.megabytes(len(site.content) // 2)
    assert str(caught.value) == (
        f"{site.url}: no whole file after 5 tries, the last one: the server answered 502 Bad Gateway. "
        f"{half} are kept in {root / PART}. Run the same command again to continue. {by_hand(site.url, root)}"
    )
    assert heard.slept == [1, 2, 4, 8]
    assert len(site.paths) == 5


@pytest.mark.parametrize(("way", "told"), [("404", "404 Not Found"), ("403", "403 Forbidden"), ("410", "410 Gone")])
def test_a_file_that_is_not_there_is_not_asked_for_again(site: Site, root: Path, heard: Heard, way: str, told: str) -> None:  # fmt: skip
    site.ways = [way]
    with pytest.raises(NotFound) as caught:
        heard.fetch("cifar10", root)
    assert str(caught.value) == f"{site.url}: the server answered {told}. {by_hand(site.url, root)}"
    assert len(site.paths) == 1
    assert names(root) == [LOCK]


def test_offline_says_what_to_do_by_hand(site: Site, root: Path, heard: Heard) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        with pytest.raises(NotFound) as caught:
            heard.fetch("cifar10", root, url=url)
    assert str(caught.value) == (
        f"{url}: cannot be reached (Connection refused); is this machine online? {by_hand(url, root)}"
    )
    assert heard.slept == []


def test_what_was_put_there_by_hand_is_used_and_kept(site: Site, root: Path, heard: Heard) -> None:
    archive = root / "cifar-10-python.tar.gz"
    archive.write_bytes(site.content)
    assert heard.fetch("cifar10", root) == root / "cifar-10-batches-py"
    assert site.paths == []
    assert heard.said[0] == f"{archive} is already there with the right checksum; nothing was downloaded."
    assert archive.exists()


def test_a_wrong_file_that_was_put_there_by_hand_is_told(site: Site, root: Path, heard: Heard) -> None:
    archive = root / "cifar-10-python.tar.gz"
    archive.write_bytes(site.content[:-1])
    with pytest.raises(BadData) as caught:
        heard.fetch("cifar10", root)
    assert str(caught.value) == (
        f"{archive}: not the official archive, or cut short: its MD5 is {hashlib.md5(site.content[:-1]).hexdigest()}, "
        f"expected {hashlib.md5(site.content).hexdigest()}. Move it away and run the same command again"
    )
    assert archive.exists()


def test_a_mirror_is_used_and_its_checksum_looked_at(site: Site, root: Path, heard: Heard) -> None:
    mirror = site.url.replace("/cifar", "/mirror/cifar")
    assert heard.fetch("cifar10", root, url=mirror) is not None
    assert site.paths == ["/mirror/cifar-10-python.tar.gz"]
    right = hashlib.md5(site.content).hexdigest()
    site.content = b"<html>Please log in</html>"
    with pytest.raises(BadData) as caught:
        heard.fetch("cifar10", root, url=mirror, force=True)
    wrong = root / "cifar-10-python.tar.gz.wrong"
    assert str(caught.value) == (
        f"{mirror}: not the official archive: its MD5 is {hashlib.md5(site.content).hexdigest()}, expected {right}. "
        f"What came is kept as {wrong}; look at it, delete it, and run ablate data fetch cifar10 again, "
        "or with --url URL for another place"
    )
    assert wrong.read_bytes() == site.content
    assert names(root) == [LOCK, "cifar-10-batches-py", wrong.name]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "cifar.tar.gz", ""])
def test_other_addresses_are_refused(root: Path, heard: Heard, url: str) -> None:
    with pytest.raises(UsageError) as caught:
        heard.fetch("cifar10", root, url=url)
    assert str(caught.value) == (
        f"--url {url}: must begin with http:// or https://; a file that is here already goes to "
        f"{root / 'cifar-10-python.tar.gz'}, where ablate data fetch cifar10 takes it from"
    )


def refused(site: Site, monkeypatch: pytest.MonkeyPatch, root: Path, heard: Heard, content: bytes) -> str:
    """The error of an archive that has the right checksum and must not be installed."""
    site.content = content
    official(monkeypatch, "cifar10", content, site.url)
    with pytest.raises(BadData) as caught:
        heard.fetch("cifar10", root)
    assert names(root) == [LOCK, PART, f"{PART}.json"]
    return str(caught.value)


def test_an_archive_that_would_leave_the_folder(site: Site, monkeypatch: pytest.MonkeyPatch, root: Path, heard: Heard) -> None:  # fmt: skip
    said = refused(site, monkeypatch, root, heard, tar({"cifar-10-batches-py/good": b"", "../evil": b""}))
    assert said == (
        f"{root / PART}: the entry '../evil' leaves the folder; nothing was unpacked. "
        "Delete the archive and fetch it from the official place"
    )


def test_an_archive_that_is_cut(site: Site, monkeypatch: pytest.MonkeyPatch, root: Path, heard: Heard) -> None:
    said = refused(site, monkeypatch, root, heard, site.content[: len(site.content) // 2])
    assert re.fullmatch(rf"{root / PART}: not a readable archive \(.+\): cut short\? Delete the archive and .*", said)


def test_an_archive_of_something_else(site: Site, monkeypatch: pytest.MonkeyPatch, root: Path, heard: Heard) -> None:
    said = refused(site, monkeypatch, root, heard, tar({"thesis/chapter": b"1"}))
    assert said == f"{root / PART}: holds no cifar10 in cifar-10-batches-py/; nothing was installed"


def test_a_zip_without_the_inner_tar(site: Site, monkeypatch: pytest.MonkeyPatch, root: Path, heard: Heard) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        opened.writestr("caltech-101/show_annotation.m", "")
    site.content = held.getvalue()
    official(monkeypatch, "caltech101", site.content, site.url)
    with pytest.raises(
        BadData, match=r"holds 0 files 101_ObjectCategories.tar.gz, expected one; nothing was installed"
    ):
        heard.fetch("caltech101", root)


def test_a_failed_force_keeps_what_was_there(site: Site, monkeypatch: pytest.MonkeyPatch, root: Path, heard: Heard) -> None:  # fmt: skip
    place = heard.fetch("cifar10", root)
    assert place is not None
    (place / "mine").write_text("kept")
    site.content = tar({"thesis/chapter": b"1"})
    official(monkeypatch, "cifar10", site.content, site.url)
    with pytest.raises(BadData):
        heard.fetch("cifar10", root, force=True)
    assert (place / "mine").exists()

    def fail(self: Path, target: Path) -> Path:
        if self.parent.name == "new":
            raise OSError(errno.EIO, "Input/output error", str(self))
        os.rename(self, target)
        return target

    site.content = cifar10()
    official(monkeypatch, "cifar10", site.content, site.url)
    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(NoSpaceOrPermission, match="Input/output error"):
        heard.fetch("cifar10", root, force=True)
    assert (place / "mine").exists()


def test_what_a_killed_process_left_is_removed(site: Site, root: Path, heard: Heard) -> None:
    left = root / ".cifar-10-python.tar.gz.unpacking" / "new"
    left.mkdir(parents=True)
    (left / "half").write_text("of it")
    heard.fetch("cifar10", root)
    assert names(root) == [LOCK, "cifar-10-batches-py"]


def test_two_at_once(site: Site, root: Path, heard: Heard) -> None:
    with (root / LOCK).open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(NotFound) as caught:
            heard.fetch("cifar10", root)
    assert str(caught.value) == (
        f"cifar10 is not here yet: another process is fetching it ({root / LOCK} is locked). "
        "Wait until it is done; then ablate data fetch cifar10 says that it is there"
    )
    assert site.paths == []
    assert heard.fetch("cifar10", root) is not None


def no_space(place: Path) -> str:
    return (
        f"{place}; free some space there or give leave to write, or point ABLATE_DATA to a folder that is writable and "
        "has room. What was downloaded until then is kept"
    )


def test_a_file_in_the_way_of_the_folder(site: Site, root: Path, heard: Heard) -> None:
    (root / "data").write_text("a file")
    with pytest.raises(NoSpaceOrPermission) as caught:
        heard.fetch("cifar10", root / "data" / "sets")
    assert str(caught.value) == no_space(root / "data" / "sets: Not a directory")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(site: Site, root: Path, heard: Heard) -> None:
    root.chmod(0o500)
    try:
        with pytest.raises(NoSpaceOrPermission) as caught:
            heard.fetch("cifar10", root)
    finally:
        root.chmod(0o700)
    assert str(caught.value) == no_space(root / f"{LOCK}: Permission denied")


def test_permission_denied(site: Site, root: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(NoSpaceOrPermission) as caught:
        heard.fetch("cifar10", root / "new")
    assert str(caught.value) == no_space(root / "new: Permission denied")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_a_disk_that_fills_up(site: Site, root: Path, heard: Heard) -> None:
    (root / PART).symlink_to("/dev/full")
    (root / f"{PART}.json").write_text(json.dumps({"url": site.url, "validator": None, "total": None}))
    with pytest.raises(NoSpaceOrPermission) as caught:
        heard.fetch("cifar10", root)
    assert str(caught.value) == no_space(Path(f"{root}: No space left on device"))


def test_a_disk_without_room_is_told_before_it_fills(site: Site, root: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    free = archives.shutil._ntuple_diskusage(1, 1, 1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: free)
    with pytest.raises(NoSpaceOrPermission) as caught:
        heard.fetch("cifar10", root)
    assert str(caught.value) == (
        f"{root}: {download.megabytes(len(site.content))} are still to come and 1,000 bytes are free; "
        "free some space there, or point ABLATE_DATA to a disk with room"
    )


def test_a_stream_without_end_is_ended(site: Site, root: Path, heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    site.ways = ["no length"]
    with pytest.raises(BadData, match=rf"{site.url}: more than 1,000 bytes, so it is no known data set; delete"):
        heard.fetch("cifar10", root)


def test_an_unknown_name_suggests_the_nearest(root: Path, heard: Heard) -> None:
    with pytest.raises(NotFound) as caught:
        heard.fetch("cifer10", root)
    assert str(caught.value) == (
        "unknown data set 'cifer10'; allowed: cifar10, cifar100, caltech101, caltech100. Did you mean 'cifar10'?"
    )


@pytest.mark.parametrize(
    ("name", "how"), [("digits", "comes with scikit-learn"), ("synthetic", "made when it is used")]
)
def test_nothing_to_fetch(root: Path, heard: Heard, name: str, how: str) -> None:
    assert heard.fetch(name, root) is None
    assert heard.said == [f"{name}: nothing to fetch ({how})."]
    assert names(root) == []


@pytest.mark.parametrize("name", ["imagefolder", "npz"])
def test_ones_own_data_is_no_matter_of_fetching(root: Path, heard: Heard, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        heard.fetch(name, root)
    assert str(caught.value).startswith(
        f"{name} is your own data, there is nothing to fetch: in the study file, set data.path to a"
    )
    assert str(caught.value).endswith(". ablate data fetch knows cifar10, cifar100, caltech101, caltech100")


def test_the_table_is_torchvisions() -> None:
    from torchvision.datasets import CIFAR10 as TEN
    from torchvision.datasets import CIFAR100 as HUNDRED
    from torchvision.datasets import Caltech101

    for name, theirs in (("cifar10", TEN), ("cifar100", HUNDRED)):
        ours = fetch.ARCHIVES[name]
        assert (ours.url, ours.file, ours.md5, ours.place) == (
            theirs.url,
            theirs.filename,
            theirs.tgz_md5,
            theirs.base_folder,
        )
    caltech, theirs = fetch.ARCHIVES["caltech101"], inspect.getsource(Caltech101.download)
    assert all(f'"{text}"' in theirs for text in (caltech.url, caltech.file, caltech.md5))
