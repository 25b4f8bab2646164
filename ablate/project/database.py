"""Which results database to use, and how to show it without its password."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ablate.errors import NotFound
from ablate.study.recipes import places

if TYPE_CHECKING:
    from ablate.store.store import Store


def database_url(db: str | None) -> str:
    """`db` if given, else ABLATE_DB, else results.db. A path stays a path."""
    return places.database(db)


def safe_url(url: str) -> str:
    """A database URL without its password, a SQLite file as its path."""
    if url.startswith(places.SQLITE) or places.scheme(url) is None:
        return url.removeprefix(places.SQLITE)
    scheme, mark, rest = url.partition("://")
    account, at, place = rest.rpartition("@")
    user, colon, _ = account.partition(":")
    place, _, query = place.partition("?")
    options = "&".join(option for option in query.split("&") if option and "pass" not in option.lower())
    return f"{scheme}{mark}{user}{':***' if colon else ''}{at}{place}{'?' + options if options else ''}"


def open_results(db: str | None) -> Store | None:
    """The database for reading, or None where there is none yet. The caller closes it."""
    from ablate.store.store import Store

    try:
        return Store.open(database_url(db), read_only=True)
    except NotFound:
        return None


def require_results(db: str | None) -> Store:
    """The database for reading. Raises NotFound where there is none."""
    store = open_results(db)
    if store is None:
        raise NotFound(f"There is no results database at {safe_url(database_url(db))}.", code="no-database")
    return store
