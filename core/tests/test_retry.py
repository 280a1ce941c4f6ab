"""The retry rule: what was surely not done or is harmless is tried again, until the deadline."""

import asyncio
import errno
import re
import struct
import traceback
import uuid
from typing import Any

import pytest
from scripted import Clock, Form, Scripted, clock, form, landed, store_over, texts, user

from backscroll import (
    Closed,
    DeadlineExceeded,
    InvalidArgument,
    MessageTooLarge,
    OutcomeUnknown,
    SchemaError,
    StorageError,
    TurnIdReused,
    Unavailable,
    VersionConflict,
    WindowExceeded,
    retry,
)
from backscroll.retry import FIRST_PAUSE, LONGEST_PAUSE, SyncIO, drive

__all__ = ["clock", "form"]

ID = uuid.UUID("0190c5f4-4c1b-7d6e-8a3b-1f2e3d4c5b6a")
LOST = OutcomeUnknown("the answer was lost")
DOWN = Unavailable("the server is down")


def appends(backend: Scripted) -> list[Any]:
    """The turns that the backend was given."""
    return [args[1] for name, args in backend.calls if name == "append"]


def test_unavailable_then_done(form: Form, clock: Clock) -> None:
    """What was surely not done is tried again."""
    backend = Scripted({"append": [DOWN, DOWN]})

    answer = form(store_over(backend), "append", "s", user())

    assert (answer.seqs, answer.version, answer.duplicate) == ((0,), 1, False)
    assert len(clock.waits) == 2


@pytest.mark.parametrize("outcome", [LOST, landed(LOST)], ids=["not done", "done"])
def test_unknown_then_done(form: Form, clock: Clock, outcome: Any) -> None:
    """After an unknown outcome the same turn is sent again, and it is there once."""
    backend = Scripted({"append": [outcome, outcome]})
    store = store_over(backend)

    answer = form(store, "append", "s", user(), expected_version=0, ttl=60)

    turns = appends(backend)
    assert len({(turn.turn_id, turn.digest, turn.bodies, turn.expires_at, turn.purge_in) for turn in turns}) == 1
    assert (answer.turn_id, answer.seqs, answer.version, answer.duplicate) == (turns[0].turn_id, (0,), 1, False)
    assert texts(store.last("s")) == ["hi!"]


def test_ages(form: Form, clock: Clock) -> None:
    """A turn with an id of the store's own says how long ago the first try with an unknown outcome was sent."""
    backend = Scripted({"append": [DOWN, DOWN, LOST, DOWN, LOST]})

    form(store_over(backend), "append", "s", user())

    since = [sum(clock.waits[2:count]) for count in (3, 4, 5)]
    assert [turn.age for turn in appends(backend)] == [0, 0, 0, *(pytest.approx(age) for age in since)]
    assert since[0] > 0


def test_ages_by_a_coarse_clock(form: Form, clock: Clock) -> None:
    """A repeated turn never says that it is sent for the first time, even where no time has passed."""
    clock.coarse = True
    backend = Scripted({"append": [LOST]})

    form(store_over(backend), "append", "s", user())

    first, second = (turn.age for turn in appends(backend))
    assert first == 0
    assert second > 0


def test_age_after_setup(form: Form, clock: Clock) -> None:
    """The tries of the setup do not make a turn older."""
    from backscroll import Store

    backend = Scripted({"setup": [DOWN, LOST]})

    form(Store(backend), "append", "s", user())

    assert backend.called() == ["setup", "setup", "setup", "append"]
    assert [turn.age for turn in appends(backend)] == [0]


@pytest.mark.parametrize("turn_id", [ID, str(ID), "order 66"])
def test_age_of_a_callers_id(form: Form, clock: Clock, turn_id: Any) -> None:
    """Of a caller's own id nobody knows whether it was sent before; of the call's own copies the age is known."""
    backend = Scripted({"append": [DOWN, LOST, DOWN]})

    form(store_over(backend), "append", "s", user(), turn_id=turn_id)

    first, second, *repeated = [turn.age for turn in appends(backend)]
    assert (first, second) == (None, None)
    assert [age is not None and age > 0 for age in repeated] == [True, True]


def test_duplicate(form: Form, clock: Clock) -> None:
    """With the caller's id an earlier try counts as a duplicate; with an own one nobody could have known it."""
    for turn_id, duplicate in ((ID, True), (None, False)):
        store = store_over(Scripted({"append": [landed(LOST)]}))
        assert form(store, "append", "s", user(), turn_id=turn_id).duplicate is duplicate


