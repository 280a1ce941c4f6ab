"""The command line as a whole: help, plugins, passwords, and how a command ends."""

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import backscroll
from backscroll import errors
from backscroll.backend import Health
from backscroll.cli import app, failures
from backscroll.cli.exit_codes import MEANINGS, ExitCode
from backscroll.hookspecs import hookimpl
from backscroll.sqlite.backend import SQLiteBackend

PASSWORD = "hunter2"
PATIENCE = 60

Process = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def plugin() -> Iterator[Callable[..., None]]:
    """Register plugins with the commands given."""
    registered = []

    def register(*commands: Any) -> None:
        class Plugin:
            @hookimpl
            def backscroll_commands(self) -> Any:
                return [command() if command is explode else command for command in commands]

        registered.append(Plugin())
        backscroll.register(registered[-1])

    yield register
    for one in registered:
        backscroll.unregister(one)


def explode() -> None:
    """Stand for a hook that fails."""
    raise RuntimeError("on purpose")


@click.command()
@click.argument("what", default="")
def greet(what: str) -> None:
    """Say hello."""
    if what:
        raise KeyError(PASSWORD)
    click.echo("hello")


def test_help_lists_commands_and_exit_codes(run: Any) -> None:
    """The help names every command and every exit code, and is shown without a command, too."""
    ran = run("--help")
    assert ran.code == ExitCode.DONE
    assert all(f"\n  {name} " in ran.out for name in app.BUILT_IN)
    assert all(f"\n  {int(code)} " in ran.out for code in ExitCode)
    assert set(MEANINGS) == set(ExitCode)
    assert run() == ran == run("-h")


@pytest.mark.parametrize("command", app.BUILT_IN)
def test_every_command_has_help(run: Any, command: str) -> None:
    """Every command explains itself."""
    ran = run(command, "--help")
    assert ran.code == ExitCode.DONE
    assert ran.out.startswith(f"Usage: backscroll {command}")
    assert "\\" not in ran.out


def test_version(run: Any) -> None:
    """It says its version."""
    assert run("--version").out == f"backscroll, version {backscroll.__version__}\n"


def test_nearest_command(run: Any) -> None:
    """A mistyped command is answered with the nearest one, in one line."""
    ran = run("shwo")
    assert ran.code == ExitCode.USAGE
    assert ran.err == "error: there is no command 'shwo': did you mean show? (see backscroll --help)\n"


SECRET_URL = f"redis://user:{PASSWORD}@host"


