"""One file over HTTP into `PART`, which the next call continues: an interrupted download costs what was missing.

Beside `PART` lies `PART.json` with the URL and what the server said of the file (a strong ETag, else Last-Modified, and
the size). A request to continue carries it as If-Range (RFC 9110, 13.1.5), so a file that has changed meanwhile comes
from its beginning. Whether the bytes are the right ones is the caller's question: it knows the checksum.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import asdict, dataclass
from email.message import Message
from pathlib import Path
from typing import Any

from ablate.errors import BadData, NoSpaceOrPermission, NotFound
from ablate.training.data import archives
from ablate.version import __version__

TIMEOUT = 30.0
"""Seconds without a byte after which a connection counts as broken."""
TRIES = 5
CHUNK = 2**18
OVERLOADED = frozenset({429, 500, 502, 503, 504})
"""Answers of a server that may be another one in a moment."""


@dataclass(frozen=True)
class Watch:
    """Who is told: `say` takes sentences, `moved` the bytes that are here and the bytes of the whole, if known."""

    say: Callable[[str], None]
    moved: Callable[[int, int | None], None]


@dataclass(frozen=True)
class Memo:
    """Where the bytes of a part came from; `validator` and `total` are None where the server did not say."""

    url: str
    validator: str | None
    total: int | None


class _Broken(Exception):
    """Why a try ended early; the next one continues."""


def download(url: str, part: Path, watch: Watch, advice: str, sleep: Callable[[float], None]) -> None:
    """The file at `url` in `part`, continued where `part` is there already.

    Waits 1, 2, 4 and 8 seconds between its `TRIES`, by `sleep`. Raises `NotFound` where the file cannot be had, with
    `advice`, `NoSpaceOrPermission` where there is no room, `BadData` for a file that is far too large; faults of the
    disk are raised as `OSError`. What has come stays in `part`, on Ctrl-C too.
    """
    try:
        for number in range(1, TRIES + 1):
            try:
                return _continue(url, part, watch, advice)
            except _Broken as broken:
                if number == TRIES:
                    raise NotFound(
                        f"{url}: download incomplete after {TRIES} tries; last error: {broken}. {kept(part)} "
                        f"Run the same command again to continue. {advice}"
                    ) from None
                wait = 2 ** (number - 1)
                watch.say(f"{broken}; try {number + 1} of {TRIES} in {wait} s")
                sleep(wait)
    except KeyboardInterrupt:
        watch.say(f"stopped. {kept(part)} Run the same command again to continue.")
        raise


def kept(part: Path) -> str:
    """A sentence on what a part holds."""
    return f"{megabytes(_size(part))} are kept in {part}."


def megabytes(size: int) -> str:
    """`170.5 MB`, or bytes below a tenth of one."""
    return f"{size / 1e6:,.1f} MB" if size >= 1e5 else f"{size:,} bytes"


def discard(part: Path) -> None:
    """Removes a part and its memo."""
    part.unlink(missing_ok=True)
    _memo_path(part).unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _memo_path(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_memo(part: Path) -> Memo | None:
    try:
        return Memo(**json.loads(_memo_path(part).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def _continue(url: str, part: Path, watch: Watch, advice: str) -> None:
    """One connection. Raises `_Broken` where another try makes sense."""
    memo = _read_memo(part)
    if memo is None or memo.url != url:
        discard(part)
        memo = Memo(url, None, None)
    have = _size(part)
    response = _ask(url, part, have, memo, advice)
    if response is None:
        return
    with response:
        start, memo = _position(response, part, have, memo)
        _require_room(part, start, memo.total)
        _memo_path(part).write_text(json.dumps(asdict(memo)), encoding="utf-8")
        here = _receive(response, part, start, memo.total, watch)
    if memo.total is not None and here < memo.total:
        raise _Broken(f"the connection broke at {megabytes(here)} of {megabytes(memo.total)}")


def _ask(url: str, part: Path, have: int, memo: Memo, advice: str) -> Any:
    """The server's answer (an `http.client.HTTPResponse`), or None where `part` turns out to be whole."""
    headers = {"User-Agent": f"ablate/{__version__}"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if memo.validator:
            headers["If-Range"] = memo.validator
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:  # the range begins at the file's end, or behind it
            if error.headers.get("Content-Range") == f"bytes */{have}":
                return None
            discard(part)
            raise _Broken("the file on the server has changed, starting again") from None
        if error.code in OVERLOADED:
            raise _Broken(f"the server answered {error.code} {error.reason}") from None
        raise NotFound(f"{url}: the server answered {error.code} {error.reason}. {advice}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        if _passing(reason):
            raise _Broken(_told(reason)) from None
        raise NotFound(f"{url}: cannot be reached ({_told(reason)}); is this machine online? {advice}") from None
    if response.status not in (200, 206):
        response.close()
        raise NotFound(f"{url}: the server answered {response.status} {response.reason}. {advice}")
    return response


def _passing(reason: object) -> bool:
    """Whether a fault of the connection may be gone in a moment: not so an unknown name, a closed port, a certificate."""
    broken = (TimeoutError, ConnectionResetError, ConnectionAbortedError, BrokenPipeError, ssl.SSLEOFError)
    return isinstance(reason, (*broken, http.client.HTTPException))


def _told(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer for {TIMEOUT:.0f} s"
    return str(getattr(reason, "strerror", None) or reason or type(reason).__name__)


def _position(response: Any, part: Path, have: int, memo: Memo) -> tuple[int, Memo]:
    """The byte that the answer begins with, and what is known of the file now."""
    validator = _validator(response.headers)
    if response.status == 200:
        length = response.headers.get("Content-Length", "")
        return 0, Memo(memo.url, validator, int(length) if length.isdecimal() else None)
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    total = int(found[2]) if found and found[2] != "*" else None
    if (
        found is None
        or int(found[1]) != have
        or (memo.total is not None and total not in (None, memo.total))
        or (memo.validator is not None and validator not in (None, memo.validator))
    ):
        discard(part)
        raise _Broken("the file on the server has changed, starting again")
    return have, Memo(memo.url, memo.validator or validator, memo.total if total is None else total)


def _validator(headers: Message) -> str | None:
    """A strong ETag, else the time of the last change: a weak ETag must not be used for ranges."""
    etag = headers.get("ETag")
    return etag if etag and not etag.startswith("W/") else headers.get("Last-Modified")


def _require_room(part: Path, start: int, total: int | None) -> None:
    free = shutil.disk_usage(part.parent).free + _size(part)
    if total is not None and free < total:
        raise NoSpaceOrPermission(
            f"{part.parent}: {megabytes(total - start)} are still missing, but only {megabytes(free - _size(part))} are "
            "free; free some space there, or point ABLATE_DATA to a disk with room"
        )


def _receive(response: Any, part: Path, start: int, total: int | None, watch: Watch) -> int:
    """Writes the answer's bytes from `start` on and gives the bytes that are here. Raises `_Broken`."""
    here = start
    with part.open("ab" if start else "wb") as file:
        while True:
            watch.moved(here, total)
            try:
                content = response.read(CHUNK)
            except (OSError, http.client.HTTPException) as error:
                # what a cut answer in chunks had brought is within the error
                file.write(getattr(error, "partial", b""))
                raise _Broken(f"the connection broke at {megabytes(file.tell())} ({_told(error)})") from None
            if not content:
                return here
            file.write(content)
            here += len(content)
            if here > archives.MAX_BYTES:
                raise BadData(
                    f"{response.url}: more than {megabytes(archives.MAX_BYTES)}, so it is not a known data set; "
                    f"delete {part} and use the official source"
                )
