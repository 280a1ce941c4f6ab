"""How a command that could not be done ends: one line on stderr, and an exit code."""

import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from re import compile as pattern
from typing import Final

import click

from backscroll.cli.exit_codes import ExitCode
from backscroll.errors import BackscrollError, InvalidArgument, PluginError

_URL: Final = pattern(r"\b([A-Za-z][A-Za-z0-9+.-]*)://[^\s'\"]*")
_SCHEME: Final = pattern(r"([A-Za-z][A-Za-z0-9+.-]*):")


class Failed(click.ClickException):
    """The operation failed; the text says what to do next."""

    exit_code = ExitCode.FAILED


class Refused(click.ClickException):
    """What was given cannot be used; nothing was done."""

    exit_code = ExitCode.USAGE


def explained(error: Exception, args: Sequence[str]) -> tuple[str, int]:
    """What to tell of a failure, and the exit code.

    Args:
        error: What a command raised.
        args: The arguments of the process; none that may hold a password is repeated.
    """
    match error:
        case click.UsageError():
            path = error.ctx.command_path if error.ctx else "backscroll"
            return f"{_without_secrets(error.format_message(), args).rstrip('.')} (see {path} --help)", ExitCode.USAGE
        case click.ClickException():
            return _without_secrets(error.format_message(), args), error.exit_code
        case InvalidArgument() | PluginError():
            return str(error), ExitCode.USAGE
        case BackscrollError():
            return str(error), ExitCode.FAILED
        case OSError():
            return _without_secrets(what_failed(error), args), ExitCode.FAILED
        case _:
            # Its text may hold anything, a password too.
            return f"unexpected {type(error).__name__} {_place(error)}: please report this", ExitCode.FAILED


def what_failed(error: OSError) -> str:
    """The file and what is wrong with it."""
    reason = error.strerror or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return f"at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"


def _without_secrets(text: str, args: Sequence[str]) -> str:
    """The text without the arguments that may hold a password, wherever they were given by mistake."""
    for secret in sorted(set(_suspects(args)), key=len, reverse=True):
        scheme = _SCHEME.match(secret)
        for form in (secret, repr(secret)[1:-1]):
            text = text.replace(form, f"{scheme[1]}:…" if scheme else "…")
    return _URL.sub(r"\1:…", text)


def _suspects(args: Sequence[str]) -> Iterator[str]:
    for argument in args:
        for part in (argument, argument.partition("=")[2]):
            if "://" in part or "@" in part:
                yield part