@pytest.mark.parametrize(
    "args",
    [
        [SECRET_URL],
        ["show", SECRET_URL],
        ["show", SECRET_URL, "session"],
        ["show", "sqlite://", "session", SECRET_URL],
        ["show", "sqlite://", "session", "--last", SECRET_URL],
        ["show", "sqlite://", "session", f"--last=redis://u:my {PASSWORD}'s\\@h"],
        ["show", f"redis:user:{PASSWORD}@host"],
        [f"redis:user:{PASSWORD}@host"],
        ["show", f"sqlite://user:{PASSWORD}@host/chat.db", "session"],
        ["show", f"redis://user:{PASSWORD}#@host", "session"],
        ["show", f"sqlite:///chat.db?timeout={PASSWORD}", "session"],
        ["show", f"://user:{PASSWORD}@host", "session"],
        ["show", "env:CHAT_URL", "session"],
        ["tour", "env:CHAT_URL"],
        ["import", SECRET_URL, "sqlite://"],
        ["import", "chat.jsonl", SECRET_URL],
        ["export", "sqlite://", SECRET_URL],
        ["export", SECRET_URL, "sqlite://"],
        ["append", "sqlite://", "session", "text", "--role", SECRET_URL],
        ["append", "sqlite://", "session", "text", "--ttl", SECRET_URL],
        [f"--{SECRET_URL}"],
    ],
    ids=repr,
)
def test_password_is_never_shown(run: Any, args: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """However a URL with a password is misplaced or wrong, the error is one line without it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHAT_URL", SECRET_URL)
    ran = run(*args)
    assert ran.code in (ExitCode.USAGE, ExitCode.FAILED)
    assert PASSWORD not in ran.out + ran.err
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


def test_url_from_the_environment(run: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL can stand in an environment variable."""
    monkeypatch.setenv("CHAT_URL", url)
    assert run("append", "env:CHAT_URL", "session", "hi").code == ExitCode.DONE
    assert run("sessions", url).out == "session\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.InvalidArgument("no"), ExitCode.USAGE),
        (errors.InvalidMessage("messages[0]", "no"), ExitCode.USAGE),
        (errors.MessageTooLarge("max_message_bytes", 1), ExitCode.USAGE),
        (errors.InvalidURL("no"), ExitCode.USAGE),
        (errors.InvalidOption("no"), ExitCode.USAGE),
        (errors.PluginError("no"), ExitCode.USAGE),
        (errors.Unsupported("toy", "ttl"), ExitCode.FAILED),
        (errors.VersionConflict(1, 2), ExitCode.FAILED),
        (errors.Unavailable("no"), ExitCode.FAILED),
        (errors.DeadlineExceeded("no"), ExitCode.FAILED),
        (errors.OutcomeUnknown("no"), ExitCode.FAILED),
        (errors.StorageError("no"), ExitCode.FAILED),
        (errors.Closed(), ExitCode.FAILED),
        (OSError(28, "No space left on device"), ExitCode.FAILED),
        (RuntimeError("?"), ExitCode.FAILED),
        (failures.Refused("no"), ExitCode.USAGE),
        (failures.Failed("no"), ExitCode.FAILED),
        (click.UsageError("no"), ExitCode.USAGE),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_code_of_each_error(error: Exception, code: ExitCode) -> None:
    """What is wrong with the call ends with 2, and what failed with 3."""
    assert failures.explained(error, [])[1] == code


def test_plugin_command(run: Any, plugin: Any) -> None:
    """The command of a plugin is listed and runs."""
    plugin(greet)
    assert "greet Say hello." in " ".join(run("--help").out.split())
    assert run("greet").out == "hello\n"


def test_unexpected_error(run: Any, plugin: Any) -> None:
    """An exception that nobody expected is one line without its text, which may hold a secret."""
    plugin(greet)
    ran = run("greet", "now")
    assert ran.code == ExitCode.FAILED
    assert ran.err.startswith("error: unexpected KeyError at test_app.py:")
    assert PASSWORD not in ran.err
    assert ran.err.count("\n") == 1


def test_plugin_cannot_shadow_a_command(run: Any, plugin: Any) -> None:
    """A plugin's command with the name of a built-in one is not used, and the help says so."""
    plugin(click.Command("ping", callback=lambda: click.echo("shadow")))
    ran = run("--help")
    assert ran.err.startswith("warning: the command ping of a plugin (")
    assert "is not used: backscroll has one of that name" in ran.err
    assert run("ping", "sqlite://").out.startswith("SQLite ")


class Broken(click.Command):
    def get_short_help_str(self, limit: int = 45) -> str:
        raise RuntimeError("on purpose")


@pytest.mark.parametrize("broken", [explode, Broken("broken"), click.Command(None)], ids=["hook", "help", "no name"])
def test_broken_plugin_command_hides_no_other(run: Any, plugin: Any, broken: Any) -> None:
    """What is wrong with one plugin's command is told, and all others work."""
    plugin(greet)
    plugin(broken)
    ran = run("--help")
    assert ran.code == ExitCode.DONE
    assert "greet Say hello." in " ".join(ran.out.split())
    assert ran.err.startswith("warning: ")
    assert ran.err.count("\n") == 1
    assert run("greet").out == "hello\n"


def test_built_in_commands_ask_no_plugin(run: Any, plugin: Any, url: str) -> None:
    """A built-in command runs without asking plugins for theirs."""
    plugin(explode)
    assert run("append", url, "session", "hi").err == ""


def test_warning_is_one_line(run: Any, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the library warns of is one line on stderr, without a place in its source, and shows in the exit code."""
    monkeypatch.setattr(SQLiteBackend, "setup", lambda self, deadline: Health("SQLite", ("not\nas it should be",)))
    monkeypatch.setattr(SQLiteBackend, "append", lambda *_: backscroll.Appended(1, (0,), None))  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        ran = run("append", url, "session", "hi")
    assert (ran.code, ran.out) == (ExitCode.PROBLEMS, "appended: seq 0, version 1\n")
    assert ran.err == "warning: sqlite: not as it should be\n"


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_missing_extra(tmp_path: Path, missing: str) -> None:
    """Without click or rich, one line on stderr says what to install."""
    blocker = (
        "import sys\n"
        "class Blocker:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] == {missing!r}:\n"
        "            raise ModuleNotFoundError(name, name=name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
    )
    (tmp_path / "sitecustomize.py").write_text(blocker)
    done = subprocess.run(
        [sys.executable, "-m", "backscroll", "--help"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    expected = "error: the command line needs click and rich: pip install 'backscroll[cli]'\n"
    assert (done.returncode, done.stdout, done.stderr) == (ExitCode.USAGE, "", expected)


def test_library_imports_no_command_line() -> None:
    """Importing the library imports neither click nor rich nor this package."""
    code = "import sys, backscroll; print({'click', 'rich', 'backscroll.cli'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "set()\n"


def test_broken_pipe_ends_quietly(process: Process, store: backscroll.Store, url: str) -> None:
    """When the reader of a pipe goes away, as head does, the command ends without a word."""
    store.append("session", [{"role": "user", "content": f"{n} " + "x" * 1_000} for n in range(1_000)])
    shown = process("show", url, "session")
    assert shown.stdout is not None
    assert shown.stdout.readline().endswith(b"x\n")
    shown.stdout.close()
    assert shown.wait(PATIENCE) == ExitCode.DONE
    assert shown.stderr is not None
    assert shown.stderr.read() == b""


@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_quietly(process: Process, next_line: Any, store: backscroll.Store, url: str) -> None:
    """Ctrl-C while following ends the command with 130 and without a word."""
    store.append("session", {"role": "user", "content": "hi"})
    shown = process("show", url, "session", "--follow")
    assert b"hi" in next_line(shown)
    shown.send_signal(signal.SIGINT)
    out, err = shown.communicate(timeout=PATIENCE)
    assert (shown.returncode, out, err) == (ExitCode.INTERRUPTED, b"", b"")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a full device")
@pytest.mark.parametrize("length", [1, 100_000])
def test_output_that_cannot_be_written(process: Process, store: backscroll.Store, url: str, length: int) -> None:
    """A full disk behind stdout is an error, not a listing that is cut off."""
    store.append("session", [{"role": "user", "content": "x" * length}])
    with Path("/dev/full").open("wb") as full:
        shown = process("show", url, "session", stdout=full)
        _, err = shown.communicate(timeout=PATIENCE)
    assert (shown.returncode, err) == (ExitCode.FAILED, b"error: No space left on device\n")


def test_cancelled_prompt_of_a_plugin(run: Any, plugin: Any) -> None:
    """A prompt of a plugin's command that is cancelled ends like Ctrl-C."""

    def cancel() -> None:
        raise click.Abort

    plugin(click.Command("ask", callback=cancel))
    ran = run("ask")
    assert (ran.code, ran.out, ran.err) == (ExitCode.INTERRUPTED, "", "")


def test_file_error_shows_no_password() -> None:
    """A URL that stands where a file should is not repeated by the operating system's error."""
    line, _ = failures.explained(FileNotFoundError(2, "No such file", SECRET_URL), [SECRET_URL])
    assert line == "redis:…: No such file"


def test_closed_streams(url: str) -> None:
    """A command whose stdin, stdout and stderr are closed still does its work."""
    script = 'exec "$0" -m backscroll append "$1" session hi <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", script, sys.executable, url], timeout=PATIENCE, check=False)
    assert done.returncode == ExitCode.DONE
    with backscroll.open(url) as store:
        assert [message.content for message in store.history("session")] == ["hi"]


def test_output_is_utf8_in_a_pipe(process: Process, store: backscroll.Store, url: str) -> None:
    """A pipe gets UTF-8, whatever the locale says."""
    store.append("日本語", {"role": "user", "content": "はい 🎂"})
    for command, expected in ((("sessions", url), "日本語\n"), (("export", url, "-"), "はい 🎂")):
        shown = process(*command, env={"PYTHONIOENCODING": "ascii"})
        out, _ = shown.communicate(timeout=PATIENCE)
        assert shown.returncode == ExitCode.DONE
        assert expected in out.decode()
