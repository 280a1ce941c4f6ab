"""What takes a server of its own: it is killed, restarted and paused, and the line to it is cut, held and counted."""

import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

import attrs

from backscroll.backend import Durability
from backscroll.errors import BackscrollError, OutcomeUnknown, Unavailable
from backscroll_conformance.clauses import Tier, clause
from backscroll_conformance.containers import NoServer, Server, free_ports, start
from backscroll_conformance.expect import Broken, equal, fail, true
from backscroll_conformance.relay import Relay
from backscroll_conformance.subject import NotApplicable, NotRun, Subject, Twin, messages

TURNS: Final = 30
"""How many turns are acknowledged before the server is killed."""

BACK: Final = 30.0
"""How many seconds a store may take to work again, once its server is ready."""

TIMES: Final = 20
"""How often an operation is done whose round trips are counted."""

MOST_ROUND_TRIPS: Final = 1.5
"""How many of them are still told as one: a pool may look after itself now and then."""

SESSIONS: Final = 1_000
"""In how many sessions connections are counted."""

HOLDS: Final = 5
"""How often a request is held back at the most, until it is that of an append."""

SHORT: Final = 1.0
"""The timeout, in seconds, of calls to a server that stands still."""

LATE: Final = 5.0
"""How many seconds after its timeout such a call may end."""


@clause("DUR-005", tier=Tier.DURABLE)
async def killed(s: Subject) -> None:
    """What was acknowledged MUST survive a kill of the server, where the backend claims so."""
    async with _server(s) as (server, store):
        if store.target.limits.durability is Durability.PROCESS:
            raise NotApplicable("it does not claim that anything survives its server")
        session_id = s.session()
        acknowledged: dict[int, tuple[int, ...]] = {}
        killer = threading.Timer(0, server.kill)
        acknowledged[0] = (await store.append(session_id, _texts(0))).seqs  # a first connection may take longer
        number = 1
        while len(acknowledged) < 10 * TURNS:
            if len(acknowledged) == TURNS:
                killer.start()
            is_killed = len(acknowledged) >= TURNS
            timeout = SHORT if is_killed else None
            try:
                answer = await store.append(session_id, _texts(number), turn_id=f"turn {number}", timeout=timeout)
            except BackscrollError:
                if not is_killed:
                    raise
                break
            acknowledged[number] = answer.seqs
            number += 1
        killer.join()
        server.start_again()
        await _until_back(s, store)
        found = await _by_seq(s, store, session_id)
        for one, seqs in acknowledged.items():
            expected = [message.content for message in _texts(one)]
            equal([found.get(seq) for seq in seqs], expected, f"turn {one}, which was acknowledged before the kill")
        # The one under way may be there or not: whole, and once when it is repeated.
        again = await store.append(session_id, _texts(number), turn_id=f"turn {number}")
        everything = sorted(seq for seqs in (*acknowledged.values(), again.seqs) for seq in seqs)
        equal(sorted(await _by_seq(s, store, session_id)), everything, "the seqs, once the turn under way is repeated")
        s.figures["turns acknowledged before the kill"] = len(acknowledged)


@clause("DUR-006", tier=Tier.DURABLE)
async def restarted(s: Subject) -> None:
    """A store MUST go on by itself when its server was restarted."""
    async with _server(s) as (server, store):
        session_id = s.session()
        await store.append(session_id, messages("before"))
        server.stop()
        try:
            await store.append(session_id, messages("without a server"), timeout=SHORT)
            fail("an append was acknowledged while no server was there")
        except (Unavailable, OutcomeUnknown):
            pass
        server.start_again()
        s.figures["seconds until it worked again"] = await _until_back(s, store)


@clause("DUR-007", tier=Tier.DURABLE)
async def paused(s: Subject) -> None:
    """Calls to a server that stands still MUST end by their timeout, and what is repeated afterwards land once."""
    async with _server(s) as (server, store):
        session_id, own = s.session(), "own"
        await store.append(session_id, messages("before"))
        longest = 0.0
        with server.paused():
            for name in ("append", "last", "append"):
                given = {"messages": messages("meanwhile"), "turn_id": own} if name == "append" else {}
                began = time.monotonic()
                try:
                    answer = await getattr(store, name)(session_id, timeout=SHORT, **given)
                    fail(f"a server that stands still answered {answer!r}")
                except (Unavailable, OutcomeUnknown):
                    longest = max(longest, time.monotonic() - began)
        await _until_back(s, store)
        await store.append(session_id, messages("meanwhile"), turn_id=own)
        texts = await s.texts(session_id, store)
        equal(texts, ["before", "meanwhile"], "the texts, once the turn of the unanswered calls is repeated")
        s.figures["longest call with a timeout of 1 s (s)"] = round(longest, 2)
        true(longest < SHORT + LATE, f"a call with a timeout of {SHORT:g} s took {longest:.1f} s")


