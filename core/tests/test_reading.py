"""Reading: pages that come back short are filled up, damaged records keep their place, and nothing is missed."""

import asyncio
import threading
from typing import Any

import pytest
from scripted import Clock, Form, Scripted, Watching, clock, form, store_over, texts, user
from toy import Toy

from backscroll import DeadlineExceeded, InvalidArgument, StorageError, Store, Unavailable, Unreadable
from backscroll.backend import Page, Row
from backscroll.reading import MOST_ROWS, PAGE_BYTES, SHORTEST_POLL

__all__ = ["clock", "form"]

SECOND = 1_000_000_000


def windows(backend: Scripted) -> list[Any]:
    """The windows that the backend was asked for."""
    return [args[1] for name, args in backend.calls if name == "read"]


def filled(count: int, expired: Any = lambda number: False, **options: Any) -> tuple[Store, Scripted]:
    """A store with a session of messages "0", "1", …, some of which have expired."""
    now = [SECOND]
    backend = Scripted(clock=lambda: now[0], **options)
    store = store_over(backend)
    for number in range(count):
        store.append("s", user(str(number)), ttl=1 if expired(number) else None)
    now[0] += 2 * SECOND
    return store, backend


@pytest.mark.parametrize("newest", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 7, 24, 25, 26, 1_000])
@pytest.mark.parametrize(
    "expired",
    [lambda n: n % 2, lambda n: n % 2 == 0, lambda n: n < 25, lambda n: n >= 25, lambda n: n not in (3, 44)],
    ids=["odd", "even", "first half", "last half", "nearly all"],
)
def test_expired_ones_do_not_count(form: Form, newest: bool, limit: int, expired: Any) -> None:
    """What has expired is left out, and the limit is filled up with what lives."""
    store, _ = filled(50, expired)
    live = [str(number) for number in range(50) if not expired(number)]

    found = texts(form(store, "read", "s", limit=limit, newest=newest))

    assert found == (live[-limit:] if newest else live[:limit])


def test_bounds(form: Form) -> None:
    """Bounds are exclusive, and hold while a read is filled up."""
    store, _ = filled(50, lambda number: number % 3)

    assert texts(form(store, "read", "s", after=3, before=30)) == [str(n) for n in range(6, 30, 3)]
    assert texts(form(store, "read", "s", after=2, before=31, limit=2)) == ["3", "6"]
    assert texts(form(store, "read", "s", after=2, before=31, limit=2, newest=True)) == ["27", "30"]
    assert texts(form(store, "read", "s", after=-1, before=1)) == ["0"]
    assert form(store, "read", "s", after=5, before=6) == []


def test_topping_up_doubles() -> None:
    """A read that is filled up asks for twice as much each time, and never for too much."""
    store, backend = filled(2_100, lambda number: number < 2_090, max_turn_messages=1)

    assert texts(store.read("s", limit=3)) == ["2090", "2091", "2092"]
    asked = [window.limit for window in windows(backend)]
    assert asked[:5] == [3, 6, 12, 24, 48]
    assert max(asked) <= MOST_ROWS
    assert len(asked) < 15


def test_large_limits() -> None:
    """A large limit is read in pages."""
    store, backend = filled(0)
    for _ in range(3):
        store.append("s", [user(str(number)) for number in range(800)])

    assert len(store.read("s", limit=2_300)) == 2_300
    assert [window.limit for window in windows(backend)] == [1_000, 1_000, 1_000]


def test_last(form: Form) -> None:
    """The last few come in their order, and are asked for from the end, in one page."""
    store, backend = filled(30)

    assert texts(form(store, "last", "s")) == [str(number) for number in range(10, 30)]
    assert texts(form(store, "last", "s", 2)) == ["28", "29"]
    assert [(window.limit, window.newest, window.before) for window in windows(backend)] == [
        (20, True, None),
        (2, True, None),
    ]


def test_empty_pages(form: Form) -> None:
    """A page may be empty with more behind it."""
    store, backend = filled(3)
    backend.script["read"] = [lambda act: Page([], 0), lambda act: Page([], 1)]

    assert texts(form(store, "read", "s", limit=5)) == ["2"]


def damage(backend: Scripted, seq: int) -> None:
    rows = backend.saved["s"].rows
    rows[seq] = Row(seq, None, b"damaged")


