"""The page of the command line, from its commands: ``python -m checks.commands > docs/command-line.md``.

It has the commands of core and of the members that are installed, so install all of them before.
"""

import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from typing import Final

import click

from backscroll.cli.app import BUILT_IN, app
from backscroll.cli.exit_codes import MEANINGS
from backscroll.registry import registry

AS_IT_IS: Final = "\b\n"
"""What a paragraph of help begins with whose lines click does not join."""

_OPTION: Final = re.compile(r"(?<!\S)(--[a-z-]+)")

INTRODUCTION: Final = """\
# The command line

`pip install 'backscroll[cli]'`, and the plugin of your database. This page is made from the commands:
`python -m checks.commands > docs/command-line.md`.

{help}
| exit code | meaning |
|---|---|
{codes}
"""


def every_command() -> dict[str, click.Command]:
    """All commands by name, those of plugins behind core's own, and those within another one behind it."""
    collected = registry.commands()
    if collected.problems:
        raise LookupError("; ".join(collected.problems))
    foreign = sorted(collected.found, key=lambda command: str(command.name))
    return dict(_walk("", {**BUILT_IN, **{str(command.name): command for command in foreign}}))


def _walk(outer: str, commands: Mapping[str, click.Command]) -> Iterator[tuple[str, click.Command]]:
    for name, command in commands.items():
        yield outer + name, command
        if isinstance(command, click.Group):
            yield from _walk(f"{outer}{name} ", command.commands)


def options_of(command: click.Command) -> list[click.Option]:
    """The options of a command, but for ``--help``, which each has."""
    return [one for one in command.params if isinstance(one, click.Option)]


def page() -> str:
    """The page, in Markdown."""
    codes = "\n".join(f"| {int(code)} | {meaning} |" for code, meaning in MEANINGS.items())
    parts = [INTRODUCTION.format(help=_paragraphs(app), codes=codes)]
    parts += ["\n".join(_section(name, command)) for name, command in every_command().items()]
    return "\n".join(parts)


def _section(name: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=f"backscroll {name}")
    yield f"## {name}\n"
    if name not in BUILT_IN:
        owner = str(getattr(command.callback, "__module__", "")).partition(".")[0].replace("_", "-")
        yield f"Comes with `{owner}`.\n"
    yield f"```text\n{command.get_usage(context).removeprefix('Usage: ')}\n```\n"
    yield _paragraphs(command)
    if options := options_of(command):
        yield "| option | meaning |\n|---|---|"
        for option in options:
            record = option.get_help_record(context) or ("", "")
            names, meaning = (" ".join(text.split()).replace("|", r"\|") for text in record)
            yield f"| `{names}` | {meaning} |"
        yield ""


def _paragraphs(command: click.Command) -> str:
    """Its help, a line for each paragraph; one that click takes as it is, is shown so."""
    parts = []
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith(AS_IT_IS):
            parts.append(f"```text\n{paragraph.removeprefix(AS_IT_IS)}\n```\n")
        else:
            parts.append(_OPTION.sub(r"`\1`", " ".join(paragraph.split())) + "\n")
    return "\n".join(parts)


if __name__ == "__main__":
    sys.stdout.write(page())
