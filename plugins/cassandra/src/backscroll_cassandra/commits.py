"""The queue of each session: turns that wait for each other inside this process are committed together.

A pump per session, driven by the driver's callbacks, takes what waits and commits it as one batch; each turn has
its own outcome. A batch whose outcome is unknown is sent again as it was, since at the most one copy of it lands.
"""

import random
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final
from uuid import UUID

import attrs

from backscroll.backend import Appended, Deadline, Turn
from backscroll.errors import (
    BackscrollError,
    DeadlineExceeded,
    MessageTooLarge,
    OutcomeUnknown,
    StorageError,
    Unavailable,
    WindowExceeded,
)
from backscroll.futures import done, pending, start
from backscroll.recent import WINDOW, find_turn, holds_since, known_turn, landed, push_turn
from backscroll_cassandra.connections import Connections
from backscroll_cassandra.layout import ABSENT
from backscroll_cassandra.segments import Segments, Tail

TOGETHER: Final = WINDOW // 2
"""How many turns a batch holds at the most: each has to be among the last ones when its answer is lost."""

BYTES_TOGETHER: Final = 1 << 20
"""How many bytes the turns of a batch have together, where there are several."""

MESSAGES_TOGETHER: Final = 500
"""How many messages the turns of a batch have together, where there are several."""

REMEMBERED: Final = 10_000
"""How many sessions are remembered that nobody appends to at the moment."""

GIVES_WAY: Final = 0.5
"""For how many seconds after another process was met a pump gives way after each batch."""

LONGEST_PAUSE: Final = 0.02
"""How long it does so at the most, in seconds: half of it on average lets the other one win."""

LONGEST_WAIT: Final = 0.05
"""How many seconds a batch whose outcome is unknown waits at the most before it is sent again."""


class Waiting:
    """A turn in the queue of its session."""

    def __init__(self, turn: Turn, deadline: Deadline) -> None:
        self.turn = turn
        self.deadline = deadline
        self.future: Future[Appended] = pending()
        self.is_withdrawn = False
        self.is_taken = False


@attrs.define(eq=False)
class _Session:
    session_id: str
    queue: "deque[Waiting]" = attrs.field(factory=deque)
    is_pumped: bool = False
    tail: Tail | None = None
    listed: UUID | None = None
    """the incarnation that this process has entered into the index"""
    met_others_at: float = -GIVES_WAY


