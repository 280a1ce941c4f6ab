"""What the server says of its settings, and where they fall short of what is claimed, or of production."""

from collections.abc import Iterator
from typing import Any, Final

import attrs

from backscroll.backend import Durability, Examination, Finding, Severity, clock_ahead
from backscroll_tidb.options import TiDBOptions

OF_ALL: Final = (
    "SELECT VERSION(), @@max_allowed_packet, SLEEP(0.002), SYSDATE(6) > NOW(6), "
    "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6))"
)
"""The version, the most bytes of a packet, whether SYSDATE tells the moment at which it is evaluated, and the time."""

OF_TIDB: Final = "SELECT @@tidb_ttl_job_enable, TIDB_VERSION()"
OF_OTHERS: Final = "SELECT @@innodb_flush_log_at_trx_commit, ''"

FOR_TESTS: Final = "Store: unistore"
"""What stands in the answer of a TiDB that keeps its rows by itself."""

DIGITS: Final = 2
"""How many characters stand for a byte of a message."""

SET_UP: Final = "docs/tidb.md#setting-it-up"


@attrs.frozen
class Told:
    """What the server told.

    Args:
        of_all: Its answer to `OF_ALL`.
        of_kind: Its answer to `OF_TIDB` or `OF_OTHERS`.
        is_tidb: Which of the two.
        version: The version of the tables; 0 where there are none, None where the user may not read them.
        asked: When it was asked for `OF_ALL`, in nanoseconds since 1970 by the clock of the store.
        answered: When the answer was there.
    """

    of_all: tuple[Any, ...]
    of_kind: tuple[Any, ...]
    is_tidb: bool
    version: int | None
    asked: int
    answered: int


def examined(told: Told, options: TiDBOptions) -> Examination:
    """What was seen of a server."""
    version, packet, _, tells_time, now = told.of_all
    kind = _of_tidb(*told.of_kind) if told.is_tidb else _of_others(told.of_kind[0], options)
    return Examination(
        server=_name(version),
        schema=_schema(told.version),
        clock_ahead=clock_ahead(now * 1_000, told.asked, told.answered),
        findings=(*_of_all(packet, tells_time, options), *kind, *_of_schema(told.version)),
    )


def _schema(version: int | None) -> str:
    if version is None:
        return ""
    return f"version {version}" if version else "not there yet"


def _of_schema(version: int | None) -> Iterator[Finding]:
    if version is None:
        yield Finding(
            Severity.NOTE,
            "the version of the tables could not be seen: the user may not read them",
            "GRANT SELECT on them",
            "docs/tidb.md#permissions",
        )


def _of_all(packet: int, tells_time: int, options: TiDBOptions) -> Iterator[Finding]:
    needed = DIGITS * options.max_turn_bytes
    if packet < needed:
        yield Finding(
            Severity.ERROR,
            f"max_allowed_packet is {packet}, too little for a turn of max_turn_bytes={options.max_turn_bytes}",
            f"set {needed + (1 << 20)}, or a smaller max_turn_bytes",
            SET_UP,
        )
    if not tells_time:
        yield Finding(
            Severity.ERROR,
            "SYSDATE is NOW (sysdate-is-now), so that a turn which is repeated late might be stored twice",
            "turn it off",
            SET_UP,
        )


def _of_tidb(has_jobs: int, about: str) -> Iterator[Finding]:
    if not has_jobs:
        yield Finding(
            Severity.ERROR,
            "tidb_ttl_job_enable is off, so that expired messages keep their space",
            "turn it on",
            SET_UP,
        )
    if FOR_TESTS in about:
        yield Finding(
            Severity.WARNING,
            "its store is unistore, which one server has to itself and which is for tests",
            "give it TiKV",
            "docs/tidb.md#traps",
        )


def _of_others(flush: int, options: TiDBOptions) -> Iterator[Finding]:
    is_claimed = options.durability != Durability.PROCESS.value
    if flush != 1:
        yield Finding(
            Severity.ERROR if is_claimed else Severity.WARNING,
            f"innodb_flush_log_at_trx_commit is {flush}, so that a restart may lose the last second",
            "set 1, or claim durability=process" if is_claimed else "set 1",
            SET_UP,
        )


def _name(version: str) -> str:
    for name in ("TiDB", "MariaDB"):
        if name in version:
            return f"{name} {version}"
    return f"MySQL {version}"