def test_unknown_stays_unknown(form: Form, clock: Clock) -> None:
    """Sure failures after an unknown try do not make it sure; the error has the turn_id, and is in time."""
    backend = Scripted({"append": [LOST, *[DOWN] * 1_000]})
    store = store_over(backend)

    with pytest.raises(OutcomeUnknown) as caught:
        form(store, "append", "s", user(), timeout=5)

    assert type(caught.value) is OutcomeUnknown
    assert (caught.value.reason, caught.value.turn_id) == (LOST.reason, appends(backend)[0].turn_id)
    assert 1_000 < clock.now <= 1_005

    backend.script.clear()
    again = form(store, "append", "s", user(), turn_id=caught.value.turn_id)
    assert (again.seqs, again.duplicate) == ((0,), False)


def test_unavailable_until_the_deadline(form: Form, clock: Clock) -> None:
    """What never gets through is unavailable, with the number of tries, within the time given."""
    backend = Scripted({"append": [DOWN] * 1_000, "read": [DOWN] * 1_000})
    store = store_over(backend)

    for operation, args in (("append", ("s", user())), ("last", ("s",))):
        backend.calls.clear()
        started = clock.now
        with pytest.raises(Unavailable) as caught:
            form(store, operation, *args, timeout=5)
        expected = f"the server is down (gave up after {len(backend.calls)} tries within 5 s)"
        assert (type(caught.value), str(caught.value)) == (Unavailable, expected)
        assert started + 5 - LONGEST_PAUSE <= clock.now <= started + 5


def test_default_deadline(form: Form, clock: Clock) -> None:
    """Without a timeout the option counts."""
    with pytest.raises(Unavailable, match=r"tries within 2 s\)$"):
        form(store_over(Scripted({"info": [DOWN] * 1_000}, timeout=2)), "info", "s")


def test_kind_of_unavailable(form: Form, clock: Clock) -> None:
    """A deadline that the backend saw passing stays what it is."""
    store = store_over(Scripted({"info": [DeadlineExceeded("busy")] * 1_000}))

    with pytest.raises(DeadlineExceeded, match=r"^busy \(gave up"):
        form(store, "info", "s", timeout=1)


def test_a_last_try_that_comes_too_late_does_not_hide_why_the_others_failed(form: Form, clock: Clock) -> None:
    """That the time is up is known anyway."""
    store = store_over(Scripted({"info": [DOWN, *[DeadlineExceeded("busy")] * 1_000]}))

    with pytest.raises(Unavailable, match=r"^the server is down \(gave up"):
        form(store, "info", "s", timeout=1)


