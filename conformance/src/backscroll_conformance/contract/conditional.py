"""Conditional appends: a turn lands only on the version that its writer saw."""

from backscroll.backend import Capability
from backscroll.errors import VersionConflict
from backscroll_conformance.clauses import clause
from backscroll_conformance.expect import equal, raises, true
from backscroll_conformance.subject import Subject, messages

CONDITIONAL = Capability.CONDITIONAL_APPEND


@clause("CAS-001", CONDITIONAL)
async def current(s: Subject) -> None:
    """An append that expects the current version MUST land."""
    session_id = s.session()
    version = 0
    for number in range(4):
        answer = await s.store.append(session_id, messages(f"a {number}", f"b {number}"), expected_version=version)
        version = answer.version
    equal(len(await s.everything(session_id)), 8, "how many messages there are")


@clause("CAS-002", CONDITIONAL)
async def outdated(s: Subject) -> None:
    """An append that expects another version MUST be refused with the current one, and store nothing."""
    session_id = s.session()
    old = (await s.store.append(session_id, messages("a"))).version
    version = (await s.store.append(session_id, messages("b", "c"))).version
    for expected in (old, version - 1, version + 1, version + 1_000_000):
        await _refused(s, session_id, expected, version)
    equal(await s.texts(session_id), ["a", "b", "c"], "the texts")
    equal(await s.store.version(session_id), version, "the version")


@clause("CAS-003", CONDITIONAL)
async def empty(s: Subject) -> None:
    """A session without turns MUST have version 0 for a condition, and one with turns another."""
    session_id = s.session()
    await _refused(s, session_id, 1, 0)
    await _refused(s, session_id, 7, 0)
    equal(await s.texts(session_id), [], "the texts of the empty session")
    equal(await s.store.version(session_id), 0, "its version after refused appends")
    version = (await s.store.append(session_id, messages("a"), expected_version=0)).version
    await _refused(s, session_id, 0, version)
    equal(await s.texts(session_id), ["a"], "the texts")


@clause("CAS-004", CONDITIONAL, Capability.DISCARD)
async def cleared(s: Subject) -> None:
    """A cleared session MUST keep its version for a condition."""
    session_id = s.session()
    version = (await s.store.append(session_id, messages("a", "b"))).version
    await s.store.clear(session_id)
    await _refused(s, session_id, 0, version)
    await s.store.append(session_id, messages("c"), expected_version=version)
    equal(await s.texts(session_id), ["c"], "the texts")


@clause("CAS-005", CONDITIONAL)
async def no_trace(s: Subject) -> None:
    """A refused turn MUST leave no trace: its turn_id lands later as new."""
    session_id = s.session()
    version = (await s.store.append(session_id, messages("a"))).version
    await _refused(s, session_id, version + 1, version, turn_id="own")
    answer = await s.store.append(session_id, messages("refused at first"), turn_id="own", expected_version=version)
    true(not answer.duplicate, "a turn that was refused before was answered as a duplicate")
    equal(await s.texts(session_id), ["a", "refused at first"], "the texts")


async def _refused(s: Subject, session_id: str, expected: int, current: int, turn_id: str | None = None) -> None:
    call = s.store.append(session_id, messages("refused at first"), expected_version=expected, turn_id=turn_id)
    what = f"appending with expected_version={expected} at version {current}"
    error = await raises(VersionConflict, call, what)
    equal((error.expected, error.current), (expected, current), "expected and current of the conflict")
