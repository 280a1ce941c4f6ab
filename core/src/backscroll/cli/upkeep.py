"""The commands for those who run a database: ``setup``, ``ping`` and ``plugins``."""

import click

import backscroll
from backscroll.cli.exit_codes import ExitCode
from backscroll.cli.output import emit, emit_json, tell
from backscroll.discovery import Plugin, Status
from backscroll.registry import registry
from backscroll.values import Health

_FINE = (Status.OK, Status.MISSING, Status.BLOCKED)


@click.command()
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="Answer with a JSON object.")
@click.option("--print", "prints", is_flag=True, help="Only print the statements that it would run now.")
def setup(url: str, as_json: bool, prints: bool) -> None:
    """Make or migrate the schema; harmless to repeat.

    Also checks the server's settings; the exit code is 1 where they fall short of what the backend claims.
    """
    with backscroll.open(url) as store:
        if prints:
            _print(store.schema_statements(), as_json)
        else:
            _answer(store.setup(), as_json)


@click.command()
@click.argument("url")
@click.option("--json", "as_json", is_flag=True, help="Answer with a JSON object.")
def ping(url: str, as_json: bool) -> None:
    """Check that the database answers and is set as it should be.

    The exit code is 1 where the server's settings fall short of what the backend claims.
    """
    with backscroll.open(url) as store:
        _answer(store.ping(), as_json)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.option("--strict", is_flag=True, help="Import the drivers too; exit code 1 if a plugin cannot be used.")
def plugins(as_json: bool, strict: bool) -> None:
    """List the plugins and whether they can be used.

    A plugin of this project that is not installed, and one that is blocked, are no problem even with --strict.
    """
    found = registry.plugins(strict=strict)
    for plugin in found:
        if as_json:
            emit_json(_fields(plugin))
        else:
            emit(plugin.name, plugin.status.value, *([f"{plugin.origin} {plugin.detail}".rstrip()]))
    if strict and any(plugin.status not in _FINE for plugin in found):
        tell("error", "not every plugin can be used; see the list")
        click.get_current_context().exit(ExitCode.PROBLEMS)


def _print(statements: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        emit_json({"statements": statements})
    else:
        for statement in statements:
            emit(f"{statement};")
    if not statements:
        tell("note", "there is nothing to do: the schema is that of this release")


def _answer(health: Health, as_json: bool) -> None:
    if as_json:
        emit_json({"server": health.server, "problems": health.problems})
    else:
        emit(f"{health.server}: {'has problems' if health.problems else 'ready'}")
    for problem in health.problems:
        tell("warning", problem)
    if health.problems:
        click.get_current_context().exit(ExitCode.PROBLEMS)


def _fields(plugin: Plugin) -> dict[str, object]:
    return {
        "name": plugin.name,
        "status": plugin.status.value,
        "detail": plugin.detail,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "schemes": [scheme for backend in plugin.backends for scheme in backend.schemes],
    }
