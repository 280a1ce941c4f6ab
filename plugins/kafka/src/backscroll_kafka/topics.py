"""Where the sessions are: the topic that they share, or one for each; making, checking and listing."""

import heapq
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Final, NamedTuple, TypeVar

from confluent_kafka import murmur2

from backscroll.backend import Deadline, Examination, Health, SessionPage, session_page
from backscroll.errors import SchemaError, StorageError, Unavailable
from backscroll.futures import Steps, done, start
from backscroll_kafka.connections import Connections, NotThere, Place, Topic
from backscroll_kafka.fold import APPEND, DELETE, SHIFT
from backscroll_kafka.index import BITS, Chunk, View
from backscroll_kafka.layout import Kinds, added, is_hashed, session_of, topic_of
from backscroll_kafka.logs import Logs, made_again
from backscroll_kafka.options import KafkaOptions
from backscroll_kafka.readers import Gone
from backscroll_kafka.refusals import MISSING, NoTopic
from backscroll_kafka.sessions import Sight
from backscroll_kafka.settings import Seen, examined, of_a_new_topic, partitions_of, unusable
from backscroll_kafka.views import Views

R = TypeVar("R")

SESSIONS_AT_ONCE: Final = 1_000
"""How many sessions a page lists at the most."""

SAMPLES: Final = 3
"""In how many partitions it is looked at what is there, when a topic is met."""

SAMPLE: Final = 8
"""How many records are looked at in each."""

TRUSTED: Final = 30.0
"""For how many seconds a topic is taken to be the one that it was, where nothing says otherwise."""

POLL: Final = 0.05
"""How many seconds after it was made a topic is looked for again."""


class Spot(NamedTuple):
    """Where a session is."""

    place: Place
    key: bytes
    topic: Topic


