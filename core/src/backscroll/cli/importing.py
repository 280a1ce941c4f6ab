"""Bring conversations into a store, so that doing it once more adds nothing.

What is there already is told by the turn_ids, not by the store's window of recent turns:

- Each message of a line has a key: 80 bits of blake2b over the session_id, the line up to this message, and how many
  earlier lines of the session begin just so. Two equal lines stay two, and a line that is mended or added changes no
  other that goes on differently. (The counts take some 150 bytes for each message of the input.)
- A chunk of a line lands as one turn. Its turn_id is a UUID of version 8 (RFC 9562) whose free bits are the key of its
  last message and 42 random ones, by which it differs from what was there before a ``clear``.
- The newest message of a line whose key is among the turn_ids of the live records says that the line is there up to
  this message; what is missing before it was removed on purpose. The rest is appended with the ``expected_version``
  at which this was seen. After a conflict only what is new is looked at. So nothing lands twice, be the import
  interrupted, repeated, or running twice at once.

- Messages of a line may also have come another way: in an export that is put back where it was made, or in an older,
  shorter copy. So what follows in the session on the last known message, or on the line before, is compared with what
  follows in the line; as far as the one goes on like the other, it is there.

A line that was edited is another one.

Of the keys of a line, those of later messages were always appended later. So records are read from the newest
backwards, and no further than to the first key of the line: one small read where all is there.
"""

import json
import secrets
import time
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Final
from uuid import UUID

import attrs

from backscroll.cli.jsonl import Conversation
from backscroll.cli.landing import CONFLICTS, land
from backscroll.envelope import encode_turn
from backscroll.errors import MessageTooLarge, VersionConflict, WindowExceeded
from backscroll.message import Message
from backscroll.store import Store
from backscroll.turn_id import new_turn_id
from backscroll.values import Appended, Record, Unreadable

KEY_BYTES: Final = 10
RANDOM_BITS: Final = 42
MOST_LOOKS: Final = 1_000
"""How many sessions are remembered, for those that come back in a later line."""

MOST_KEYS: Final = 100_000
"""How many keys of live records are remembered for them in all."""

LARGEST_PAGE: Final = 128
_LOW: Final = (1 << 62) - 1

_canonical: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, sort_keys=True).encode


@attrs.frozen
class Brought:
    """What became of one line.

    Args:
        added: How many of its messages were appended.
        present: How many were there already.
    """

    added: int
    present: int


def turn_id_of(key: bytes) -> UUID:
    """A fresh turn_id for the chunk whose last message has this key."""
    bits = int.from_bytes(key) << RANDOM_BITS | secrets.randbits(RANDOM_BITS)
    return UUID(int=bits >> 74 << 80 | 8 << 76 | (bits >> 62 & 0xFFF) << 64 | 2 << 62 | bits & _LOW)


def key_of(turn_id: UUID) -> bytes | None:
    """The key in a turn_id; None where an import cannot have made it."""
    if turn_id.version != 8:
        return None
    number = turn_id.int
    bits = number >> 80 << 74 | (number >> 64 & 0xFFF) << 62 | number & _LOW
    return (bits >> RANDOM_BITS).to_bytes(KEY_BYTES)


