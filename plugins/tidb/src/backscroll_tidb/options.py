"""The options of ``tidb://``."""

import re
from typing import Any, Literal

import attrs

from backscroll.backend import an_object, choice, option
from backscroll.tls import TLSOptions


def identifier(value: Any) -> str:
    """A name that every server takes for a database, or as the beginning of a table's."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9_]{1,48}", value):
        raise ValueError("expected 1 to 48 letters, digits and _, of ASCII")
    return value


@attrs.frozen(kw_only=True)
class TiDBOptions(TLSOptions):
    """What ``tidb://host:4000/database?…`` takes beside the options of every backend."""

    schema: str | None = option(
        None, identifier, "the database that holds the tables, instead of the one of the URL or of the engine"
    )
    prefix: str = option("backscroll_", identifier, "what the names of the tables begin with")
    durability: Literal["process", "server"] = option(
        "server",
        choice("process", "server"),
        "what the server is set up to keep: process claims nothing about its restart, server that what it acknowledged "
        "survives kill -9 (innodb_flush_log_at_trx_commit=1); ping and setup compare the claim with its settings",
    )
    engine: Any = option(None, an_object, "an Engine of SQLAlchemy with PyMySQL of your own, used and never closed")
    charset: Literal["utf8mb4"] = option(
        "utf8mb4", choice("utf8mb4"), "stands in many URLs; bytes are stored, so that there is no choice"
    )
