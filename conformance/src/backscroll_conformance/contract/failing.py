"""Failures, secrets, the schema."""

import contextlib
import io
import logging
import time
import traceback
import warnings
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import attrs

from backscroll.backend import Health
from backscroll.errors import BackscrollError, Closed
from backscroll_conformance.clauses import clause
from backscroll_conformance.expect import equal, fail, true
from backscroll_conformance.subject import Subject, messages

SECRET: Final = "canary-4711-secret"  # noqa: S105  # made up, and looked for in everything that is shown


@clause("ERR-001")
async def deadline_passed(s: Subject) -> None:
    """A call whose deadline has passed MUST end soon, and never acknowledge what it did not store."""
    session_id = s.session()
    version = (await s.store.append(session_id, messages("a"))).version
    acknowledged: list[str] = []
    began = time.monotonic()
    for number in range(5):
        try:
            await s.backend.append(session_id, s.turn(f"late {number}"), s.deadline(1e-9))
            acknowledged.append(f"late {number}")
        except BackscrollError:
            pass
    with contextlib.suppress(BackscrollError):
        await s.backend.read(session_id, s.window(), s.deadline(1e-9))
    with contextlib.suppress(BackscrollError):
        await s.backend.info(session_id, s.deadline(1e-9))
    seconds = time.monotonic() - began
    true(seconds < 10, f"seven calls whose deadline had passed took {seconds:.1f} s")
    found = await s.texts(session_id)
    missing = [text for text in ["a", *acknowledged] if text not in found]
    equal(missing, [], "what was acknowledged and is not there")
    true(await s.store.version(session_id) >= version, "the version went back")


@clause("SCH-001")
async def setup_again(s: Subject) -> None:
    """Setting up MUST be harmless to repeat: everything stays."""
    session_id = s.session()
    first = await s.store.append(session_id, messages("a", "b"), turn_id="own")
    other, _ = s.open()
    for store in (s.store, other):
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
    """Use a URL with a made-up password, which most servers refuse, and show whatever can be seen."""
    parts = urlsplit(s.target.url)
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit(parts._replace(netloc=f"canary:{SECRET}@{host}"))
    target = attrs.evolve(s.target, url=url)
    try:
        store = target.open(timeout=2.0)
    except BackscrollError as error:
        _show(error, shown)
        return
    try:
        print(repr(store), file=shown)
        for call in (store.ping, lambda: store.append(s.session(), messages("a")), lambda: store.last(s.session())):
            try:
                print(repr(call()), file=shown)
            except BackscrollError as error:
                _show(error, shown)
    finally:
        store.close()


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
