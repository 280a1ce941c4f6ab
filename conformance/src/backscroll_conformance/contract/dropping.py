"""Dropping: clear and discard, remove, delete."""

import time

from backscroll.backend import Capability
from backscroll_conformance.clauses import clause
from backscroll_conformance.expect import equal, fail, true
from backscroll_conformance.subject import NotApplicable, Subject, messages, numbered

DISCARD, REMOVE, DELETE = Capability.DISCARD, Capability.REMOVE, Capability.DELETE

LONG = 2_500
"""How many messages a session has that is more than a statement, a page or a batch takes."""

PAUSES = (0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0)
"""How long a clock that counts whole seconds is given to move on, in seconds; fewer turns than a session knows."""


@clause("DSC-001", DISCARD)
async def discard(s: Subject) -> None:
    """Discarding MUST drop exactly the messages with seqs below the bound."""
    session_id = s.session()
    seqs = [(await s.store.append(session_id, messages(text))).seqs[0] for text in numbered(8)]
    for bound, left in ((0, 0), (seqs[0], 0), (seqs[1], 1), (seqs[1], 1), (seqs[4], 4), (seqs[6] + 1, 7)):
        await s.store.discard(session_id, before=bound)
        equal(await s.texts(session_id), numbered(8)[left:], f"the texts after discard(before={bound}) of {seqs}")
        equal([r.seq for r in await s.store.last(session_id)], seqs[left:], "their seqs")
    equal(await s.store.version(session_id), seqs[-1] + 1, "the version")


@clause("DSC-002", DISCARD)
async def clear(s: Subject) -> None:
    """Clearing MUST drop all messages that are there, and the session goes on."""
    session_id, other = s.session(), s.session()
    await s.store.append(other, messages("of another session"))
    for number in range(3):
        await s.store.append(session_id, messages(f"a {number}", f"b {number}"))
        await s.store.append(session_id, messages(f"c {number}"))
        equal(await s.texts(session_id), [f"a {number}", f"b {number}", f"c {number}"], "the texts before")
        await s.store.clear(session_id)
        equal(await s.texts(session_id), [], "the texts after clear")
        equal(await s.store.last(session_id), [], "the last 20 after clear")
    equal(await s.texts(other), ["of another session"], "the texts of another session")


@clause("DSC-003", DISCARD)
async def never_newer(s: Subject) -> None:
    """Discarding MUST NOT drop what is appended later, however high its bound and however often it is repeated."""
    session_id = s.session()
    version = (await s.backend.append(session_id, s.turn("old"), s.deadline())).version
    await s.backend.discard(session_id, version, s.deadline())
    await s.backend.append(session_id, s.turn("new"), s.deadline())
    await s.backend.discard(session_id, version, s.deadline())
    equal(await s.texts(session_id), ["new"], "the texts after the same bound again")
    await s.store.discard(session_id, before=version + (1 << 40))
    equal(await s.texts(session_id), [], "the texts after a bound far beyond the version")
    await s.backend.append(session_id, s.turn("newer"), s.deadline())
    equal(await s.texts(session_id), ["newer"], "what was appended after a bound far beyond the version")


@clause("DSC-004", DISCARD)
async def never_back(s: Subject) -> None:
    """Discarding up to an older bound MUST NOT bring anything back."""
    session_id = s.session()
    seqs = [(await s.backend.append(session_id, s.turn(text), s.deadline())).seqs[0] for text in numbered(4)]
    for bound in (seqs[3], seqs[1], 0):
        await s.backend.discard(session_id, bound, s.deadline())
        equal(await s.texts(session_id), numbered(4)[3:], f"the texts after discard(before={bound}) of {seqs}")
    true((await s.store.info(session_id)).first_seq <= seqs[3], "first_seq lies above the first message")


@clause("DSC-005", DISCARD)
async def long_session(s: Subject) -> None:
    """Clearing and discarding MUST take every message below the bound, however many there are."""
    session_id = s.session()
    seqs = await s.fill(session_id, numbered(LONG))
    await s.store.discard(session_id, before=seqs[1_900])
    left = [record.seq for record in await s.everything(session_id)]
    true(left == seqs[1_900:], f"discarding 1,900 of {LONG:,} messages left {len(left):,}")
    await s.fill(session_id, numbered(1_900, "more"))
    await s.store.clear(session_id)
    equal(len(await s.everything(session_id)), 0, f"how many messages clearing leaves of {LONG:,}")
    await s.store.append(session_id, messages("new"))
    equal(await s.texts(session_id), ["new"], "the texts after clear and an append")


