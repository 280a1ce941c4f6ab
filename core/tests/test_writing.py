"""Writing: limits, expiry, setup, and what the backend is given."""

import threading
import warnings
from datetime import timedelta
from typing import Any
from uuid import UUID

import attrs
import pytest
from scripted import Clock, Form, Scripted, clock, form, store_over, texts, user

from backscroll import (
    Health,
    InvalidArgument,
    Message,
    MessageTooLarge,
    OutcomeUnknown,
    SchemaError,
    StorageError,
    Store,
    Unavailable,
)
from backscroll.backend import Turn
from backscroll.capabilities import declare
from backscroll.envelope import encode_turn
from backscroll.writing import PURGE_SLACK

__all__ = ["clock", "form"]

ID = UUID("0190c5f4-4c1b-7d6e-8a3b-1f2e3d4c5b6a")


def turn(backend: Scripted) -> Any:
    """The turn that the backend was given last."""
    return next(args[1] for name, args in reversed(backend.calls) if name == "append")


def test_turn(form: Form) -> None:
    """The backend is given bytes, with all that it has to know."""
    backend = Scripted(clock=lambda: 5_000_999)

    form(store_over(backend), "append", "s", [user(), Message("assistant", "yes?")], turn_id=ID, expected_version=0)

    bodies, digest = encode_turn([Message("user", "hi!"), Message("assistant", "yes?")], ID, 5_000, None)
    given = turn(backend)
    assert given == Turn(ID, digest, bodies, None, None, 0, None)


@pytest.mark.parametrize("clock", [lambda: -1_000, lambda: 10**30])
def test_time_that_no_date_can_hold(clock: Any) -> None:
    """A clock that went wrong is told of, and no record is stored that could not be read."""
    store = Store(Scripted(clock=clock))
    with pytest.raises(InvalidArgument, match="clock"):
        store.append("s", user())
    assert store.version("s") == 0


@pytest.mark.parametrize(
    ("ttl", "microseconds"),
    [(60, 60_000_000), (0.5, 500_000), (timedelta(minutes=1), 60_000_000), (1e-9, 1), (0.0000015, 2)],
)
def test_ttl(form: Form, ttl: Any, microseconds: int) -> None:
    """A TTL counts from the first try; the server may purge later, in a time that is relative."""
    backend = Scripted(clock=lambda: 7_000_000)

    form(store_over(backend), "append", "s", user(), ttl=ttl)

    seconds = ttl.total_seconds() if isinstance(ttl, timedelta) else ttl
    assert (turn(backend).expires_at, turn(backend).purge_in) == (7_000 + microseconds, seconds + PURGE_SLACK)


# Counted beyond the bytes of messages without content.
@pytest.mark.parametrize(
    ("contents", "setting", "limit", "measured"),
    [
        (["ä" * 50], None, None, None),
        (["ä" * 50, "b" * 50], None, None, None),
        (["ä" * 50 + "x"], "max_message_bytes", 100, 101),
        (["b" * 51, "ä" * 51], "max_message_bytes", 100, 102),
        (["ä" * 50, "b" * 51], "max_turn_bytes", 150, 151),
        (["b", "b", "b"], "max_turn_messages", 2, 3),
    ],
)
def test_limits(form: Form, contents: list[str], setting: Any, limit: Any, measured: Any) -> None:
    """A message and a turn may be as large as the limits say, in encoded bytes, and no larger."""
    head = len(encode_turn([Message("user", "")], ID, 5_000, None)[0][0])
    options = {"max_message_bytes": head + 100, "max_turn_bytes": 2 * head + 150, "max_turn_messages": 2}
    if setting == "max_turn_messages":
        options["max_turn_bytes"] = 10 * head
    backend = Scripted(clock=lambda: 5_000_999, **options)

    store = store_over(backend)
    if setting is None:
        form(store, "append", "s", [user(content) for content in contents])
    else:
        with pytest.raises(MessageTooLarge) as caught:
            form(store, "append", "s", [user(content) for content in contents])
        heads = {"max_message_bytes": head, "max_turn_bytes": 2 * head, "max_turn_messages": 0}[setting]
        found = caught.value
        assert (found.setting, found.limit, found.size) == (setting, heads + limit, heads + measured)
        assert not found.ceiling

    assert backend.called() == ([] if setting else ["append"])


def test_many_small_messages(form: Form) -> None:
    """A turn of too many messages is refused, however small they are."""
    backend = Scripted(max_turn_messages=2)

    with pytest.raises(
        MessageTooLarge, match=r"^3, over max_turn_messages=2: send less at a time, or raise that option$"
    ):
        form(store_over(backend), "append", "s", [user("")] * 3)

    assert backend.calls == []


def test_ceiling(form: Form) -> None:
    """Where the database goes no further than that, the error says so."""
    backend = Scripted(max_message_bytes=1 << 30, max_turn_bytes=1 << 30)

    with pytest.raises(MessageTooLarge) as caught:
        form(store_over(backend), "append", "s", user("x" * (17 << 20)))

    assert (caught.value.setting, caught.value.limit, caught.value.ceiling) == ("max_message_bytes", 8 << 20, True)
    assert "as far as this database goes" in str(caught.value)


