"""What a file holds, by its first bytes: for the message about one that is not what it should be."""

from __future__ import annotations

_BEGINNINGS = (
    (b"version https://git-lfs", "a Git LFS pointer instead of the file; run `git lfs pull`"),
    (b"\x89HDF\r\n", "an HDF5 file, as written by Keras"),
    (b"\x93NUMPY", "one bare NumPy array"),
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"BZh", "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ", "an xz archive; unpack it first"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x80", "a pickle of Python objects, which is never loaded because it could run code"),
)
LENGTH = 512
"""Bytes of a file's start that `looks_like` wants to see."""


def looks_like(start: bytes) -> str:
    """What a file that begins with `start` seems to be, as the end of a sentence; '' where nothing is known."""
    if not start:
        return "an empty file"
    for beginning, what in _BEGINNINGS:
        if start.startswith(beginning):
            return what
    head = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if head.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return "a web page instead of the file; fetch it again"
    try:
        text = start[:-4].decode("utf-8") if len(start) >= LENGTH else start.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(start) - 8:
            return ""
        text = start[: error.start].decode("utf-8")
    return "a text file" if all(c.isprintable() or c in "\t\r\n\f" for c in text) else ""


def printable(text: str) -> str:
    r"""`text` with the bytes of a name that is not UTF-8 written out, as in `caf\xe9.png`: terminals and databases take it."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
