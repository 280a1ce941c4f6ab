"""The state machine: random operations of a store, each of them done to a plain list as well."""

from collections.abc import Callable, Coroutine
from functools import wraps
from inspect import signature
from typing import Any, Concatenate, Final, ParamSpec, TypeVar, cast
from uuid import uuid4

import attrs
from hypothesis import seed
from hypothesis import strategies as st
from hypothesis.errors import Flaky
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from backscroll.backend import Capability, Turn
from backscroll.errors import OutcomeUnknown, TurnIdReused, VersionConflict
from backscroll_conformance.expect import Broken, equal, raises, true
from backscroll_conformance.game import Enough, Game
from backscroll_conformance.listed import BEYOND, Listed, Shown, shown
from backscroll_conformance.subject import Twin, messages

P = ParamSpec("P")
M = TypeVar("M", bound="Machine")

NAMES: Final = ("A", "a ", "a\0", "ä", "a\u0308", "'; DROP TABLE session;--", "%", "\U0001f600")
"""The sessions of a script are ``a`` and two of these: few, so that much happens to each."""

OTHER: Final = {"one less": -1, "one more": 1, "far more": 1 << 40, "that of an empty session": -(1 << 62)}
"""How far from the version a condition is that does not hold."""

PREFIXES: Final = ("", "a", "%", "_", "\U0001f600", "zz")

SESSION: Final = st.runner().flatmap(lambda machine: st.sampled_from(machine.names))
PLACE: Final = st.integers(-1, 12)


def step(method: Callable[Concatenate[M, P], Coroutine[Any, Any, None]]) -> Callable[Concatenate[M, P], None]:
    """A rule that is written as a coroutine, and told as a line of the script."""
    names = list(signature(method).parameters)

    @wraps(method)
    def played(machine: M, /, *args: P.args, **kwargs: P.kwargs) -> None:
        given = ", ".join(f"{name}={kwargs[name]!r}" for name in names if name in kwargs)
        machine.game.script.append(f"state.{method.__name__}({given})")
        machine.play(method(machine, *args, **kwargs))

    return played