def test_setup_once(form: Form) -> None:
    """The schema is made before the first append, once, and by nothing else."""
    backend = Scripted()
    store = Store(backend)
    for operation, args in (
        ("read", ("s",)), ("last", ("s",)), ("version", ("s",)), ("info", ("s",)), ("count", ("s",)),
        ("sessions", ()), ("clear", ("s",)), ("remove", ("s", [1])), ("delete", ("s",)), ("ping", ()),
    ):  # fmt: skip
        form(store, operation, *args)
    form(store, "discard", "s", before=1)
    list(store.iterate("s"))
    assert "setup" not in backend.called()

    backend.calls.clear()
    for _ in range(3):
        form(store, "append", "s", user())
    assert backend.called() == ["setup", "append", "append", "append"]


def test_setup_by_hand(form: Form) -> None:
    """After a call of setup no append makes the schema again."""
    backend = Scripted()
    store = Store(backend)

    assert form(store, "setup") == Health("toy")
    form(store, "append", "s", user())

    assert backend.called() == ["setup", "append"]


def test_setup_never(form: Form) -> None:
    """With setup=never only a call of setup makes the schema."""
    backend = Scripted(setup="never")

    form(Store(backend), "append", "s", user())

    assert backend.called() == ["append"]


def test_setup_fails(form: Form, clock: Clock) -> None:
    """If the schema cannot be made nothing is appended; the next append tries again."""
    backend = Scripted({"setup": [OutcomeUnknown("lost")] * 1_000})
    store = Store(backend)
    with pytest.raises(Unavailable, match=r"^setup: lost; nothing was appended$"):
        form(store, "append", "s", user(), timeout=1)
    backend.script = {"setup": [SchemaError("newer")]}
    with pytest.raises(SchemaError, match="newer"):
        form(store, "append", "s", user())
    assert "append" not in backend.called()

    form(store, "append", "s", user())
    assert backend.called()[-2:] == ["setup", "append"]


def test_setup_problems(form: Form) -> None:
    """What the server's settings fall short of is warned of, once, and the append goes on."""
    problems = Health("toy", ("the disk is not waited for", "keys may be evicted"))
    backend = Scripted({"setup": [lambda act: problems]})
    store = Store(backend)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            form(store, "append", "s", user())

    expected = [(RuntimeWarning, f"toy: {problem}") for problem in problems.problems]
    assert [(warning.category, str(warning.message)) for warning in caught] == expected
    assert texts(store.last("s")) == ["hi!", "hi!"]


def test_setup_by_many() -> None:
    """First use by many threads at once is safe."""
    store = Store(Scripted())
    start = threading.Barrier(8)

    def append() -> None:
        start.wait()
        store.append("s", user())

    threads = [threading.Thread(target=append) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.version("s") == 8


def test_purge(form: Form, clock: Clock) -> None:
    """Purging goes on until nothing is left, or the time is up."""

    def slow(act: Any) -> int:
        clock.now += 4
        return 5

    for outcomes, expected, tries in (
        ([lambda act: 5, lambda act: 3, lambda act: 0], 8, 3),
        ([lambda act: 0], 0, 1),
        ([Unavailable("down"), lambda act: 5, lambda act: 0], 5, 3),
        ([slow] * 9, 15, 3),
        ([lambda act: 5, *[Unavailable("down")] * 1_000], 5, None),
    ):
        backend = Scripted({"purge": list(outcomes)})
        backend.capabilities = declare()
        assert form(Store(backend), "purge") == expected
        assert tries is None or backend.called() == ["purge"] * tries


def test_remove_nothing(form: Form) -> None:
    """Removing nothing asks nobody."""
    backend = Scripted()

    assert form(Store(backend), "remove", "s", []) == ()
    assert backend.calls == []


def test_clear_of_a_new_session(form: Form) -> None:
    """Clearing what does not exist drops nothing."""
    backend = Scripted()

    form(Store(backend), "clear", "s")

    assert backend.called() == ["info"]


def test_clear_keeps_the_counter(form: Form) -> None:
    """After clear a session goes on from its version and knows its turns; after delete it begins anew."""
    store = store_over(Scripted())
    first = form(store, "append", "s", user(), turn_id=ID)

    form(store, "clear", "s")
    again = form(store, "append", "s", user(), turn_id=ID)
    assert (again, form(store, "version", "s")) == (attrs.evolve(first, duplicate=True), 1)
    assert form(store, "append", "s", user()).seqs == (1,)

    form(store, "delete", "s")
    assert form(store, "version", "s") == 0
    assert form(store, "append", "s", user()).seqs == (0,)


def test_delete_that_ends_half_way_says_so(form: Form) -> None:
    """A delete that has dropped the messages and then fails is no longer surely not done."""
    backend = Scripted({"delete": [StorageError("no")]})
    store = store_over(backend)
    form(store, "append", "s", user())

    with pytest.raises(OutcomeUnknown, match="the messages are gone, but not the counter"):
        form(store, "delete", "s")

    assert (form(store, "read", "s"), form(store, "version", "s")) == ([], 1)
    form(store, "delete", "s")
    assert form(store, "version", "s") == 0