@clause("SEQ-002", DISCARD)
async def version_after_clear(s: Subject) -> None:
    """The version MUST stay, and no seq be given again, when a session is cleared."""
    session_id = s.session()
    answer = await s.store.append(session_id, messages("a", "b"))
    await s.store.clear(session_id)
    equal(await s.store.version(session_id), answer.version, "the version")
    after = await s.store.append(session_id, messages("c"))
    true(after.seqs[0] >= answer.version, f"seq {after.seqs[0]} was given again: the version was {answer.version}")


@clause("SEQ-003", REMOVE)
async def version_after_remove(s: Subject) -> None:
    """The version MUST stay, and no seq be given again, when the newest messages are removed."""
    session_id = s.session()
    await s.store.append(session_id, messages("a"))
    answer = await s.store.append(session_id, messages("b", "c"))
    await s.store.remove(session_id, answer.seqs)
    equal(await s.store.version(session_id), answer.version, "the version")
    after = await s.store.append(session_id, messages("d"))
    true(after.seqs[0] >= answer.version, f"seq {after.seqs[0]} was given again: the version was {answer.version}")
    equal(await s.texts(session_id), ["a", "d"], "the texts")


@clause("REM-001", REMOVE)
async def remove(s: Subject) -> None:
    """Removing MUST drop exactly the messages named; the others stay at their seqs."""
    session_id = s.session()
    seqs = (await s.store.append(session_id, messages(*numbered(6)))).seqs
    gone: set[int] = set()
    for places in ((2,), (0, 5), (3, 4)):
        await s.store.remove(session_id, [seqs[place] for place in places])
        gone |= set(places)
        left = [place for place in range(6) if place not in gone]
        equal(await s.texts(session_id), [numbered(6)[place] for place in left], "the texts")
        equal([r.seq for r in await s.store.last(session_id)], [seqs[place] for place in left], "their seqs")
        if s.capabilities[Capability.COUNT]:
            equal(await s.store.count(session_id), len(left), "the count")


@clause("REM-002", REMOVE)
async def removed(s: Subject) -> None:
    """Removing MUST answer, in ascending order, what it really dropped."""
    session_id = s.session()
    seqs = (await s.store.append(session_id, messages(*numbered(6)))).seqs
    asked = [seqs[4], seqs[1], seqs[5] + 1, 1 << 40, seqs[1]]
    equal(await s.store.remove(session_id, asked), (seqs[1], seqs[4]), f"what remove({asked}) dropped of {seqs}")
    equal(await s.store.remove(session_id, asked), (), "what it dropped the second time")
    equal(await s.store.remove(s.session(), [0, 1]), (), "what it dropped of an unknown session")


@clause("REM-003", REMOVE, Capability.TTL)
async def expired_before(s: Subject) -> None:
    """Removing MUST NOT answer what had expired before."""
    session_id = s.session()
    gone = (await s.store.append(session_id, messages("goes"), ttl=5)).seqs[0]
    there = (await s.store.append(session_id, messages("stays"), ttl=50)).seqs[0]
    s.clock.advance(6)
    equal(await s.store.remove(session_id, [gone, there]), (there,), "what remove dropped")


@clause("REM-004", REMOVE)
async def remove_many(s: Subject) -> None:
    """Removing MUST drop and answer all the messages named, however many there are."""
    session_id = s.session()
    seqs = await s.fill(session_id, numbered(LONG))
    gone, left = seqs[::2], seqs[1::2]
    answer = await s.store.remove(session_id, gone)
    true(answer == tuple(gone), f"remove of {len(gone):,} messages answered {len(answer):,} seqs, or others")
    found = [record.seq for record in await s.everything(session_id)]
    true(found == left, f"removing {len(gone):,} of {LONG:,} messages left {len(found):,}, or others")


@clause("DEL-001", DELETE)
async def delete(s: Subject) -> None:
    """A deleted session MUST have no messages and version 0, and not be listed."""
    session_id = s.session()
    await s.store.append(session_id, messages("a", "b"))
    for _ in range(2):
        await s.store.delete(session_id)
        equal(await s.texts(session_id), [], "the texts")
        equal(await s.store.version(session_id), 0, "the version")
        if s.capabilities[Capability.SESSIONS]:
            equal(list(await s.store.sessions(prefix=session_id)), [], "the sessions that start with its id")


@clause("DEL-002", DELETE)
async def begun_anew(s: Subject) -> None:
    """A session that is deleted and begun anew MUST have forgotten its turns."""
    session_id = s.session()
    await s.store.append(session_id, messages("a"), turn_id="own")
    await s.store.delete(session_id)
    answer = await s.store.append(session_id, messages("b"), turn_id="own")
    true(not answer.duplicate, "a turn of the deleted session was taken for a duplicate")
    equal(await s.texts(session_id), ["b"], "the texts")


