"""Expiry: per message, by the clock of the store that reads."""

import time
from datetime import timedelta

import attrs

from backscroll import Appended
from backscroll.backend import Capability, Turn
from backscroll_conformance.clauses import clause
from backscroll_conformance.expect import equal, fail, true
from backscroll_conformance.subject import SECOND, Subject, messages, numbered

TTL = Capability.TTL
HOUR = 3_600.0

ROUNDS = 3
"""How often what purge answers is compared with what went."""


@clause("TTL-001", TTL)
async def until_then(s: Subject) -> None:
    """A message MUST be read until its expiry and not from then on, by the clock of the store that reads."""
    for offset in (0.0, -26 * HOUR, 26 * HOUR):
        s.clock.advance(offset)
        session_id = s.session()
        await s.store.append(session_id, messages("for 10.5 s"), ttl=10.5)
        s.clock.advance(10.499_999)
        equal(await s.texts(session_id), ["for 10.5 s"], f"1 µs before the expiry, clocks {offset / HOUR:g} h off")
        s.clock.advance(0.000_001)
        equal(await s.texts(session_id), [], f"what is read at the expiry, clocks {offset / HOUR:g} h off")
        equal(await s.store.last(session_id), [], "the last 20 at the expiry")


@clause("TTL-002", TTL)
async def per_message(s: Subject) -> None:
    """An expiry MUST be that of its message, not of the session."""
    session_id = s.session()
    await s.store.append(session_id, messages("for ever"))
    await s.store.append(session_id, messages("for 60 s"), ttl=60)
    await s.store.append(session_id, messages("for 5 s"), ttl=timedelta(seconds=5))
    await s.store.append(session_id, messages("for ever, too"))
    for seconds, expected in (
        (0, ["for ever", "for 60 s", "for 5 s", "for ever, too"]),
        (6, ["for ever", "for 60 s", "for ever, too"]),
        (60, ["for ever", "for ever, too"]),
    ):
        s.clock.advance(seconds)
        equal(await s.texts(session_id), expected, "the texts")


@clause("TTL-003", TTL)
async def counts_nowhere(s: Subject) -> None:
    """An expired message MUST count nowhere: neither for a limit nor for the count."""
    session_id = s.session()
    for number in range(5):
        await s.store.append(session_id, messages(f"stays {number}"))
        await s.store.append(session_id, messages(f"goes {number}"), ttl=5)
    s.clock.advance(6)
    expected = [f"stays {number}" for number in range(5)]
    for k in range(1, 6):
        equal([r.message.content for r in await s.store.last(session_id, k)], expected[-k:], f"the last {k}")
        found = await s.store.read(session_id, limit=k)
        equal([r.message.content for r in found], expected[:k], f"the first {k}")
    if s.capabilities[Capability.COUNT]:
        equal(await s.store.count(session_id), 5, "the count")


@clause("TTL-004", TTL)
async def long_run(s: Subject) -> None:
    """A long run of expired messages MUST NOT hide what lies behind it."""
    session_id = s.session()
    await s.store.append(session_id, messages("first"))
    for _ in range(3):
        await s.fill(session_id, numbered(700, "goes"), 700, ttl=5)
    await s.store.append(session_id, messages("last"))
    s.clock.advance(6)
    for limit in (1, 2, 20, 1_000):
        found = await s.store.read(session_id, limit=limit)
        equal([r.message.content for r in found], ["first", "last"][:limit], f"the first {limit}")
        found = await s.store.last(session_id, limit)
        equal([r.message.content for r in found], ["first", "last"][-limit:], f"the last {limit}")
    equal(await s.texts(session_id), ["first", "last"], "what iterate gives")


@clause("TTL-005", TTL)
async def exact(s: Subject) -> None:
    """The expiry of a record MUST come back exact to the microsecond."""
    session_id = s.session()
    s.clock.now = s.clock.now // SECOND * SECOND + 123_456_000
    await s.store.append(session_id, messages("a", "b"), ttl=10.000_001)
    await s.store.append(session_id, messages("c"))
    expected = [s.microseconds + 10_000_001] * 2 + [None]
    equal([row.expires_at for row in await s.rows(session_id)], expected, "expires_at of the rows, in µs")


@clause("TTL-006", TTL)
async def many_years(s: Subject) -> None:
    """A TTL of many years MUST NOT end early, nor what has one be purged."""
    longest = s.limits.max_ttl or 99 * 365 * 24 * HOUR
    ttls = [ttl for ttl in (30 * 86_400, 366 * 86_400, 20 * 366 * 86_400, longest) if ttl <= longest]
    session_id = s.session()
    for ttl in ttls:
        await s.store.append(session_id, messages(f"for {ttl:g} s"), ttl=ttl)
    if s.capabilities[Capability.PURGE]:
        await s.store.purge()
    s.clock.advance(29 * 86_400)
    equal(await s.texts(session_id), [f"for {ttl:g} s" for ttl in ttls], "the texts after 29 days")


@clause("TTL-007", TTL)
async def wrong_clock(s: Subject) -> None:
    """A client whose clock is wrong MUST NOT destroy what others still read."""
    session_id = s.session()
    behind, _ = s.open(clock=lambda: s.clock.now - 24 * 3_600 * SECOND)
    ahead, _ = s.open(clock=lambda: s.clock.now + 24 * 3_600 * SECOND)
    await s.store.append(session_id, messages("by a right clock"), ttl=HOUR)
    await ahead.append(session_id, messages("by a clock ahead"), ttl=HOUR)
    await behind.append(session_id, messages("by a clock behind"), ttl=HOUR)
    equal([r.message.content for r in await ahead.last(session_id)], ["by a clock ahead"], "what the one ahead reads")
    if s.capabilities[Capability.PURGE]:
        await ahead.purge()
    await ahead.append(session_id, messages("later"), ttl=1)
    seen = [r.message.content for r in await behind.last(session_id)]
    expected = ["by a right clock", "by a clock ahead", "by a clock behind", "later"]
    equal(seen, expected, "what the one behind reads, after the one ahead purged and appended")


