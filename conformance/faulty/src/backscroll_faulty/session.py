"""What the reference backend stores of a session beside its messages."""

import json
from typing import NamedTuple

import attrs


class Entry(NamedTuple):
    """A turn that is known.

    Attributes:
        turn_id: In hexadecimal.
        digest: In hexadecimal.
        first: Its first seq.
        length: How many messages it has.
        landed_at: When it was stored, in seconds since 1970 by this machine's clock.
        extra: Room for what a fault notes.
    """

    turn_id: str
    digest: str
    first: int
    length: int
    landed_at: float
    extra: int | None = None


@attrs.define
class Session:
    """A session.

    Args:
        version: One past the newest seq ever given.
        first_seq: Below this one, all is discarded.
        turns: The last ones, oldest first.
        extra: Room for what a fault notes.
    """

    version: int = 0
    first_seq: int = 0
    turns: list[Entry] = attrs.field(factory=list)
    extra: int | None = None

    def dumps(self) -> str:
        """As it is stored."""
        return json.dumps([self.version, self.first_seq, self.turns, self.extra])

    @classmethod
    def loads(cls, text: str) -> "Session":
        """From what is stored."""
        version, first_seq, turns, extra = json.loads(text)
        return cls(version, first_seq, [Entry(*entry) for entry in turns], extra)
