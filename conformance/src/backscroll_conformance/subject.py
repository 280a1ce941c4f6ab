"""What a clause works with: stores and backends of the database under test, in one of their two forms."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from functools import partial
from random import Random
from typing import Any, Final
from uuid import UUID, uuid4

from backscroll import Message, Record, Store, Unreadable
from backscroll.backend import Backend, Capability, Deadline, Limits, Page, Row, Turn, Window
from backscroll.envelope import encode_turn
from backscroll_conformance.clauses import Form
from backscroll_conformance.expect import Broken
from backscroll_conformance.target import Effort, Target
from backscroll_conformance.timeline import Timeline

SECOND: Final = 1_000_000_000
"""In the unit of a store's clock."""


class NotRun(Exception):
    """A clause could not be judged; the text says why."""


class NotApplicable(Exception):
    """A clause says nothing about this database; the text says why."""


AT_ONCE: Final = 8
"""How many calls are under way at once where many are needed."""

ENCODED: Final = 512
"""How many bytes a message has beside its text, once it is encoded, at the most."""


class Clock:
    """Starts at the present and stands still until it is moved, so that no clause has to wait."""

    def __init__(self) -> None:
        self.now = time.time_ns()

    def __call__(self) -> int:
        """The time, in nanoseconds since 1970."""
        return self.now

    def advance(self, seconds: float) -> None:
        """Move it; backward, too."""
        self.now += round(seconds * SECOND)


class Twin:
    """A store or a backend, each of whose operations is awaited, in one form or the other.

    The sync form never suspends, so that `backscroll.retry.drive` can run it without a loop.
    """

    def __init__(self, target: Any, form: Form) -> None:
        self.target: Final = target
        self.is_closed = False
        self._form = form

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if self._form is Form.ASYNC:
            twin: Callable[..., Any] = getattr(self.target, f"a{name}")
            return twin
        method = getattr(self.target, name)

        async def call(*args: Any, **kwargs: Any) -> Any:
            return method(*args, **kwargs)

        return call

    async def close(self) -> None:
        """`close` or `aclose`."""
        self.is_closed = True
        await self.__getattr__("close")()

    async def walk(self, session_id: str, **options: Any) -> AsyncIterator[Any]:
        """`iterate` or `aiterate`."""
        if self._form is Form.ASYNC:
            async for record in self.target.aiterate(session_id, **options):
                yield record
        else:
            for record in self.target.iterate(session_id, **options):
                yield record