def test_damaged_records_keep_their_place(form: Form) -> None:
    """A damaged record counts, comes back in its place, and hides no other."""
    store, backend = filled(5)
    damage(backend, 2)
    bad = Unreadable(2, "stored in an encoding that this release does not know", b"damaged")

    assert form(store, "read", "s", limit=3)[2] == bad
    assert form(store, "last", "s", 3)[0] == bad
    assert [type(record) is Unreadable for record in store.iterate("s")] == [False, False, True, False, False]


def test_times_and_ids(form: Form) -> None:
    """A record tells when it was stored, when it expires, and with which turn it came."""
    store, _ = filled(0)
    answer = store.append("s", user(), ttl=1.5)

    (record,) = form(store, "read", "s")
    assert (record.turn_id, record.stored_at.timestamp(), record.expires_at.timestamp()) == (answer.turn_id, 3.0, 4.5)


# Iterating.


async def collected(records: Any) -> list[Any]:
    return [record async for record in records]


def iterated(form: Form, store: Store, **kwargs: Any) -> list[Any]:
    """All that an iteration gives."""
    if form.prefix:
        return asyncio.run(collected(store.aiterate("s", **kwargs)))
    return list(store.iterate("s", **kwargs))


def test_iterate(form: Form) -> None:
    """An iteration gives each live message once, in order, and asks for small messages in large pages."""
    store, backend = filled(250, lambda number: number % 5 == 0)

    assert texts(iterated(form, store)) == [str(number) for number in range(250) if number % 5]
    assert texts(iterated(form, store, after=240)) == ["241", "242", "243", "244", "246", "247", "248", "249"]
    assert [(window.after, window.limit) for window in windows(backend)] == [(None, 100), (99, 1_000), (240, 100)]


