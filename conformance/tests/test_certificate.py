"""The certificate says what was found and what was not tested, and nothing in a report breaks it."""

from typing import Any

import attrs
import pytest
import sample
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token
from sample import ENVIRONMENT

from backscroll.cli.output import readable
from backscroll_conformance.certificate import LONGEST_EVIDENCE, NEVER_TESTED, TIERS, certificate, summary
from backscroll_conformance.clauses import Form, Tier
from backscroll_conformance.environment import Declared, Environment
from backscroll_conformance.outcomes import Gap, Outcome, Verdict
from backscroll_conformance.report import Report

SQLITE = attrs.evolve(
    ENVIRONMENT,
    capabilities=(Declared("ttl", "full", ""), Declared("watch", "unsupported", "nobody tells")),
    limits={"max_message_bytes": 1 << 20, "dedupe_turns": 16, "max_ttl": None, "durability": "server"},
)

SIGNS = "\ud800\x00\x1b\u2028\u202e\r\n\t\\`~|<>&*_[]()!#-+=1. ahtps:/w"
HOSTILE = st.text(st.characters()) | st.text(SIGNS, max_size=40)


def report(*seen: Verdict, environment: Environment = SQLITE, **fields: Any) -> Report:
    """A report of a run on the server above."""
    return sample.report(*seen, environment=environment, **fields)


def parsed(text: str) -> list[Token]:
    """The page as a renderer sees it."""
    return MarkdownIt("commonmark").enable("table").parse(text)


def texts(tokens: list[Token], opening: str) -> list[str]:
    """The text of all headings, cells, ….; what is no plain text in them shows as its kind."""
    inline = [tokens[place + 1].children or [] for place, token in enumerate(tokens) if token.type == opening]
    return ["".join(one.content if one.type == "text" else f"<{one.type}>" for one in row) for row in inline]


def shown(text: str) -> str:
    """Text as it has to show within a line."""
    return " ".join(readable(text).split())


WHOLE = "backscroll-mystore 1.2 on MyStore 5"
DECIDED = f"{WHOLE} does not conform to base-1: 1 of 2 clauses hold, 1"


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([Verdict.PASSED], f"{WHOLE} conforms to base-1: 1 of 1 clause holds."),
        ([Verdict.PASSED] * 1_200, f"{WHOLE} conforms to base-1: 1,200 of 1,200 clauses hold."),
        (
            [Verdict.PASSED, Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE],
            f"{WHOLE} conforms to base-1: 1 of 3 clauses hold, 2 do not apply.",
        ),
        (
            [Verdict.PASSED, Verdict.KNOWN_GAP],
            f"{WHOLE} conforms to base-1, but for 1 known gap: 1 of 2 clauses hold, 1 fails as a known gap.",
        ),
        (
            [Verdict.PASSED, Verdict.KNOWN_GAP, Verdict.KNOWN_GAP],
            f"{WHOLE} conforms to base-1, but for 2 known gaps: 1 of 3 clauses hold, 2 fail as known gaps.",
        ),
        ([Verdict.PASSED, Verdict.FAILED], f"{DECIDED} fails."),
        ([Verdict.PASSED, Verdict.GAP_CLOSED], f"{DECIDED} holds though a known gap says that it fails."),
        (
            [Verdict.PASSED, Verdict.NOT_RUN],
            f"Whether {WHOLE} conforms to base-1 is not known: 1 of 2 clauses hold, 1 was not run.",
        ),
        ([], f"Whether {WHOLE} conforms to base-1 is not known: 0 of 0 clauses hold."),
        (
            [Verdict.PASSED, Verdict.ERROR],
            (
                f"The suite itself failed, so whether {WHOLE} conforms to base-1 is not known: 1 of 2 clauses hold, "
                "1 could not be judged because the suite failed."
            ),
        ),
    ],
)
def test_the_conclusion_stands_first_in_one_sentence(seen: list[Verdict], expected: str) -> None:
    """For each conclusion, with the number of clauses of each kind."""
    made = report(*seen)
    assert expected == summary(made)
    assert f"**{expected}**" == certificate(made).splitlines()[2]


