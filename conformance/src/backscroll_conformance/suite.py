"""The class that a plugin's tests subclass; everything else follows from its settings."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, final

import attrs

from backscroll_conformance.clauses import Clause, Level
from backscroll_conformance.outcomes import Gap, Outcome, Verdict
from backscroll_conformance.profiles import DEFAULT, profile
from backscroll_conformance.pytest_plugin import JUDGED
from backscroll_conformance.running import judge
from backscroll_conformance.servers import find_target
from backscroll_conformance.target import Effort, Target

if TYPE_CHECKING:
    import pytest

SETTINGS: Final = frozenset({"backend", "url", "options", "profile", "known_gaps"})
"""What a subclass may set."""


@attrs.frozen
class Run:
    """What holds for all clauses of one run.

    Args:
        seed: Where random choices come from.
        effort: How far they go.
        url: Where the database is; None leaves it to the class.
    """

    seed: int
    effort: Effort
    url: str | None


@attrs.frozen
class Judged:
    """What one test found.

    Args:
        suite: The name of the class.
        profile: Its profile.
        known_gaps: Its known gaps.
        target: The database.
        outcomes: What became of the clause, one for each form.
    """

    suite: str
    profile: str
    known_gaps: Mapping[str, Gap]
    target: Target
    outcomes: list[Outcome]


class BackendConformance:
    """The clauses of a profile, one test for each; subclass it in the tests of a plugin.

    Attributes:
        backend: The name of the backend; required.
        url: Where the database is. ``{folder}`` in it stands for a folder that each clause gets anew. None leaves
            it to the plugin's `ServerSpec`; the command-line option ``--backscroll-url`` wins.
        options: Options beside those in the URL.
        profile: Which clauses are judged.
        known_gaps: The clauses that are known to fail, by id, each a `Gap` with its reason and a link. One that
            does not fail any more fails the run until it is taken off.
    """

    backend: ClassVar[str]
    url: ClassVar[str | None] = None
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
        target = find_target(self.backend, backscroll_run.url or self.url, self.options)
        outcomes = judge_forms(backscroll_clause, target, backscroll_run.seed, backscroll_run.effort)
        request.node.stash[JUDGED] = Judged(type(self).__name__, self.profile, self.known_gaps, target, outcomes)
        _tell(backscroll_clause, outcomes, self.known_gaps.get(backscroll_clause.id))


def judge_forms(clause: Clause, target: Target, seed: int, effort: Effort) -> list[Outcome]:
    """Judge a clause in each of its forms."""
    return [judge(clause, form, target, seed, effort) for form in clause.forms]


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
    if worst.verdict in (Verdict.ERROR, Verdict.NOT_RUN):
        pytest.fail(f"not judged, so nobody knows.\n{text}", pytrace=False)
    if worst.verdict is Verdict.NOT_APPLICABLE:
        pytest.skip(worst.evidence)
    if gap:
        pytest.fail(f"{clause.id} holds: take it off known_gaps", pytrace=False)
