"""The command append."""

import io
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from backscroll import errors
from backscroll.cli import main
from backscroll.cli.exit_codes import ExitCode
from backscroll.message import Message
from backscroll.sqlite.backend import SQLiteBackend
from backscroll.store import Store


def messages(store: Store) -> list[Message]:
    """What is in the session."""
    return store.history("session").messages


def test_text_from_the_command_line(run: Any, store: Store, url: str) -> None:
    """The text is appended as it is, for the role given."""
    assert run("append", url, "session", "hi [b]you[/b] \\n").out == "appended: seq 0, version 1\n"
    assert run("append", url, "session", "", "--role", "assistant").code == ExitCode.DONE
    assert messages(store) == [Message("user", "hi [b]you[/b] \\n"), Message("assistant", "")]


@pytest.mark.parametrize(
    ("piped", "content"),
    [(b"one\ntwo\n", "one\ntwo"), (b"one\r\n", "one"), (b"one\n\n", "one\n"), ("é\u2028".encode(), "é\u2028")],
)
def test_text_from_a_pipe(run: Any, store: Store, url: str, piped: bytes, content: str) -> None:
    """Without a text, or with a dash, it comes from the pipe, without the newline at its end."""
    assert run("append", url, "session", stdin=piped).code == ExitCode.DONE
    assert run("append", url, "session", "-", stdin=piped).code == ExitCode.DONE
    assert messages(store) == [Message("user", content)] * 2


@pytest.mark.parametrize(
    ("piped", "reason"),
    [(b"", "there is nothing on standard input"), (b"\n", "nothing"), (b"ab\xff", "not UTF-8 at byte 2")],
)
def test_unusable_pipe(run: Any, store: Store, url: str, piped: bytes, reason: str) -> None:
    """An empty pipe and one that is not UTF-8 are refused."""
    ran = run("append", url, "session", stdin=piped)
    assert ran.code == ExitCode.USAGE
    assert reason in ran.err
    assert messages(store) == []


def test_pipe_is_not_read_further_than_the_limit(run: Any, store: Store, url: str) -> None:
    """A pipe without end is refused as soon as it is over the limit; what just fits is stored."""
    ran = run("append", f"{url}?max_message_bytes=1000", "session", stdin=b"x" * 1_000_000)
    assert ran.code == ExitCode.USAGE
    assert "too large, over max_message_bytes=1,000" in ran.err
    assert run("append", f"{url}?max_message_bytes=1000", "session", stdin=b"x" * 800 + b"\r\n").code == ExitCode.DONE
    assert messages(store) == [Message("user", "x" * 800)]


