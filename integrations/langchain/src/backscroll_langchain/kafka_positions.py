"""How far a session was read: a position that all who read it share, kept in a consumer group of the session.

A group takes any position from anyone: of two who read at the same moment both would be given the same messages. So a
move from one position to the next is claimed in a log before, where of several who claim one prevails, and where it can
be asked what became of a claim. A claim counts from then on, also where it never reached the group.
"""

import json
import re
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID

import attrs
from confluent_kafka import murmur2

from backscroll import Message, Record, Store
from backscroll.backend import Deadline
from backscroll_kafka import SHIFT, topic_of
from backscroll_langchain.kafka_cluster import Cluster
from backscroll_langchain.kafka_deadlines import left
from backscroll_langchain.kafka_groups import Committed, Place
from backscroll_langchain.kafka_original import Where

GROUP: Final = "backscroll-langchain:"
"""What the names of the groups begin with; no topic's name does, so that none is a group of the original's."""

LOOKED_AT: Final = 1_000
"""Among how many claims one is looked for that is too old to be asked for again."""

_NOTE: Final = re.compile(r"(?P<version>\d+) (?P<rest>\S+)")
"""What is noted with a position: the version of its claim, and what the offset of a record does not tell."""


@attrs.frozen
class Position:
    """How far a session was read.

    Args:
        after: The seq of the last message here that was read; -1 where none was.
        offset: The first record of the session's topic that was not read to its end, as the group tells it.
        original: How far the original's topic was read.
    """

    after: int = -1
    offset: int = attrs.field(default=0, eq=False)
    original: Where = attrs.field(factory=Where)


@attrs.frozen
class Known:
    """What is known of a session's position.

    Args:
        position: It; None where the session was never read here.
        version: That of the claims, which the next one has to name.
    """

    position: Position | None
    version: int


class Positions:
    """The position of a session.

    Args:
        cluster: Has the group.
        claims: The store of the claims.
        prefix: What the names of the sessions' topics begin with.
        session_id: The session.
    """

    def __init__(self, cluster: Cluster, claims: Store, prefix: str, session_id: str) -> None:
        self._cluster = cluster
        self._claims = claims
        self._session_id = session_id
        self._group = group_of(session_id)
        self._topic = topic_of(prefix, session_id)

    def known(self, deadline: Deadline) -> Known:
        """Where the session was read up to: by the last claim, unless somebody else has moved the group since."""
        position, version = self._committed(deadline)
        claims = self._claims.last(self._session_id, 1, timeout=left(deadline))
        if not claims:
            return Known(position, self._claims.version(self._session_id, timeout=left(deadline)))
        claimed = claims[0].seq + 1
        if version is not None and claimed > version and isinstance(claims[0], Record):
            position = _position(claims[0].message)
        return Known(position, claimed)

    def claim(self, position: Position, turn_id: UUID, version: int, deadline: Deadline) -> int:
        """Claim the move to a position; the version of the claim.

        Raises:
            VersionConflict: Somebody else moved it.
            OutcomeUnknown: The same claim can be made again.
        """
        appended = self._claims.append(
            self._session_id,
            Message("system", json.dumps(attrs.asdict(position))),
            turn_id=turn_id,
            expected_version=version,
            timeout=left(deadline),
        )
        return appended.version

    def is_claimed(self, turn_id: UUID, deadline: Deadline) -> bool:
        """Whether a claim is among the last ones."""
        claims = self._claims.last(self._session_id, LOOKED_AT, timeout=left(deadline))
        return any(isinstance(claim, Record) and claim.turn_id == turn_id for claim in claims)

    def commit(self, position: Position, version: int, deadline: Deadline) -> None:
        """Let the group tell what was claimed."""
        places = {(self._session_id, partition): Committed(offset, f"{version} {position.original.topic}")
                  for partition, offset in position.original.offsets.items()}  # fmt: skip
        if (place := self._place(deadline)) is not None:
            places[place] = Committed(position.offset, f"{version} {position.after}")
        if places:
            self._cluster.groups.commit(self._group, places, deadline)

    def _place(self, deadline: Deadline) -> Place | None:
        """The topic of the session, and its partition there; None where it is not there yet."""
        partitions = self._cluster.partitions(self._topic, deadline)
        return (self._topic, murmur2(self._session_id.encode(), partitions)) if partitions else None

    def _committed(self, deadline: Deadline) -> tuple[Position | None, int | None]:
        """What the group tells, and the version of the claim it has that from; None where somebody else moved it."""
        places = [(self._session_id, each) for each in range(self._cluster.partitions(self._session_id, deadline))]
        if (place := self._place(deadline)) is not None:
            places.append(place)
        found = self._cluster.groups.committed(self._group, places, deadline)
        if not found:
            return None, 0
        position, offsets, topic, versions = Position(), {}, "", []
        for (name, partition), (offset, note) in found.items():
            noted = _NOTE.fullmatch(note)
            versions.append(int(noted["version"]) if noted else None)
            if name == self._topic:
                position = Position(int(noted["rest"]) if noted else (offset << SHIFT) - 1, offset)
            elif name == self._session_id:
                offsets[partition], topic = offset, noted["rest"] if noted else topic
        told = [version for version in versions if version is not None]
        is_moved = len(told) < len(versions)
        return attrs.evolve(position, original=Where(topic, offsets)), None if is_moved else min(told)


def group_of(session_id: str) -> str:
    """The consumer group of a session; no two have the same.

    Example:
        >>> group_of("alice & bob")
        'backscroll-langchain:alice%20%26%20bob'
    """
    return GROUP + quote(session_id, safe="")


def _position(message: Message) -> Position:
    told: dict[str, Any] = json.loads(str(message.content))
    original = told["original"]
    offsets = {int(partition): offset for partition, offset in original["offsets"].items()}
    return Position(told["after"], told["offset"], Where(original["topic"], offsets))