class Importer:
    """One run over one input."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._limits = store.limits
        self._begun: Counter[bytes] = Counter()
        self._looks: OrderedDict[str, _Look] = OrderedDict()

    def bring(self, conversation: Conversation) -> Brought:
        """Append what is not there of one line.

        Raises:
            InvalidArgument: A message cannot be stored; nothing of the line was sent.
            BackscrollError: The store failed; importing again goes on from there.
        """
        messages = conversation.messages
        if not messages:
            return Brought(0, 0)
        sizes = self._sizes(messages)
        keys = self._keys(conversation.session_id, messages)
        look = self._look(conversation.session_id)
        start = look.until
        done, conflicts, added = look.landed(keys, messages, start), 0, 0
        while done < len(messages):
            end = self._chunk_end(sizes, done)
            try:
                look.note(self._append(look, messages[done:end], keys[end - 1]), keys[end - 1])
                done, conflicts, added = end, 0, added + end - done
            except (VersionConflict, WindowExceeded):
                conflicts += 1
                if conflicts > CONFLICTS:
                    raise
                look.renew()
                done = look.landed(keys, messages, start)
        return Brought(added, max(0, len(messages) - added))

    def _append(self, look: "_Look", messages: Sequence[Message], key: bytes) -> Appended:
        return land(self._store, look.session_id, messages, turn_id=turn_id_of(key), expected_version=look.version)

    def _sizes(self, messages: Sequence[Message]) -> list[int]:
        """The bytes of each message at the first place of a turn, where its envelope is shortest."""
        bodies, _ = encode_turn(messages, new_turn_id(), time.time_ns() // 1_000, None)
        sizes = [len(body) - len(str(place)) + 1 for place, body in enumerate(bodies)]
        for setting in ("max_message_bytes", "max_turn_bytes"):
            if max(sizes) > (limit := getattr(self._limits, setting)):
                raise MessageTooLarge(setting, limit, max(sizes))
        return sizes

    def _chunk_end(self, sizes: Sequence[int], start: int) -> int:
        """Where the turn ends that begins at `start`: as late as the limits allow."""
        end = min(len(sizes), start + self._limits.max_turn_messages)
        total = 0
        for place in range(start, end):
            # The envelope says the place in the turn, in as many digits as it has.
            size = sizes[place] + len(str(place - start)) - 1
            total += size
            if place > start and (total > self._limits.max_turn_bytes or size > self._limits.max_message_bytes):
                return place
        return end

    def _keys(self, session_id: str, messages: Sequence[Message]) -> list[bytes]:
        link = session_id.encode()
        keys = []
        for message in messages:
            link = blake2b(link + b"\0" + _canonical(message.to_fields()).encode(), digest_size=32).digest()
            beginning = link[:KEY_BYTES]
            key = blake2b(beginning + self._begun[beginning].to_bytes(8), digest_size=KEY_BYTES)
            self._begun[beginning] += 1
            keys.append(key.digest())
        return keys

    def _look(self, session_id: str) -> "_Look":
        look = self._looks.get(session_id)
        if look is None:
            look = self._looks[session_id] = _Look(self._store, session_id)
        self._looks.move_to_end(session_id)
        while len(self._looks) > MOST_LOOKS or sum(map(len, self._looks.values())) > MOST_KEYS + len(look):
            self._looks.popitem(last=False)
        return look


class _Look:
    """The keys of one session's live records, as far as they were read: from the newest backwards.

    Attributes:
        session_id: The session.
        version: The version at which this was seen.
        until: Where the last line ended, as a seq; None before the first.
    """

    def __init__(self, store: Store, session_id: str) -> None:
        self._store = store
        self.session_id: Final = session_id
        self.version = self._before = store.version(session_id)
        self._limit = 1
        self.until: int | None = None
        self._keys: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def landed(self, keys: Sequence[bytes], messages: Sequence[Message], start: int | None) -> int:
        """How many messages of a line that begins behind the seq `start` are there."""
        found = self._last_known(keys)
        self.until = self._keys[keys[found - 1]] if found else start
        return found + self._alike(messages[found:])

    def _alike(self, messages: Sequence[Message]) -> int:
        """How many messages follow in the session just as in the line."""
        count, until = 0, self.until
        if not messages or (-1 if until is None else until) + 1 >= self.version:
            return 0
        for message, record in zip(messages, self._store.iterate(self.session_id, after=until), strict=False):
            if not isinstance(record, Record) or record.message != message:
                return 0
            count, until = count + 1, record.seq
        self.until = until
        return count

    def _last_known(self, keys: Sequence[bytes]) -> int:
        """The last message of a line whose key is there, counted from 1; 0 for none."""
        found = next((place for place in range(len(keys), 0, -1) if keys[place - 1] in self._keys), 0)
        if not found and self._before:
            places = {key: place for place, key in enumerate(keys, 1)}
            while not found and self._before:
                found = max((places.get(key, 0) for key in self._older()), default=0)
        return found

    def note(self, appended: Appended, key: bytes) -> None:
        """Go on behind a turn that was appended."""
        self.version = appended.version
        self.until = self._keys[key] = appended.seqs[-1]

    def renew(self) -> None:
        """Look at what is new."""
        seen, self.version = self.version, self._store.version(self.session_id)
        if self.version < seen:  # it was deleted, and begun anew
            seen = self._before = 0
            self._keys.clear()
        self._learn(self._store.iterate(self.session_id, after=seen - 1))

    def _older(self) -> set[bytes]:
        records = self._store.read(self.session_id, before=self._before, limit=self._limit, newest=True)
        self._before = records[0].seq if len(records) == self._limit else 0
        self._limit = min(4 * self._limit, LARGEST_PAGE)
        return self._learn(records)

    def _learn(self, records: Iterable[Record | Unreadable]) -> set[bytes]:
        learnt = set()
        for record in records:
            if isinstance(record, Record) and (key := key_of(record.turn_id)):
                self._keys[key] = max(record.seq, self._keys.get(key, 0))
                learnt.add(key)
        return learnt