class Commits:
    """The queues of all sessions."""

    def __init__(self, connections: Connections, segments: Segments) -> None:
        self._connections = connections
        self._segments = segments
        self.forget()

    def forget(self) -> None:
        """Drop the queues, in the child of a fork."""
        self._lock = threading.Lock()
        self._busy: dict[str, _Session] = {}
        self._idle: OrderedDict[str, _Session] = OrderedDict()

    def add(self, session_id: str, turn: Turn, deadline: Deadline) -> Waiting:
        """Let a turn be committed as soon as those before it are."""
        waiting = Waiting(turn, deadline)
        with self._lock:
            session = self._busy.get(session_id) or self._idle.pop(session_id, None) or _Session(session_id)
            self._busy[session_id] = session
            session.queue.append(waiting)
            is_pumped, session.is_pumped = session.is_pumped, True
        if not is_pumped:
            start(self._pump(session))
        return waiting

    def give_up(self, waiting: Waiting) -> BackscrollError:
        """What is known of a turn at its deadline; where it was not sent by then, it is not sent any more."""
        with self._lock:
            waiting.is_withdrawn = True
        late = f"within {waiting.deadline.seconds:g} s"
        if waiting.is_taken:
            return OutcomeUnknown(f"cassandra: no answer {late}")
        return DeadlineExceeded(f"cassandra: not begun {late}, since others append to the session: raise timeout")

    def _take(self, session: _Session) -> list[Waiting]:
        """The turns of the next batch; where there are none, the session is idle."""
        taken: list[Waiting] = []
        size = count = 0
        with self._lock:
            while session.queue and len(taken) < TOGETHER:
                waiting = session.queue[0]
                size += sum(map(len, waiting.turn.bodies))
                count += len(waiting.turn.bodies)
                if taken and (size > BYTES_TOGETHER or count > MESSAGES_TOGETHER):
                    break
                session.queue.popleft()
                if not waiting.is_withdrawn:
                    waiting.is_taken = True
                    taken.append(waiting)
            if not taken:
                session.is_pumped = False
                if session.tail is not None and session.tail.stored == ABSENT:
                    session.tail = None  # by the next turn others may have made it, and dropped it again
                del self._busy[session.session_id]
                self._idle[session.session_id] = session
                if len(self._idle) > REMEMBERED:
                    self._idle.popitem(last=False)
        return taken

    async def _pump(self, session: _Session) -> None:
        while batch := self._take(session):
            try:
                await self._commit(session, batch)
                if time.monotonic() - session.met_others_at < GIVES_WAY:
                    await done(self._connections.pause(random.uniform(0, LONGEST_PAUSE)))  # noqa: S311 - no secret
            except BaseException as error:  # noqa: BLE001 - those who wait are to know of it
                session.tail = None
                for waiting in batch:
                    if not waiting.future.done():
                        waiting.future.set_exception(error)

    async def _commit(self, session: _Session, batch: Sequence[Waiting]) -> None:
        """Bring the turns of a batch to their ends."""
        deadline = max((waiting.deadline for waiting in batch), key=Deadline.remaining)
        try:
            await self._decide(session, batch, deadline)
        except (MessageTooLarge, StorageError):
            # What was refused together may be taken one by one.
            if len(batch) == 1:
                raise
            for waiting in batch:
                if not waiting.future.done():
                    try:
                        await self._decide(session, [waiting], waiting.deadline)
                    except BackscrollError as error:
                        waiting.future.set_exception(error)

    async def _decide(self, session: _Session, batch: Sequence[Waiting], deadline: Deadline) -> None:
        session_id, is_fresh = session.session_id, False
        if any(waiting.turn.age for waiting in batch):
            session.tail = None  # the time is asked for with it
        while True:
            if session.tail is None:
                session.tail = (await self._segments.find(session_id, deadline)).tail
                is_fresh = True
            tail = session.tail
            verdicts, fitting = self._verdicts(tail, batch)
            if not fitting:
                if not is_fresh:
                    # What was remembered may be out of date, and a refusal is final.
                    session.tail = None
                    continue
                break
            has_landed, session.tail = await self._insist(session, tail, fitting, deadline)
            if has_landed:
                break
            is_fresh = session.tail is not None
            session.met_others_at = time.monotonic()
        if any(isinstance(verdict, Appended) for verdict in verdicts):
            await self._enter(session, deadline)
        for waiting, verdict in zip(batch, verdicts, strict=True):
            if isinstance(verdict, Appended):
                waiting.future.set_result(verdict)
            else:
                waiting.future.set_exception(verdict)

    def _verdicts(self, tail: Tail, batch: Sequence[Waiting]) -> tuple[list[Appended | BackscrollError], list[Turn]]:
        """What each turn of a batch meets behind those before it, and the turns that land."""
        version, recent, now = tail.version, tail.recent, self._connections.clock.earliest()
        verdicts: list[Appended | BackscrollError] = []
        fitting: list[Turn] = []
        for waiting in batch:
            turn = waiting.turn
            try:
                known = known_turn(recent, version, now, turn)
            except BackscrollError as error:
                verdicts.append(error)
                continue
            verdicts.append(known or landed(turn, version))
            if known is None:
                fitting.append(turn)
                recent = push_turn(recent, turn, version, now)
                version += len(turn.bodies)
        return verdicts, fitting

    async def _insist(
        self, session: _Session, tail: Tail, turns: Sequence[Turn], deadline: Deadline
    ) -> tuple[bool, Tail | None]:
        """Send a batch until it is known whether it landed; whether it did, and the last segment after it."""
        doubt: OutcomeUnknown | None = None
        while True:
            try:
                has_landed, seen = await self._segments.append(session.session_id, tail, turns, deadline)
            except WindowExceeded:
                raise
            except OutcomeUnknown as error:
                doubt = error
            except BackscrollError as error:
                if doubt is None:
                    raise
                if not isinstance(error, Unavailable):
                    raise doubt from error
            else:
                if doubt is not None and not has_landed:
                    seen = seen or await self._found(session, deadline, doubt)
                    _check_window(tail, seen, turns)
                return has_landed, seen
            await self._wait(deadline, doubt)

    async def _found(self, session: _Session, deadline: Deadline, doubt: OutcomeUnknown) -> Tail:
        """Look for the last segment, on which it hangs what became of a batch."""
        while True:
            try:
                return (await self._segments.find(session.session_id, deadline)).tail
            except Unavailable:
                # Were it told now, others might append more turns than the ring holds before it is asked again.
                await self._wait(deadline, doubt)
            except BackscrollError as error:
                raise doubt from error

    async def _wait(self, deadline: Deadline, doubt: OutcomeUnknown) -> None:
        seconds = random.uniform(0, LONGEST_WAIT)  # noqa: S311 - no secret
        if seconds >= deadline.remaining():
            raise doubt
        await done(self._connections.pause(seconds))

    async def _enter(self, session: _Session, deadline: Deadline) -> None:
        """See to it that the session stands in the index, once per process."""
        tail = session.tail
        if tail is not None and tail.incarnation not in (None, session.listed):
            try:
                await self._segments.enter(session.session_id, tail.incarnation, deadline)
            except BackscrollError as error:
                seen = error.reason if isinstance(error, OutcomeUnknown) else error
                raise OutcomeUnknown(f"its session did not get into the index ({seen})") from error
            session.listed = tail.incarnation


def _check_window(tail: Tail, seen: Tail, turns: Sequence[Turn]) -> None:
    """A batch that did not land on one state of its session may have landed by an earlier copy.

    Raises:
        WindowExceeded: The ring does not tell any more.
    """
    if tail.incarnation not in (None, seen.incarnation) or holds_since(seen.recent, tail.version):
        return
    if any(find_turn(seen.recent, turn.turn_id.bytes) is None for turn in turns):
        raise WindowExceeded(f"{WINDOW} other turns were appended while its outcome was unknown")