class Subject:
    """The database under test, as one clause meets it.

    Args:
        target: The database.
        form: The form in which operations are called.
        seed: Where random choices come from.
        effort: How far they go.
        origin: The target before it was given a folder.

    Attributes:
        clock: The clock of every store that is opened here; stands still unless moved.
        figures: What the clause measures, for the report.
        timelines: The calls around what the clause finds wrong, likewise.
        store: A store, as an application has it; its schema is there.
        backend: The backend of that store, called directly.
        capabilities: What the backend declares.
        limits: The limits in force.
    """

    def __init__(self, target: Target, form: Form, seed: int, effort: Effort, origin: Target | None = None) -> None:
        self.target: Final = target
        self.origin: Final = origin or target
        self.form: Final = form
        self.seed: Final = seed
        self.effort: Final = effort
        self.random: Final = Random(seed)  # noqa: S311  # no randomness here keeps a secret
        self.clock: Final = Clock()
        self.figures: Final[dict[str, Any]] = {}
        self.timelines: Final[list[Timeline]] = []
        self._token = uuid4().hex[:12]
        self._sessions: list[str] = []
        self._opened: list[Twin] = []
        self.store, self.backend = self.open()

    @property
    def capabilities(self) -> dict[Capability, Any]:
        """What the backend declares."""
        return dict(self.store.target.capabilities)

    @property
    def limits(self) -> Limits:
        """The limits in force."""
        limits: Limits = self.store.target.limits
        return limits

    def open(self, wrap: Callable[[Backend], Backend] | None = None, **options: Any) -> tuple[Twin, Twin]:
        """Another client of the same database: its store and its backend.

        Args:
            wrap: Puts something between the two.
            **options: Options of the store.
        """
        backend = self.target.connect(**{"clock": self.clock, **options})
        store = Twin(Store(wrap(backend) if wrap else backend), self.form)
        self._opened.append(store)
        return store, Twin(backend, self.form)

    async def begin(self) -> None:
        """Make the schema."""
        await self.store.setup()

    async def finish(self) -> None:
        """Delete the sessions, where the database stays, and close the stores."""
        try:
            if not self.origin.is_embedded and self.capabilities[Capability.DELETE]:
                await self.for_each(self._sessions, "delete")
        finally:
            for store in self._opened:
                if not store.is_closed:
                    await store.close()

    def session(self, suffix: str = "", prefix: str = "") -> str:
        """The id of a session that nobody else uses; those of one clause share a middle part."""
        made = f"{prefix}{self._token}.{len(self._sessions)}{suffix}"
        self._sessions.append(made)
        return made

    def forget_sessions(self) -> None:
        """Leave nothing to delete in the end: the sessions went with a server of their own."""
        self._sessions.clear()

    async def fill(self, session_id: str, texts: list[str], at_once: int = 500, **options: Any) -> list[int]:
        """Append messages in turns as large as the backend takes; gives their seqs.

        Args:
            session_id: Where to.
            texts: Their texts, in ASCII.
            at_once: How many a turn has, where it may have so many.
            **options: Those of each append.
        """
        size = ENCODED + max(map(len, texts), default=0)
        # Half of what it takes, so that nothing but the clauses about sizes depends on the other half.
        at_once = max(1, min(at_once, self.limits.max_turn_messages, self.limits.max_turn_bytes // 2 // size))
        seqs: list[int] = []
        for start in range(0, len(texts), at_once):
            answer = await self.store.append(session_id, messages(*texts[start : start + at_once]), **options)
            seqs += answer.seqs
        return seqs

    async def for_each(self, session_ids: Sequence[str], operation: str, *args: Any) -> None:
        """Call an operation of the store for many sessions; where there is a server, for several at once."""
        if self.origin.is_embedded:
            for one in session_ids:
                await getattr(self.store, operation)(one, *args)
            return
        for start in range(0, len(session_ids), AT_ONCE):
            some = session_ids[start : start + AT_ONCE]
            if self.form is Form.ASYNC:
                await asyncio.gather(*(getattr(self.store, operation)(one, *args) for one in some))
            else:
                call = getattr(self.store.target, operation)
                raise_first(in_threads([partial(call, one, *args) for one in some]))

    def sessions(self, parts: Iterable[str], *, in_front: bool = False) -> list[str]:
        """Ids that differ only in these parts, which stand at their end or in front."""
        made = [f"{part}.{self._token}" if in_front else f"{self._token}.{part}" for part in parts]
        self._sessions += made
        return made

    @property
    def token(self) -> str:
        """With what the ids of `sessions` start."""
        return self._token

    async def everything(self, session_id: str, store: Twin | None = None, **options: Any) -> list[Record | Unreadable]:
        """All records of a session."""
        return [record async for record in (store or self.store).walk(session_id, **options)]

    async def texts(self, session_id: str, store: Twin | None = None) -> list[str]:
        """The texts of all records of a session; fails where one is unreadable."""
        return texts_of(await self.everything(session_id, store))

    async def pages(self, session_id: str, **rest: Any) -> AsyncIterator[Page]:
        """What a backend gives for a window of a session, page by page upward.

        Raises:
            Broken: The pages do not go on.
        """
        after: int | None = None
        while True:
            page: Page = await self.backend.read(session_id, self.window(after=after, **rest), self.deadline())
            yield page
            if page.resume is None:
                return
            if after is not None and page.resume <= after:
                raise Broken(f"a page that was asked for after seq {after} says to go on after seq {page.resume}")
            after = page.resume

    async def rows(self, session_id: str, **rest: Any) -> list[Row]:
        """The rows of all pages."""
        return [row async for page in self.pages(session_id, **rest) for row in page.rows]

    async def pause(self, seconds: float) -> None:
        """Wait a little before looking again."""
        if self.form is Form.ASYNC:
            await asyncio.sleep(seconds)
        else:
            time.sleep(seconds)  # noqa: ASYNC251  # no loop runs this

    def deadline(self, seconds: float = 10.0) -> Deadline:
        """A deadline for a call of the backend."""
        return Deadline(seconds)

    def turn(self, *texts: str, turn_id: UUID | None = None, **rest: Any) -> Turn:
        """A turn as a store would hand it to a backend."""
        turn_id = turn_id or uuid4()
        expires_at = rest.get("expires_at")
        bodies, digest = encode_turn(messages(*texts), turn_id, self.microseconds, expires_at)
        return Turn(turn_id, digest, bodies, **rest)

    def window(self, limit: int = 100, **rest: Any) -> Window:
        """A window as a store would hand it to a backend."""
        given = {"after": None, "before": None, "newest": False, "now": self.microseconds, **rest}
        return Window(limit=limit, **given)

    @property
    def microseconds(self) -> int:
        """The clock, in the unit of a backend."""
        return self.clock.now // 1_000


def messages(*texts: str) -> list[Message]:
    """A user's messages with these texts."""
    return [Message("user", text) for text in texts]


def numbered(count: int, word: str = "message") -> list[str]:
    """Texts that tell one message from another."""
    return [f"{word} {number}" for number in range(count)]


def texts_of(records: Sequence[Any]) -> list[str]:
    """The texts of records.

    Raises:
        Broken: One of them is unreadable.
    """
    for record in records:
        if isinstance(record, Unreadable):
            raise Broken(f"the record at seq {record.seq} came back unreadable: {record.reason}")
    return [record.message.content for record in records]


def raise_first(answers: Sequence[Any]) -> None:
    """Raise the first of the answers of `in_threads` that is an exception."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer


def in_threads(calls: Sequence[Callable[[], Any]], seconds: float = 30.0) -> list[Any]:
    """Run calls at once, each in a thread of its own; gives what they answered or raised.

    Raises:
        Broken: One of them did not end in time.
    """
    start = threading.Barrier(len(calls))
    answers: list[Any] = [None] * len(calls)

    def run(place: int) -> None:
        start.wait()
        try:
            answers[place] = calls[place]()
        except Exception as error:  # noqa: BLE001 - it is what the call answered
            answers[place] = error

    threads = [threading.Thread(target=run, args=(place,), daemon=True) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    if any(thread.is_alive() for thread in threads):
        raise Broken(f"of {len(calls)} calls at once some did not end within {seconds:g} s")
    return answers