@clause("DEL-003", DELETE, DISCARD)
async def only_drained(s: Subject) -> None:
    """The delete of a backend MUST do nothing where the version moved on or messages are left."""
    session_id = s.session()
    version = (await s.backend.append(session_id, s.turn("a"), s.deadline())).version
    await s.backend.delete(session_id, version, s.deadline())
    equal(await s.texts(session_id), ["a"], "the texts after deleting what is not drained")
    await s.backend.discard(session_id, version, s.deadline())
    newer = (await s.backend.append(session_id, s.turn("b"), s.deadline())).version
    await s.backend.delete(session_id, version, s.deadline())
    equal(await s.texts(session_id), ["b"], "the texts after deleting at a version that moved on")
    equal(await s.store.version(session_id), newer, "the version")


@clause("DEL-004", DELETE)
async def neighbours(s: Subject) -> None:
    """Deleting a session MUST leave all others alone."""
    session_id, *others = s.sessions(("a", "a\0", "a%", "a.b", "A", "a ", "ab", "", "a:1"))
    for one in (session_id, *others):
        await s.store.append(one, messages(f"of {one}"), turn_id="own")
    await s.store.delete(session_id)
    for one in others:
        equal(await s.texts(one), [f"of {one}"], "the texts of a neighbour")
        true(
            (await s.store.append(one, messages(f"of {one}"), turn_id="own")).duplicate,
            "a neighbour's turns are forgotten",
        )


@clause("DEL-005", DELETE)
async def nothing_back(s: Subject) -> None:
    """A long session that is deleted and begun anew MUST have none of its old messages."""
    session_id = s.session()
    await s.fill(session_id, numbered(LONG))
    await s.store.delete(session_id)
    equal(await s.store.version(session_id), 0, "the version")
    equal(len(await s.everything(session_id)), 0, f"how many messages deleting leaves of {LONG:,}")
    await s.store.append(session_id, messages("new"))
    equal(await s.texts(session_id), ["new"], "the texts of the session that was begun anew")
    if s.capabilities[Capability.COUNT]:
        equal(await s.store.count(session_id), 1, "its count")


@clause("INF-001")
async def info(s: Subject) -> None:
    """The info of a session MUST say its id, its version, and a seq before which no message lies."""
    session_id = s.session()
    began = time.time()
    seqs = (await s.store.append(session_id, messages(*numbered(4)))).seqs
    for step in range(2):
        if step:
            if not s.capabilities[DISCARD]:
                break
            await s.store.discard(session_id, before=seqs[2])
        left = await s.everything(session_id)
        found = await s.store.info(session_id)
        equal((found.session_id, found.version), (session_id, seqs[-1] + 1), "session_id and version")
        true(
            0 <= found.first_seq <= left[0].seq,
            f"first_seq {found.first_seq} lies above the first message {left[0].seq}",
        )
        true(found.count in (None, len(left)), f"count {found.count}, but there are {len(left)}")
        if found.updated_at is not None:
            off = abs(found.updated_at.timestamp() - began)
            true(off < 120, f"updated_at is {off:.0f} s away from this machine's clock")


@clause("INF-002", Capability.COUNT)
async def count(s: Subject) -> None:
    """The count MUST be the number of messages that a read returns."""
    session_id = s.session()
    for number in range(1, 4):
        await s.store.append(session_id, messages(*numbered(number)))
        equal(await s.store.count(session_id), len(await s.everything(session_id)), "the count after an append")
    if s.capabilities[DISCARD]:
        await s.store.clear(session_id)
        equal(await s.store.count(session_id), 0, "the count after clear")
        await s.store.append(session_id, messages("a"))
        equal(await s.store.count(session_id), 1, "the count after clear and an append")


@clause("INF-003", Capability.COUNT)
async def count_many(s: Subject) -> None:
    """The count MUST be right however long the session is."""
    session_id = s.session()
    for total in (LONG // 2, LONG):
        await s.fill(session_id, numbered(LONG // 2))
        equal(await s.store.count(session_id), total, "the count")


@clause("INF-004")
async def updated_at(s: Subject) -> None:
    """Where the info of a session says when it was last appended to, that MUST have a time zone and move on."""
    session_id = s.session()
    await s.store.append(session_id, messages("first"))
    first = (await s.store.info(session_id)).updated_at
    if first is None:
        raise NotApplicable("the info of a session does not say when it was last appended to")
    true(first.tzinfo is not None, f"updated_at has no time zone: {first!r}")
    for seconds in PAUSES:
        await s.pause(seconds)
        await s.store.append(session_id, messages("later"))
        later = (await s.store.info(session_id)).updated_at
        true(later is not None and later >= first, f"updated_at went from {first} to {later}")
        if later != first:
            return
    fail(f"updated_at stayed at {first} for {sum(PAUSES):.1f} s, in which {len(PAUSES)} turns were appended")
