"""Listing the sessions, and following one."""

import asyncio
import contextlib
import threading
import time
from typing import Any

from backscroll.backend import Capability
from backscroll.errors import Unavailable
from backscroll_conformance.clauses import Form, clause
from backscroll_conformance.expect import Broken, equal, true
from backscroll_conformance.subject import AT_ONCE, Subject, messages, numbered

SESSIONS = Capability.SESSIONS

MANY = 1_050
"""How many sessions are more than most servers give at once."""

PATIENCE = 3.0
"""For how many seconds sessions are made; a slow server is tried with fewer."""


@clause("SES-001", SESSIONS)
async def each_once(s: Subject) -> None:
    """Listing MUST give each session once, all of them, with no more to a page than its limit."""
    ids = s.sessions(f"{number:02}" for number in range(23))
    for session_id in ids:
        await s.store.append(session_id, messages("a"))
        await s.store.append(session_id, messages("b"))
    for limit in (1, 2, 7, 22, 23, 24, 100):
        equal(sorted(await _listed(s, s.token, limit)), ids, f"the sessions by pages of {limit}")


@clause("SES-002", SESSIONS, Capability.ORDERED_SESSIONS)
async def ordered(s: Subject) -> None:
    """Listing MUST be in the order of the UTF-8 bytes of the ids."""
    parts = ("B", "a", "Z", "z", "_", "~", "é", "e", "\uffee", "\U0001f600", "10", "9", " ", "\0", "ab", "a\0", "a b")
    ids = s.sessions(parts)
    for session_id in ids:
        await s.store.append(session_id, messages("a"))
    for limit in (1, 3, 100):
        equal(await _listed(s, s.token, limit), sorted(ids, key=str.encode), f"the sessions by pages of {limit}")


@clause("SES-003", SESSIONS)
async def by_prefix(s: Subject) -> None:
    """Listing MUST take the prefix literally."""
    parts = (
        "a",
        "ab",
        "A",
        "a%",
        "a%b",
        "a_",
        "axb",
        "a*",
        "a[b]",
        "ä",
        "a\u0308",
        "b",
        "a\\",
        "'",
        "a\0b",
        "\U0001f600x",
    )
    ids = s.sessions(parts)
    for session_id in ids:
        await s.store.append(session_id, messages("a"))
    for prefix in (
        "",
        "a",
        "A",
        "a%",
        "a_",
        "a*",
        "a[",
        "ä",
        "a\\",
        "'",
        "a\0",
        "ab",
        "abc",
        "\U0001f600",
        "\U0001f601",
    ):
        expected = sorted(one for one in ids if one.startswith(f"{s.token}.{prefix}"))
        for limit in (2, 100):
            found = sorted(await _listed(s, f"{s.token}.{prefix}", limit))
            equal(found, expected, f"the sessions whose id goes on with {prefix!r}, by pages of {limit}")


@clause("SES-004", SESSIONS)
async def until_deleted(s: Subject) -> None:
    """A session MUST stay listed until it is deleted, also without messages."""
    session_id = s.session()
    await s.store.append(session_id, messages("a"))
    if s.capabilities[Capability.TTL]:
        expiring = s.session()
        await s.store.append(expiring, messages("a"), ttl=5)
        s.clock.advance(6)
        equal(await _listed(s, expiring, 10), [expiring], "the sessions, after its messages expired")
    if s.capabilities[Capability.DISCARD]:
        await s.store.clear(session_id)
    equal(await _listed(s, session_id, 10), [session_id], "the sessions, after it was cleared")


@clause("SES-005", SESSIONS)
async def many(s: Subject) -> None:
    """Listing MUST give all sessions, also where there are more of them than a page may hold."""
    ids = s.sessions(f"{number:04}" for number in range(MANY))
    end = time.monotonic() + PATIENCE
    there: list[str] = []
    while len(there) < MANY and time.monotonic() < end:
        some = ids[len(there) : len(there) + AT_ONCE]
        await s.for_each(some, "append", messages("a"))
        there += some
    s.figures["sessions"] = len(there)
    for limit in (1_000, 2 * MANY):
        found = await _listed(s, s.token, limit)
        what = f"{len(there):,} sessions by pages of {limit:,} gave {len(found):,}, {len(set(found)):,} different ones"
        true(sorted(found) == there, what)


