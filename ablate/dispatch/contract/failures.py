"""From an exception in a trainer to what the store keeps of it: a kind and a text without secrets."""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ablate.errors import AblateError, BadData, Diverged, NoSpaceOrPermission, NotFound

LINES = 30
CHARACTERS = 4000
_HERE = os.path.dirname(os.path.dirname(__file__)) + os.sep
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
_SECRET_NAMES = re.compile(r"TOKEN|SECRET|PASSW|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL|AUTH", re.IGNORECASE)
_URL_PASSWORD = re.compile(r"(\w[\w+.-]*://[^\s:/@]*:)[^\s@/]+@")
_OUT_OF_MEMORY = re.compile(r"out of memory|can't allocate memory|CUBLAS_STATUS_ALLOC_FAILED", re.IGNORECASE)
_DEVICE_FAULT = re.compile(r"CUDA error|device-side assert|CUDNN_STATUS|CUBLAS_STATUS")


@dataclass(frozen=True)
class Failure:
    """`kind` is one of `store.values.KINDS`, or `no_space`: then the run is not to blame, and is given back.

    `missing`: data or weights that are not there or cannot be read, which is likely to be so for other runs as well. `fresh`: the process
    that it happened in holds memory or a broken device, and must not be used again.
    """

    kind: str
    error: str
    missing: bool = False
    fresh: bool = False


def classify(error: BaseException, run_dir: Path | None = None) -> Failure:
    """What an exception raised by a trainer means. torch's are told by name and text, as dispatch never imports it."""
    text = explain(error)
    if isinstance(error, Diverged):
        return Failure("diverged", text)
    if isinstance(error, BadData):
        return Failure("bad_data", text, missing=True)
    if isinstance(error, NotFound):
        return Failure("error", text, missing=True)
    if isinstance(error, NoSpaceOrPermission) or _no_space(error, run_dir):
        return Failure("no_space", text)
    if _out_of_memory(error):
        return Failure("oom", text, fresh=True)
    return Failure("error", text, fresh=bool(_DEVICE_FAULT.search(str(error))))


def explain(error: BaseException) -> str:
    """The message of an error of ours; of any other, the end of its traceback from the trainer on. Without secrets."""
    if isinstance(error, AblateError):
        return redact(str(error) or type(error).__name__)
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_HERE):
        frames = frames.tb_next
    lines = "".join(traceback.format_exception(type(error), error, frames)).rstrip().splitlines()
    text = "\n".join(lines[-LINES:])
    return redact(text)[-CHARACTERS:]


def redact(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` without passwords in URLs and without values of variables named like a secret (six characters or more)."""
    given = os.environ if environment is None else environment
    secrets = {value for name, value in given.items() if _SECRET_NAMES.search(name) and len(value) >= 6}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return _URL_PASSWORD.sub(r"\1***@", text)


def _no_space(error: BaseException, run_dir: Path | None) -> bool:
    if not isinstance(error, OSError):
        return False
    if error.errno in _NO_SPACE:
        return True
    inside = run_dir is not None and str(error.filename or "").startswith(str(run_dir))
    return isinstance(error, PermissionError) and inside


def _out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or any(kind.__name__ == "OutOfMemoryError" for kind in type(error).__mro__):
        return True
    return isinstance(error, RuntimeError) and bool(_OUT_OF_MEMORY.search(str(error)))
