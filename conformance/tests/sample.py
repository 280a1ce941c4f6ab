"""A run as it might have been, for the tests of what is made of reports."""

from typing import Any

import attrs

from backscroll_conformance.clauses import Clause, Form, Tier
from backscroll_conformance.environment import Declared, Environment, Package
from backscroll_conformance.outcomes import Gap, Outcome, Verdict
from backscroll_conformance.report import Report, build
from backscroll_conformance.timeline import Call, Timeline

GAP = Gap("Bodies are cut at 64 KiB.", "https://example.org/issues/7")

ENVIRONMENT = Environment(
    suite="0.1.0",
    core="0.2.0",
    backend="mystore",
    plugin=Package("backscroll-mystore", "1.2"),
    drivers=(Package("mydriver", "3.4"),),
    url="mystore://",
    server="MyStore 5",
    problems=(),
    unanswered="",
    capabilities=(),
    limits={},
    python="3.11.0",
    implementation="CPython",
    system="Linux",
    machine="x86_64",
    date="2026-01-02T03:04:05+00:00",
)


TIMELINE = Timeline(
    kind="lost",
    text="turn 'A' was acknowledged, but the final read does not show it",
    session="s",
    calls=(
        Call("client 1.0", "append", 0.0, 1.25, "done", "'a', turn_id 'A'", "seq 0, version 1", involved=True),
        Call("client 1.1", "append", 0.5, None, "unknown", "'b' and 2 more", "", involved=False),
        Call("client 1.1", "clear", 2.0, 2.5, "done", "everything", "", involved=False),
        Call("the final read", "read", 4_000.0, 4_001.5, "done", "all", "seq 1-3", involved=True),
    ),
    others=1_234,
)


async def check(subject: Any) -> None:
    """The check of a clause that is never judged."""


def report(*seen: Verdict, word: str = "MUST", environment: Environment = ENVIRONMENT, **fields: Any) -> Report:
    """A report with one clause for each verdict; in both forms, and with evidence where it did not pass."""
    ids = [f"APP-{number:03}" for number in range(1, len(seen) + 1)]
    clauses = [Clause(one, f"It {word} hold.", Tier.CONTRACT, frozenset(), None, tuple(Form), check) for one in ids]
    before = {Verdict.KNOWN_GAP: Verdict.FAILED, Verdict.GAP_CLOSED: Verdict.PASSED}
    given = {
        "gaps": {one: GAP for one, verdict in zip(ids, seen, strict=True) if verdict in before},
        "outcomes": [
            Outcome(one, form.value, before.get(verdict, verdict), 0.1, f"saw {one}" * (verdict is not Verdict.PASSED))
            for one, verdict in zip(ids, seen, strict=True)
            for form in Form
        ],
        **fields,
    }
    return build(
        clauses,
        environment=environment,
        profile="base-1",
        seed=7,
        effort="short",
        tiers=(Tier.CONTRACT,),
        command="backscroll conformance mystore --seed 7",
        **given,
    )


def everywhere(text: str) -> Report:
    """A report with a text at every place that others fill in."""
    environment = attrs.evolve(
        ENVIRONMENT,
        backend=f"B{text}",
        server=f"My {text}",
        url=text,
        problems=(f"P{text}",),
        capabilities=(Declared(f"C{text}", "partial", text),),
    )
    timeline = TIMELINE.changed(lambda one: f"{one} {text}")
    fields: Any = {"figures": {f"F{text}": text}, "timelines": (timeline,)}
    seen = [Outcome("APP-001", form.value, Verdict.FAILED, 0.1, f"why {text}", **fields) for form in Form]
    gap = Gap(f"G{text}", f"https://x/{text}")
    made = report(Verdict.KNOWN_GAP, gaps={"APP-001": gap}, outcomes=seen, environment=environment)
    clause = attrs.evolve(made.clauses[0], sentence=f"Sentence {text}", id=f"I{text}")
    return attrs.evolve(made, clauses=(clause,), command=f"run {text}", profile=text)
