"""Tables as one HTML page that works offline: tables, claims, notes, figures, the runs behind them, the study's source.

Nothing on the page comes from a network, and its content security policy allows none. Scripts run only where their
SHA-256 stands in that policy, so that markup in a study's names stays inert even where an escape were forgotten.
"""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from ablate.errors import NoSpaceOrPermission, UsageError
from ablate.report.declare import StudyReport
from ablate.report.page import page
from ablate.report.theme import page_theme
from ablate.version import __version__

PLOTLY = "plotly.min.js"
"""The file beside the pages that share Plotly."""

_NO_SPACE = {errno.ENOSPC: "the disk is full", errno.EDQUOT: "the disk quota is used up"}
_NO_PERMISSION = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
}


def render_html(report: StudyReport, *, plotlyjs: Literal["inline", "shared"] = "inline", home: str = "") -> str:
    """The page as text.

    With `plotlyjs="inline"` the page is one file of about 5 MB; with `"shared"` it loads `plotly.min.js` from its own folder, where
    `write_plotlyjs` puts it. `home` is the file beside it that lists all pages, or empty. Raises `UsageError` for another `plotlyjs`.
    """
    if plotlyjs not in ("inline", "shared"):
        raise UsageError(f"plotlyjs is 'inline' or 'shared', not {plotlyjs!r}.")
    return fill("report.html.j2", {**page(report), "source": report.source, "ran": report.ran, "home": home}, plotlyjs)


def fill(template: str, view: Mapping[str, Any], plotlyjs: Literal["inline", "shared"] = "inline") -> str:
    """A page from one of our templates, with the style, the script, the theme and the policy that all of them share."""
    script = asset("report.js") + asset("tables.js")
    plotly = get_plotlyjs() if plotlyjs == "inline" and view["has_figures"] else ""
    scripts = [text for text in (plotly, script) if text]
    return environment().get_template(template).render(
        **view,
        version=__version__,
        policy=policy(scripts, shared=plotlyjs == "shared"),
        style=asset("report.css"),
        script=script,
        plotly=plotly,
        plotly_file=PLOTLY if plotlyjs == "shared" and view["has_figures"] else "",
        theme=embedded(page_theme()),
    )  # fmt: skip


def embedded(value: object) -> str:
    """JSON for a `<script type="application/json">`: without `<`, `>` or `&`, so that nothing can end the element."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def write_plotlyjs(folder: Path) -> Path:
    """Puts `plotly.min.js` into `folder` for pages rendered with `plotlyjs="shared"`; leaves an equal one alone."""
    path = folder / PLOTLY
    text = get_plotlyjs()
    try:
        same = path.read_text(encoding="utf-8") == text
    except (OSError, UnicodeDecodeError):
        same = False
    if not same:
        write_report(path, text)
    return path


def write_report(path: Path, text: str) -> None:
    """Writes `text` whole or not at all: a reader never sees half a page, and a failure leaves the old one.

    Makes the folder. Raises `NoSpaceOrPermission` naming the path, and `UsageError` where the path can't be a file.
    """
    path = Path(os.path.realpath(path))  # a link's target is replaced, not the link
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("w", encoding="utf-8", newline="\n") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _explained(path, error) from error


def _explained(path: Path, error: OSError) -> Exception:
    if error.errno in _NO_SPACE:
        reason = _NO_SPACE[error.errno]
        return NoSpaceOrPermission(f"cannot write {path}: {reason}. Free some space, or write elsewhere with --out.")
    if error.errno in _NO_PERMISSION:
        reason = _NO_PERMISSION[error.errno]
        return NoSpaceOrPermission(f"cannot write {path}: {reason}. Choose a folder that you can write to with --out.")
    return UsageError(f"cannot write {path}: {os.strerror(error.errno or 0)}. Choose another file with --out.")


def policy(scripts: Sequence[str], *, shared: bool) -> str:
    """The content security policy of a page that runs `scripts`, and with `shared` files of its own folder."""
    digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in scripts]
    allowed = [f"'sha256-{digest}'" for digest in digests] + (["'self'"] if shared else []) or ["'none'"]
    return (
        f"default-src 'none'; script-src {' '.join(allowed)}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def environment() -> Environment:
    """The templates, with everything escaped."""
    environment = Environment(
        loader=PackageLoader("ablate.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["embedded"] = embedded
    return environment


@cache
def asset(name: str) -> str:
    """A file beside the templates, as it is."""
    loader = PackageLoader("ablate.report", "templates")
    return loader.get_source(Environment(autoescape=True), name)[0]
