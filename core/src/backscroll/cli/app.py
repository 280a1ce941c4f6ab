"""The command line as a whole: its commands, those of plugins, and how each one ends."""

import os
import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import click

from backscroll.admission import nearest
from backscroll.cli.doctor import doctor
from backscroll.cli.exchange import export_, import_
from backscroll.cli.exit_codes import MEANINGS, ExitCode
from backscroll.cli.failures import explained
from backscroll.cli.output import prepare_streams, tell
from backscroll.cli.reading import sessions, show
from backscroll.cli.tour import tour
from backscroll.cli.transfer import copy_
from backscroll.cli.upkeep import ping, plugins, setup
from backscroll.cli.writing import append
from backscroll.hookspecs import PROJECT
from backscroll.registry import registry

BUILT_IN: Final = MappingProxyType(
    {
        str(command.name): command
        for command in (tour, append, show, sessions, import_, export_, copy_, setup, ping, doctor, plugins)
    }
)
"""The commands of this package, in the order of the help."""

HELP: Final = """Keep chat history in the database that your team already runs.

A URL names the database: sqlite:///chat.db, sqlite:////absolute/chat.db, redis://host:6379/0. Write env:NAME for
the URL in the environment variable NAME, so that no password stands in a list of processes.

Listings have one record a line, fields with tabs between them, control characters and backslashes escaped; --json
is exact. Errors are one line on stderr.
"""


class Commands(click.Group):
    """The group of all commands; asks plugins only for one that is not built in."""

    def foreign(self, ctx: click.Context) -> Mapping[str, click.Command]:
        """The commands of plugins; what is wrong with one is told once, and hides no other."""
        known: dict[str, Mapping[str, click.Command]] = ctx.find_root().meta
        if PROJECT not in known:
            collected = registry.commands()
            for problem in collected.problems:
                tell("warning", problem)
            known[PROJECT] = {str(command.name): command for command in collected.found if _is_usable(command)}
        return known[PROJECT]

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return [*BUILT_IN, *sorted(self.foreign(ctx))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        return BUILT_IN.get(cmd_name) or self.foreign(ctx).get(cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that the arguments name; says the nearest one where there is none."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            ctx.fail(f"there is no command {name!r}: {nearest(name, self.list_commands(ctx))}".rstrip(": "))
        return super().resolve_command(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The exit codes, below the commands."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(int(code)), meaning) for code, meaning in MEANINGS.items()])


def _is_usable(command: click.Command) -> bool:
    if wrong := _what_is_wrong(command):
        module = getattr(command.callback, "__module__", "unknown")
        tell("warning", f"the command {command.name} of a plugin (module {module}) is not used: {wrong}")
    return not wrong


def _what_is_wrong(command: click.Command) -> str:
    if not command.name:
        return "it has no name: give it one"
    if command.name in BUILT_IN:
        return "backscroll has one of that name: rename it"
    try:
        command.get_short_help_str()
    except Exception as error:  # noqa: BLE001 - a broken one hides no other
        return f"its help fails with {type(error).__name__}: mend it"
    return ""


@click.command(
    "backscroll", cls=Commands, help=HELP, invoke_without_command=True, context_settings={"max_content_width": 100}
)
@click.help_option("-h", "--help")
@click.version_option(package_name="backscroll")
@click.pass_context
def app(ctx: click.Context) -> None:
    """Show the help where no command is given."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def run(args: Sequence[str]) -> int:
    """Run one command and tell how it ended.

    Returns:
        The exit code.
    """
    _replace_closed_streams()
    prepare_streams()
    problems: list[str] = []

    def tell_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        tell("warning", str(message))
        if issubclass(category, RuntimeWarning):
            problems.append(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = tell_warning
        code = _ended(args)
    return ExitCode.PROBLEMS if problems and code == ExitCode.DONE else code


def _ended(args: Sequence[str]) -> int:
    try:
        try:
            return _invoked(args)
        finally:
            sys.stdout.flush()
    except (KeyboardInterrupt, click.Abort):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        _forget_stdout()
        return ExitCode.DONE
    except Exception as error:  # noqa: BLE001 - the last resort; nobody wants a traceback
        line, code = explained(error, args)
        tell("error", line)
        _forget_stdout()
        return code


def _invoked(args: Sequence[str]) -> int:
    try:
        # Not app.main(), which prints a line when it is interrupted, and ends a broken pipe as a failure.
        with app.make_context("backscroll", list(args)) as ctx:
            app.invoke(ctx)
    except click.exceptions.Exit as end:
        return end.exit_code
    return ExitCode.DONE


def _replace_closed_streams() -> None:
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - lasts as long as the process
            setattr(sys, name, stream)


def _forget_stdout() -> None:
    """Let what could not be written go; otherwise Python tries once more when it ends, and complains."""
    try:
        sys.stdout.flush()
    except OSError:
        descriptor = os.open(os.devnull, os.O_WRONLY)
        os.dup2(descriptor, sys.stdout.fileno())
        os.close(descriptor)
