"""Expiry: per message, by the clock of the store that reads."""

import time
from datetime import timedelta

from backscroll.backend import Capability
from backscroll_conformance.clauses import clause
from backscroll_conformance.expect import equal, true
from backscroll_conformance.subject import SECOND, Subject, messages, numbered

TTL = Capability.TTL
HOUR = 3_600.0


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
        await s.store.append(session_id, messages(*numbered(700, "goes")), ttl=5)
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
    page = await s.backend.read(session_id, s.window(), s.deadline())
    equal([row.expires_at for row in page.rows], expected, "expires_at of the rows, in µs")


@clause("TTL-006", TTL)
async def many_years(s: Subject) -> None:
    """A TTL of many years MUST NOT end early."""
    longest = s.limits.max_ttl or 99 * 365 * 24 * HOUR
    ttls = [ttl for ttl in (30 * 86_400, 366 * 86_400, 20 * 366 * 86_400, longest) if ttl <= longest]
    session_id = s.session()
    for ttl in ttls:
        await s.store.append(session_id, messages(f"for {ttl:g} s"), ttl=ttl)
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
    session_id = s.session()
    expires_at = s.microseconds + 1_000
    for number in range(3):
        turn = s.turn(f"goes {number}", expires_at=expires_at, purge_in=0.001)
        await s.backend.append(session_id, turn, s.deadline())
    await s.store.append(session_id, messages("stays"))
    end = time.monotonic() + 10
    while (await s.backend.read(session_id, s.window(now=0), s.deadline())).rows[0].expires_at is not None:
        true(time.monotonic() < end, "purge did not drop within 10 s what the server was to let go after 1 ms")
        dropped = await s.backend.purge(s.deadline())
        true(type(dropped) is int and dropped >= 0, f"purge answered {dropped!r}, not how many messages it dropped")
    while await s.backend.purge(s.deadline()):
        true(time.monotonic() < end, "purge never answered 0")
    equal(await s.texts(session_id), ["stays"], "the texts")


@clause("PRG-002", TTL, Capability.PURGE)
async def purge_leaves(s: Subject) -> None:
    """Purging MUST leave everything else, with versions and known turns."""
    session_id = s.session()
    first = await s.store.append(session_id, messages("for ever"), turn_id="own")
    await s.store.append(session_id, messages("for an hour"), ttl=HOUR)
    goes = s.turn("goes", expires_at=s.microseconds + 1_000, purge_in=0.001)
    answer = await s.backend.append(session_id, goes, s.deadline())
    s.clock.advance(1)
    for _ in range(5):
        await s.store.purge()
    equal(await s.texts(session_id), ["for ever", "for an hour"], "the texts")
    equal(await s.store.version(session_id), answer.version, "the version")
    again = await s.store.append(session_id, messages("for ever"), turn_id="own")
    equal((again.seqs, again.duplicate), (first.seqs, True), "seqs and duplicate of a repeat")
