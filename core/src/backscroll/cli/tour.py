"""The command ``tour``: shows what the library does, on a real database, and checks each claim that it makes."""

import ast
import secrets
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from types import CodeType
from typing import Any, Final
from urllib.parse import quote

import attrs
import click

import backscroll
from backscroll.capabilities import Capability, Durability
from backscroll.cli.failures import Failed
from backscroll.cli.output import console
from backscroll.errors import BackscrollError
from backscroll.store import Store

WIDTH: Final = 100


@attrs.frozen(kw_only=True)
class Step:
    """One thing that the tour shows.

    Args:
        title: What it is about.
        code: Runs as it is shown.
        claims: What holds afterwards: a sentence, and an expression that is true.
        needs: What the backend has to support; the step is left out where it does not.
        raises: The error that the code shows.
    """

    title: str
    code: str
    claims: Mapping[str, str]
    needs: Capability | None = None
    raises: tuple[type[BackscrollError], ...] = ()


STEPS: Final = (
    Step(
        title="A turn lands whole, and the last messages come back in order",
        code="""
store.append(chat, [{"role": "user", "content": "Which tea helps with a cold?"},
                    {"role": "assistant", "content": "Ginger, with a little honey."}])
[record.message for record in store.last(chat, 20)]
""",
        claims={
            "both messages are there, in their order": "[r.message.role for r in store.last(chat)]"
            " == ['user', 'assistant']",
            "whoever else looks sees them at once": "other.version(chat) == store.version(chat)",
        },
    ),
    Step(
        title="A retry adds nothing: the turn_id says that it is the same turn",
        code="""
question = {"role": "user", "content": "And without honey?"}
first = store.append(chat, question, turn_id="request-7")
again = store.append(chat, question, turn_id="request-7")
first
again
""",
        claims={
            "the answer is the first one, marked as a duplicate": "again == attrs.evolve(first, duplicate=True)",
            "the message is there once": "[r.message.content for r in store.last(chat)].count('And without honey?')"
            " == 1",
        },
    ),
    Step(
        title="Two writers: whoever has not seen the newest message is told so",
        code="""
seen = store.version(chat)
store.append(chat, {"role": "assistant", "content": "Then with lemon."}, expected_version=seen)
other.append(chat, {"role": "assistant", "content": "Plain, then."}, expected_version=seen)
""",
        claims={
            "the error carries the current version": "error.current == store.version(chat)",
            "nothing of the second answer was stored": "store.last(chat, 1)[0].message.content == 'Then with lemon.'",
        },
        needs=Capability.CONDITIONAL_APPEND,
        raises=(backscroll.VersionConflict,),
    ),
    Step(
        title="A message can expire; here a clock that is set forward saves the wait",
        code="""
secret = store.append(chat, {"role": "user", "content": "My door code is 4711."}, ttl=60)
store.last(chat, 1)[0].message
clock.advance(61)
store.last(chat, 1)[0].message
""",
        claims={
            "the expired message is no longer read": "all(r.seq not in secret.seqs for r in store.iterate(chat))",
            "its place is not given away again": "store.version(chat) == secret.version",
        },
        needs=Capability.TTL,
    ),
    Step(
        title="A long session is read in pages, or as a stream in constant memory",
        code="""
long = chat + "-long"
appended = [store.append(long, {"role": "user", "content": f"message {n}"}) for n in range(30)]
page = store.read(long, limit=20)
rest = store.read(long, after=page[-1].seq, limit=20)
len(page), len(rest)
sum(1 for record in store.iterate(long))
store.last(long, 1)[0].message
""",
        claims={
            "the pages meet without gap or overlap": "[r.message.content for r in page + rest]"
            " == [f'message {n}' for n in range(30)]",
            "the stream holds the same": "list(store.iterate(long)) == page + rest",
        },
    ),
    Step(
        title="A cleared session is empty, and still goes on counting",
        code="""
before = store.version(chat)
store.clear(chat)
store.last(chat)
store.append(chat, {"role": "user", "content": "Let us start over."})
""",
        claims={
            "only what came later is there": "[r.message.content for r in store.last(chat)] == ['Let us start over.']",
            "no place was used twice": "store.last(chat)[0].seq >= before",
        },
        needs=Capability.DISCARD,
    ),
)


class Clock:
    """The time of day, which can be set forward."""

    def __init__(self) -> None:
        self._ahead = 0

    def __call__(self) -> int:
        """Nanoseconds since 1970."""
        return time.time_ns() + self._ahead

    def advance(self, seconds: int) -> None:
        """Set it forward."""
        self._ahead += seconds * 1_000_000_000