def test_pauses(form: Form, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest pause doubles with each try up to its bound, and a pause is anything below it."""
    asked: list[tuple[float, float]] = []
    monkeypatch.setattr("random.uniform", lambda low, high: asked.append((low, high)) or high / 2)

    form(store_over(Scripted({"info": [DOWN] * 10})), "info", "s", timeout=100)

    bounds = [min(FIRST_PAUSE * 2**count, LONGEST_PAUSE) for count in range(10)]
    assert asked == [(0, bound) for bound in bounds]
    assert clock.waits == [bound / 2 for bound in bounds]


@pytest.mark.parametrize("earlier", [DOWN, LOST])
@pytest.mark.parametrize(
    ("error", "after_unknown"),
    [
        (StorageError("refused"), OutcomeUnknown),
        (SchemaError("no schema"), OutcomeUnknown),
        (MessageTooLarge("max_message_bytes", 1), OutcomeUnknown),
        (Closed(), OutcomeUnknown),
        (VersionConflict(3, 2), OutcomeUnknown),
        (VersionConflict(3, 4), VersionConflict),
        (TurnIdReused(ID), TurnIdReused),
        (WindowExceeded("late"), WindowExceeded),
    ],
    ids=lambda value: repr(value) if isinstance(value, Exception) else "",
)
def test_final_answers(form: Form, clock: Clock, earlier: Any, error: Any, after_unknown: type[Exception]) -> None:
    """A final answer is not asked for twice; after an unknown try it holds only if that try can no longer land."""
    backend = Scripted({"append": [earlier, error]})
    expected = after_unknown if earlier is LOST else type(error)

    with pytest.raises(expected) as caught:
        form(store_over(backend), "append", "s", user(), expected_version=3)

    assert type(caught.value) is expected
    assert backend.called() == ["append", "append"]
    if isinstance(caught.value, OutcomeUnknown):
        assert caught.value.turn_id == appends(backend)[0].turn_id


def test_conflict_of_the_first_try(form: Form, clock: Clock) -> None:
    """A conflict that is met at once is a conflict, whatever the version."""
    store = store_over(Scripted())
    store.append("s", user())

    for expected in (0, 2):
        with pytest.raises(VersionConflict) as caught:
            form(store, "append", "s", user(), expected_version=expected)
        assert (caught.value.expected, caught.value.current) == (expected, 1)


@pytest.mark.parametrize("operation", ["append", "remove", "discard", "delete", "purge", "setup", "last", "info"])
def test_unmapped_errors(form: Form, clock: Clock, operation: str) -> None:
    """What a backend did not map is told by its kind alone; a write may have been done."""
    args = {
        "append": ("s", user()),
        "remove": ("s", [1]),
        "purge": (),
        "setup": (),
    }.get(operation, ("s",))
    kwargs = {"before": 1} if operation == "discard" else {}
    method = {"last": "read"}.get(operation, operation)
    backend = Scripted({method: [RuntimeError("hunter2")]})
    from backscroll.capabilities import declare

    backend.capabilities = declare()
    if operation == "discard":
        form(store_over(backend), "append", "s", user())

    with pytest.raises((OutcomeUnknown, StorageError)) as caught:
        form(store_over(backend), operation, *args, **kwargs)

    assert type(caught.value) is (StorageError if operation in ("last", "info") else OutcomeUnknown)
    assert "the backend failed with RuntimeError" in str(caught.value)
    assert "hunter2" not in f"{caught.value} {caught.value!r} {vars(caught.value)}"
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert backend.called().count(method) == 1


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (struct.error("hunter2"), "struct.error"),
        (KeyError("hunter2"), "KeyError"),
        (PermissionError(errno.EACCES, "hunter2"), "PermissionError (EACCES)"),
    ],
)
def test_what_was_not_mapped_has_its_full_name(form: Form, clock: Clock, error: Exception, name: str) -> None:
    """With the module that it comes from, unless it is Python's own, and where in the backend it was."""
    with pytest.raises(StorageError) as caught:
        form(store_over(Scripted({"info": [error]})), "info", "s")
    told, _, place = str(caught.value).partition(" at ")
    assert told == f"the backend failed with {name}"
    assert re.fullmatch(r"\w+\.py:\d+", place)


def test_own_timeout_error(form: Form, clock: Clock) -> None:
    """A TimeoutError of a driver is not taken for the deadline."""
    with pytest.raises(StorageError, match="the backend failed with TimeoutError"):
        form(store_over(Scripted({"info": [TimeoutError()]})), "info", "s")


def test_remove(form: Form, clock: Clock) -> None:
    """A removal is repeated if it was surely not done, and not if nobody knows."""
    backend = Scripted({"remove": [DOWN, landed(LOST)]})
    store = store_over(backend)
    store.append("s", [user("a"), user("b")])

    with pytest.raises(OutcomeUnknown) as caught:
        form(store, "remove", "s", [0, 1])

    assert caught.value.turn_id is None
    assert backend.called() == ["append", "remove", "remove"]
    assert form(store, "remove", "s", [0, 1]) == ()


@pytest.mark.parametrize("lost", [LOST, landed(LOST), DOWN])
@pytest.mark.parametrize("operation", ["clear", "delete"])
def test_bound(form: Form, clock: Clock, operation: str, lost: Any) -> None:
    """What is appended while a session is cleared or deleted is kept, though a try was lost."""
    backend = Scripted()
    store = store_over(backend)
    store.append("s", [user("a"), user("b")])

    def then_append(act: Any) -> Any:
        try:
            if isinstance(lost, Exception):
                raise lost
            lost(act)
        finally:
            store.append("s", user("c"))

    backend.script["discard"] = [then_append]
    form(store, operation, "s")

    assert [args[1] for name, args in backend.calls if name == "discard"] == [2, 2]
    assert texts(store.last("s")) == ["c"]
    assert store.version("s") == 3


def test_discard(form: Form, clock: Clock) -> None:
    """A bound given by the caller is the same at each try."""
    backend = Scripted({"discard": [landed(LOST), DOWN]})
    store = store_over(backend)
    store.append("s", [user("a"), user("b")])

    form(store, "discard", "s", before=1)

    assert [args[1] for name, args in backend.calls if name == "discard"] == [1, 1, 1]
    assert texts(store.last("s")) == ["b"]


def test_discard_that_lands_late(form: Form, clock: Clock) -> None:
    """A bound above the version is lowered to it, so that a first try which lands late takes nothing newer."""
    late: list[Any] = []

    def later(act: Any) -> None:
        late.append(act)
        raise LOST

    backend = Scripted({"discard": [later]})
    store = store_over(backend)
    store.append("s", user("a"))

    form(store, "discard", "s", before=1 << 62)
    store.append("s", user("b"))
    late[0]()

    assert texts(store.last("s")) == ["b"]


def test_session_begun_anew(form: Form, clock: Clock) -> None:
    """A delete that is repeated takes nothing of a session that was begun anew in between."""
    backend = Scripted()
    store = store_over(backend)
    store.append("s", [user("a"), user("b")])

    def then_begin_anew(act: Any) -> Any:
        act()
        store.append("s", [user("c"), user("d")])
        raise LOST

    backend.script["delete"] = [then_begin_anew]
    form(store, "delete", "s")

    assert backend.called().count("delete") == 2
    assert texts(store.last("s")) == ["c", "d"]


def test_nothing_is_sent_too_late(form: Form, clock: Clock) -> None:
    """Once the time is up nothing is sent any more, and what was not sent was surely not done."""
    from backscroll import Store

    def slow(act: Any) -> Any:
        clock.now += 11
        return act()

    backend = Scripted({"setup": [slow]})
    with pytest.raises(DeadlineExceeded, match=r"^append: not begun within 10 s: raise timeout$"):
        form(Store(backend), "append", "s", user())

    assert backend.called() == ["setup"]


def test_oversleeping(form: Form, clock: Clock) -> None:
    """A wait that takes longer than it should ends with what went wrong, not with the time."""
    clock.lag = 20

    with pytest.raises(Unavailable, match=r"^the server is down$"):
        form(store_over(Scripted({"info": [DOWN]})), "info", "s")


class Silent(Scripted):
    """Never answers, in its async form."""

    async def in_thread(self, call: Any, *args: Any, **kwargs: Any) -> Any:
        self.calls.append((call.__name__, args))
        await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("operation", "args", "kwargs", "expected"),
    [
        ("aappend", ("s", user()), {}, OutcomeUnknown),
        ("aremove", ("s", [1]), {}, OutcomeUnknown),
        ("adiscard", ("s",), {"before": 1}, DeadlineExceeded),  # it looks at the version first
        ("asetup", (), {}, OutcomeUnknown),
        ("aread", ("s",), {}, DeadlineExceeded),
        ("alast", ("s",), {}, DeadlineExceeded),
        ("ainfo", ("s",), {}, DeadlineExceeded),
        ("acount", ("s",), {}, DeadlineExceeded),
        ("asessions", (), {}, DeadlineExceeded),
        ("aping", (), {}, DeadlineExceeded),
        ("aclear", ("s",), {}, DeadlineExceeded),
    ],
)
async def test_no_answer(
    operation: str, args: Any, kwargs: Any, expected: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend that never answers is given up soon after the deadline."""
    monkeypatch.setattr(retry, "GRACE", 0)
    store = store_over(Silent())

    with pytest.raises(expected, match=r"no answer within 0\.01 s") as caught:
        await getattr(store, operation)(*args, **kwargs, timeout=0.01)

    assert type(caught.value) is expected


async def test_backend_that_keeps_the_deadline_speaks_for_itself() -> None:
    """What a backend says right at the deadline is what the caller hears."""

    class Punctual(Silent):
        async def aappend(self, session_id: str, turn: Any, deadline: Any) -> Any:
            await asyncio.sleep(deadline.remaining())
            raise Unavailable("surely not done")

    with pytest.raises(Unavailable, match="surely not done"):
        await store_over(Punctual()).aappend("s", user(), timeout=0.01)


async def test_cancelled_append() -> None:
    """Cancelling passes through, and repeating with the supplied turn_id is a duplicate."""
    sent = asyncio.Event()

    class Slow(Scripted):
        async def aappend(self, *args: Any) -> Any:
            answer = self.append(*args)
            if not sent.is_set():
                sent.set()
                await asyncio.Event().wait()
            return answer

    store = store_over(Slow())
    task = asyncio.create_task(store.aappend("s", user(), turn_id=ID))
    await sent.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    again = await store.aappend("s", user(), turn_id=ID)
    assert (again.seqs, again.duplicate) == ((0,), True)


async def test_cancelled_by_a_timeout() -> None:
    """A timeout of the caller's own is the caller's, not the backend's."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await store_over(Silent()).aappend("s", user())


def test_interrupted(clock: Clock) -> None:
    """Ctrl-C is no outcome and passes through."""
    with pytest.raises(KeyboardInterrupt):
        store_over(Scripted({"append": [KeyboardInterrupt()]})).append("s", user())


def test_drive() -> None:
    """A synchronous operation that waits for a loop is a mistake, and is said to be one."""

    async def suspends() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="a synchronous operation suspended"):
        drive(suspends())

    async def plain() -> int:
        return await SyncIO().call(lambda: 5)

    assert drive(plain()) == 5


def test_wrong_timeouts_are_refused_at_once(form: Form) -> None:
    """A wrong timeout is refused before anything is sent."""
    backend = Scripted()

    with pytest.raises(InvalidArgument, match=r"^timeout: "):
        form(store_over(backend), "append", "s", user(), timeout=0)

    assert backend.calls == []