def test_a_should_that_failed_is_told_as_not_met() -> None:
    """It is no failure; the evidence stands in a part of its own."""
    made = report(Verdict.FAILED, word="SHOULD")
    expected = (
        f"Whether {WHOLE} conforms to base-1 is not known: 0 of 1 clauses hold, 1 is a recommendation that is not met."
    )
    assert expected == summary(made)
    page = certificate(made)
    assert "## Recommendations that are not met" in page
    assert "## What failed" not in page
    assert "| APP-001 | It SHOULD hold. | SHOULD | not met |" in page


@pytest.mark.parametrize(
    ("verdict", "title"),
    [
        (Verdict.FAILED, "What failed"),
        (Verdict.ERROR, "Where the suite itself failed"),
        (Verdict.KNOWN_GAP, "Known gaps"),
        (Verdict.GAP_CLOSED, "Known gaps that have closed"),
    ],
)
def test_what_needs_a_look_has_a_part_with_its_evidence(verdict: Verdict, title: str) -> None:
    """And there is no such part where there is nothing to show."""
    tokens = parsed(certificate(report(verdict, Verdict.PASSED)))
    headings = texts(tokens, "heading_open")
    assert headings[headings.index(title) + 1] == "APP-001"
    assert [token.content for token in tokens if token.type == "fence"][:-1] == ["saw APP-001\n"]
    assert title not in texts(parsed(certificate(report(Verdict.PASSED))), "heading_open")


def test_a_known_gap_shows_its_reason_and_its_link() -> None:
    """As a link that one can follow."""
    page = certificate(report(Verdict.KNOWN_GAP))
    assert "Known gap: Bodies are cut at 64 KiB. Followed up at <https://example.org/issues/7>." in page


def test_a_verdict_of_one_form_names_the_form() -> None:
    """In the title of its evidence and in the table."""
    seen = [Outcome("APP-001", "sync", Verdict.PASSED), Outcome("APP-001", "async", Verdict.FAILED, 0.0, "saw 3")]
    page = certificate(report(Verdict.FAILED, outcomes=seen))
    assert "### APP-001 (async)\n\nIt MUST hold.\n\nWhat was seen, async:\n\n```text\nsaw 3\n```\n" in page
    assert "| APP-001 | It MUST hold. | MUST | failed (async) |" in page


def test_evidence_that_differs_between_the_forms_is_shown_for_each() -> None:
    """What is the same is shown once."""
    seen = [Outcome("APP-001", form.value, Verdict.FAILED, 0.0, f"saw {form.value}") for form in Form]
    page = certificate(report(Verdict.FAILED, outcomes=seen))
    assert "\n\n".join(f"What was seen, {one}:\n\n```text\nsaw {one}\n```" for one in ("sync", "async")) in page
    assert certificate(report(Verdict.FAILED)).count("What was seen, sync and async:") == 1


def test_long_evidence_is_cut() -> None:
    """The page says where the rest is."""
    seen = [Outcome("APP-001", "sync", Verdict.FAILED, 0.0, "x" * 5_000)]
    page = certificate(report(Verdict.FAILED, outcomes=seen))
    assert f"\n{'x' * LONGEST_EVIDENCE}\n… (5,000 characters; all of them are in report.json)\n" in page


def test_what_was_not_tested_is_said_in_words() -> None:
    """Tiers that were not asked for, what could not be run, what does not apply, and what is never tested."""
    made = report(Verdict.NOT_RUN, Verdict.NOT_APPLICABLE, Verdict.NOT_RUN)
    clauses = list(made.clauses)
    clauses[2] = attrs.evolve(
        clauses[2],
        tier=Tier.DURABLE,
        forms=tuple(attrs.evolve(form, evidence="was not run") for form in clauses[2].forms),
    )
    page = certificate(attrs.evolve(made, clauses=tuple(clauses)))
    part = page[page.index("## What was not tested") : page.index("## Run it again")]
    expected = ["- APP-001: saw APP-001", f"- APP-003: the durable tier was not asked for ({TIERS[Tier.DURABLE]})"]
    expected += ["- APP-002: saw APP-002", *(f"- {one}" for one in NEVER_TESTED)]
    assert expected == [line for line in part.splitlines() if line.startswith("- ")]