@clause("DUR-008", tier=Tier.DURABLE)
async def answer_lost(s: Subject) -> None:
    """A turn whose answer is lost on the way MUST land once, and be acknowledged."""
    async with _relayed(s) as (relay, store):
        session_id = s.session()
        await store.append(session_id, messages("before"))
        for number in range(3):
            relay.lose_answer()
            answer = await store.append(session_id, messages(f"lost {number}"))
            equal(relay.lost, number + 1, "how many answers were lost")
            equal(answer.duplicate, False, "whether the turn was a duplicate to its own call")
        expected = ["before", *(f"lost {number}" for number in range(3))]
        equal(await s.texts(session_id, store), expected, "the texts, after three answers were lost")


@clause("DUR-009", tier=Tier.DURABLE)
async def late(s: Subject) -> None:
    """A first try that arrives after its repeat MUST NOT land again."""
    async with _relayed(s) as (relay, store):
        for _ in range(HOLDS):
            session_id = s.session()
            await store.append(session_id, messages("before"))
            held = relay.hold_request()
            try:
                await store.append(session_id, messages("own"), turn_id="own", timeout=SHORT)
            except (Unavailable, OutcomeUnknown):
                break
            held.release()  # a driver may ask by itself whether the server is alive, and that was held back
        else:
            fail("an append was acknowledged whose request was held back, each time")
        answer = await store.append(session_id, messages("own"), turn_id="own")
        await store.append(session_id, messages("after"))
        held.release()
        true(held.answered.wait(BACK), "the server did not answer the request that came late")
        equal(await s.texts(session_id, store), ["before", "own", "after"], "the texts, after the first try came late")
        again = await store.append(session_id, messages("own"), turn_id="own")
        equal((again.seqs, again.duplicate), (answer.seqs, True), "the answer to one more repeat")


@clause("MEA-005", tier=Tier.MEASURED)
async def round_trips(s: Subject) -> None:
    """An append and a read of the newest messages SHOULD take one round trip each."""
    async with _relayed(s) as (relay, store):
        session_id = s.session()
        counted = {}
        for name, given in (("append", {"messages": messages("a", "b")}), ("last", {"k": 20})):
            for rehearsal in (True, False):
                before = relay.round_trips
                for _ in range(TIMES):
                    await getattr(store, name)(session_id, **given)
                if not rehearsal:
                    counted[name] = (relay.round_trips - before) / TIMES
                    s.figures[f"round trips of {name}"] = counted[name]
        too_many = {name: count for name, count in counted.items() if count > MOST_ROUND_TRIPS}
        equal(too_many, {}, "the operations that take more than one round trip")


@clause("MEA-006", tier=Tier.MEASURED)
async def connections(s: Subject) -> None:
    """The connections of a store MUST NOT grow with the number of its sessions."""
    async with _relayed(s) as (relay, store):
        await store.append(s.session(), messages("first"))
        before = relay.connections
        for _ in range(SESSIONS):
            await store.append(s.session(), messages("a"))
        s.figures[f"connections for {SESSIONS} sessions"] = relay.connections
        grown = relay.connections - before
        true(grown < SESSIONS // 10, f"{SESSIONS} more sessions took {grown} more connections")


@asynccontextmanager
async def _server(s: Subject) -> AsyncIterator[tuple[Server, Twin]]:
    """A server of its own, since the others would miss it, and a store on it."""
    with _started(s) as server:
        async with _opened(s, server.url) as store:
            yield server, store


@asynccontextmanager
async def _relayed(s: Subject) -> AsyncIterator[tuple[Relay, Twin]]:
    """A relay to a server of its own, and a store that goes through it."""
    published = free_ports(s.target.server.ports if s.target.server else 1)
    with Relay(*published) as relay, _started(s, relay.ports, published) as server:
        async with _opened(s, server.url) as store:
            yield relay, store


@contextmanager
def _started(s: Subject, ports: Sequence[int] = (), published: Sequence[int] = ()) -> Iterator[Server]:
    if s.origin.is_embedded:
        raise NotApplicable("it is embedded: there is no server")
    if s.target.server is None:
        raise NotRun("the suite does this only to servers that it has started itself: leave the URL out")
    try:
        server = start(s.target.server, ports, published)
    except NoServer as error:
        raise NotRun(str(error)) from error
    try:
        yield server
    finally:
        server.remove()
        s.forget_sessions()


@asynccontextmanager
async def _opened(s: Subject, url: str) -> AsyncIterator[Twin]:
    store = Twin(attrs.evolve(s.target, url=url).open(), s.form)
    try:
        yield store
    finally:
        await store.close()


def _texts(number: int) -> list[Any]:
    return messages(*(f"turn {number} message {index}" for index in range(1 + number % 3)))


async def _by_seq(s: Subject, store: Twin, session_id: str) -> dict[int, str]:
    records: list[Any] = await s.everything(session_id, store)
    return {record.seq: record.message.content for record in records}


async def _until_back(s: Subject, store: Twin) -> float:
    """Wait until the store works; gives how many seconds that took."""
    began = time.monotonic()
    while True:
        try:
            await store.append(s.session(), messages("back"), timeout=SHORT)
            return round(time.monotonic() - began, 2)
        except (Unavailable, OutcomeUnknown) as error:
            if time.monotonic() - began > BACK:
                raise Broken(f"the store does not work {BACK:g} s after its server was ready again: {error}") from error
        await s.pause(0.05)