@click.command()
@click.argument("url", required=False)
def tour(url: str | None) -> None:
    """See what backscroll does, in two minutes.

    Each step shows its code and what really came of it, and checks what it claims; the exit code is 3 if one claim
    does not hold. It runs on a new SQLite file, or on the database of URL, where it leaves nothing behind.
    """
    started, failed, screen = time.monotonic(), 0, _Screen()
    with ExitStack() as stack:
        place, url = stack.enter_context(_new_file()) if url is None else ("the database of the URL", url)
        clock = Clock()
        store = stack.enter_context(backscroll.open(url, clock=clock))
        chat = f"tour-{secrets.token_hex(4)}"
        # What lives in this process only, such as a database in memory, has no second connection.
        alone = store.limits.durability is Durability.PROCESS
        other = store if alone else stack.enter_context(backscroll.open(url, clock=clock))
        screen.text(f"backscroll {backscroll.__version__} on {place} ({store.backend}), session {chat}")
        screen.code("store = backscroll.open(url, clock=clock)")
        screen.code("other = store" if alone else "other = backscroll.open(url, clock=clock)")
        names = {"attrs": attrs, "store": store, "other": other, "clock": clock, "chat": chat}
        stack.callback(_tidy, store, chat)
        for number, step in enumerate(STEPS, 1):
            screen.title(f"{number}. {step.title}")
            failed += _taken(screen, step, store, names)
    if failed:
        raise Failed(f"{failed} claims of the tour do not hold, marked with ✗ above: please report this")
    screen.text(f"All of this held, in {time.monotonic() - started:.1f} s.")


def _taken(screen: "_Screen", step: Step, store: Store, names: dict[str, Any]) -> int:
    """Take a step; returns how many claims did not hold."""
    support = store.capabilities[step.needs] if step.needs else None
    if support is not None and not support:
        screen.text(f"Left out: {store.backend} does not support {step.needs and step.needs.value}: {support.reason}")
        return 0
    _execute(screen, step, names)
    failed = 0
    for sentence, expression in step.claims.items():
        holds = _holds(expression, names)
        failed += not holds
        screen.claim(sentence, holds)
    return failed


def _execute(screen: "_Screen", step: Step, names: dict[str, Any]) -> None:
    for statement in ast.parse(step.code).body:
        screen.code(ast.get_source_segment(step.code, statement) or "")
        names.pop("error", None)
        try:
            if isinstance(statement, ast.Expr):
                result = _evaluate(compile(ast.Expression(statement.value), "tour", "eval"), names)
                if result is not None:
                    screen.result(result)
            else:
                _evaluate(compile(ast.Module([statement], []), "tour", "exec"), names)
        except step.raises as error:
            names["error"] = error
            screen.result(error)


def _evaluate(code: CodeType, names: dict[str, Any]) -> Any:
    return eval(code, names)  # noqa: S307 - the code stands above


def _holds(expression: str, names: dict[str, Any]) -> bool:
    try:
        return bool(_evaluate(compile(expression, "claim", "eval"), names))
    except (LookupError, NameError, AttributeError):
        # Something is missing that the claim speaks of.
        return False


@contextmanager
def _new_file() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="backscroll-tour-") as folder:
        path = f"{folder}/tour.db"
        yield path, f"sqlite:///{quote(path)}"


def _tidy(store: Store, chat: str) -> None:
    for session_id in (chat, f"{chat}-long"):
        if store.capabilities[Capability.DELETE]:
            store.delete(session_id)
        elif store.capabilities[Capability.DISCARD]:
            store.clear(session_id)


class _Screen:
    """Shows the tour: in colours on a terminal, as plain text in a pipe."""

    def __init__(self) -> None:
        self._console = console()

    def title(self, title: str) -> None:
        self._print(f"\n{title}", "bold")

    def code(self, code: str) -> None:
        from rich.syntax import Syntax

        prompted = "\n".join(("... " if number else ">>> ") + line for number, line in enumerate(code.splitlines()))
        highlighted = Syntax(prompted, "python", theme="ansi_dark").highlight(prompted)
        highlighted.rstrip()
        self._console.print(highlighted, soft_wrap=True)
        sys.stdout.flush()

    def result(self, result: object) -> None:
        if isinstance(result, Exception):
            self._print(f"{type(result).__name__}: {result}", "yellow")
        elif isinstance(result, list) and len(repr(result)) > WIDTH:
            self._print("[" + ",\n ".join(map(repr, result)) + "]", "")
        else:
            self._print(repr(result), "")

    def claim(self, sentence: str, holds: bool) -> None:
        self._print(f"  {'✓' if holds else '✗'} {sentence}", "green" if holds else "bold red")

    def text(self, text: str) -> None:
        self._print(text, "")

    def _print(self, text: str, style: str) -> None:
        self._console.print(text, style=style, soft_wrap=True)
