"""``backscroll conformance``: the suite for one who has only a name or a URL."""

import secrets
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from backscroll.errors import BackscrollError
from backscroll_conformance import children
from backscroll_conformance.certificate import summary
from backscroll_conformance.clauses import Clause, Level, Tier
from backscroll_conformance.environment import environment
from backscroll_conformance.outcomes import ExitCode, Outcome, Verdict, exit_code
from backscroll_conformance.profiles import DEFAULT, profile
from backscroll_conformance.report import Report, build, load, save
from backscroll_conformance.servers import find_target
from backscroll_conformance.target import EFFORTS, Target


class HarnessFailed(click.ClickException):
    """The suite itself could not do its work."""

    exit_code = ExitCode.HARNESS_FAILED


@click.command()
@click.argument("name", required=False)
@click.option("--url", help="Where the database is; env:NAME for the URL in a variable.")
@click.option(
    "--tier", "tiers", multiple=True, type=click.Choice([tier.value for tier in Tier]), help="Only this tier."
)
@click.option("--clause", "ids", multiple=True, metavar="ID", help="Only this clause.")
@click.option(
    "--profile", "chosen", default=DEFAULT, show_default=True, help="Which clauses are judged; 'all' for all."
)
@click.option("--seed", type=int, help="Repeat the random choices of an earlier run.")
@click.option("--effort", default="normal", show_default=True, type=click.Choice(list(EFFORTS)))
@click.option(
    "--report", "folder", type=click.Path(path_type=Path), help="Write report.json, certificate.md, junit.xml."
)
@click.option("--from", "earlier", type=click.Path(path_type=Path), help="Read an earlier report.json; run nothing.")
@click.option("--list", "listing", is_flag=True, help="List the clauses of the profile; run nothing.")
def conformance(
    name: str | None,
    url: str | None,
    tiers: tuple[str, ...],
    ids: tuple[str, ...],
    chosen: str,
    seed: int | None,
    effort: str,
    folder: Path | None,
    earlier: Path | None,
    listing: bool,
) -> None:
    r"""Judge a backend by the contract, each tier in a process of its own.

    NAME is the backend's, for example sqlite.

    \b
    Exit codes: 0 conformant, 1 not conformant, 2 inconclusive (some clause was
    not judged), 3 the suite itself failed.
    """
    with _harness():
        clauses = profile(chosen)
        if listing:
            _list(clauses)
            return
        if earlier:
            report = load(earlier)
        elif name:
            target = find_target(name, url)
            target.declared()
            seed = secrets.randbelow(1 << 32) if seed is None else seed
            outcomes = _run(target, _selected(clauses, tiers, ids), seed, effort)
            report = build(
                clauses,
                outcomes,
                environment=environment(target),
                profile=chosen,
                seed=seed,
                effort=effort,
                tiers=[Tier(tier) for tier in tiers] or list(Tier),
                command=_again(name, url, tiers, ids, chosen, seed, effort),
            )
        else:
            raise HarnessFailed("name a backend, for example: backscroll conformance sqlite")
        if folder:
            save(report, folder)
    _conclude(report, folder)


@contextmanager
def _harness() -> Iterator[None]:
    """What goes wrong here is the suite's failure, not the backend's."""
    try:
        yield
    except (BackscrollError, ValueError, OSError) as error:
        raise HarnessFailed(str(error)) from error


def _selected(clauses: Sequence[Clause], tiers: Sequence[str], ids: Sequence[str]) -> list[Clause]:
    known = {clause.id for clause in clauses}
    if unknown := sorted(set(ids) - known):
        raise ValueError(f"the profile has no clause {', '.join(unknown)}: see --list")
    chosen = {Tier(tier) for tier in tiers} or set(Tier)
    return [clause for clause in clauses if clause.tier in chosen and (not ids or clause.id in ids)]


def _run(target: Target, clauses: Sequence[Clause], seed: int, effort: str) -> list[Outcome]:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(f"{target.backend}, seed {seed}", total=sum(len(clause.forms) for clause in clauses))

        def tell(outcome: Outcome) -> None:
            progress.advance(task)
            if outcome.verdict not in (Verdict.PASSED, Verdict.NOT_APPLICABLE):
                what = f"{outcome.clause} ({outcome.form}) {outcome.verdict.value}: {outcome.evidence}"
                progress.console.print(what, markup=False)

        return children.run(target, clauses, seed, effort, tell)


def _again(
    name: str, url: str | None, tiers: Sequence[str], ids: Sequence[str], chosen: str, seed: int, effort: str
) -> str:
    """The command that repeats a run; a URL may hold a password, so only the name of a variable is repeated."""
    parts = ["backscroll conformance", name]
    if url is not None:
        parts.append(f"--url {url if url.startswith('env:') else 'URL'}")
    parts += [f"--tier {tier}" for tier in tiers] + [f"--clause {one}" for one in ids]
    return " ".join([*parts, f"--profile {chosen} --effort {effort} --seed {seed}"])


def _list(clauses: Sequence[Clause]) -> None:
    for clause in clauses:
        click.echo(f"{clause.id}\t{clause.tier.value}\t{clause.level.value}\t{clause.sentence}")


def _conclude(report: Report, folder: Path | None) -> None:
    click.echo(summary(report))
    unmet = [one.id for one in report.clauses if one.level is Level.SHOULD and one.verdict is Verdict.FAILED]
    if unmet:
        click.echo(f"not met, though they should be: {', '.join(unmet)}")
    click.echo(f"again: {report.command}")
    if folder:
        click.echo(f"written: {folder / 'certificate.md'}")
    sys.stdout.flush()
    raise click.exceptions.Exit(exit_code(report.conclusion))
