"""A relay between a client and its server: counts what passes, and loses or holds back what it is told to."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

CHUNK: Final = 1 << 16
"""How many bytes are passed on at once."""


class Relay:
    """Listens on ports of this machine and passes everything on to others, until the block ends.

    Args:
        *servers: The ports of the servers.

    Attributes:
        ports: Where it listens, for each of them.
        connections: How many connections there were.
        round_trips: How many requests were answered: bytes of a server that follow bytes of its client.
        lost: How many answers were lost.
    """

    def __init__(self, *servers: int) -> None:
        self._listeners: Final = {socket.create_server(("localhost", 0)): server for server in servers}
        self.ports: Final = tuple(int(listener.getsockname()[1]) for listener in self._listeners)
        self.connections = 0
        self.round_trips = 0
        self.lost = 0
        self._lock: Final = threading.Lock()
        self._open: Final[list[socket.socket]] = []
        self._loses = False
        self._holding: _Held | None = None

    def __enter__(self) -> Self:
        for listener, server in self._listeners.items():
            threading.Thread(target=self._accept, args=(listener, server), name="relay", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._holding:
            self._holding.release()
        for listener in self._listeners:
            _end(listener)  # closing alone would leave a thread in its accept
        with self._lock:
            for one in self._open:
                _end(one)

    def lose_answer(self) -> None:
        """Cut the connection of the next request, once the server has answered it."""
        with self._lock:
            self._loses = True

    def hold_request(self) -> "_Held":
        """Keep the next request back, until it is released; also where its client gives up meanwhile."""
        held = _Held()
        with self._lock:
            self._holding = held
        return held

    def _accept(self, listener: socket.socket, port: int) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("localhost", port))
            except OSError:
                _end(client)  # the server is down: so it is for its client
                continue
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self.connections += 1
                self._open.extend((client, server))
            line = _Line(self, client, server)
            threading.Thread(target=line.up, name="relay-up", daemon=True).start()
            threading.Thread(target=line.down, name="relay-down", daemon=True).start()

    def taken(self) -> "_Held | None":
        """What holds the request that has just come, if anything does."""
        with self._lock:
            held, self._holding = self._holding, None
            return held

    def answered(self, *, first: bool) -> bool:
        """Count an answer; gives whether it is to be lost."""
        with self._lock:
            self.round_trips += first
            loses, self._loses = self._loses, False
            self.lost += loses
            return loses


LONGEST_ANSWER: Final = 30.0
"""For how many seconds the answer to a request that was held back is waited for, when its client has gone."""


class _Held:
    """A request that is kept back.

    Attributes:
        answered: Is set when the server has answered it after all.
    """

    def __init__(self) -> None:
        self.answered: Final = threading.Event()
        self._released: Final = threading.Event()

    def release(self) -> None:
        """Let it go on."""
        self._released.set()

    def wait(self) -> None:
        """Wait for the release."""
        self._released.wait()


class _Line:
    """One connection."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self._relay, self._client, self._server = relay, client, server
        self._has_asked = False
        self._held: _Held | None = None

    def up(self) -> None:
        """Pass on what the client says."""
        with suppress(OSError):
            while data := self._client.recv(CHUNK):
                self._has_asked = True
                if held := self._relay.taken():
                    self._held = held
                    held.wait()
                self._server.sendall(data)
        if self._held:
            # The client is gone; what it asked for is to be done all the same.
            self._held.answered.wait(LONGEST_ANSWER)
        _end(self._server)

    def down(self) -> None:
        """Pass on what the server says."""
        with suppress(OSError):
            while data := self._server.recv(CHUNK):
                first, self._has_asked = self._has_asked, False
                if self._held:
                    self._held.answered.set()
                if self._relay.answered(first=first):
                    break
                self._client.sendall(data)
        _end(self._client)
        _end(self._server)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
