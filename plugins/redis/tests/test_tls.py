"""TLS: what is checked of the server, by both forms."""

import asyncio
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import trustme

import backscroll
from backscroll.errors import Unavailable
from backscroll_conformance.containers import Server

MESSAGE = {"role": "user", "content": "a"}


class Terminated:
    """A port that speaks TLS, in front of a server that does not."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._port, self._context = port, context
        self._loop = asyncio.new_event_loop()
        started = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(started,))
        self._thread.start()
        assert started.wait(10)

    def _serve(self, started: threading.Event) -> None:
        async def serve() -> None:
            self._stop = asyncio.Event()
            server = await asyncio.start_server(self._connected, "localhost", 0, ssl=self._context)
            self.port = server.sockets[0].getsockname()[1]
            # A client that refuses the certificate is no error here.
            self._loop.set_exception_handler(lambda *_: None)
            started.set()
            await self._stop.wait()
            server.close()

        self._loop.run_until_complete(serve())
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
            with suppress(asyncio.CancelledError):
                self._loop.run_until_complete(task)
        self._loop.close()

    async def _connected(self, reader: Any, writer: Any) -> None:
        server_reader, server_writer = await asyncio.open_connection("localhost", self._port)
        await asyncio.gather(_copy(reader, server_writer), _copy(server_reader, writer))

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


async def _copy(reader: Any, writer: Any) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs the certificates."""
    return trustme.CA()


@pytest.fixture
def certificates(authority: trustme.CA, tmp_path: Path) -> dict[str, str]:
    """Files with the certificate of the right authority, and of another one."""
    files = {"right": tmp_path / "right.pem", "wrong": tmp_path / "wrong.pem"}
    authority.cert_pem.write_to_path(str(files["right"]))
    trustme.CA().cert_pem.write_to_path(str(files["wrong"]))
    return {name: str(file) for name, file in files.items()}


@pytest.fixture(params=["localhost", "example.org"])
def secured(request: pytest.FixtureRequest, authority: trustme.CA, server: Server) -> Iterator[tuple[str, int]]:
    """The name in a certificate, and the port of a server that shows it."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(request.param).configure_cert(context)
    terminated = Terminated(urlsplit(server.url).port or 0, context)
    try:
        yield request.param, terminated.port
    finally:
        terminated.close()


@pytest.mark.parametrize("trusted", ["right", "wrong", None])
async def test_only_the_right_certificate_is_taken(
    secured: tuple[str, int], certificates: dict[str, str], trusted: str | None
) -> None:
    """One of another authority, or for another host, is refused before anything is sent."""
    name, port = secured
    authority = f"&tls_ca={quote(certificates[trusted])}" if trusted else ""
    url = f"rediss://localhost:{port}/0?timeout=1{authority}"
    is_right = (name, trusted) == ("localhost", "right")
    sync, other = backscroll.open(url), backscroll.open(url)
    if is_right:
        sync.append("s", MESSAGE)
        await other.aappend("s", MESSAGE)
        assert sync.count("s") >= 2
    else:
        with pytest.raises(Unavailable, match="cannot connect"):
            sync.append("s", MESSAGE)
        with pytest.raises(Unavailable, match="cannot connect"):
            await other.aappend("s", MESSAGE)
    sync.close()
    await other.aclose()


async def test_a_certificate_of_the_client_is_shown(
    authority: trustme.CA, certificates: dict[str, str], server: Server, tmp_path: Path
) -> None:
    """A server that asks for one lets nobody in without it, in both forms."""
    mine = authority.issue_cert("client@example.org")
    mine.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    mine.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    terminated = Terminated(urlsplit(server.url).port or 0, context)
    url = f"rediss://localhost:{terminated.port}/0?timeout=1&tls_ca={quote(certificates['right'])}"
    shown = {"tls_cert": str(tmp_path / "client.pem"), "tls_key": str(tmp_path / "client.key")}
    known, unknown = backscroll.open(url, **shown), backscroll.open(url)
    try:
        known.append("shown", MESSAGE)
        await known.aappend("shown", MESSAGE)
        assert known.count("shown") == 2
        with pytest.raises(Unavailable):
            unknown.last("shown")
        with pytest.raises(Unavailable):
            await unknown.alast("shown")
    finally:
        await known.aclose()
        await unknown.aclose()
        terminated.close()
