"""`fetch` against a server that cuts, forgets, moves and is away: what is continued, asked again, and said."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from golden_texts import raising, worded

from ablate.errors import BadData, NoSpaceOrPermission, NotFound
from ablate.training.data import archives, download

LOCK = ".cifar-10-python.tar.gz.lock"
PART = "cifar-10-python.tar.gz.part"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def by_hand(url: str, root: Path) -> str:
    file = root / "cifar-10-python.tar.gz"
    return f"To do it by hand: download {url} to {file}, then run ablate data fetch cifar10 again."


def test_a_broken_connection_is_continued_by_a_second_try(site: Any, root: Path, heard: Any) -> None:
    site.ways = ["cut"]
    heard.fetch("cifar10", root)
    half = len(site.content) // 2
    assert site.ranges == [None, f"bytes={half}-"]
    assert site.sent == [half, len(site.content) - half]
    assert heard.slept == [1]
    worded(heard.said[1], f"{download.megabytes(half)}", f"{download.megabytes(len(site.content))}", "2 of 5", "1 s")


def test_an_interrupted_fetch_is_continued_by_the_next_call(site: Any, root: Path, heard: Any) -> None:
    site.ways = ["cut"]

    def stop(_: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        heard.fetch("cifar10", root, sleep=stop)
    part = root / PART
    half = len(site.content) // 2
    assert part.read_bytes() == site.content[:half]
    worded(heard.said[-1], f"{download.megabytes(half)}", f"{part}")
    heard.fetch("cifar10", root)
    assert site.ranges == [None, f"bytes={half}-"]
    assert sum(site.sent) == len(site.content)
    assert names(root) == [LOCK, "cifar-10-batches-py"]


def test_a_server_that_ignores_ranges_sends_all_again(site: Any, root: Path, heard: Any) -> None:
    site.ways = ["cut", "no ranges"]
    heard.fetch("cifar10", root)
    assert site.ranges[1] is not None
    assert site.sent == [len(site.content) // 2, len(site.content)]


@pytest.mark.parametrize("etag", ['"first"', None, 'W/"weak"'])
def test_a_file_that_changed_meanwhile_comes_from_its_beginning(
    site: Any, root: Path, heard: Any, etag: str | None
) -> None:
    """By If-Range where the server named its file, else by the size."""
    site.ways, site.etag = ["cut"], etag
    old = site.content
    site.content = b"an older file" + site.content

    def change(_: float) -> None:
        site.content, site.etag = old, etag and etag.replace("first", "second")

    assert heard.fetch("cifar10", root, sleep=change) == root / "cifar-10-batches-py"
    assert site.sent[-1] == len(old)
    if etag == '"first"':
        assert len(site.paths) == 2
    else:
        worded(heard.said[2], "3 of 5", "2 s")


def test_a_part_of_another_address_is_not_continued(site: Any, root: Path, heard: Any) -> None:
    (root / PART).write_bytes(b"from elsewhere")
    (root / f"{PART}.json").write_text(json.dumps({"url": "http://other/", "validator": None, "total": None}))
    heard.fetch("cifar10", root)
    assert site.ranges == [None]


@pytest.mark.parametrize("memo", ["", "[]", '{"url": 1}'])
def test_a_part_without_a_readable_memo_is_not_continued(site: Any, root: Path, heard: Any, memo: str) -> None:
    (root / PART).write_bytes(b"from elsewhere")
    (root / f"{PART}.json").write_text(memo)
    heard.fetch("cifar10", root)
    assert site.ranges == [None]


def test_a_part_that_is_whole_costs_no_request(site: Any, root: Path, heard: Any) -> None:
    (root / PART).write_bytes(site.content)
    heard.fetch("cifar10", root)
    assert site.paths == []
    assert names(root) == [LOCK, "cifar-10-batches-py"]


def test_a_part_that_is_longer_than_the_file_is_dropped(site: Any, root: Path, heard: Any) -> None:
    (root / PART).write_bytes(site.content + b"more")
    (root / f"{PART}.json").write_text(json.dumps({"url": site.url, "validator": '"first"', "total": None}))
    heard.fetch("cifar10", root)
    assert site.ranges == [f"bytes={len(site.content) + 4}-", None]
    assert site.sent == [0, len(site.content)]


def test_an_unknown_length_is_no_hindrance(site: Any, root: Path, heard: Any) -> None:
    site.ways = ["no length"]
    assert heard.fetch("cifar10", root) == root / "cifar-10-batches-py"
    assert heard.moved[-1] == (len(site.content), None)


def test_a_redirect_is_followed_with_its_range(site: Any, root: Path, heard: Any) -> None:
    site.ways = ["moved", "cut", "moved"]
    heard.fetch("cifar10", root)
    assert site.paths == ["/cifar-10-python.tar.gz", "/elsewhere"] * 2
    assert site.ranges[3] == f"bytes={len(site.content) // 2}-"


def test_a_server_that_is_overloaded_is_asked_again(site: Any, root: Path, heard: Any) -> None:
    site.ways = ["503", "silent"]
    assert heard.fetch("cifar10", root) is not None
    worded(heard.said[1], " 503 ", "2 of 5", "1 s")
    worded(heard.said[2], "3 of 5", "2 s")
    assert heard.slept == [1, 2]


def test_after_five_tries_it_says_what_is_kept_and_what_next(site: Any, root: Path, heard: Any) -> None:
    site.ways = ["cut"] + ["502"] * 9
    with raising(NotFound):
        heard.fetch("cifar10", root)
    assert heard.slept == [1, 2, 4, 8]
    assert len(site.paths) == 5


@pytest.mark.parametrize(("way", "told"), [("404", "404 Not Found"), ("403", "403 Forbidden"), ("410", "410 Gone")])
def test_a_file_that_is_not_there_is_not_asked_for_again(site: Any, root: Path, heard: Any, way: str, told: str) -> None:  # fmt: skip
    site.ways = [way]
    with raising(NotFound):
        heard.fetch("cifar10", root)
    assert len(site.paths) == 1
    assert names(root) == [LOCK]


def test_offline_says_what_to_do_by_hand(site: Any, root: Path, heard: Any) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        with raising(NotFound):
            heard.fetch("cifar10", root, url=url)
    assert heard.slept == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's full device")
def test_a_disk_that_fills_up(site: Any, root: Path, heard: Any) -> None:
    (root / PART).symlink_to("/dev/full")
    (root / f"{PART}.json").write_text(json.dumps({"url": site.url, "validator": None, "total": None}))
    with raising(NoSpaceOrPermission):
        heard.fetch("cifar10", root)


def test_a_disk_without_room_is_told_before_it_fills(site: Any, root: Path, heard: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    free = archives.shutil._ntuple_diskusage(1, 1, 1000)
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: free)
    with raising(NoSpaceOrPermission):
        heard.fetch("cifar10", root)


def test_a_stream_without_end_is_ended(site: Any, root: Path, heard: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_BYTES", 1000)
    site.ways = ["no length"]
    with raising(BadData):
        heard.fetch("cifar10", root)


def test_another_range_than_was_asked_for_is_not_appended(site: Any, root: Path, heard: Any) -> None:
    site.ways = ["cut", "another range"]
    heard.fetch("cifar10", root)
    worded(heard.said[2], "3 of 5", "2 s")
    assert site.ranges[2] is None
