"""What pytest loads wherever this distribution is installed: options, and one test for each clause.

It imports nothing of ours before a class asks for it, or it would spoil its users' measurement of coverage.
"""

import pickle
import secrets
import shutil
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Generator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

DEFAULT_EFFORT = "normal"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("backscroll", "backscroll conformance")
    group.addoption("--backscroll-url", metavar="URL", help="the database to test; env:NAME for the URL in a variable")
    group.addoption("--backscroll-seed", metavar="N", type=int, help="repeat the random choices of an earlier run")
    group.addoption("--backscroll-effort", metavar="NAME", default=DEFAULT_EFFORT, help="short, normal or long")
    group.addoption("--backscroll-tier", metavar="TIER", action="append", help="only this tier; may be repeated")
    group.addoption("--backscroll-report", metavar="FOLDER", type=Path, help="write the report here")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed; the workers of xdist are told that of their controller."""
    told = getattr(config, "workerinput", {})
    given = told.get("backscroll_seed", config.getoption("--backscroll-seed"))
    config.stash[SEED] = secrets.randbelow(1 << 32) if given is None else given
    config.stash[RUN] = Path(tempfile.gettempdir(), told.get("backscroll_run", f"backscroll-{uuid4().hex[:12]}"))
    _check(config)


def _check(config: pytest.Config) -> None:
    """Refuse wrong options before anything runs."""
    tiers, effort = config.getoption("--backscroll-tier"), config.getoption("--backscroll-effort")
    if tiers is None and effort == DEFAULT_EFFORT:
        return
    from backscroll_conformance.clauses import Tier
    from backscroll_conformance.target import EFFORTS

    known = [tier.value for tier in Tier]
    for option, given, names in (("tier", tiers or [], known), ("effort", [effort], list(EFFORTS))):
        if unknown := [one for one in given if one not in names]:
            raise pytest.UsageError(f"--backscroll-{option}: {unknown[0]} is none of {', '.join(names)}")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist what holds for the whole run."""
    node.workerinput["backscroll_seed"] = node.config.stash[SEED]
    node.workerinput["backscroll_run"] = str(node.config.stash[RUN])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test for each clause."""
    if "backscroll_clause" not in metafunc.fixturenames or metafunc.cls is None:
        return
    from backscroll_conformance.clauses import Tier

    chosen = {Tier(name) for name in metafunc.config.getoption("--backscroll-tier") or Tier}
    clauses = [clause for clause in metafunc.cls.clauses() if clause.tier in chosen]
    metafunc.parametrize("backscroll_clause", clauses, ids=[clause.id for clause in clauses])


@pytest.fixture
def backscroll_run(request: pytest.FixtureRequest) -> Any:
    """What holds for all clauses of this run."""
    from backscroll_conformance.suite import Databases, Run
    from backscroll_conformance.target import EFFORTS

    config = request.config
    effort = EFFORTS[config.getoption("--backscroll-effort")]
    databases = config.stash.setdefault(DATABASES, Databases(config.stash[RUN]))
    return Run(config.stash[SEED], effort, config.getoption("--backscroll-url"), databases)


@pytest.fixture(scope="session")
def backscroll_run_folder(request: pytest.FixtureRequest) -> Path:
    """A folder that all processes of this run have in common, and that goes with it; made by who needs it."""
    return request.config.stash[RUN]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove what the processes of this run had in common; the workers of xdist have ended by then."""
    run = config.stash.get(RUN, None)
    if run is not None and not hasattr(config, "workerinput"):
        shutil.rmtree(run, ignore_errors=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the servers that were started."""
    databases = session.config.stash.get(DATABASES, None)
    if databases is not None:
        databases.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach what a test found to its report, and take secrets out of what the backend printed."""
    report = yield
    judged = item.stash.get(JUDGED, None)
    if judged is not None:
        import attrs

        report.sections = [(title, judged.target.redacted(text)) for title, text in report.sections]
        if report.when == "call":
            # As text, so that it passes from a worker of xdist to its controller.
            told = pickle.dumps(attrs.evolve(judged, target=None))
            report.backscroll = b64encode(told).decode()  # type: ignore[attr-defined]
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what the clauses say together, and write the reports."""
    if hasattr(config, "workerinput"):
        return  # a worker of xdist has seen a part only
    found: dict[str, list[Any]] = {}
    for reports in terminalreporter.stats.values():
        for one in reports:
            if told := getattr(one, "backscroll", None):
                judged = pickle.loads(b64decode(told))  # noqa: S301  # made by this very run
                found.setdefault(judged.place, []).append(judged)
    suites = [all_judged[0].suite for all_judged in found.values()]
    for place, all_judged in sorted(found.items()):
        suite = all_judged[0].suite
        folder = suite if suites.count(suite) == 1 else place.replace("/", ".").replace("::", ".")
        _conclude(terminalreporter, config, all_judged, folder if len(found) > 1 else "")


def _conclude(terminal: Any, config: pytest.Config, judged: list[Any], subfolder: str) -> None:
    from backscroll_conformance.certificate import summary
    from backscroll_conformance.clauses import Tier
    from backscroll_conformance.profiles import profile
    from backscroll_conformance.report import build, save

    seed, effort = config.stash[SEED], config.getoption("--backscroll-effort")
    one = judged[0]
    report = build(
        profile(one.profile),
        [outcome for each in judged for outcome in each.outcomes],
        one.known_gaps,
        environment=one.environment,
        profile=one.profile,
        seed=seed,
        effort=effort,
        tiers=[Tier(name) for name in config.getoption("--backscroll-tier") or Tier],
        command=_again(config, one.suite),
    )
    terminal.write_line(f"{one.suite}: {summary(report)}")
    terminal.write_line(f"again: {report.command}")
    folder = config.getoption("--backscroll-report")
    if folder:
        try:
            save(report, folder / subfolder)
        except OSError as error:
            raise pytest.UsageError(f"--backscroll-report: cannot write there: {error.strerror}") from error


def _again(config: pytest.Config, suite: str) -> str:
    """The command that repeats the run; a URL may hold a password, so only the name of a variable is repeated."""
    url = config.getoption("--backscroll-url")
    parts = ["pytest", f"-k {suite}"]
    if url:
        parts.append(f"--backscroll-url {url if url.startswith('env:') else 'URL'}")
    parts += [f"--backscroll-tier {tier}" for tier in config.getoption("--backscroll-tier") or ()]
    parts.append(f"--backscroll-effort {config.getoption('--backscroll-effort')}")
    return " ".join([*parts, f"--backscroll-seed {config.stash[SEED]}"])


SEED = pytest.StashKey[int]()
RUN = pytest.StashKey[Path]()
DATABASES = pytest.StashKey[Any]()
JUDGED = pytest.StashKey[Any]()