class Topics:
    """The topics of a store.

    Args:
        connections: The way to the cluster.
        logs: Reads the logs.
        views: What is known of them.
        name: The topic, or what the names of the sessions' topics begin with.
        options: The store's.
    """

    def __init__(self, connections: Connections, logs: Logs, views: Views, name: str, options: KafkaOptions) -> None:
        self._connections = connections
        self._logs = logs
        self._views = views
        self._is_shared = options.layout == "shared"
        self._name = name if self._is_shared or not name else f"{name}-"
        self._options = options
        self.forget()
        logs.doubt = self.doubt

    def forget(self) -> None:
        """Drop what is known, in the child of a fork."""
        self._known: dict[str, Topic] = {}
        self._seen_at: dict[str, float] = {}
        self._doubted: set[str] = set()
        self._refused: dict[str, SchemaError] = {}

    # Finding.

    async def spot(self, session_id: str, deadline: Deadline) -> Spot | None:
        """Where a session is; None where its topic is missing."""
        name, key = self._topic_of(session_id), session_id.encode()
        topic = await self._find(name, deadline)
        return None if topic is None else Spot((name, murmur2(key, topic.partitions)), key, topic)

    async def spot_to_write(self, session_id: str, deadline: Deadline) -> Spot:
        """Where a turn goes; the topic of a single session is made where it is missing.

        Raises:
            NoTopic: It is missing, and is not made here.
        """
        spot = await self.spot(session_id, deadline)
        if spot is None and not self._is_shared and self._options.setup == "auto":
            await self._make(self._topic_of(session_id), deadline)
            spot = await self.spot(session_id, deadline)
        if spot is None:
            raise NoTopic(f"kafka: {MISSING.format(topic=self._topic_of(session_id))}")
        return spot

    def doubt(self, name: str) -> None:
        """Look at a topic again before it is used the next time."""
        self._doubted.add(name)

    def refuse(self, name: str) -> SchemaError:
        """Use a topic no more that was made again; says so."""
        error = made_again(name)
        self._refused[name] = error
        return error

    def _topic_of(self, session_id: str) -> str:
        return self._name if self._is_shared else topic_of(self._name, session_id)

    async def _find(self, name: str, deadline: Deadline) -> Topic | None:
        """A topic that can be used; None where it is missing."""
        if (refused := self._refused.get(name)) is not None:
            raise SchemaError(str(refused))
        known = self._known.get(name)
        if known is not None and name not in self._doubted and time.monotonic() - self._seen_at[name] < TRUSTED:
            return known
        found = await self._connections.topic(name, deadline)
        if known is not None:
            return self._still(name, known, found)
        if found is not None:
            await self._check(name, found, deadline)
            self._seen_at[name] = time.monotonic()
            self._known[name] = found
        return found

    def _still(self, name: str, known: Topic, found: Topic | None) -> Topic:
        """The topic, if it is the one that was there before."""
        if found is None:
            raise Unavailable(
                f"kafka: the topic {name} is not there any more: who deleted it on purpose opens another store"
            )
        if found.id != known.id:
            raise self.refuse(name)
        if found.partitions != known.partitions:
            raise added(known.partitions, found.partitions)
        self._doubted.discard(name)
        self._seen_at[name] = time.monotonic()
        return known

    async def _check(self, name: str, topic: Topic, deadline: Deadline) -> dict[str, str]:
        """The settings of a topic that can be used.

        Raises:
            SchemaError: It cannot, with what to change.
        """
        places = [(name, partition) for partition in range(topic.partitions)]
        asking = start(self._connections.ends(places, deadline))
        settings = await self._connections.settings_of(name, deadline)
        if (why := unusable(name, topic, settings, self._options)) is not None:
            raise SchemaError(f"kafka: {why}")
        ends, looked = await self._known_to_all(asking), 0
        for place, end in zip(places, ends, strict=False):
            if end and looked < SAMPLES:
                looked += 1
                if await self._is_ours(place, topic, end, deadline):
                    break
        return settings

    async def _known_to_all(self, asking: "Future[list[int]]") -> list[int]:
        """The ends of the logs; none where a broker does not know yet of a topic that was just made."""
        try:
            return await done(asking)
        except NotThere:
            return []

    async def _is_ours(self, place: Place, topic: Topic, end: int, deadline: Deadline) -> bool:
        """Whether the last records of a place are such as this store writes.

        Raises:
            SchemaError: They are of another number of partitions, or a newer release.
        """
        chunk = Chunk(Kinds(topic.partitions)).below(end)
        try:
            await self._logs.scan(place, max(0, end - SAMPLE), end, chunk, deadline)
        except Gone:
            return False  # retention took some of them
        if chunk.problem is not None:
            raise chunk.problem
        return bool(chunk.offsets)

    # Making.

    async def setup(self, deadline: Deadline) -> Health:
        """Make the topic where it is missing."""
        if self._is_shared:
            await self._make(self._name, deadline)
        return (await self.examine(deadline)).health

    async def _make(self, name: str, deadline: Deadline) -> None:
        if await self._find(name, deadline) is None:
            options = self._options
            await self._connections.make(name, partitions_of(options), of_a_new_topic(options), deadline)
        # A topic is made some time before all brokers know of it.
        while (found := await self._just_made(name, deadline)) is None or found.leaderless:
            if found is not None:
                self._known.pop(name, None)
            await self._connections.pause(POLL, deadline)

    async def _just_made(self, name: str, deadline: Deadline) -> Topic | None:
        try:
            return await self._find(name, deadline)
        except NotThere:
            return None

    async def examine(self, deadline: Deadline) -> Examination:
        """What is seen of the topic, as it is now."""
        brokers = await self._connections.brokers(deadline)
        topic = await self._connections.topic(self._name, deadline) if self._is_shared else None
        settings = await self._check(self._name, topic, deadline) if topic else {}
        return examined(Seen(self._name if self._is_shared else "", topic, settings, brokers), self._options)

    # Listing.

    async def sessions(self, prefix: str, cursor: str | None, limit: int, deadline: Deadline) -> SessionPage:
        """A page of the sessions."""
        limit = min(limit, SESSIONS_AT_ONCE)
        names = self._names if self._is_shared else self._names_of_topics
        return session_page(await names(prefix, cursor, limit + 1, deadline), prefix, limit)

    async def _names(self, prefix: str, cursor: str | None, most: int, deadline: Deadline) -> list[str]:
        """The first sessions whose ids start so, behind the cursor, in the order of their bytes."""
        topic = await self._find(self._name, deadline)
        if topic is None:
            return []
        places = [(self._name, partition) for partition in range(topic.partitions)]
        listed: list[tuple[bytes, View, bool]] = []
        for view in await self._logs.current_all(places, topic, deadline):
            low = None if cursor is None else cursor.encode()
            listed += await self._listed(view, prefix.encode(), low, deadline)
        waiting = [(key, number) for number, (key, _, _) in enumerate(listed)]
        heapq.heapify(waiting)
        found: list[str] = []
        while waiting and len(found) < most:
            key, number = heapq.heappop(waiting)
            _, view, is_doubtful = listed[number]
            if not is_doubtful or await Sight(self._logs, self._views, view, key, deadline).newest() is not None:
                found.append(key.decode())
        return found

    async def _listed(
        self, view: View, prefix: bytes, low: bytes | None, deadline: Deadline
    ) -> list[tuple[bytes, View, bool]]:
        """The sessions of a place, and whether each has to be looked at, since it was deleted at least once."""

        def wanted(key: bytes) -> bool:
            return key.startswith(prefix) and (low is None or key > low)

        if not self._views.is_full:
            await self._logs.reach(view, b"", 0, deadline)
        with self._views.lock:
            # Once the index is full, it holds those in use only.
            offsets = None if self._views.is_full else {key: own for key, own in view.offsets.items() if wanted(key)}
            controls = dict(view.controls)
        if offsets is None:
            chunk = await self._scanned(view, wanted, deadline)
            offsets, controls = chunk.offsets, chunk.controls
        count = view.kinds.partitions
        # What lies in another partition than its key's is no session of ours, nor is what is no text.
        keys = [key for key in offsets if murmur2(key, count) == view.place[1] and _is_text(key)]
        listed = []
        for key in keys:
            dropped = [entry for entry in controls.get(key, ()) if entry.kind == DELETE]
            gone = max([(view.start or 0) << SHIFT, *(entry.bound for entry in dropped)])
            if _has_turns(offsets[key], gone):
                listed.append((key, view, bool(dropped)))
        return listed

    async def _scanned(self, view: View, wanted: Callable[[bytes], bool], deadline: Deadline) -> Chunk:
        """What a place holds of some sessions."""
        while True:
            chunk = Chunk(view.kinds, None, wanted).below(view.end)
            try:
                await self._logs.scan(view.place, view.start or 0, view.end, chunk, deadline)
            except Gone:
                await self._logs.begins_later(view, deadline)
                continue
            if chunk.problem is not None:
                raise chunk.problem
            return chunk

    async def _names_of_topics(self, prefix: str, cursor: str | None, most: int, deadline: Deadline) -> list[str]:
        """The first sessions that have topics of their own, likewise."""
        ids = []
        for name in await self._connections.topics(deadline):
            session_id = session_of(self._name, name)
            if session_id is None and is_hashed(self._name, name):
                session_id = await self._unless_foreign(name, self._told_by(name, deadline))
            is_behind = session_id and (cursor is None or session_id.encode() > cursor.encode())
            if session_id and is_behind and session_id.startswith(prefix):
                ids.append(session_id)
        found: list[str] = []
        for session_id in sorted(ids, key=str.encode):
            if len(found) == most:
                break
            if await self._unless_foreign(self._topic_of(session_id), self._has_turns(session_id, deadline)):
                found.append(session_id)
        return found

    async def _has_turns(self, session_id: str, deadline: Deadline) -> bool:
        """Whether a session that has a topic of its own has turns that count."""
        spot = await self.spot(session_id, deadline)
        if spot is None:
            return False
        view = await self._logs.current(spot.place, spot.topic, deadline)
        return await Sight(self._logs, self._views, view, spot.key, deadline).newest() is not None

    async def _unless_foreign(self, name: str, looking: Steps[R]) -> R | None:
        """What was found out about a topic; None where it cannot be used, and never was by this store."""
        is_ours = name in self._known or name in self._refused
        try:
            return await looking
        except StorageError:
            if is_ours:
                raise
            return None

    async def _told_by(self, name: str, deadline: Deadline) -> str | None:
        """The session of a topic whose name is a hash, as its records tell."""
        topic = await self._find(name, deadline)
        for partition in range(topic.partitions if topic else 0):
            for key in await self._oldest((name, partition), topic, deadline):
                if _is_text(key) and topic_of(self._name, key.decode()) == name:
                    return key.decode()
        return None

    async def _oldest(self, place: Place, topic: Topic | None, deadline: Deadline) -> list[bytes]:
        """The keys of the first records of a place."""
        while True:
            low, high = await self._connections.start(place, deadline), await self._connections.end(place, deadline)
            chunk = Chunk(Kinds(topic.partitions if topic else 1)).below(high)
            try:
                await self._logs.scan(place, low, min(high, low + SAMPLE), chunk, deadline)
            except Gone:
                await self._connections.pause(POLL, deadline)
            else:
                return list(chunk.offsets)


def _is_text(key: bytes) -> bool:
    return key.decode(errors="ignore").encode() == key


def _has_turns(packed: Iterable[int], gone: int) -> bool:
    """Whether a session has a turn that is not below a seq."""
    return any(each & ((1 << BITS) - 1) == APPEND and each >> BITS << SHIFT >= gone for each in reversed(list(packed)))
