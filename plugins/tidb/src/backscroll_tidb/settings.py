"""What the server says of its settings, and where they fall short of what is claimed."""

from typing import Final

from backscroll.backend import Durability, Health
from backscroll_tidb.options import TiDBOptions

OF_ALL: Final = "SELECT VERSION(), @@max_allowed_packet, SLEEP(0.002), SYSDATE(6) > NOW(6)"
"""The version, the most bytes of a packet, and whether SYSDATE tells the moment at which it is evaluated."""

OF_TIDB: Final = "SELECT @@tidb_ttl_job_enable"
OF_OTHERS: Final = "SELECT @@innodb_flush_log_at_trx_commit"

DIGITS: Final = 2
"""How many characters stand for a byte of a message."""


def health(of_all: tuple[str, int, int, int], of_kind: tuple[int], options: TiDBOptions, *, is_tidb: bool) -> Health:
    """The health of a server.

    Args:
        of_all: Its answer to `OF_ALL`.
        of_kind: Its answer to `OF_TIDB` or `OF_OTHERS`.
        options: The options of the store.
        is_tidb: Which of the two.
    """
    version, packet, _, tells_time = of_all
    problems = []
    if packet < DIGITS * options.max_turn_bytes:
        problems.append(
            f"max_allowed_packet is {packet}, too little for a turn of max_turn_bytes={options.max_turn_bytes}: "
            f"set {DIGITS * options.max_turn_bytes + (1 << 20)}, or a smaller max_turn_bytes"
        )
    if not tells_time:
        problems.append(
            "SYSDATE is NOW (sysdate-is-now), so that a turn which is repeated late might be stored twice: turn it off"
        )
    if is_tidb and not of_kind[0]:
        problems.append("tidb_ttl_job_enable is off, so that expired messages keep their space: turn it on")
    if not is_tidb and of_kind[0] != 1 and options.durability != Durability.PROCESS.value:
        problems.append(
            f"innodb_flush_log_at_trx_commit is {of_kind[0]}, so that a restart may lose the last second: "
            "set 1, or claim durability=process"
        )
    return Health(_name(version), tuple(problems))


def _name(version: str) -> str:
    for name in ("TiDB", "MariaDB"):
        if name in version:
            return f"{name} {version}"
    return f"MySQL {version}"