def test_pipe_without_end(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Only as much of a pipe is read as can be appended."""

    class Endless(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 <= size < 2_000
            return b"x" * size

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(Endless()))
    assert main(["append", f"{url}?max_message_bytes=1000", "session"]) == ExitCode.USAGE
    assert "too large" in capsys.readouterr().err


def test_terminal_without_text(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal a missing text is an error, not a silent wait."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main(["append", url, "session"]) == ExitCode.USAGE
    assert capsys.readouterr().err == (
        "error: there is no TEXT: give one, or pipe it in (see backscroll append --help)\n"
    )


def test_retry_with_a_turn_id(run: Any, store: Store, url: str) -> None:
    """The same command with the same turn_id adds nothing; with another text it is refused."""
    assert run("append", url, "session", "hi", "--turn-id", "mine").code == ExitCode.DONE
    ran = run("append", url, "session", "hi", "--turn-id", "mine")
    assert (ran.code, ran.out) == (ExitCode.DONE, "was there already: seq 0, version 1\n")
    assert run("append", url, "session", "ho", "--turn-id", "mine").code == ExitCode.FAILED
    assert messages(store) == [Message("user", "hi")]


def test_conflict_names_the_option(run: Any, store: Store, url: str) -> None:
    """A version that no longer holds is an error that says what to give instead."""
    assert run("append", url, "session", "hi", "--expect", 0).code == ExitCode.DONE
    ran = run("append", url, "session", "ho", "--expect", 0)
    assert ran.code == ExitCode.FAILED
    assert ran.err == (
        "error: expected version 0, but the session is at 1: "
        "read what is new (backscroll show), then append with --expect 1\n"
    )
    assert messages(store) == [Message("user", "hi")]


def test_ttl(run: Any, store: Store, url: str) -> None:
    """A message can expire."""
    assert run("append", url, "session", "hi", "--ttl", "3600").code == ExitCode.DONE
    (record,) = store.read("session")
    assert (record.expires_at - record.stored_at).total_seconds() == 3_600  # type: ignore[union-attr, operator]
    assert run("append", url, "session", "hi", "--ttl", "-1").code == ExitCode.USAGE
    assert len(store.history("session")) == 1


def test_json(run: Any, store: Store, url: str) -> None:
    """--json gives the whole answer."""
    (answer,) = run("append", url, "session", "hi", "--json").objects
    turn_id = str(store.read("session")[0].turn_id)  # type: ignore[union-attr]
    assert answer == {"session_id": "session", "version": 1, "seqs": [0], "turn_id": turn_id, "duplicate": False}


def test_unknown_outcome_can_be_repeated(run: Any, store: Store, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown outcome names the option that makes the repetition safe."""
    land = SQLiteBackend.append

    def lost(*args: Any) -> Any:
        land(*args)
        raise errors.OutcomeUnknown("the answer was lost")

    with monkeypatch.context() as patched:
        patched.setattr(SQLiteBackend, "append", lost)
        ran = run("append", f"{url}?timeout=0.2", "session", "hi")
    head = "error: the answer was lost; it may have been stored or not: repeat the command with --turn-id "
    assert (ran.code, ran.err[: len(head)]) == (ExitCode.FAILED, head)
    turn_id = uuid.UUID(ran.err[len(head) :].strip())
    assert run("append", url, "session", "hi", "--turn-id", turn_id).out.startswith("was there already")
    assert messages(store) == [Message("user", "hi")]


def test_window_exceeded_says_to_read(run: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where repeating would not be safe, the error says to read, and which turn_id to look for."""

    def lost(*_: Any) -> Any:
        raise errors.WindowExceeded("too many other turns")

    monkeypatch.setattr(SQLiteBackend, "append", lost)
    ran = run("append", url, "session", "hi")
    assert ran.code == ExitCode.FAILED
    assert "read the session" in ran.err
    assert "--turn-id" not in ran.err
    assert "turn_id is " in ran.err


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["", "hi"], "session_id: must not be empty"),
        (["s" * 513, "hi"], "513 bytes"),
        (["\udcff", "hi"], "session_id: a lone surrogate"),
        (["session", "\udcff"], "messages[0].content: a lone surrogate"),
        (["session", "hi", "--role", "robot"], "'robot' is not one of"),
        (["session", "hi", "--expect", "-1"], "expected_version"),
        (["session", "hi", "--expect", "x"], "'x' is not a valid integer"),
        (["session", "hi", "--ttl", "nan"], "ttl"),
        (["session", "hi", "--turn-id", ""], "turn_id"),
    ],
)
def test_bad_arguments(run: Any, url: str, tmp_path: Path, args: list[str], reason: str) -> None:
    """What cannot be appended is refused in one line, and makes no database."""
    ran = run("append", url, *args)
    assert ran.code == ExitCode.USAGE
    assert reason in ran.err
    assert (ran.out, ran.err.count("\n")) == ("", 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "code", "reason"),
    [
        ("kafka://host", ExitCode.USAGE, "pip install backscroll-kafka"),
        ("sqlite:///chat.db?timeuot=3", ExitCode.USAGE, "did you mean timeout?"),
        ("chat.db", ExitCode.USAGE, "starts with its scheme"),
        ("env:BACKSCROLL_NOT_SET", ExitCode.USAGE, "set the environment variable BACKSCROLL_NOT_SET"),
        ("sqlite:////no/such/directory/chat.db", ExitCode.FAILED, "/no/such/directory"),
    ],
)
def test_bad_urls(run: Any, url: str, code: ExitCode, reason: str) -> None:
    """A URL that cannot be used is answered in one line with the next step."""
    ran = run("append", url, "session", "hi")
    assert ran.code == code
    assert reason in ran.err
    assert (ran.out, ran.err.count("\n")) == ("", 1)
