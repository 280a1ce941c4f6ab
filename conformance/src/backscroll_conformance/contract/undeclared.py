"""What is not declared: it raises Unsupported and changes nothing; what works undeclared is a lie, too."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from backscroll.backend import Capability
from backscroll.errors import BackscrollError, Unsupported, VersionConflict
from backscroll_conformance.clauses import Clause, clause
from backscroll_conformance.expect import equal, fail, raises
from backscroll_conformance.subject import Subject, Twin, messages

Call = Callable[[Subject, Twin, str], Awaitable[Any]]

STORE_CALLS: Final[dict[Capability, Call]] = {
    Capability.CONDITIONAL_APPEND: lambda _, store, one: store.append(one, messages("b"), expected_version=0),
    Capability.TTL: lambda _, store, one: store.append(one, messages("b"), ttl=5),
    Capability.COUNT: lambda _, store, one: store.count(one),
    Capability.SESSIONS: lambda _, store, one: store.sessions(prefix=one),
    Capability.DISCARD: lambda _, store, one: store.clear(one),
    Capability.REMOVE: lambda _, store, one: store.remove(one, [0, 1]),
    Capability.DELETE: lambda _, store, one: store.delete(one),
    Capability.PURGE: lambda _, store, __: store.purge(),
}
"""How an application asks for a capability; nobody asks for WATCH but `follow`."""

BACKEND_CALLS: Final[dict[Capability, Call]] = {
    Capability.COUNT: lambda s, backend, one: backend.count(one, s.microseconds, s.deadline()),
    Capability.SESSIONS: lambda s, backend, one: backend.sessions(one, None, 10, s.deadline()),
    Capability.DISCARD: lambda s, backend, one: backend.discard(one, 1, s.deadline()),
    Capability.REMOVE: lambda s, backend, one: backend.remove(one, (0, 1), s.microseconds, s.deadline()),
    Capability.DELETE: lambda s, backend, one: backend.delete(one, 1, s.deadline()),
    Capability.PURGE: lambda s, backend, _: backend.purge(s.deadline()),
    Capability.WATCH: lambda s, backend, one: backend.watch(one, 0, s.deadline(1)),
}
"""How a store asks a backend for it."""


async def _refuses(s: Subject, capability: Capability) -> None:
    session_id = s.session()
    version = (await s.store.append(session_id, messages("a"))).version
    if capability in STORE_CALLS:
        call: Any = STORE_CALLS[capability](s, s.store, session_id)
        await raises(Unsupported, call, f"{capability.value} of a store, declared as unsupported")
    if capability in BACKEND_CALLS:
        call = BACKEND_CALLS[capability](s, s.backend, session_id)
        await raises(Unsupported, call, f"{capability.value} of a backend, declared as unsupported")
    equal(await s.texts(session_id), ["a"], "the texts")
    equal(await s.store.version(session_id), version, "the version")


def _undeclared(number: int, capability: Capability) -> Clause:
    async def check(s: Subject) -> None:
        await _refuses(s, capability)

    check.__doc__ = (
        f"Where {capability.value} is declared as unsupported, asking for it MUST raise Unsupported and change nothing."
    )
    return clause(f"CAP-{number:03}", lacks=capability)(check)


@clause("CAP-001", lacks=Capability.CONDITIONAL_APPEND)
async def conditional(s: Subject) -> None:
    """Where conditional appends are declared as unsupported, they MUST be refused, and not work all the same."""
    await _refuses(s, Capability.CONDITIONAL_APPEND)
    session_id = s.session()
    version = (await s.store.append(session_id, messages("a"))).version
    try:
        await s.backend.append(session_id, s.turn("b", expected_version=version + 1), s.deadline())
    except VersionConflict:
        fail("the backend keeps expected_version, which is declared as unsupported")
    except BackscrollError:
        pass


@clause("CAP-002", lacks=Capability.TTL)
async def ttl(s: Subject) -> None:
    """Where a TTL is declared as unsupported, it MUST be refused, and not work all the same."""
    await _refuses(s, Capability.TTL)
    session_id = s.session()
    try:
        await s.backend.append(session_id, s.turn("b", expires_at=s.microseconds + 1, purge_in=60.0), s.deadline())
    except BackscrollError:
        return
    if [row for row in await s.rows(session_id) if row.expires_at is not None]:
        fail("the backend keeps the expiry of a message, which is declared as unsupported")


COUNT, LIST, DISCARD, REMOVE, DELETE, PURGE, WATCH = (
    _undeclared(number, capability) for number, capability in enumerate(BACKEND_CALLS, start=3)
)
