"""The relay between a client and its server."""

import socket
import threading
from collections.abc import Iterator
from typing import Self

import pytest

from backscroll_conformance.relay import Relay


@pytest.fixture
def relay() -> Iterator[Relay]:
    """A relay to a server that answers each line with the same line."""
    listener = socket.create_server(("localhost", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(connection,), daemon=True).start()

    def answer(connection: socket.socket) -> None:
        with connection, connection.makefile("rwb") as file:
            for line in file:
                file.write(line)
                file.flush()

    threading.Thread(target=serve, daemon=True).start()
    with Relay(listener.getsockname()[1]) as relay:
        yield relay
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


class Client:
    """A client that says a line and hears one."""

    def __init__(self, relay: Relay) -> None:
        self.connection = socket.create_connection(("localhost", relay.ports[0]), timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *args: object) -> None:
        self.connection.close()

    def ask(self, line: bytes) -> bytes:
        """Say a line, and hear the answer; empty where the connection is cut."""
        self.say(line)
        return self.connection.recv(100)

    def say(self, line: bytes) -> None:
        """Say a line."""
        self.connection.sendall(line + b"\n")


def test_it_counts_connections_and_round_trips(relay: Relay) -> None:
    """Each request that is answered is a round trip."""
    with Client(relay) as one, Client(relay) as other:
        for line in (b"a", b"b", b"c"):
            assert one.ask(line) == line + b"\n"
        assert other.ask(b"d") == b"d\n"
    assert (relay.connections, relay.round_trips, relay.lost) == (2, 4, 0)


def test_an_answer_is_lost_once(relay: Relay) -> None:
    """The connection is cut when the server has answered; the next one works."""
    with Client(relay) as one, Client(relay) as other:
        assert one.ask(b"a") == b"a\n"
        relay.lose_answer()
        assert one.ask(b"b") == b""
        assert other.ask(b"c") == b"c\n"
    assert (relay.round_trips, relay.lost) == (3, 1)


def test_a_request_is_held_back_until_it_is_released(relay: Relay) -> None:
    """It arrives also where its client has gone, and after those of others."""
    held = relay.hold_request()
    with Client(relay) as one, Client(relay) as other:
        one.say(b"late")
        assert not held.answered.wait(0.05)
        assert other.ask(b"early") == b"early\n"
    held.release()
    assert held.answered.wait(10)


def test_a_request_that_comes_late_takes_its_connection_with_it() -> None:
    """The server sees that the client has gone as soon as it has answered, and keeps nothing locked for it."""
    with socket.create_server(("localhost", 0)) as listener, Relay(listener.getsockname()[1]) as relay:
        held = relay.hold_request()
        with Client(relay) as one:
            one.say(b"late")
            server, _ = listener.accept()
        held.release()
        with server:
            server.settimeout(10)
            assert server.recv(100) == b"late\n"
            server.sendall(b"late\n")
            assert server.recv(100) == b""


def test_nothing_is_open_afterwards(relay: Relay) -> None:
    """The end of the block cuts the connections that there are, and takes no more."""
    with Client(relay) as one:
        assert one.ask(b"a") == b"a\n"
        relay.__exit__(None, None, None)
        assert one.connection.recv(100) == b""
    with pytest.raises(ConnectionRefusedError):
        Client(relay)


def test_a_server_that_is_down_for_a_while_is_reached_again() -> None:
    """Its clients are hung up on meanwhile, each of them, and none is forgotten."""
    server = socket.create_server(("localhost", 0))
    port = server.getsockname()[1]
    server.close()
    with Relay(port) as relay:
        for _ in range(3):
            with socket.create_connection(("localhost", relay.ports[0]), timeout=5) as client:
                assert client.recv(1) == b""
        with (
            socket.create_server(("localhost", port)) as server,
            socket.create_connection(("localhost", relay.ports[0]), timeout=5) as client,
        ):
            client.sendall(b"a")
            connection, _ = server.accept()
            with connection:
                assert connection.recv(1) == b"a"
