"""What every operation shares: two forms on one object, the observers, what is refused, and the end."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from scripted import Form, Scripted, Watching, form, store_over, user

from backscroll import Closed, InvalidArgument, OutcomeUnknown, Store, Unavailable, Unsupported, VersionConflict
from backscroll.capabilities import Capability, declare, unsupported
from backscroll.hookspecs import OperationEvent

__all__ = ["form"]

OPERATIONS = [
    "append",
    "read",
    "last",
    "version",
    "info",
    "count",
    "sessions",
    "clear",
    "discard",
    "remove",
    "delete",
    "purge",
    "setup",
    "ping",
    "examine",
    "schema_statements",
]
ITERATIONS = ["iterate", "follow"]


def arguments(operation: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Right arguments for an operation."""
    if operation in ("sessions", "purge", "setup", "ping", "examine", "schema_statements"):
        return (), {}
    more = {"append": (user(),), "remove": ([0],)}.get(operation, ())
    return ("s", *more), {"before": 1} if operation == "discard" else {}


def everything(**options: Any) -> Scripted:
    """A backend that declares to do everything; and purges nothing."""
    backend = Watching(**options)
    backend.capabilities = declare()
    backend.script["purge"] = [lambda act: 0] * 9
    return backend


def test_public_methods() -> None:
    """The operations are those of the contract, each in two forms."""
    public = {name for name, value in inspect.getmembers(Store, callable) if not name.startswith("_")}
    twice = {*OPERATIONS, *ITERATIONS, "close"}

    assert public == twice | {f"a{name}" for name in twice} | {"history"}


@pytest.mark.parametrize("name", [*OPERATIONS, *ITERATIONS, "close"])
def test_twins(name: str) -> None:
    """Both forms have the same arguments, a docstring, and names of their own."""
    one, twin = getattr(Store, name), getattr(Store, f"a{name}")
    signature = inspect.signature(one)

    assert signature.parameters == inspect.signature(twin).parameters
    assert "call" not in signature.parameters
    assert next(iter(signature.parameters)) == "self"
    assert one.__doc__
    assert twin.__doc__
    if name != "close":
        assert "timeout" in signature.parameters
    if name in OPERATIONS:
        assert not inspect.iscoroutinefunction(one)
        assert inspect.iscoroutinefunction(twin)
        assert signature == inspect.signature(twin)
        assert (one.__name__, twin.__name__) == (name, f"a{name}")
        assert (one.__qualname__, twin.__qualname__) == (f"Store.{name}", f"Store.a{name}")


def test_keywords_only() -> None:
    """What is not the subject of an operation is given by name."""
    named = {
        name: [p.name for p in inspect.signature(getattr(Store, name)).parameters.values() if p.kind is p.KEYWORD_ONLY]
        for name in OPERATIONS
    }

    assert named == {name: ["timeout"] for name in OPERATIONS} | {
        "append": ["turn_id", "expected_version", "ttl", "timeout"],
        "read": ["after", "before", "limit", "newest", "timeout"],
        "sessions": ["prefix", "cursor", "limit", "timeout"],
        "discard": ["before", "timeout"],
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_closed(form: Form, operation: str) -> None:
    """After close every operation is refused, and nothing is sent."""
    backend = everything()
    store = Store(backend)
    store.close()
    args, kwargs = arguments(operation)

    with pytest.raises(Closed):
        form(store, operation, *args, **kwargs)

    assert backend.calls == []


@pytest.mark.parametrize("operation", [*ITERATIONS, "aiterate", "afollow"])
def test_closed_iterations(operation: str) -> None:
    """After close no iteration can be begun."""
    store = Store(everything())
    store.close()

    with pytest.raises(Closed):
        getattr(store, operation)("s")


@pytest.mark.parametrize(
    ("capability", "operation"),
    [
        (Capability.COUNT, "count"),
        (Capability.SESSIONS, "sessions"),
        (Capability.DISCARD, "discard"),
        (Capability.DISCARD, "clear"),
        (Capability.REMOVE, "remove"),
        (Capability.DELETE, "delete"),
        (Capability.PURGE, "purge"),
        (Capability.TTL, "append"),
        (Capability.CONDITIONAL_APPEND, "append"),
    ],
)
def test_unsupported(form: Form, capability: Capability, operation: str) -> None:
    """What a backend does not do is refused before anything is sent, with its reason."""
    backend = everything()
    backend.capabilities = declare({capability: unsupported("too slow")})
    args, kwargs = arguments(operation)
    extra = {Capability.TTL: {"ttl": 1}, Capability.CONDITIONAL_APPEND: {"expected_version": 0}}.get(capability, {})

    with pytest.raises(Unsupported) as caught:
        form(Store(backend), operation, *args, **kwargs, **extra)

    assert (caught.value.backend, caught.value.what, caught.value.reason) == ("toy", capability.value, "too slow")
    assert backend.calls == []


def test_other_operations_stay_supported(form: Form) -> None:
    """A backend without any optional capability appends and reads."""
    backend = everything()
    backend.capabilities = declare(dict.fromkeys(Capability, unsupported("a toy")))
    store = Store(backend)

    assert form(store, "append", "s", user()).seqs == (0,)
    assert [len(form(store, "read", "s")), form(store, "version", "s")] == [1, 1]
    assert [record.seq for record in store.iterate("s")] == [0]


def observed(call: Callable[[Store], Any], backend: Scripted | None = None) -> list[dict[str, Any]]:
    """The events of what is done with a store, without the time, which is checked."""
    events: list[OperationEvent] = []
    store = store_over(backend or everything(), observer=events.append)
    store.append("s", [user("a"), user("b")], turn_id="first")
    events.clear()
    try:
        call(store)
    finally:
        assert all(0 <= event.seconds < 60 for event in events)
    return [attrs.asdict(event) | {"seconds": None} for event in events]


def event(operation: str, session_id: str | None = "s", tries: int = 1, messages: int = 0, error: Any = None) -> Any:
    """An event, without the time."""
    return {
        "backend": "toy",
        "operation": operation,
        "session_id": session_id,
        "seconds": None,
        "tries": tries,
        "messages": messages,
        "error": error,
    }


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        ("append", event("append", messages=1)),
        ("read", event("read", messages=2)),
        ("last", event("last", messages=2)),
        ("version", event("version")),
        ("info", event("info")),
        ("count", event("count")),
        ("sessions", event("sessions", None)),
        ("clear", event("clear", tries=2)),
        ("discard", event("discard", tries=2)),
        ("remove", event("remove")),
        ("delete", event("delete", tries=3)),
        ("purge", event("purge", None)),
        ("setup", event("setup", None)),
        ("ping", event("ping", None)),
    ],
)
def test_observed(form: Form, operation: str, expected: Any) -> None:
    """Each operation is told of once, with what it did."""
    args, kwargs = arguments(operation)

    assert observed(lambda store: form(store, operation, *args, **kwargs)) == [expected]


