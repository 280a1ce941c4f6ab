"""Repeating a turn: whatever is sent twice lands once, and what was not sent yet lands."""

import time
from typing import Any, Final

import attrs

from backscroll import Appended
from backscroll.backend import Capability, Turn
from backscroll.errors import TurnIdReused, WindowExceeded
from backscroll_conformance.clauses import clause
from backscroll_conformance.expect import equal, fail, raises, true
from backscroll_conformance.subject import Subject, Twin, messages, numbered

LARGEST_WINDOW: Final = 400
"""A window that is declared larger is tried as far as this."""

LONG_TURN: Final = 10
"""How many messages the turns of a window have, which is counted in turns."""


@clause("DUP-001")
async def repeated(s: Subject) -> None:
    """A repeated append MUST add nothing and give the first answer again, marked as a duplicate."""
    session_id = s.session()
    first = await s.store.append(session_id, messages("a", "b"), turn_id="own")
    true(not first.duplicate, "the first append of a turn was answered as a duplicate")
    await _is_duplicate(s, session_id, first)
    await s.store.append(session_id, messages("c"), turn_id="other")
    await _is_duplicate(s, session_id, first)
    equal(await s.texts(session_id), ["a", "b", "c"], "the texts")


@clause("DUP-002")
async def within_the_window(s: Subject) -> None:
    """A repeat MUST be known as long as no more other turns came than the declared window holds."""
    session_id = s.session()
    first = await s.store.append(session_id, messages("a", "b"), turn_id="own")
    others = _window(s) - 1
    length = min(LONG_TURN, s.limits.max_turn_messages)
    for number in range(others):
        texts = numbered(length, f"other {number} message")
        await s.store.append(session_id, messages(*texts), turn_id=f"other {number}")
    await _is_duplicate(s, session_id, first)
    equal(len(await s.everything(session_id)), 2 + others * length, "how many messages there are")


@clause("DUP-003", Capability.DISCARD)
async def after_clear(s: Subject) -> None:
    """A repeat MUST be known also after clear or discard took the messages of the turn."""
    session_id = s.session()
    first = await s.store.append(session_id, messages("a", "b"), turn_id="own")
    await s.store.clear(session_id)
    await _is_duplicate(s, session_id, first)
    await s.store.append(session_id, messages("c"), turn_id="other")
    await s.store.discard(session_id, before=first.version)
    await _is_duplicate(s, session_id, first)
    equal(await s.texts(session_id), ["c"], "the texts")


@clause("DUP-004")
async def after_expiry(s: Subject) -> None:
    """A repeat MUST be known also after the messages of the turn expired or were removed."""
    if s.capabilities[Capability.TTL]:
        session_id = s.session()
        first = await s.store.append(session_id, messages("a", "b"), turn_id="own", ttl=5)
        s.clock.advance(6)
        await _is_duplicate(s, session_id, first)
        equal(await s.texts(session_id), [], "the texts after expiry")
    if s.capabilities[Capability.REMOVE]:
        session_id = s.session()
        first = await s.store.append(session_id, messages("a", "b"), turn_id="own")
        await s.store.remove(session_id, first.seqs)
        await _is_duplicate(s, session_id, first)
        equal(await s.texts(session_id), [], "the texts after remove")


@clause("DUP-005")
async def other_content(s: Subject) -> None:
    """A known turn_id with other messages MUST be refused as TurnIdReused and store nothing."""
    session_id = s.session()
    first = await s.store.append(session_id, messages("a", "b"), turn_id="own")
    for other in (["a"], ["a", "c"], ["b", "a"], ["a", "b", "c"]):
        call = s.store.append(session_id, messages(*other), turn_id="own")
        error = await raises(TurnIdReused, call, f"appending {other} under the turn_id of ['a', 'b']")
        equal(error.turn_id, first.turn_id, "the turn_id of the error")
    equal(await s.texts(session_id), ["a", "b"], "the texts")
    equal(await s.store.version(session_id), first.version, "the version")


@clause("DUP-006", Capability.CONDITIONAL_APPEND)
async def before_conflict(s: Subject) -> None:
    """A repeat MUST be answered as a duplicate also where its expected_version no longer holds."""
    session_id = s.session()
    first = await s.store.append(session_id, messages("a", "b"), turn_id="own", expected_version=0)
    await _is_duplicate(s, session_id, first, expected_version=0)
    await s.store.append(session_id, messages("c"), turn_id="other")
    await _is_duplicate(s, session_id, first, expected_version=0)
    await _is_duplicate(s, session_id, first, expected_version=first.version + 7)