def test_what_was_asked_for_and_not_run_is_not_called_unasked() -> None:
    """A clause that is missing in a tier that was asked for."""
    assert "- APP-001: was not run" in certificate(report(Verdict.NOT_RUN, outcomes=[]))


def test_clauses_with_one_reason_stand_together() -> None:
    """As when a whole capability is missing."""
    ids = ("APP-001", "APP-002")
    seen = [Outcome(one, form.value, Verdict.NOT_RUN, 0.0, "no server") for one in ids for form in Form]
    assert "- APP-001, APP-002: no server\n" in certificate(report(*[Verdict.NOT_RUN] * 2, outcomes=seen))


def test_what_is_never_tested_is_always_said() -> None:
    """Also where everything ran and passed."""
    page = certificate(report(Verdict.PASSED))
    assert all(f"\n- {one}\n" in page for one in NEVER_TESTED)


def test_every_tier_has_its_words() -> None:
    """In the order in which they run."""
    assert list(Tier) == list(TIERS)


def test_the_page_says_what_ran_where() -> None:
    """Versions, platform, seed and date."""
    cells = texts(parsed(certificate(report(Verdict.PASSED))), "td_open")
    expected = {
        "backend": "mystore, from backscroll-mystore 1.2",
        "drivers": "mydriver 3.4",
        "server": "MyStore 5",
        "opened as": "mystore://",
        "core": "backscroll 0.2.0",
        "suite": "backscroll-conformance 0.1.0, profile base-1",
        "run": "tiers contract; effort short; seed 7",
        "platform": "CPython 3.11.0, Linux, x86_64",
        "date": "2026-01-02T03:04:05+00:00",
    }
    assert expected == dict(zip(cells[:18:2], cells[1:18:2], strict=True))


def test_the_page_says_what_the_backend_declares() -> None:
    """What it has in full, what it has not and why, and its claims in words."""
    page = certificate(report(Verdict.PASSED))
    assert "Supported in full: ttl.\n\nNot in full:\n\n- watch is unsupported: nobody tells\n" in page
    assert "| largest message | 1,048,576 bytes |\n" in page
    assert "| longest TTL | no bound |\n| durability | server: what is acknowledged survives kill -9 of the " in page


def test_a_server_that_did_not_answer_is_told() -> None:
    """With the reason, and what is not known is not shown as empty."""
    silent = attrs.evolve(
        SQLITE, server="", unanswered="Unavailable: refused", capabilities=(), limits={}, drivers=(), plugin=None
    )
    made = report(Verdict.NOT_RUN, environment=silent)
    page = certificate(made)
    assert summary(made).startswith("Whether mystore conforms to base-1 is not known")
    assert "| server | did not answer: Unavailable: refused |" in page
    assert "| backend | mystore, from no plugin that is installed |" in page
    assert "It could not be opened, so nobody knows." in page
    assert "| drivers |" not in page


def test_settings_that_fall_short_are_told() -> None:
    """They weaken what the backend claims."""
    page = certificate(report(Verdict.PASSED, environment=attrs.evolve(SQLITE, problems=("set appendfsync",))))
    assert "The server's settings fall short of what the backend claims:\n\n- set appendfsync\n" in page


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, "3"),
        (20_000, "20,000"),
        (10**400, f"{10**400:,}"),
        (1.5, "1.5"),
        (2.0, "2"),
        (12345.678, "12,345.68"),
        (0.000123, "0.000123"),
        (float("inf"), "inf"),
        (True, "True"),
        ("3 of 4", "3 of 4"),
        ([1], "[1]"),
    ],
)
def test_figures_are_shown_as_people_read_them(value: Any, expected: str) -> None:
    """In a table, with the unit in their name."""
    seen = [Outcome("APP-001", "sync", Verdict.PASSED, 0.1, "", {"last(20) (ms)": value})]
    cells = texts(parsed(certificate(report(Verdict.PASSED, outcomes=seen))), "td_open")
    place = cells.index("last(20) (ms)")
    assert ["APP-001", "sync", "last(20) (ms)", expected] == cells[place - 2 : place + 2]