def failing(form: Form, kind: type[Exception], *args: Any, **kwargs: Any) -> Callable[[Store], None]:
    """An operation that fails so."""

    def call(store: Store) -> None:
        with pytest.raises(kind):
            form(store, *args, **kwargs)

    return call


def test_observed_failures(form: Form) -> None:
    """A failure is told of once, by its kind, whether something was sent or not."""
    for kind, tries, args, kwargs in (
        (InvalidArgument, 0, ("append", "s", "no messages"), {}),
        (InvalidArgument, 0, ("last", "s", 0), {}),
        (VersionConflict, 1, ("append", "s", user()), {"expected_version": 9}),
        (TypeError, 0, ("append", "s"), {}),
    ):
        error = "InvalidMessage" if args[-1] == "no messages" else kind.__name__
        assert observed(failing(form, kind, *args, **kwargs)) == [event(args[0], tries=tries, error=error)]


def test_observed_retries(form: Form) -> None:
    """The tries of an operation are counted; a duplicate stores no message."""
    lost = [OutcomeUnknown("lost"), Unavailable("down")]
    backend = everything()

    def call(store: Store) -> None:
        backend.script |= {"append": list(lost), "info": [Unavailable("down")]}
        form(store, "append", "s", user())
        form(store, "append", session_id="s", messages=[user("a"), user("b")], turn_id="first")
        form(store, "version", "s")

    expected = [event("append", tries=3, messages=1), event("append"), event("version", tries=2)]
    assert observed(call, backend) == expected


def test_observed_session_ids(form: Form) -> None:
    """Only a text is told of as a session."""
    assert observed(failing(form, InvalidArgument, "last", b"s")) == [event("last", None, 0, 0, "InvalidArgument")]
    assert observed(lambda store: form(store, "last", session_id="s")) == [event("last", messages=2)]


def test_observed_iteration() -> None:
    """Each page of an iteration is told of, with its session."""

    async def aiterate(store: Store) -> None:
        assert [record.seq async for record in store.aiterate("s")] == [0, 1]

    for call in (lambda store: list(store.iterate("s")), lambda store: asyncio.run(aiterate(store))):
        assert observed(call) == [event("iterate", messages=2)]


def test_observed_follow() -> None:
    """Each step of following is told of under the name of an operation, with its session."""

    def call(store: Store) -> None:
        records = store.follow("s")
        assert [next(records).seq for _ in range(2)] == [0, 1]
        backend.script["watch"] = [lambda act: store.append("s", user("c")), lambda act: store.close()]
        assert [record.seq for record in records] == [2]

    backend = everything()
    expected = [event("version"), event("iterate", messages=2), event("append", messages=1), event("follow")]
    expected += [event("version"), event("iterate", messages=1), event("follow")]
    assert observed(call, backend) == expected


async def test_observed_cancellation() -> None:
    """A cancelled operation is told of, too."""
    events: list[OperationEvent] = []

    class Silent(Scripted):
        async def aread(self, *args: Any) -> Any:
            await asyncio.Event().wait()

    task = asyncio.create_task(Store(Silent(), events.append).alast("s"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [(one.operation, one.error, one.tries) for one in events] == [("last", "CancelledError", 1)]


def test_limits() -> None:
    """The limits in force are those of the options, as far as the database goes."""
    store = Store(Scripted(max_message_bytes=100, max_turn_bytes=1 << 40))

    limits = store.limits
    assert (limits.max_message_bytes, limits.max_turn_bytes, limits.max_turn_messages) == (100, 8 << 20, 1_000)
    assert (store.backend, store.capabilities) == ("toy", Scripted().capabilities)