@clause("DUP-007")
async def per_session(s: Subject) -> None:
    """The same turn_id in two sessions MUST be two turns."""
    one, two = s.session(), s.session()
    await s.store.append(one, messages("a"), turn_id="own")
    answer = await s.store.append(two, messages("b"), turn_id="own")
    true(not answer.duplicate, "a turn_id of another session was taken for a duplicate")
    equal(await s.texts(one), ["a"], "the texts of one")
    equal(await s.texts(two), ["b"], "the texts of the other")


@clause("DUP-008")
async def beyond_the_window(s: Subject) -> None:
    """A retry MUST NOT be stored again, however many other turns came since its first try."""
    session_id = s.session()
    first = s.turn("first try")
    began = time.monotonic()
    await s.backend.append(session_id, first, s.deadline())
    others = _window(s) + 4
    # Made before the others, and sent behind them: a retry may wait for a thread or a lock.
    waited = attrs.evolve(first, age=max(1e-6, time.monotonic() - began))
    for number in range(others):
        await s.backend.append(session_id, s.turn(f"other {number}"), s.deadline())
    for retry in (waited, attrs.evolve(first, age=time.monotonic() - began)):
        try:
            answer = await s.backend.append(session_id, retry, s.deadline())
            true(answer.duplicate, "a retry after many other turns was answered as though it had landed now")
        except WindowExceeded:
            pass
    equal(
        (await s.texts(session_id)).count("first try"),
        1,
        f"how often a turn stands there, retried after {others} others",
    )


@clause("DUP-009")
async def late_first_try(s: Subject) -> None:
    """A first try that arrives after its own retry MUST NOT be stored again."""
    session_id = s.session()
    turn = s.turn("a", "b", age=0.05)
    first = await s.backend.append(session_id, turn, s.deadline())
    await s.backend.append(session_id, s.turn("other"), s.deadline())
    late = await s.backend.append(session_id, attrs.evolve(turn, age=None), s.deadline())
    equal(
        (late.seqs, late.version, late.duplicate), (first.seqs, first.version, True), "the answer to the late first try"
    )
    equal(await s.texts(session_id), ["a", "b", "other"], "the texts")


@clause("DUP-010")
async def another_client(s: Subject) -> None:
    """A repeat by another client MUST be known."""
    session_id = s.session()
    first = await s.store.append(session_id, messages("a", "b"), turn_id="own")
    other, _ = s.open()
    await _is_duplicate(s, session_id, first, store=other)
    equal(await s.texts(session_id), ["a", "b"], "the texts")


@clause("DUP-011")
async def surely_new(s: Subject) -> None:
    """A turn that surely did not land before MUST be stored, however many turns the session has."""
    session_id = s.session()
    expected = [f"turn {number}" for number in range(_window(s) + 4)]
    for text in expected:
        await s.backend.append(session_id, s.turn(text), s.deadline())
    began = time.monotonic()
    for text, age in (("own id", None), ("new", 0.0)):
        await _lands(s, session_id, s.turn(text, age=age))
    await s.backend.append(session_id, s.turn("between"), s.deadline())
    # The session's known turns reach back to before this retry's first try, which is not among them.
    await _lands(s, session_id, s.turn("retry", age=max(1e-6, time.monotonic() - began)))
    equal(await s.texts(session_id), [*expected, "own id", "new", "between", "retry"], "the texts")


async def _lands(s: Subject, session_id: str, turn: Turn) -> None:
    try:
        answer: Appended = await s.backend.append(session_id, turn, s.deadline())
    except WindowExceeded as error:
        fail(f"a turn of age {turn.age} that never landed was refused, though the window reaches back to it: {error}")
    true(not answer.duplicate, f"a turn of age {turn.age} that never landed was answered as a duplicate")


async def _is_duplicate(s: Subject, session_id: str, first: Appended, store: Twin | None = None, **rest: Any) -> None:
    """Repeat the turn of `a` and `b`, and compare the answer."""
    again = await (store or s.store).append(session_id, messages("a", "b"), turn_id="own", **rest)
    expected = (first.seqs, first.version, first.turn_id, True)
    equal((again.seqs, again.version, again.turn_id, again.duplicate), expected, "seqs, version, turn_id, duplicate")


def _window(s: Subject) -> int:
    s.figures["dedupe_turns_tried"] = min(s.limits.dedupe_turns, LARGEST_WINDOW)
    return min(s.limits.dedupe_turns, LARGEST_WINDOW)