@clause("SES-006", SESSIONS, Capability.DELETE)
async def beyond_deleted(s: Subject) -> None:
    """A listing MUST go on behind a page whose sessions were deleted since."""
    ids = s.sessions(f"{number:02}" for number in range(7))
    await s.for_each(ids, "append", messages("a"))
    found: list[str] = []
    cursor = None
    while True:
        page = await s.store.sessions(prefix=s.token, cursor=cursor, limit=2)
        for session_id in page:
            found.append(session_id)
            await s.store.delete(session_id)
        cursor = page.cursor
        if cursor is None:
            break
        true(len(found) <= len(ids), "the pages of the list do not end")
    equal(sorted(found), ids, "the sessions, each deleted before the next page was asked for")


@clause("FOL-001")
async def follow(s: Subject) -> None:
    """Following MUST give what is there and then what comes, each message once and in order, until the store closes."""
    session_id = s.session()
    expected = numbered(9)
    await s.store.append(session_id, messages(*expected[:2]))
    store, _ = s.open(poll=0.05)
    seen: list[str] = []
    following = _following(store.target, s.form, session_id, seen)
    for start in range(2, 8, 2):
        await _until(s, lambda start=start: len(seen) >= start, seen)
        await s.store.append(session_id, messages(*expected[start : start + 2]))
    await s.store.append(session_id, messages(expected[8]))
    await _until(s, lambda: len(seen) >= 9, seen)
    equal(seen, expected, "the texts that came")
    await store.close()
    await _until(s, lambda: not following.is_alive(), seen)


@clause("WAT-001", Capability.WATCH)
async def watch(s: Subject) -> None:
    """Watching MUST return soon after a new turn, and at once where there is one already."""
    session_id = s.session()
    version = (await s.store.append(session_id, messages("a"))).version
    began = time.monotonic()
    await s.backend.watch(session_id, version - 1, s.deadline(20))
    true(time.monotonic() - began < 10, "watch waited, though the version was above already")
    other, _ = s.open()
    appended = threading.Timer(0.1, lambda: other.target.append(session_id, messages("b")))
    appended.daemon = True
    appended.start()
    began = time.monotonic()
    try:
        await s.backend.watch(session_id, version, s.deadline(20))
    finally:
        appended.join()
    waited = time.monotonic() - began
    true(waited < 10, f"watch returned {waited:.1f} s after it began, though a turn came after 0.1 s")
    equal(await s.texts(session_id), ["a", "b"], "the texts")


@clause("WAT-002", Capability.WATCH)
async def watch_in_vain(s: Subject) -> None:
    """Watching MUST end by its deadline where no turn comes."""
    session_id = s.session()
    version = (await s.store.append(session_id, messages("a"))).version
    for seconds in (0.1, 0.3):
        began = time.monotonic()
        with contextlib.suppress(Unavailable):
            await s.backend.watch(session_id, version, s.deadline(seconds))
        waited = time.monotonic() - began
        true(waited < seconds + 2, f"watch with a deadline of {seconds} s and no news ended after {waited:.1f} s")


async def _listed(s: Subject, prefix: str, limit: int) -> list[str]:
    found: list[str] = []
    cursor = None
    for _ in range(10_000):
        page = await s.store.sessions(prefix=prefix, cursor=cursor, limit=limit)
        true(len(list(page)) <= limit, f"a page of at most {limit} has {len(list(page))} sessions")
        found += page
        cursor = page.cursor
        if cursor is None:
            return found
    raise Broken("the pages of the list do not end")


def _following(store: Any, form: Form, session_id: str, seen: list[str]) -> threading.Thread:
    """A thread that collects the texts of what it follows."""

    async def acollect() -> None:
        async for record in store.afollow(session_id):
            seen.extend([record.message.content])

    def run() -> None:
        if form is Form.ASYNC:
            asyncio.run(acollect())
        else:
            seen.extend(record.message.content for record in store.follow(session_id))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


async def _until(s: Subject, so: Any, seen: list[str]) -> None:
    end = time.monotonic() + 15
    while not so():
        true(time.monotonic() < end, f"waited 15 s for what a follower has to do; it saw {seen}")
        await s.pause(0.005)