def test_iterate_large_messages(form: Form) -> None:
    """An iteration over large messages asks for few at once, whatever size the ones before had."""
    store, backend = filled(1)
    pages = [[PAGE_BYTES] * 3, [PAGE_BYTES // 4], [10]]
    seqs = iter(range(9))
    read = [[Row(next(seqs), None, b"{" * size) for size in sizes] for sizes in pages]
    backend.script["read"] = [lambda act, rows=rows: Page(rows, rows[-1].seq) for rows in read]
    backend.calls.clear()

    iterated(form, store)

    assert [window.limit for window in windows(backend)] == [100, 1, 3, MOST_ROWS]


def test_iterate_goes_on_behind_expired_ones(form: Form) -> None:
    """Pages in which all has expired, or which are empty, end no iteration."""
    store, backend = filled(300, lambda number: number < 290)
    backend.script["read"] = [lambda act: Page([], -1)]

    assert texts(iterated(form, store)) == [str(number) for number in range(290, 300)]


def test_iterate_checks_at_once() -> None:
    """Wrong arguments are refused where the iteration is made; its timeout holds for each page."""
    store, backend = filled(1)
    for name in ("iterate", "aiterate", "follow", "afollow"):
        with pytest.raises(InvalidArgument, match=r"^after: "):
            getattr(store, name)("s", after=True)
    assert windows(backend) == []

    list(store.iterate("s", timeout=3))
    assert [args[2].seconds for name, args in backend.calls if name == "read"] == [3]


# Following.


def followed(form: Form, store: Store, count: int, **kwargs: Any) -> list[Any]:
    """The first few that following gives, then to its end after the store is closed."""

    def sync() -> list[Any]:
        records = store.follow("s", **kwargs)
        first = [next(records) for _ in range(count)]
        store.close()
        return first + list(records)

    async def asynchronously() -> list[Any]:
        records = store.afollow("s", **kwargs)
        first = [await anext(records) for _ in range(count)]
        store.close()
        return first + [record async for record in records]

    return asyncio.run(asynchronously()) if form.prefix else sync()


def test_follow_by_polling(form: Form, clock: Clock) -> None:
    """Following gives what is there, then what comes, and pauses ever longer while nothing does."""
    store, backend = filled(2, poll=0.1)

    def later(act: Any) -> Any:
        page = act()
        store.append("s", user("later"))
        return page

    nothing = [None] * 5
    backend.script["read"] = [*nothing, later, *nothing, later]

    assert texts(followed(form, store, 4)) == ["0", "1", "later", "later"]
    pauses = [SHORTEST_POLL, 2 * SHORTEST_POLL, 4 * SHORTEST_POLL, 0.1, 0.1, 0.1]
    assert clock.waits[:7] == pytest.approx([*pauses, SHORTEST_POLL])


def test_follow_after(form: Form, clock: Clock) -> None:
    """Following may begin behind a seq."""
    assert texts(followed(form, filled(5)[0], 2, after=2)) == ["3", "4"]


@pytest.mark.parametrize("where", ["read", "watch"])
def test_follow_by_watching(form: Form, clock: Clock, where: str) -> None:
    """A backend that says when something is new is asked to, and nothing between reading and waiting is missed."""
    backend = Watching(poll=30)
    store = store_over(backend)
    store.append("s", user("first"))
    known: list[int] = []

    def later(act: Any) -> Any:
        page = act()
        store.append("s", user("later"))
        return page

    def until_new(act: Any) -> None:
        _, version, deadline = backend.calls[-1][1]
        known.append(version)
        if backend.saved["s"].version == version:
            assert where == "watch"
            store.append("s", user("later"))
        assert deadline.seconds == 30

    backend.script = {"read": [later] if where == "read" else [], "watch": [until_new]}

    assert texts(followed(form, store, 2)) == ["first", "later"]
    assert known == [1]
    assert clock.waits == []


def test_follow_outlives_a_watch_that_fails(form: Form, clock: Clock) -> None:
    """A watch that cannot be had, or ends at its deadline, is asked for again; reading goes on."""
    backend = Watching()
    store = store_over(backend)
    store.append("s", user("first"))

    def nothing_new(act: Any) -> None:
        clock.now += 1
        raise DeadlineExceeded("nothing new")

    backend.script = {
        "watch": [
            nothing_new,
            Unavailable("the connection is gone"),
            lambda act: store.append("s", user("later")) and None,
        ]
    }

    assert texts(followed(form, store, 2)) == ["first", "later"]


def test_follow_ends_at_close(form: Form, clock: Clock) -> None:
    """Whatever a call that is under way says when the store is closed, following just ends."""
    backend = Watching()
    store = store_over(backend)
    store.append("s", user("first"))

    def closed(act: Any) -> Any:
        store.close()
        raise StorageError("the connection was closed")

    backend.script = {"watch": [closed]}
    store_texts: list[str] = []
    if form.prefix:
        store_texts += texts(asyncio.run(collected(store.afollow("s"))))
    else:
        store_texts += texts(store.follow("s"))
    assert store_texts == ["first"]


def test_follow_fails(form: Form, clock: Clock) -> None:
    """A failure that is not the store's end is raised."""
    store, backend = filled(1)
    backend.script["read"] = [StorageError("broken")]

    with pytest.raises(StorageError, match="broken"):
        followed(form, store, 1)


def test_follow_another_thread() -> None:
    """What another thread appends is seen, and closing ends it."""
    store, _ = filled(0, poll=0.001)
    seen: list[str] = []
    three = threading.Event()

    def follow() -> None:
        for record in store.follow("s"):
            seen.extend(texts([record]))
            if len(seen) == 3:
                three.set()

    thread = threading.Thread(target=follow)
    thread.start()
    for text in ("a", "b", "c"):
        store.append("s", user(text))
    assert three.wait(20)
    store.close()
    thread.join(20)

    assert (thread.is_alive(), seen) == (False, ["a", "b", "c"])


async def test_follow_another_task() -> None:
    """What another task appends is seen, and closing ends it."""
    store, _ = filled(0, poll=0.001)
    seen: list[str] = []

    async def follow() -> None:
        async for record in store.afollow("s"):
            seen.extend(texts([record]))
            if len(seen) == 3:
                await store.aclose()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(follow())
        for text in ("a", "b", "c"):
            await store.aappend("s", user(text))

    assert seen == ["a", "b", "c"]


def test_iterate_leaves_out_what_expires_meanwhile() -> None:
    """A message that expires between the reading of its page and its turn is not given."""
    now = 0
    store = Store(Toy(clock=lambda: now))
    store.append("s", [user("a"), user("b")], ttl=60)
    store.append("s", user("c"))
    records = store.iterate("s")

    assert texts([next(records)]) == ["a"]
    now = 61_000_000_000
    assert texts(records) == ["c"]


async def test_aiterate_leaves_out_what_expires_meanwhile() -> None:
    """The same for the async form."""
    now = 0
    store = Store(Toy(clock=lambda: now))
    await store.aappend("s", [user("a"), user("b")], ttl=60)
    seen = []
    async for record in store.aiterate("s"):
        seen += texts([record])
        now = 61_000_000_000
    assert seen == ["a"]
