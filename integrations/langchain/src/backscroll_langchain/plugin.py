"""The command ``backscroll migrate``, for the command line of core; imports LangChain when it is run."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from backscroll.hookspecs import hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def backscroll_commands() -> "Iterable[click.Command]":
    """The command."""
    from backscroll_langchain.command import migrate

    return [migrate]
