"""The servers of the tests: the plugin's own one, and a second dialect."""

import time
from collections.abc import Callable
from typing import Any, Final

from backscroll import Store
from backscroll.hookspecs import ServerSpec
from backscroll.url import parse_url
from backscroll_conformance.containers import Server
from backscroll_tidb.plugin import backscroll_servers

(TIDB,) = backscroll_servers()

MARIADB: Final = ServerSpec(
    backend="tidb",
    url="mariadb://root@localhost:{port}/test",
    image="mariadb:10.11",
    command=("--port={port}",),
    environment={"MARIADB_ALLOW_EMPTY_ROOT_PASSWORD": "1", "MARIADB_DATABASE": "test"},
    container_port="{port}",
    ready="port: {port}  ",
)


def parts(server: Server) -> tuple[str, int]:
    """Host and port of a server."""
    [host] = parse_url(server.url).hosts
    return host.name, host.port or 0


def message(text: str) -> dict[str, str]:
    """A message."""
    return {"role": "user", "content": text}


def texts(store: Store, session_id: str = "s") -> list[Any]:
    """The texts of a session."""
    return [record.message.content for record in store.iterate(session_id)]


def eventually(is_so: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something is so."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.01)
