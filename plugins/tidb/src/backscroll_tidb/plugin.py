"""What the TiDB backend declares; imports no driver."""

from collections.abc import Iterable
from typing import Final

from backscroll.backend import Capability, Durability, Limits, declare, partial, unsupported
from backscroll.hookspecs import BackendInfo, ServerSpec, hookimpl
from backscroll.recent import WINDOW

MOST_MESSAGE_BYTES: Final = 5 << 20
"""The most bytes of a message: TiDB takes entries of up to 6 MiB (txn-entry-size-limit)."""

MOST_TURN_BYTES: Final = 24 << 20
"""The most bytes of a turn: TiDB takes packets of up to 64 MiB (max_allowed_packet), and two digits make a byte."""


@hookimpl
def backscroll_backends() -> Iterable[BackendInfo]:
    """The backend of ``tidb://`` and its kin."""
    yield BackendInfo(
        name="tidb",
        schemes=("tidb", "mysql", "mysql+pymysql", "mariadb", "mariadb+pymysql"),
        api=(1, 0),
        factory="backscroll_tidb.backend:TiDBBackend",
        options="backscroll_tidb.options:TiDBOptions",
        capabilities=declare(
            {
                Capability.WATCH: unsupported("these servers do not tell their clients; follow() polls"),
                Capability.PURGE: partial("TiDB drops what has expired by itself; asked for it, it scans all messages"),
            }
        ),
        limits=Limits(
            max_message_bytes=MOST_MESSAGE_BYTES,
            max_turn_bytes=MOST_TURN_BYTES,
            max_turn_messages=10_000,
            dedupe_turns=WINDOW,
            durability=Durability.SERVER,
        ),
    )


CONFIG: Final = "/tidb.toml"

# The store that TiDB brings along is for tests. With several regions, its reads may miss what was committed while they
# looked for locks; and locks, which it has in memory only, may be all that there is of what was just acknowledged.
# Where the tables share a region, a transaction is one write.
ONE_REGION: Final = "split-table = false\n"


@hookimpl
def backscroll_servers() -> Iterable[ServerSpec]:
    """TiDB with the store that it brings along."""
    yield ServerSpec(
        backend="tidb",
        url="tidb://root@localhost:{port}/test",
        image="pingcap/tidb:v8.5.4",
        command=("-store", "unistore", "-path", "/tmp/tidb", "-config", CONFIG, "-host", "0.0.0.0", "-P", "{port}"),
        files={CONFIG: ONE_REGION},
        container_port="{port}",
        ready="server is running MySQL protocol",
    )
