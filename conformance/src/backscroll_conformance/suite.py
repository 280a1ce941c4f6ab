"""The class that a plugin's tests subclass; everything else follows from its settings."""

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

import attrs

from backscroll.errors import BackscrollError
from backscroll.hookspecs import ServerSpec
from backscroll_conformance.clauses import Clause, Level
from backscroll_conformance.containers import NoServer
from backscroll_conformance.environment import Answer, Environment, environment
from backscroll_conformance.outcomes import ExitCode, Gap, Outcome, Verdict
from backscroll_conformance.profiles import DEFAULT, profile
from backscroll_conformance.pytest_plugin import JUDGED
from backscroll_conformance.running import judge
from backscroll_conformance.servers import is_required, provided
from backscroll_conformance.target import Effort, Target

if TYPE_CHECKING:
    import pytest

SETTINGS: Final = frozenset({"backend", "url", "server", "options", "profile", "known_gaps"})
"""What a subclass may set."""


class Databases:
    """The databases of a run, each found once; servers that were started end with it.

    Args:
        run: A folder that the processes of the run have in common.
    """

    def __init__(self, run: Path) -> None:
        self._run: Final = run
        self._open: Final = ExitStack()
        self._found: Final[dict[str, tuple[Target, Environment]]] = {}
        self._missing: Final[dict[str, str]] = {}

    def find(
        self, backend: str, url: str | None, options: Mapping[str, Any], server: ServerSpec | None = None
    ) -> tuple[Target, Environment]:
        """A database, and what runs where.

        Args:
            backend: The name of the backend.
            url: Its URL; None leaves it to a `ServerSpec`.
            options: Options beside those in the URL.
            server: How it is started; None leaves it to the plugin's own `ServerSpec`.

        Raises:
            BackscrollError: There is no such database.
            NoServer: Its server could not be started.
        """
        key = f"{backend} {url} {options} {server}"
        if key in self._missing:
            raise NoServer(self._missing[key])
        if key not in self._found:
            try:
                target = self._open.enter_context(provided(backend, url, dict(options), run=self._run, server=server))
            except NoServer as error:
                self._missing[key] = str(error)
                raise
            self._found[key] = target, environment(target)
        return self._found[key]

    def close(self) -> None:
        """End the servers."""
        self._open.close()


@attrs.frozen
class Run:
    """What holds for all clauses of one run.

    Args:
        seed: Where random choices come from.
        effort: How far they go.
        url: Where the database is; None leaves it to the class.
        databases: Those that are open.
    """

    seed: int
    effort: Effort
    url: str | None = attrs.field(repr=False)  # pytest shows the arguments of a test that fails
    databases: "Databases" = attrs.field(repr=False)


@attrs.frozen
class Judged:
    """What one test found.

    Args:
        suite: The name of the class.
        place: The file that it stands in, and its name.
        profile: Its profile.
        known_gaps: Its known gaps.
        target: The database; None in what is passed on, since its URL may hold a password.
        environment: What runs where.
        outcomes: What became of the clause, one for each form.
    """

    suite: str
    place: str
    profile: str
    known_gaps: Mapping[str, Gap]
    target: Target | None
    environment: Environment
    outcomes: list[Outcome]


