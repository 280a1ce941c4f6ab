"""``backscroll conformance``: the suite for one who has only a name or a URL."""

import secrets
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from backscroll.cli.output import readable
from backscroll.errors import BackscrollError
from backscroll_conformance import children
from backscroll_conformance.catalogue import BY_ID
from backscroll_conformance.certificate import summary
from backscroll_conformance.clauses import Clause, Level, Tier
from backscroll_conformance.containers import NoServer
from backscroll_conformance.environment import Environment, environment
from backscroll_conformance.matrix import matrix
from backscroll_conformance.outcomes import ExitCode, Gap, Outcome, Verdict, exit_code
from backscroll_conformance.profiles import DEFAULT, profile
from backscroll_conformance.report import CERTIFICATE, PAGE, Report, UnknownReport, build, check_ids, load, save
from backscroll_conformance.servers import is_required, provided
from backscroll_conformance.suite import without_server
from backscroll_conformance.target import EFFORTS, FOLDER, Target


class HarnessFailed(click.ClickException):
    """The suite itself could not do its work."""

    exit_code = ExitCode.HARNESS_FAILED


class _Suite(click.Group):
    """A run of the suite, unless the first word is one of its commands."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        command = self.commands.get(args[0]) if args else None
        if command:
            return command.make_context(f"{info_name} {command.name}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.command(
    cls=_Suite, invoke_without_command=True, subcommand_metavar="", context_settings={"allow_interspersed_args": True}
)
@click.argument("name", required=False)
@click.option("--url", help="Where the database is; env:NAME for the URL in a variable.")
@click.option(
    "--tier", "tiers", multiple=True, type=click.Choice([tier.value for tier in Tier]), help="Only this tier."
)
@click.option("--clause", "ids", multiple=True, metavar="ID", help="Only this clause.")
@click.option(
    "--profile", "chosen", default=DEFAULT, show_default=True, help="Which clauses are judged; 'all' for all."
)
@click.option(
    "--gap", "gaps", nargs=3, multiple=True, metavar="ID REASON LINK", help="A clause that is known to fail, and why."
)
@click.option("--seed", type=int, help="Repeat the random choices of an earlier run.")
@click.option(
    "--effort", default="normal", show_default=True, type=click.Choice(list(EFFORTS)), help="How far random choices go."
)
@click.option(
    "--report", "folder", type=click.Path(path_type=Path), help="Write report.json, report.html and others here."
)
@click.option("--from", "earlier", type=click.Path(path_type=Path), help="Read an earlier report.json; run nothing.")
@click.option("--list", "listing", is_flag=True, help="List the clauses of the profile; run nothing.")
def conformance(
    name: str | None,
    url: str | None,
    tiers: tuple[str, ...],
    ids: tuple[str, ...],
    chosen: str,
    gaps: tuple[tuple[str, str, str], ...],
    seed: int | None,
    effort: str,
    folder: Path | None,
    earlier: Path | None,
    listing: bool,
) -> None:
    """Judge a backend by the contract, each tier in a process of its own.

    NAME is the backend's, for example sqlite.

    Exit codes: 0 conformant, 1 not conformant, 2 inconclusive (some clause was not judged) or a wrong option, 3 nothing
    could be judged, which stderr explains.
    """
    with _harness():
        clauses = profile(chosen)
        if listing:
            _list(_selected(clauses, tiers, ids))
            return
        if earlier:
            if name or url or tiers or ids or gaps:
                raise HarnessFailed("--from reads an earlier report: leave out NAME, --url, --tier, --clause and --gap")
            report = load(earlier)
        elif name:
            seed = secrets.randbelow(1 << 32) if seed is None else seed
            known_gaps = _known_gaps(clauses, gaps)
            seen, outcomes = _judged(name, url, _selected(clauses, tiers, ids), seed, effort)
            report = build(
                clauses,
                outcomes,
                known_gaps,
                environment=seen,
                profile=chosen,
                seed=seed,
                effort=effort,
                tiers=[Tier(tier) for tier in tiers] or list(Tier),
                command=_again(name, url, tiers, ids, chosen, gaps, seed, effort),
            )
        else:
            raise HarnessFailed("name a backend, for example: backscroll conformance sqlite")
        if folder:
            save(report, folder)
    _conclude(report, folder)


@conformance.command("report")
@click.argument("reports", nargs=-1, required=True, metavar="REPORT.JSON...", type=click.Path(path_type=Path))
@click.option(
    "--output", "-o", default=PAGE, show_default=True, type=click.Path(path_type=Path), help="The page to write."
)
def join(reports: tuple[Path, ...], output: Path) -> None:
    """Join the reports of several runs on one page, with a column for each.

    The page is one file of HTML, which needs no network. It is written also where a run did not pass; exit code 3 says
    that some report cannot be read.
    """
    with _harness():
        output.write_bytes(matrix([_loaded(path) for path in reports]).encode())
    click.echo(f"written: {output}")


def _loaded(path: Path) -> Report:
    try:
        return load(path)
    except UnknownReport as error:
        raise HarnessFailed(f"{path}: {error}") from error
    except OSError as error:
        raise HarnessFailed(f"{path}: {error.strerror}") from error


@contextmanager
def _harness() -> Iterator[None]:
    """What goes wrong here is the suite's failure, not the backend's."""
    try:
        yield
    except (BackscrollError, ValueError, OSError) as error:
        raise HarnessFailed(str(error)) from error


def _known_gaps(clauses: Sequence[Clause], gaps: Sequence[tuple[str, str, str]]) -> dict[str, Gap]:
    check_ids((one for one, _, _ in gaps), {clause.id for clause in clauses}, "--gap")
    return {one: Gap(reason, link) for one, reason, link in gaps}


def _selected(clauses: Sequence[Clause], tiers: Sequence[str], ids: Sequence[str]) -> list[Clause]:
    check_ids(ids, {clause.id for clause in clauses}, "--clause")
    tiers = tiers or [tier.value for tier in Tier]
    selected = [clause for clause in clauses if clause.tier.value in tiers and (not ids or clause.id in ids)]
    if not selected:
        raise ValueError(f"none of {', '.join(ids)} is in the tier {', '.join(tiers)}")
    return selected


def _judged(
    name: str, url: str | None, clauses: Sequence[Clause], seed: int, effort: str
) -> tuple[Environment, list[Outcome]]:
    try:
        with _ended_by_signal(), provided(name, url) as target:
            seen = environment(target, children.ask)
            if url is not None and FOLDER not in url and seen.unanswered:
                raise HarnessFailed(f"the database at the URL cannot be judged: {seen.unanswered}")
            return seen, _run(target, clauses, seed, effort)
    except NoServer as error:
        reason = str(error)
    if is_required():
        raise HarnessFailed(reason)
    click.echo(f"not run: {readable(reason)}", err=True)
    return without_server(name, clauses, reason)[1:]


@contextmanager
def _ended_by_signal() -> Iterator[None]:
    """Let SIGTERM unwind what was begun, so that no server stays behind."""

    def end(number: int, _: object) -> None:
        sys.exit(128 + number)

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _run(target: Target, clauses: Sequence[Clause], seed: int, effort: str) -> list[Outcome]:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"{target.backend}, seed {seed}", total=sum(len(clause.forms) for clause in clauses))

        told: list[Tier] = []
        has_several = len({clause.tier for clause in clauses}) > 1

        def tell(outcome: Outcome) -> None:
            progress.advance(task)
            tier = BY_ID[outcome.clause].tier
            if tier not in told and has_several and not console.is_terminal:
                progress.console.print(f"tier {tier.value} …")
                told.append(tier)
            if outcome.verdict not in (Verdict.PASSED, Verdict.NOT_APPLICABLE):
                what = f"{outcome.clause} ({outcome.form}) {outcome.verdict.value}: {outcome.evidence}"
                progress.console.print(what, markup=False)

        return children.run(target, clauses, seed, effort, tell)


def _again(
    name: str,
    url: str | None,
    tiers: Sequence[str],
    ids: Sequence[str],
    chosen: str,
    gaps: Sequence[tuple[str, str, str]],
    seed: int,
    effort: str,
) -> str:
    """The command that repeats a run; a URL may hold a password, so only the name of a variable is repeated."""
    parts = ["backscroll conformance", name]
    if url is not None:
        parts.append(f"--url {url if url.startswith('env:') else 'URL'}")
    parts += [f"--tier {tier}" for tier in tiers] + [f"--clause {one}" for one in ids]
    parts += [shlex.join(["--gap", *gap]) for gap in gaps]
    return " ".join([*parts, f"--profile {chosen} --effort {effort} --seed {seed}"])


def _list(clauses: Sequence[Clause]) -> None:
    for clause in clauses:
        click.echo(f"{clause.id}\t{clause.tier.value}\t{clause.level.value}\t{clause.sentence}")


def _conclude(report: Report, folder: Path | None) -> None:
    click.echo(readable(summary(report)))
    unmet = [one.id for one in report.clauses if one.level is Level.SHOULD and one.verdict is Verdict.FAILED]
    if unmet:
        click.echo(f"not met, though they should be: {', '.join(unmet)}")
    click.echo(f"again: {readable(report.command)}")
    if folder:
        click.echo(f"written: {folder / CERTIFICATE}, {folder / PAGE}")
    sys.stdout.flush()
    raise click.exceptions.Exit(exit_code(report.conclusion))