def test_the_command_that_repeats_the_run_stands_alone() -> None:
    """Ready to be copied."""
    assert "## Run it again\n\n```sh\nbackscroll conformance mystore --seed 7\n```\n" in certificate(report())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("max_turn_bytes of a|b", r"max_turn_bytes of a\|b"),
        ("_it_ is `code`", r"\_it\_ is \`code\`"),
        ("- one", r"\- one"),
        ("1. one", r"1\. one"),
        ("1.5 and -3", "1.5 and -3"),
        ("--- x", r"\--- x"),
        ("<b>&amp;", r"\<b\>\&amp;"),
        ("[a](b)", r"\[a\](b)"),
        ("two\nlines\x1b[0m", r"two lines\\x1b\[0m"),
    ],
)
def test_text_is_escaped_where_markdown_would_read_it(text: str, expected: str) -> None:
    """And only there, so that the page reads well as it is."""
    made = report(Verdict.PASSED)
    page = certificate(attrs.evolve(made, clauses=(attrs.evolve(made.clauses[0], sentence=text),)))
    assert f"| APP-001 | {expected} | MUST | passed |" in page


@example("```\n# out")
@example("a\n`````\n\n````\n| b |")
@settings(deadline=None)  # others may keep the machine busy
@given(HOSTILE)
def test_evidence_cannot_leave_its_block(evidence: str) -> None:
    """Whatever it holds, a renderer shows it, and all that follows it stays."""
    seen = [Outcome("APP-001", form.value, Verdict.FAILED, 0.0, evidence) for form in Form]
    plain = parsed(certificate(report(Verdict.FAILED)))
    hostile = parsed(certificate(report(Verdict.FAILED, outcomes=seen)))
    assert texts(plain, "heading_open") == texts(hostile, "heading_open")
    assert texts(plain, "td_open") == texts(hostile, "td_open")
    if evidence.strip():
        assert readable(evidence).strip("\n") + "\n" == next(one.content for one in hostile if one.type == "fence")


@settings(deadline=None)  # others may keep the machine busy
@given(HOSTILE)
def test_no_text_breaks_the_page(text: str) -> None:
    """Wherever it stands, it shows as it is and makes no heading, cell, link, image or tag."""
    plain, hostile = (parsed(certificate(everywhere(one))) for one in ("plain", text))
    assert [token.type for token in plain] == [token.type for token in hostile]
    cells = texts(hostile, "td_open")
    assert shown(f"My {text}") in cells
    assert ["APP-001", shown(text), "MUST", "not run"] == cells[-4:]
    kinds = {one.type for token in hostile for one in token.children or ()}
    assert kinds <= {"text", "softbreak", "strong_open", "strong_close"}


def everywhere(text: str) -> Report:
    """A report with a text at every place that others fill in."""
    environment = attrs.evolve(
        SQLITE,
        backend=f"B{text}",
        server=f"My {text}",
        problems=(f"P{text}",),
        capabilities=(Declared(f"C{text}", "partial", text),),
        limits={text: text},
    )
    seen = [Outcome("APP-001", form.value, Verdict.NOT_RUN, 0.0, f"why {text}", {text: text}) for form in Form]
    made = report(Verdict.NOT_RUN, outcomes=seen, environment=environment)
    return attrs.evolve(made, clauses=(attrs.evolve(made.clauses[0], sentence=text),), command=f"run {text}")


@settings(deadline=None)  # others may keep the machine busy
@given(HOSTILE)
def test_no_link_leaves_its_place(text: str) -> None:
    """It is one link, whatever is in it, and text stands before and behind it."""
    gap = Gap("Cut.", f"https://x/{text}")
    tokens = parsed(certificate(report(Verdict.KNOWN_GAP, gaps={"APP-001": gap})))
    told = next(token.children or [] for token in tokens if token.content.startswith("Known gap: "))
    assert [one.type for one in told] == ["text", "link_open", "text", "link_close", "text"]
    assert (told[0].content, told[-1].content) == ("Known gap: Cut. Followed up at ", ".")