class BackendConformance:
    """The clauses of a profile, one test for each; subclass it in the tests of a plugin.

    Attributes:
        backend: The name of the backend; required.
        url: Where the database is. ``{folder}`` in it stands for a folder that each clause gets anew. None leaves
            it to a `ServerSpec`; the command-line option ``--backscroll-url`` wins.
        server: How its server is started; None leaves it to the plugin's own `ServerSpec`.
        options: Options beside those in the URL.
        profile: Which clauses are judged.
        known_gaps: The clauses that are known to fail, by id, each a `Gap` with its reason and a link. One that
            does not fail any more fails the run until it is taken off.
    """

    backend: ClassVar[str]
    url: ClassVar[str | None] = None
    server: ClassVar[ServerSpec | None] = None
    options: ClassVar[dict[str, Any]] = {}
    profile: ClassVar[str] = DEFAULT
    known_gaps: ClassVar[Mapping[str, Gap]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for one in cls.__mro__[: cls.__mro__.index(BackendConformance)]:
            own = {name for name in vars(one) if not name.startswith("__")}
            changed = sorted(own & set(vars(BackendConformance)) - SETTINGS)
            if changed:
                raise TypeError(f"{cls.__name__} overrides {', '.join(changed)}: the clauses are the same for all")
        if not isinstance(getattr(cls, "backend", None), str):
            raise TypeError(f'{cls.__name__} names no backend: write backend = "mystore"')
        known = {clause.id for clause in profile(cls.profile)}
        if unknown := sorted(set(cls.known_gaps) - known):
            raise TypeError(f"{cls.__name__}.known_gaps: {cls.profile} has no clause {', '.join(unknown)}")

    @classmethod
    @final
    def clauses(cls) -> tuple[Clause, ...]:
        """The clauses to be judged."""
        return profile(cls.profile)

    @final
    def test_clause(self, backscroll_clause: Clause, backscroll_run: Run, request: "pytest.FixtureRequest") -> None:
        """The backend keeps the clause, in each of its forms."""
        try:
            target, seen = _found(backscroll_run, self.backend, self.url, self.options, self.server)
            outcomes = judge_forms(backscroll_clause, target, backscroll_run.seed, backscroll_run.effort)
        except NoServer as error:
            target, seen, outcomes = without_server(self.backend, [backscroll_clause], str(error))
        request.node.stash[JUDGED] = Judged(
            suite=type(self).__name__,
            place=request.node.nodeid.rpartition("::")[0],
            profile=self.profile,
            known_gaps=self.known_gaps,
            target=target,
            environment=seen,
            outcomes=outcomes,
        )
        _tell(backscroll_clause, outcomes, self.known_gaps.get(backscroll_clause.id))


def _found(
    run: Run, backend: str, url: str | None, options: Mapping[str, Any], server: ServerSpec | None
) -> tuple[Target, Environment]:
    import pytest

    try:
        return run.databases.find(backend, run.url or url, options, server)
    except BackscrollError as error:
        problem = str(error)
    # Raised behind the handler, because the traceback of the error may show the URL.
    pytest.exit(f"backscroll: {problem}", ExitCode.HARNESS_FAILED)


def judge_forms(clause: Clause, target: Target, seed: int, effort: Effort) -> list[Outcome]:
    """Judge a clause in each of its forms."""
    return [judge(clause, form, target, seed, effort) for form in clause.forms]


def without_server(backend: str, clauses: Iterable[Clause], reason: str) -> tuple[Target, Environment, list[Outcome]]:
    """What there is to tell where the server could not be started.

    Args:
        backend: The name of the backend.
        clauses: Those that nobody could judge.
        reason: Why.
    """
    target = Target(backend=backend, url=f"{backend}:")
    outcomes = [
        Outcome(clause.id, form.value, Verdict.NOT_RUN, 0.0, reason) for clause in clauses for form in clause.forms
    ]
    return target, environment(target, lambda _: Answer(unanswered=reason)), outcomes


def _tell(clause: Clause, outcomes: list[Outcome], gap: Gap | None) -> None:
    """End the test as the outcomes say."""
    import pytest

    worst = max(outcomes, key=lambda outcome: list(Verdict).index(outcome.verdict))
    told = [f"{one.form}: {one.evidence}" for one in outcomes if one.verdict is worst.verdict]
    text = "\n".join([f"{clause.id}: {clause.sentence}", *told])
    if worst.verdict is Verdict.FAILED:
        if gap:
            pytest.xfail(f"known gap: {gap.reason} ({gap.link})")
        if clause.level is Level.SHOULD:
            pytest.xfail(text)
        pytest.fail(text, pytrace=False)
    if worst.verdict is Verdict.NOT_RUN and not is_required():
        pytest.skip(f"not run, so that nobody knows: {worst.evidence}")
    if worst.verdict in (Verdict.ERROR, Verdict.NOT_RUN):
        pytest.fail(f"not judged, so nobody knows.\n{text}", pytrace=False)
    if worst.verdict is Verdict.NOT_APPLICABLE:
        pytest.skip(worst.evidence)
    if gap:
        pytest.fail(f"{clause.id} holds: take it off known_gaps", pytrace=False)
