"""Failures, secrets, the schema."""

import asyncio
import contextlib
import io
import logging
import time
import traceback
import warnings
from collections.abc import Coroutine, Iterator
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import attrs

from backscroll import Store
from backscroll.backend import Capability, Health, SessionPage
from backscroll.errors import BackscrollError, Closed, OutcomeUnknown, SchemaError
from backscroll_conformance.clauses import Form, clause
from backscroll_conformance.contract.calls import Call, calls
from backscroll_conformance.expect import equal, fail, raises, true
from backscroll_conformance.subject import NotApplicable, Subject, Twin, in_threads, messages, numbered
from backscroll_conformance.target import Target

PASSED: Final = 1e-9
"""The seconds of a deadline that is over before a call can begin."""

SHORT: Final = (PASSED, PASSED, 1e-4, 5e-4, 1e-3, 2e-3, 5e-3)
"""Seconds that may be over while a call is under way."""

SOON: Final = 5.0
"""Within how many seconds a call ends whose deadline has passed."""

SECRET: Final = "canary-4711-secret"  # noqa: S105  # made up, and looked for in everything that is shown


@clause("ERR-001")
async def deadline_passed(s: Subject) -> None:
    """A call whose deadline has passed MUST end soon, and never acknowledge what it did not store."""
    session_id = s.session()
    version = (await s.store.append(session_id, messages("a"))).version
    acknowledged: list[str] = []
    for number in range(5):
        text = f"late {number}"
        with contextlib.suppress(BackscrollError):
            await _soon("append", partial(s.backend.append, session_id, s.turn(text), s.deadline(PASSED)))
            acknowledged.append(text)
    other = s.session()
    await s.store.append(other, messages("a"))
    late = calls(s, other, PASSED)
    if s.capabilities[Capability.WATCH]:
        late["watch"] = lambda: s.backend.watch(other, 1 << 40, s.deadline(PASSED))
    for name, call in late.items():
        with contextlib.suppress(BackscrollError):
            await _soon(name, call)
    found = await s.texts(session_id)
    missing = [text for text in ["a", *acknowledged] if text not in found]
    equal(missing, [], "what was acknowledged and is not there")
    true(await s.store.version(session_id) >= version, "the version went back")


async def _soon(name: str, call: Call) -> None:
    began = time.monotonic()
    try:
        await call()
    finally:
        seconds = time.monotonic() - began
        true(seconds < SOON, f"{name}, whose deadline had passed, took {seconds:.1f} s")


@clause("ERR-002")
async def surely_not_done(s: Subject) -> None:
    """A call that raises anything but OutcomeUnknown MUST have done nothing, also where its time is short."""
    session_id = s.session()
    for number, seconds in enumerate(SHORT):
        call = s.backend.append(session_id, s.turn(f"turn {number}"), s.deadline(seconds))
        if (error := await _denied(call)) is not None and f"turn {number}" in await s.texts(session_id):
            fail(f"append raised {error!r}, but the turn was stored")
    if s.capabilities[Capability.REMOVE]:
        session_id = s.session()
        seqs = (await s.store.append(session_id, messages(*numbered(len(SHORT))))).seqs
        for seq, seconds in zip(seqs, SHORT, strict=True):
            call = s.backend.remove(session_id, (seq,), s.microseconds, s.deadline(seconds))
            await _is_there_if_denied(s, session_id, seq, call, "remove")
    if s.capabilities[Capability.DISCARD]:
        session_id = s.session()
        seqs = (await s.store.append(session_id, messages(*numbered(len(SHORT))))).seqs
        for seq, seconds in zip(seqs, SHORT, strict=True):
            call = s.backend.discard(session_id, seq + 1, s.deadline(seconds))
            await _is_there_if_denied(s, session_id, seq, call, "discard")


async def _denied(call: Coroutine[Any, Any, Any]) -> BackscrollError | None:
    """What a call raised that says that surely nothing was done."""
    try:
        await call
    except OutcomeUnknown:
        return None
    except BackscrollError as error:
        return error
    return None


