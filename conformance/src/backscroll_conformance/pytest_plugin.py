"""What pytest loads wherever this distribution is installed: options, and one test for each clause.

It imports nothing of ours before a class asks for it, or it would spoil its users' measurement of coverage.
"""

import pickle
import secrets
from base64 import b64decode, b64encode
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("backscroll", "backscroll conformance")
    group.addoption("--backscroll-url", metavar="URL", help="the database to test; env:NAME for the URL in a variable")
    group.addoption("--backscroll-seed", metavar="N", type=int, help="repeat the random choices of an earlier run")
    group.addoption("--backscroll-effort", metavar="NAME", default="normal", help="short, normal or long")
    group.addoption("--backscroll-tier", metavar="TIER", action="append", help="only this tier; may be repeated")
    group.addoption("--backscroll-report", metavar="FOLDER", type=Path, help="write the report here")


def pytest_configure(config: pytest.Config) -> None:
    """Choose the seed; the workers of xdist are told that of their controller."""
    given = getattr(config, "workerinput", {}).get("backscroll_seed", config.getoption("--backscroll-seed"))
    config.stash[SEED] = secrets.randbelow(1 << 32) if given is None else given


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist the seed."""
    node.workerinput["backscroll_seed"] = node.config.stash[SEED]


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
    from backscroll_conformance.suite import Run
    from backscroll_conformance.target import EFFORTS

    config = request.config
    name = config.getoption("--backscroll-effort")
    if name not in EFFORTS:
        raise pytest.UsageError(f"--backscroll-effort: {name!r} is none of {', '.join(EFFORTS)}")
    return Run(config.stash[SEED], EFFORTS[name], config.getoption("--backscroll-url"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach what a test found to its report, and take secrets out of what the backend printed."""
    report = yield
    judged = item.stash.get(JUDGED, None)
    if judged is not None:
        report.sections = [(title, judged.target.redacted(text)) for title, text in report.sections]
        if report.when == "call":
            # As text, so that it passes from a worker of xdist to its controller.
            report.backscroll = b64encode(pickle.dumps(judged)).decode()  # type: ignore[attr-defined]
    return report


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say what the clauses say together, and write the reports."""
    found: dict[str, list[Any]] = {}
    for reports in terminalreporter.stats.values():
        for one in reports:
            if told := getattr(one, "backscroll", None):
                judged = pickle.loads(b64decode(told))  # noqa: S301  # made by this very run
                found.setdefault(judged.suite, []).append(judged)
    for suite, all_judged in sorted(found.items()):
        _conclude(terminalreporter, config, all_judged, suite if len(found) > 1 else "")


def _conclude(terminal: Any, config: pytest.Config, judged: list[Any], subfolder: str) -> None:
    from backscroll_conformance.certificate import summary
    from backscroll_conformance.clauses import Tier
    from backscroll_conformance.environment import environment
    from backscroll_conformance.profiles import profile
    from backscroll_conformance.report import build, save

    seed, effort = config.stash[SEED], config.getoption("--backscroll-effort")
    one = judged[0]
    report = build(
        profile(one.profile),
        [outcome for each in judged for outcome in each.outcomes],
        one.known_gaps,
        environment=environment(one.target),
        profile=one.profile,
        seed=seed,
        effort=effort,
        tiers=[Tier(name) for name in config.getoption("--backscroll-tier") or Tier],
        command=f"pytest -k {one.suite} --backscroll-effort {effort} --backscroll-seed {seed}",
    )
    terminal.write_line(f"{one.suite}: {summary(report)}")
    terminal.write_line(f"again: {report.command}")
    folder = config.getoption("--backscroll-report")
    if folder:
        save(report, folder / subfolder)


SEED = pytest.StashKey[int]()
JUDGED = pytest.StashKey[Any]()
