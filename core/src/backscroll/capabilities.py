"""What a backend declares about itself: capabilities, limits and claims. Plain data, no I/O."""

from collections.abc import Mapping
from enum import Enum

import attrs


class Capability(Enum):
    """What a backend may leave out. Everything else of the contract is not optional."""

    CONDITIONAL_APPEND = "conditional_append"
    """``append(expected_version=…)``"""
    TTL = "ttl"
    """``append(ttl=…)``: an expiry of its own for each message"""
    COUNT = "count"
    """``count``: the number of live messages"""
    SESSIONS = "sessions"
    """``sessions``: listing the sessions, by prefix and page"""
    ORDERED_SESSIONS = "ordered_sessions"
    """``sessions`` lists by the UTF-8 bytes of the id"""
    DISCARD = "discard"
    """``discard`` and ``clear``: dropping the oldest messages"""
    REMOVE = "remove"
    """``remove``: dropping single messages"""
    DELETE = "delete"
    """``delete``: dropping a session with its counter"""
    PURGE = "purge"
    """``purge``: giving back the space of expired messages when asked, as the server does not by itself"""
    WATCH = "watch"
    """the server says when something is new, so that ``follow`` need not poll"""


class Level(Enum):
    """How far a capability goes."""

    FULL = "full"
    PARTIAL = "partial"
    UNSUPPORTED = "unsupported"


@attrs.frozen
class Support:
    """How far a backend supports one capability.

    Args:
        level: Full, partial or unsupported.
        reason: Why it is not full, in a sentence for users; empty for full support.

    Raises:
        ValueError: A level other than full without a reason.
    """

    level: Level
    reason: str = ""

    def __attrs_post_init__(self) -> None:
        if (self.level is Level.FULL) == bool(self.reason):
            raise ValueError("give a reason for anything but full support, and none for that")

    def __bool__(self) -> bool:
        return self.level is not Level.UNSUPPORTED


FULL = Support(Level.FULL)
"""Full support."""


def partial(reason: str) -> Support:
    """Partial support, with the reason."""
    return Support(Level.PARTIAL, reason)


def unsupported(reason: str) -> Support:
    """No support, with the reason."""
    return Support(Level.UNSUPPORTED, reason)


def declare(exceptions: Mapping[Capability, Support] | None = None) -> dict[Capability, Support]:
    """Every capability in full, but for the exceptions given.

    One that a later plugin API adds will not be among those in full, so that no plugin claims it unawares.
    """
    return dict.fromkeys(Capability, FULL) | dict(exceptions or {})


class Durability(Enum):
    """What an acknowledged message survives."""

    PROCESS = "process"
    """the end of the client process, not the loss of the server's memory"""
    SERVER = "server"
    """``kill -9`` of the server, or of the process where the database is embedded"""
    REPLICATED = "replicated"
    """the loss of one server"""


class Consistency(Enum):
    """What a read sees of acknowledged appends."""

    LINEARIZABLE = "linearizable"
    """all of them, from every client, at once"""
    EVENTUAL = "eventual"
    """all of them after a while; the backend's page says when"""


class Erasure(Enum):
    """When the bytes of a removed message leave the database."""

    IMMEDIATE = "immediate"
    """no later read of the database returns them (files may keep freed pages until they are reused)"""
    DEFERRED = "deferred"
    """later, by the server's own housekeeping: compaction, retention"""


@attrs.frozen(kw_only=True)
class Limits:
    """How far the database goes, and what the backend claims.

    Args:
        max_message_bytes: The most that one encoded message may have, in bytes.
        max_turn_bytes: The most that the messages of one turn may have together, in bytes.
        max_turn_messages: The most messages in one turn.
        dedupe_turns: How many of a session's last turns are known by their turn_id; at least 16.
        max_ttl: The longest TTL, in seconds; None for no bound.
        durability: What an acknowledged message survives.
        consistency: What a read sees.
        erasure: When the bytes of removed messages leave.
    """

    max_message_bytes: int
    max_turn_bytes: int
    max_turn_messages: int
    dedupe_turns: int = attrs.field(default=16, validator=attrs.validators.ge(16))
    max_ttl: float | None = None
    durability: Durability = Durability.SERVER
    consistency: Consistency = Consistency.LINEARIZABLE
    erasure: Erasure = Erasure.IMMEDIATE