@clause("TTL-008", TTL)
async def first_expiry(s: Subject) -> None:
    """A repeat MUST leave the expiry of its turn as the first append set it."""
    session_id = s.session()
    first = await s.store.append(session_id, messages("a", "b"), turn_id="own", ttl=10)
    expected = [row.expires_at for row in await s.rows(session_id)]
    for ttl in (10, 5, 100, None):
        s.clock.advance(1)
        again = await s.store.append(session_id, messages("a", "b"), turn_id="own", ttl=ttl)
        equal((again.seqs, again.duplicate), (first.seqs, True), "seqs and duplicate of a repeat")
        found = [row.expires_at for row in await s.rows(session_id)]
        equal(found, expected, f"expires_at of the rows, in µs, after the turn was repeated with ttl={ttl}")
    s.clock.advance(7)
    equal(await s.texts(session_id), [], "the texts 11 s after the first append")


@clause("SEQ-004", TTL)
async def version_after_expiry(s: Subject) -> None:
    """The version MUST stay, and no seq be given again, when messages expire."""
    session_id = s.session()
    answer = await s.store.append(session_id, messages("a", "b"), ttl=5)
    s.clock.advance(6)
    equal(await s.texts(session_id), [], "the texts")
    equal(await s.store.version(session_id), answer.version, "the version")
    after = await s.store.append(session_id, messages("c"))
    true(after.seqs[0] >= answer.version, f"seq {after.seqs[0]} was given again: the version was {answer.version}")


@clause("PRG-001", TTL, Capability.PURGE)
async def purged(s: Subject) -> None:
    """Purging MUST drop what the server lets go, count it, and end with 0."""
    # A server may drop by itself between a look and a purge; hardly every time.
    for _ in range(ROUNDS):
        if await _purged_and_counted(s):
            return
    fail(f"purge counted less than it dropped, {ROUNDS} times of {ROUNDS}")


async def _purged_and_counted(s: Subject) -> bool:
    session_id = s.session()
    for number in range(3):
        await _append_due(s, session_id, f"goes {number}")
    await s.store.append(session_id, messages("stays"))
    end = time.monotonic() + 10
    uncounted = 0
    while due := await _expiring(s, session_id):
        true(time.monotonic() < end, "purge did not drop within 10 s what the server was to let go after 1 ms")
        dropped = await s.backend.purge(s.deadline())
        true(type(dropped) is int and dropped >= 0, f"purge answered {dropped!r}, not how many messages it dropped")
        uncounted += max(0, due - await _expiring(s, session_id) - dropped)
    while await s.backend.purge(s.deadline()):
        true(time.monotonic() < end, "purge never answered 0")
    equal(await s.texts(session_id), ["stays"], "the texts")
    return not uncounted


@clause("PRG-002", TTL, Capability.PURGE)
async def purge_leaves(s: Subject) -> None:
    """Purging MUST leave everything else, with versions and known turns, also those of what it dropped."""
    session_id = s.session()
    first = await s.store.append(session_id, messages("for ever"), turn_id="own")
    await s.store.append(session_id, messages("for an hour"), ttl=HOUR)
    goes, answer = await _append_due(s, session_id, "goes")
    emptied = s.session()
    goes_too, answer_too = await _append_due(s, emptied, "goes, too")
    await _purge(s, (session_id, emptied))
    equal(await s.texts(session_id), ["for ever", "for an hour"], "the texts")
    equal(await s.store.version(session_id), answer.version, "the version")
    again = await s.store.append(session_id, messages("for ever"), turn_id="own")
    equal((again.seqs, again.duplicate), (first.seqs, True), "seqs and duplicate of a repeat")
    equal(await s.store.version(emptied), answer_too.version, "the version of a session in which all was purged")
    if s.capabilities[Capability.SESSIONS]:
        equal(list(await s.store.sessions(prefix=emptied)), [emptied], "the sessions that start with its id")
    for one, turn, known in ((session_id, goes, answer), (emptied, goes_too, answer_too)):
        again = await s.backend.append(one, attrs.evolve(turn, age=None), s.deadline())
        equal((again.seqs, again.duplicate), (known.seqs, True), "seqs and duplicate of a repeat of what was purged")
    after = await s.store.append(emptied, messages("later"))
    true(after.seqs[0] >= answer_too.version, f"seq {after.seqs[0]} was given again after a purge")


async def _append_due(s: Subject, session_id: str, text: str) -> tuple[Turn, Appended]:
    """Append what the server is to let go in a moment."""
    turn = s.turn(text, expires_at=s.microseconds + 1_000, purge_in=0.001)
    return turn, await s.backend.append(session_id, turn, s.deadline())


async def _expiring(s: Subject, session_id: str) -> int:
    """How many messages with an expiry are stored."""
    return sum(row.expires_at is not None for row in await s.rows(session_id, now=0))


async def _purge(s: Subject, session_ids: tuple[str, ...]) -> None:
    """Purge until nothing of these sessions is due any more, or for a while."""
    s.clock.advance(1)
    end = time.monotonic() + 2
    while time.monotonic() < end:
        await s.store.purge()
        there = [row.expires_at for session_id in session_ids for row in await s.rows(session_id, now=0)]
        if all(expires_at is None or expires_at > s.microseconds for expires_at in there):
            return
