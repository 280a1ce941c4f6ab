"""What a cluster has beside the messages: what the original wrote, the positions, and who is reading here."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID, uuid4

import attrs
from langchain_core.messages import BaseMessage

import backscroll
from backscroll.backend import Deadline
from backscroll.errors import DeadlineExceeded
from backscroll.url import parse_url
from backscroll_kafka import servers_of
from backscroll_langchain.kafka_deadlines import left
from backscroll_langchain.kafka_original import KafkaOriginal
from backscroll_langchain.kafka_positions import Position
from backscroll_langchain.sharing import Lazy

TOPIC: Final = "backscroll_langchain_positions"
"""The topic of the claims of all sessions of a cluster."""

PARTITIONS: Final = 12
"""How many partitions it gets."""

KEPT: Final = "30d"
"""For how long a claim is kept; after that the group alone tells."""


@attrs.frozen
class Move:
    """Messages that were read, and the claim of their position, whose outcome is not known yet.

    Args:
        found: The messages.
        position: Behind them.
        version: That of the claims before.
        turn_id: That of the claim.
    """

    found: list[BaseMessage]
    position: Position
    version: int
    turn_id: UUID = attrs.field(factory=uuid4)


class Session:
    """What this process has under way of a session.

    Attributes:
        left: Messages that the position is behind already, and that nobody was given.
        given_back: More of them.
        move: What has to be settled before anything else.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.left: list[BaseMessage] = []
        self.given_back: list[BaseMessage] = []
        self.move: Move | None = None


class Beside(KafkaOriginal):
    """What a cluster has beside the messages: what the original wrote, and the positions.

    Args:
        url: The URL of a store there.
        replication: How many brokers hold the topic of the claims; None for as many as the cluster says.
    """

    def __init__(self, url: str, replication: float | None) -> None:
        super().__init__(servers_of(parse_url(url)))
        servers = url.partition("?")[0].rpartition("/")[0]
        options = {} if replication is None else {"replication": int(replication)}
        claims = f"{servers}/{TOPIC}?partitions={PARTITIONS}&retention={KEPT}"
        self.claims: Final = Lazy(lambda: backscroll.open(claims, **options))
        self.is_prepared = False
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}

    @contextmanager
    def session(self, session_id: str, deadline: Deadline) -> Iterator[Session]:
        """A session, for one reader of this process at a time."""
        with self._lock:
            session = self._sessions.setdefault(session_id, Session())
            session.users += 1
        is_mine = session.lock.acquire(timeout=deadline.remaining())
        try:
            if not is_mine:
                raise DeadlineExceeded(f"kafka: others of this process read the session for {deadline.seconds:g} s")
            with self._lock:
                session.left, session.given_back = [*session.left, *session.given_back], []
            yield session
        finally:
            if is_mine:
                session.lock.release()
            with self._lock:
                session.users -= 1
                if not (session.users or session.left or session.given_back or session.move):
                    self._sessions.pop(session_id, None)

    def give_back(self, session_id: str, found: list[BaseMessage]) -> None:
        """Keep messages for the next reader of this process: who read them went away."""
        with self._lock:
            self._sessions.setdefault(session_id, Session()).given_back += found

    def prepare(self, session_id: str, deadline: Deadline) -> None:
        """Make the topic of the claims where it is missing, once, and meet the brokers that the first read asks."""
        if not self.is_prepared:
            claims = self.claims.get()
            claims.setup(timeout=left(deadline))
            claims.version(session_id, timeout=left(deadline))
            self.cluster.partitions(session_id, deadline)
            self.is_prepared = True

    def close(self) -> None:
        """End the clients."""
        if (claims := self.claims.take()) is not None:
            claims.close()
        super().close()