async def _is_there_if_denied(
    s: Subject, session_id: str, seq: int, call: Coroutine[Any, Any, Any], operation: str
) -> None:
    if (error := await _denied(call)) is not None:
        found = [record.seq for record in await s.everything(session_id)]
        true(seq in found, f"{operation} raised {error!r}, but the message was dropped")


@clause("SCH-001")
async def setup_again(s: Subject) -> None:
    """Setting up MUST be harmless to repeat: everything stays."""
    session_id = s.session()
    first = await s.store.append(session_id, messages("a", "b"), turn_id="own")
    other, _ = s.open()
    for store in (s.store, s.store, other):
        true(isinstance(await store.setup(), Health), "setup did not answer a Health")
    equal(await s.texts(session_id), ["a", "b"], "the texts")
    equal(await s.store.version(session_id), first.version, "the version")
    again = await other.append(session_id, messages("a", "b"), turn_id="own")
    equal((again.seqs, again.duplicate), (first.seqs, True), "seqs and duplicate of a repeat")


@clause("SCH-002")
async def ping(s: Subject) -> None:
    """A ping MUST name the server, and change nothing."""
    session_id = s.session()
    await s.store.append(session_id, messages("a"))
    for _ in range(2):
        health = await s.store.ping()
        true(isinstance(health, Health) and health.server.strip(), f"ping answered {health!r}: it names no server")
    equal(await s.texts(session_id), ["a"], "the texts")


@clause("SCH-003")
async def no_schema(s: Subject) -> None:
    """Where there is no schema yet, reads and removals MUST find nothing, and an append MUST raise SchemaError."""
    with _elsewhere(s) as new:
        try:
            await _finds_nothing(new)
        finally:
            await new.finish()


async def _finds_nothing(s: Subject) -> None:
    store, backend = s.open(setup="never")
    session_id = s.session()
    for _ in range(2):
        equal(await store.last(session_id), [], "its messages")
        equal(await s.texts(session_id, store), [], "its messages by iterate")
        equal(await store.version(session_id), 0, "its version")
        empty: dict[Capability, tuple[Call, Any]] = {
            Capability.COUNT: (lambda: store.count(session_id), 0),
            Capability.SESSIONS: (store.sessions, SessionPage((), None)),
            Capability.DISCARD: (lambda: store.clear(session_id), None),
            Capability.REMOVE: (lambda: store.remove(session_id, [0, 1]), ()),
            Capability.DELETE: (lambda: store.delete(session_id), None),
            Capability.PURGE: (store.purge, 0),
        }
        for capability, (call, expected) in empty.items():
            if s.capabilities[capability]:
                equal(await call(), expected, f"the answer to {capability.value} where there is no schema")
        for call in (
            lambda: store.append(session_id, messages("a")),
            lambda: backend.append(session_id, s.turn("a"), s.deadline()),
        ):
            await raises(SchemaError, call(), "appending where there is no schema")
    await store.setup()
    await store.append(session_id, messages("b"))
    equal(await s.texts(session_id, store), ["b"], "the texts after setup and an append")


@clause("SCH-004")
async def setup_at_once(s: Subject) -> None:
    """Several clients MUST be able to set up a new database at once, and others to read it meanwhile."""
    for _ in range(3):
        with _elsewhere(s) as new:
            try:
                await _set_up_at_once(new)
            finally:
                await new.finish()


