"""What a backend finds when it looks at its server."""

import pytest
from toy import Toy

from backscroll import Store
from backscroll.backend import Examination, Finding, Health, Severity, clock_ahead


def test_errors_alone_are_problems_of_the_health() -> None:
    """With what to do behind a colon, where that is said."""
    findings = (
        Finding(Severity.ERROR, "x is 1", "set 2", "page"),
        Finding(Severity.WARNING, "y is 1", "set 2"),
        Finding(Severity.NOTE, "z could not be seen"),
        Finding(Severity.ERROR, "it is on fire"),
    )
    assert Examination(server="S 1", findings=findings).health == Health("S 1", ("x is 1: set 2", "it is on fire"))


async def test_a_backend_that_only_pings_is_examined_by_that(monkeypatch: pytest.MonkeyPatch) -> None:
    """In both forms; each problem is an error."""
    monkeypatch.setattr(Toy, "ping", lambda *_: Health("toy 2", ("slow: mend it",)))
    expected = Examination(server="toy 2", findings=(Finding(Severity.ERROR, "slow: mend it"),))
    async with Store(Toy()) as store:
        assert await store.aexamine() == expected
        assert store.examine() == expected
        assert expected.health == store.ping()


@pytest.mark.parametrize(("told", "ahead"), [(99.0, -1.0), (100.0, 0.0), (101.5, 0.0), (102.0, 0.0), (105.0, 3.0)])
def test_a_clock_is_no_further_off_than_it_surely_is(told: float, ahead: float) -> None:
    """However long the answer was under way."""
    second = 1_000_000_000
    assert clock_ahead(int(told * second), asked=100 * second, answered=102 * second) == ahead