def needs(*capabilities: Capability) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Leave a rule out where the backend lacks what it needs."""

    def has_them(machine: Any) -> bool:
        return all(machine.game.store.target.capabilities[one] for one in capabilities)

    return cast("Callable[[Callable[..., None]], Callable[..., None]]", precondition(has_them))


class Machine(RuleBasedStateMachine):
    """Each rule does one operation of the store, to the list as well, and compares."""

    def __init__(self, game: Game) -> None:
        super().__init__()
        self.game = game
        self.store = game.store
        self.number = game.begin()
        self.listed: dict[str, Listed] = {}
        self.ids: dict[str, str] = {}
        self.names = ["a"]
        self.intact = True
        self.messages = 0

    def play(self, work: Coroutine[Any, Any, None]) -> None:
        """Run what a rule does."""
        try:
            self.game.run(work)
        except Exception as error:
            self.intact = False
            self.game.fail(error)
            raise

    @initialize(
        others=st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True), seed=st.integers(0, 1 << 16)
    )
    def begin(self, others: list[str], seed: int) -> None:
        """Choose the sessions, and the calls whose answers are lost."""
        self.names = ["a", *others]
        if self.game.lossy:
            self.game.lossy.random.seed(seed)

    def teardown(self) -> None:
        """Look at all sessions again."""
        if self.intact:
            self.play(self._compare_all())

    @rule(session=SESSION, size=st.integers(1, 4), own=st.booleans())
    @step
    async def append(self, session: str, size: int, own: bool) -> None:
        """Append a turn, under an id of its own or the store's."""
        await self._append(session, size, own)
        await self._compare(session)

    @rule(session=SESSION, turns=st.integers(2, 16))
    @step
    async def append_many(self, session: str, turns: int) -> None:
        """Append one turn after the other."""
        for _ in range(turns):
            await self._append(session, 1, own=True)
        await self._compare(session)

    @rule(session=SESSION, size=st.integers(1, 3), ttl=st.integers(1, 5))
    @needs(Capability.TTL)
    @step
    async def append_expiring(self, session: str, size: int, ttl: int) -> None:
        """Append a turn that expires."""
        await self._append(session, size, own=True, ttl=ttl)
        await self._compare(session)

    @rule(session=SESSION, size=st.integers(1, 3), own=st.booleans())
    @needs(Capability.CONDITIONAL_APPEND)
    @step
    async def append_if_current(self, session: str, size: int, own: bool) -> None:
        """Append a turn on the current version."""
        await self._append(session, size, own, expected_version=self._at(session).version)
        await self._compare(session)

    @rule(session=SESSION, expected=st.sampled_from(list(OTHER)), own=st.booleans())
    @needs(Capability.CONDITIONAL_APPEND)
    @step
    async def append_if_other(self, session: str, expected: str, own: bool) -> None:
        """Append a turn on another version, which is refused; under an id of its own it lands afterwards as new."""
        version = self._at(session).version
        other = max(0, version + OTHER[expected])
        if other == version:
            return
        # With an answer lost, a version that the session may yet reach leaves the outcome open.
        is_open = other > version and self.game.loses_answers
        kinds = (VersionConflict, OutcomeUnknown) if is_open else (VersionConflict,)
        text = self._text()
        call = self.store.append(
            self._id(session), messages(text), turn_id=text if own else None, expected_version=other
        )
        error = await raises(kinds, call, f"appending on version {other} where {version} is the current one")
        await self._compare(session)
        if isinstance(error, VersionConflict):
            equal(error.current, version, "the current version that the VersionConflict names")
            if own:
                await self._append(session, 1, own, texts=[text])
                await self._compare(session)

    @rule(session=SESSION, back=st.integers(0, 15), wrong=st.booleans())
    @step
    async def repeat(self, session: str, back: int, wrong: bool) -> None:
        """Repeat one of the last 16 turns, the oldest at the most, perhaps with a version that does not hold."""
        if (turn := self._at(session).turn(back)) is None:
            return
        texts, first = turn
        options: dict[str, int] = {}
        if wrong and self.game.subject.capabilities[Capability.CONDITIONAL_APPEND]:
            options = {"expected_version": self._at(session).version + 7}
        again = await self.store.append(self._id(session), messages(*texts), turn_id=first.turn_id, **options)
        equal(again, attrs.evolve(first, duplicate=True), "the answer to a repeated turn")
        await self._compare(session)

    @rule(session=SESSION, back=st.integers(0, 15))
    @step
    async def reuse(self, session: str, back: int) -> None:
        """Append other messages under the id of one of the last 16 turns, which is refused."""
        if (turn := self._at(session).turn(back)) is None:
            return
        call = self.store.append(self._id(session), messages("something else"), turn_id=turn[1].turn_id)
        await raises(TurnIdReused, call, "appending other messages under a known turn_id")
        await self._compare(session)

    @rule(session=SESSION)
    @step
    async def damage(self, session: str) -> None:
        """Store a body that nobody can read, as a damaged one would be."""
        body = b"{damaged " + self._text().encode()
        subject = self.game.subject
        turn = Turn(uuid4(), b"\0" * 8, (body,))
        answer = await self.game.backend.append(self._id(session), turn, subject.deadline())
        self._at(session, make=True).add(answer, [body], None, None)
        await self._compare(session)

    @rule(
        session=SESSION,
        after=st.none() | PLACE,
        before=st.none() | PLACE,
        limit=st.integers(1, 8),
        newest=st.booleans(),
    )
    @step
    async def read(self, session: str, after: int | None, before: int | None, limit: int, newest: bool) -> None:
        """Read within bounds, which are seqs so far back from the newest one."""
        listed = self._at(session)
        low, high = (None if place is None else listed.seq(place) for place in (after, before))
        within = [
            shown
            for shown in self._live(session)
            if (low is None or shown[0] > low) and (high is None or shown[0] < high)
        ]
        found = await self.store.read(self._id(session), after=low, before=high, limit=limit, newest=newest)
        equal(shown(found), within[-limit:] if newest else within[:limit], f"what read gives after {low} before {high}")

    @rule(session=SESSION, k=st.integers(1, 20))
    @step
    async def last(self, session: str, k: int) -> None:
        """Read the newest."""
        equal(shown(await self.store.last(self._id(session), k)), self._live(session)[-k:], f"what last({k}) gives")

    @rule(session=SESSION, after=st.none() | PLACE)
    @step
    async def iterate(self, session: str, after: int | None) -> None:
        """Walk through a session."""
        low = None if after is None else self._at(session).seq(after)
        found = [record async for record in self.store.walk(self._id(session), after=low)]
        expected = [entry for entry in self._live(session) if low is None or entry[0] > low]
        equal(shown(found), expected, f"what iterate gives after {low}")

    @rule(session=SESSION)
    @needs(Capability.COUNT)
    @step
    async def count(self, session: str) -> None:
        """Count the messages."""
        equal(await self.store.count(self._id(session)), len(self._live(session)), "the count")

    @rule(session=SESSION)
    @step
    async def info(self, session: str) -> None:
        """Look at the session without its messages."""
        info = await self.store.info(self._id(session))
        listed, live = self._at(session), self._live(session)
        equal((info.session_id, info.version), (self._id(session), listed.version), "session_id and version of info")
        true(
            not live or info.first_seq <= live[0][0], f"info.first_seq is {info.first_seq}, but the first is {live[:1]}"
        )
        most = len(listed.there)
        counted = info.count is None or len(live) <= info.count <= most
        true(counted, f"info.count is {info.count}, not {len(live)} to {most}")

    @rule(session=SESSION)
    @needs(Capability.DISCARD)
    @step
    async def clear(self, session: str) -> None:
        """Drop all messages."""
        await self.store.clear(self._id(session))
        self._at(session).there = []
        await self._compare(session)

    @rule(session=SESSION, before=PLACE)
    @needs(Capability.DISCARD)
    @step
    async def discard(self, session: str, before: int) -> None:
        """Drop the messages before a seq so far back from the newest one."""
        listed = self._at(session)
        bound = listed.seq(before)
        await self.store.discard(self._id(session), before=bound)
        listed.there = [entry for entry in listed.there if entry[0] >= bound]
        await self._compare(session)

    @rule(session=SESSION, places=st.sets(PLACE, min_size=1, max_size=3))
    @needs(Capability.REMOVE)
    @step
    async def remove(self, session: str, places: set[int]) -> None:
        """Drop single messages so far back from the newest one, some of which may be gone already."""
        listed, live = self._at(session), {entry[0] for entry in self._live(session)}
        seqs = [listed.seq(place) for place in sorted(places)]
        gone = tuple(sorted(live.intersection(seqs)))
        equal(await self.store.remove(self._id(session), [*seqs, BEYOND]), gone, f"what remove({seqs}) answers")
        listed.there = [entry for entry in listed.there if entry[0] not in gone]
        await self._compare(session)

    @rule(session=SESSION)
    @needs(Capability.DELETE)
    @step
    async def delete(self, session: str) -> None:
        """Delete a session."""
        await self.store.delete(self._id(session))
        self.listed.pop(session, None)
        await self._compare(session)

    @rule(prefix=st.sampled_from(PREFIXES), limit=st.integers(1, 4))
    @needs(Capability.SESSIONS)
    @step
    async def sessions(self, prefix: str, limit: int) -> None:
        """List the sessions."""
        await self._list(self.store, prefix, limit)

    @rule(seconds=st.integers(1, 3))
    @step
    async def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.game.subject.clock.advance(seconds)

    @rule()
    @needs(Capability.PURGE)
    @step
    async def purge(self) -> None:
        """Give back the space of what has expired, which changes nothing that is read."""
        await self.store.purge()
        await self._compare_all()

    @rule(session=SESSION)
    @step
    async def read_by_another_client(self, session: str) -> None:
        """Open another store, look with it, append with it."""
        store, _ = self.game.subject.open()
        try:
            await self._compare(session, store)
            await self._append(session, 1, own=True, store=store)
            await self._compare(session)
        finally:
            await store.close()

    def _id(self, session: str) -> str:
        if session not in self.ids:
            (self.ids[session],) = self.game.subject.sessions([f"{self.number}.{session}"])
        return self.ids[session]

    def _at(self, session: str, *, make: bool = False) -> Listed:
        return self.listed.setdefault(session, Listed()) if make else self.listed.get(session, Listed())

    def _live(self, session: str) -> list[Shown]:
        return self._at(session).live(self.game.subject.microseconds)

    def _text(self) -> str:
        self.messages += 1
        return f"message {self.messages}"

    async def _append(
        self,
        session: str,
        size: int,
        own: bool,
        *,
        texts: list[str] | None = None,
        ttl: int | None = None,
        store: Twin | None = None,
        **options: Any,
    ) -> None:
        texts = texts or [self._text() for _ in range(size)]
        turn_id = texts[0] if own else None
        options |= {} if ttl is None else {"ttl": ttl}
        answer = await (store or self.store).append(self._id(session), messages(*texts), turn_id=turn_id, **options)
        # An id of one's own may be known already from an earlier try of this very call.
        true(not answer.duplicate or (own and self.game.loses_answers), "a new turn was answered as a duplicate")
        expires_at = None if ttl is None else self.game.subject.microseconds + ttl * 1_000_000
        first = attrs.evolve(answer, duplicate=False)
        self._at(session, make=True).add(first, texts, expires_at, texts)

    async def _compare(self, session: str, store: Twin | None = None) -> None:
        """What another client sees of a session."""
        store = store or self.game.observer
        found = [record async for record in store.walk(self._id(session))]
        equal(shown(found), self._live(session), f"the records of session {session!r}")
        version = self._at(session).version
        equal(await store.version(self._id(session)), version, f"the version of session {session!r}")

    async def _compare_all(self) -> None:
        for session in self.ids:
            await self._compare(session)
        if self.game.subject.capabilities[Capability.SESSIONS]:
            await self._list(self.game.observer, "", 100)

    async def _list(self, store: Twin, prefix: str, limit: int) -> None:
        subject, found, cursor = self.game.subject, list[str](), None
        start = f"{subject.token}.{self.number}."
        while True:
            page = await store.sessions(prefix=start + prefix, cursor=cursor, limit=limit)
            true(len(page.session_ids) <= limit, f"a page of at most {limit} sessions has {len(page.session_ids)}")
            found += [session_id.removeprefix(start) for session_id in page]
            if (cursor := page.cursor) is None:
                break
        expected = sorted((name for name in self.listed if name.startswith(prefix)), key=str.encode)
        if not subject.capabilities[Capability.ORDERED_SESSIONS]:
            found.sort(key=str.encode)
        equal(found, expected, f"the sessions that start with {prefix!r}")


def play(game: Game) -> None:
    """Play random scripts, as many and as long as the subject's effort says.

    Raises:
        Broken: A script did not go as it would with a list; the text is the shortest that was found.
    """
    is_flaky = False
    machine = cast("type[Machine]", seed(game.subject.seed)(lambda: Machine(game)))
    try:
        run_state_machine_as_test(machine, settings=game.settings)
    except Enough:
        pass
    except Flaky:
        is_flaky = True
    except Exception:
        if not game.found:  # not what a rule raised, which is told as a script, but a fault of this suite
            raise
    if game.found:
        shortest = min(game.found, key=lambda found: found.size)
        raise Broken(shortest.told(is_flaky)) from shortest.error