async def _set_up_at_once(s: Subject) -> None:
    ids = [s.session() for _ in range(6)]

    def begin(store: Store, session_id: str) -> None:
        if s.form is Form.ASYNC:
            asyncio.run(store.asetup())
            asyncio.run(store.aappend(session_id, messages("a")))
        else:
            store.setup()
            store.append(session_id, messages("a"))

    def look(store: Store) -> None:
        for _ in range(10):
            asyncio.run(store.alast(ids[0])) if s.form is Form.ASYNC else store.last(ids[0])

    stores: list[Store] = [s.open()[0].target for _ in range(8)]
    beginning = [partial(begin, store, session_id) for store, session_id in zip(stores, ids, strict=False)]
    answers = in_threads([*beginning, *(partial(look, store) for store in stores[6:])])
    failed = [f"{type(answer).__name__}: {answer}" for answer in answers if isinstance(answer, Exception)]
    equal(failed, [], "what failed of 6 clients that set up a new database at once, and 2 that read it")
    equal([await s.texts(session_id) for session_id in ids], [["a"]] * len(ids), "the texts of the sessions")


@contextlib.contextmanager
def _elsewhere(s: Subject) -> Iterator[Subject]:
    """The same database in a new folder, where nothing was set up."""
    if not s.origin.is_embedded:
        raise NotApplicable("a server has its schema already: only a database in a folder can be begun anew")
    with s.origin.fresh() as target:
        yield Subject(target, s.form, s.seed, s.effort, s.origin)


@clause("SEC-001")
async def secrets(s: Subject) -> None:
    """A password MUST NOT stand in an error, a repr, a log record, a warning or the output."""
    shown = io.StringIO()
    handler = logging.StreamHandler(shown)
    handler.setLevel(logging.DEBUG)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown), warnings.catch_warnings():
            warnings.simplefilter("always")
            await _try_password(s, shown)
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    lines = [line for line in shown.getvalue().splitlines() if SECRET in line]
    if lines:
        fail(f"a password was shown: {lines[0].replace(SECRET, '***')}")


async def _try_password(s: Subject, shown: io.StringIO) -> None:
    """Use made-up secrets, which most servers refuse, and show whatever can be seen."""
    parts = urlsplit(s.target.url)
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"canary:{SECRET}@{host}"))
    await _try_target(s, attrs.evolve(s.target, url=url), shown)
    for name in _secret_options(s):
        await _try_target(s, attrs.evolve(s.target, options={**s.target.options, name: SECRET}), shown)


def _secret_options(s: Subject) -> list[str]:
    """The options that are kept out of a repr and take a text."""
    found = []
    for field in attrs.fields(type(s.backend.target.options)):
        if not field.repr and "parse" in field.metadata:
            with contextlib.suppress(ValueError):
                field.metadata["parse"](SECRET)
                found.append(field.name)
    return found


async def _try_target(s: Subject, target: Target, shown: io.StringIO) -> None:
    try:
        store = Twin(target.open(timeout=2.0), s.form)
    except BackscrollError as error:
        _show(error, shown)
        return
    session_id = s.session()
    tried: tuple[Call, ...] = (
        store.ping,
        store.setup,
        lambda: store.append(session_id, messages("a")),
        lambda: store.last(session_id),
        lambda: store.info(session_id),
    )
    try:
        print(repr(store.target), repr(store.target.backend), file=shown)
        for call in tried:
            try:
                print(repr(await call()), file=shown)
            except BackscrollError as error:
                _show(error, shown)
    finally:
        await store.close()


def _show(error: BaseException, shown: io.StringIO) -> None:
    shown.write("".join(traceback.format_exception(error)))
    print(repr(error), file=shown)


@clause("LIF-005")
async def closed(s: Subject) -> None:
    """Closing MUST be harmless to repeat, and every later call raise Closed."""
    session_id = s.session()
    store, backend = s.open()
    await store.append(session_id, messages("a"))
    await store.close()
    await store.close()
    await backend.close()
    calls: tuple[tuple[str, Any], ...] = (
        ("append", lambda: store.append(session_id, messages("b"))),
        ("last", lambda: store.last(session_id)),
        ("version", lambda: store.version(session_id)),
        ("ping", store.ping),
    )
    for name, call in calls:
        try:
            await call()
        except Closed:
            continue
        fail(f"{name} of a closed store did not raise Closed")
    equal(await s.texts(session_id), ["a"], "what another client reads")
