"""The page of several reports: every cell leads to its evidence, and nothing in a report breaks it."""

import json
import re
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest
import sample
from hypothesis import given, settings
from hypothesis import strategies as st

from backscroll.cli.output import readable
from backscroll_conformance.certificate import LONGEST_EVIDENCE, NEVER_TESTED, TIERS
from backscroll_conformance.clauses import Tier
from backscroll_conformance.matrix import CONCLUSIONS, LOOKS, matrix
from backscroll_conformance.outcomes import Conclusion, Outcome, Verdict
from backscroll_conformance.report import NOT_MET, load, save

SIGNS = "\ud800\x00\x1b\u2028\u202e\r\n\t<>&'\"/!-=;{}% #.\u05d0script"
HOSTILE = st.text(st.characters()) | st.text(SIGNS, max_size=40)
EMPTY = {"meta", "input", "br"}


class Page(HTMLParser):
    """A page as a browser takes it apart: its elements, each with its attributes, and the texts within each."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len(dict(attributes)) == len(attributes)
        self.elements.append((tag, dict(attributes)))
        if tag not in EMPTY:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self._open[-1] if self._open else "", data))

    def all(self, tag: str, name: str) -> list[str]:
        """The values of an attribute of all elements of a kind; of any kind for the empty tag."""
        return [
            value or "" for one, given in self.elements if tag in ("", one) and (value := given.get(name)) is not None
        ]

    def text(self, tag: str = "") -> str:
        """All text that stands directly in elements of a kind."""
        return "".join(data for one, data in self.texts if tag in ("", one))


def failed(evidence: str = "saw", **fields: Any) -> list[Outcome]:
    """The outcomes of a clause that failed."""
    return [Outcome("APP-001", form, Verdict.FAILED, 0.0, evidence, **fields) for form in ("sync", "async")]


EVERY = sample.report(*Verdict)
UNMET = sample.report(Verdict.FAILED, word="SHOULD")


def test_every_cell_leads_to_its_evidence_and_back() -> None:
    """All that an address names is there, and each name is given once."""
    odd = zip(EVERY.clauses, ("run", "evidence", "panel", "a.1.cell", "a", "a b", "a%20b"), strict=True)
    reports = [EVERY, UNMET, attrs.evolve(EVERY, clauses=tuple(attrs.evolve(one, id=name) for one, name in odd))]
    page = Page(matrix(reports))
    ids = page.all("", "id")
    assert [one for one, count in Counter(ids).items() if count > 1] == []
    named = [one.removeprefix("#") for one in page.all("a", "href") if one.startswith("#")]
    labels = [*page.all("", "aria-labelledby"), *page.all("", "aria-describedby")]
    assert set(named) | set(labels) <= set(ids)
    cells = [f"{quote(clause.id)}.{column}" for column, one in enumerate(reports, 1) for clause in one.clauses]
    assert sorted(cells) == sorted(one for one in named if one[-1].isdigit())
    assert {f"{one}.cell" for one in cells} <= set(named)


def test_each_verdict_has_a_sign_of_its_own() -> None:
    """Beside its word, so that it is not told by its colour alone."""
    assert set(LOOKS) == {one.value for one in Verdict} | {NOT_MET}
    assert len({look.sign for look in LOOKS.values()}) == len(LOOKS)
    assert set(CONCLUSIONS) == set(Conclusion)
    text = matrix([EVERY, UNMET])
    for label, look in LOOKS.items():
        assert f'<span class="sign" aria-hidden="true">{look.sign}</span> <span class="word">{label}</span></a>' in text


def test_a_verdict_of_one_form_names_the_form() -> None:
    """In the cell, whose link says also of what it is the verdict."""
    seen = [Outcome("APP-001", "sync", Verdict.PASSED), Outcome("APP-001", "async", Verdict.FAILED, 0.0, "saw 3")]
    text = matrix([sample.report(Verdict.FAILED, outcomes=seen)])
    assert '<span class="unseen">APP-001 on mystore: </span>' in text
    assert '<span class="word">failed (async)</span></a></td>' in text


def test_the_table_has_a_caption_and_scoped_headers() -> None:
    """A column for each run, a row for each clause, a group for each tier."""
    page = Page(matrix([EVERY, UNMET]))
    scopes = Counter(page.all("th", "scope"))
    assert (scopes["rowgroup"], scopes["row"]) == (1, len(EVERY.clauses))
    assert "What became of each clause, by backend" in page.text("caption")
    assert len(page.all("th", "scope")) == sum(tag == "th" for tag, _ in page.elements)
    assert page.all("th", "abbr") == [one.id for one in EVERY.clauses]


def test_what_can_be_scrolled_can_have_the_focus() -> None:
    """In every browser, and with a name, so that the keyboard alone can scroll it."""
    page = Page(matrix([sample.report(Verdict.FAILED, outcomes=failed(timelines=(sample.TIMELINE,)))]))
    scrolled = [given for _, given in page.elements if "scroll" in (given.get("class") or "").split()]
    assert {(one["tabindex"], one["role"], one["aria-label"]) for one in scrolled} == {
        ("0", "group", "Matrix"),
        ("0", "group", "Timeline"),
        ("0", "group", "Calls"),
    }


def test_runs_of_one_backend_are_told_apart() -> None:
    """By a number, which a backend that stands alone has not."""
    other = attrs.evolve(UNMET, environment=attrs.evolve(UNMET.environment, backend="other"))
    assert "<title>Conformance of mystore (1), other, mystore (2)</title>" in matrix([EVERY, other, EVERY])
    assert "<title>Conformance of mystore</title>" in matrix([EVERY])


def test_clauses_stand_in_the_order_of_the_catalogue() -> None:
    """By tier and id, whichever run has them; a run whose profile lacks one has an empty cell."""
    base = sample.report(*[Verdict.PASSED] * 3).clauses
    late, early = attrs.evolve(base[0], tier=Tier.MEASURED), base[1:]
    reports = [attrs.evolve(EVERY, clauses=(late, early[1])), attrs.evolve(EVERY, clauses=early)]
    text = matrix(reports)
    assert re.findall(r'abbr="([^"]*)"', text) == ["APP-002", "APP-003", "APP-001"]
    assert re.findall(r'rowgroup"[^>]*>([a-z]*)', text) == ["contract", "measured"]
    assert TIERS[Tier.MEASURED] in text
    assert text.count('<td class="none"><span class="unseen">not in the profile</span></td>') == 2


def test_what_has_findings_comes_first() -> None:
    """The rest is folded up, and without findings there is nothing to choose."""
    text = matrix([EVERY])
    evidence, folded = text[text.index('id="evidence"') :].split('<details class="others">')
    shown = [re.findall(r'<article class="evidence" id="APP-(\d+)', part) for part in (evidence, folded)]
    assert [[list(Verdict)[int(number) - 1] for number in numbers] for numbers in shown] == [
        [Verdict.KNOWN_GAP, Verdict.ERROR, Verdict.GAP_CLOSED, Verdict.FAILED],
        [Verdict.PASSED, Verdict.NOT_APPLICABLE, Verdict.NOT_RUN],
    ]
    assert '<input type="radio"' in text
    assert '<input type="radio"' not in matrix([sample.report(Verdict.PASSED, Verdict.NOT_RUN)])


def test_evidence_shows_what_was_seen_and_measured() -> None:
    """Once where both forms saw the same; with the known gap, the time and the figures."""
    figures = {"last(20) at 100 messages (ms)": 0.12345, "messages": 20_000}
    seen = [attrs.evolve(one, seconds=1.5, figures=figures) for one in failed("saw <b>3</b>")]
    page = Page(matrix([sample.report(Verdict.KNOWN_GAP, outcomes=seen)]))
    assert page.text("pre") == "saw <b>3</b>"
    assert "What was seen, sync and async:" in page.text("p")
    assert "Known gap: Bodies are cut at 64 KiB. Followed up at " in page.text("p")
    assert page.all("a", "href")[-2] == sample.GAP.link
    assert "sync: known gap, in 1.5 s" in page.text("li")
    cells = [data for tag, data in page.texts if tag in ("th", "td") and data.strip()]
    place = cells.index("last(20) at 100 messages (ms)")
    assert cells[place : place + 6] == [
        *("last(20) at 100 messages (ms)", "sync", "0.123"),
        *("messages", "sync", "20,000"),
    ]


def test_long_evidence_is_cut() -> None:
    """The page says where the rest is."""
    page = Page(matrix([sample.report(Verdict.FAILED, outcomes=failed("x" * 5_000))]))
    assert page.text("pre") == f"{'x' * LONGEST_EVIDENCE}\n… (5,000 characters; all of them are in report.json)"


def test_a_timeline_has_a_text_for_each_of_its_calls() -> None:
    """A title, a description that names the calls that contradict each other, and a table of all."""
    page = Page(matrix([sample.report(Verdict.FAILED, outcomes=failed(timelines=(sample.TIMELINE,)))]))
    assert page.all("svg", "role") == ["img", "img"]
    assert page.all("svg", "aria-describedby") == page.all("desc", "id")
    assert page.text("desc").startswith(
        "4 calls by 3 workers, from left to right as time goes. Contradicting each other:"
        " A1, append by client 1.0, done; R4, read by the final read, done."
    )
    rows = [data.strip() for tag, data in page.texts if tag in ("td", "th")]
    place = rows.index("A1")
    expected = ["A1", "client 1.0", "0.000", "1.250", "append 'a', turn_id 'A'", "done", "seq 0, version 1"]
    assert list(filter(None, rows[place:]))[:7] == expected
    assert "never" in rows
    bars = [given for tag, given in page.elements if tag == "g"]
    assert [one["class"] for one in bars[:4]] == [
        "call append involved",
        "call append open",
        "call clear",
        "call read involved",
    ]


def test_what_no_run_tests_is_said() -> None:
    """On every page."""
    text = Page(matrix([EVERY])).text("li")
    assert all(one in text for one in NEVER_TESTED)


def test_the_page_says_what_ran_where() -> None:
    """Versions, platform, seed, date, and the command that repeats the run."""
    page = Page(matrix([EVERY]))
    terms = [data for tag, data in page.texts if tag in ("dt", "dd", "code") and data.strip()]
    assert dict(zip(terms[::2], terms[1::2], strict=True)) == {
        "plugin": "backscroll-mystore 1.2",
        "drivers": "mydriver 3.4",
        "server": "MyStore 5",
        "opened as": "mystore://",
        "suite": "backscroll-conformance 0.1.0, backscroll 0.2.0, profile base-1",
        "run": "tiers contract; effort short; seed 7",
        "platform": "CPython 3.11.0, Linux, x86_64",
        "date": "2026-01-02T03:04:05+00:00",
        "again": "backscroll conformance mystore --seed 7",
    }


def test_the_policy_lets_nothing_run_but_the_pages_own_script() -> None:
    """Whose digest it names; nothing may be loaded, and nothing is asked for."""
    text = matrix([EVERY])
    page = Page(text)
    (policy,) = (given["content"] or "" for tag, given in page.elements if given.get("http-equiv"))
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    for kind in ("script", "style"):
        digest = b64encode(sha256(page.text(kind).encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert (rules["default-src"], rules["base-uri"]) == ("'none'", "'none'")
    assert {name for _, given in page.elements for name in given} & {
        "src",
        "srcset",
        "style",
        "onclick",
        "action",
    } == set()
    assert {one for one in page.all("", "href") if not one.startswith("#")} == {sample.GAP.link}
    assert "url(" not in page.text("style")


def test_a_report_without_timelines_is_shown(tmp_path: Path) -> None:
    """As the reports of earlier releases are."""
    made = sample.report(Verdict.FAILED, outcomes=failed(timelines=(sample.TIMELINE,)))
    save(made, tmp_path)
    path = tmp_path / "report.json"
    data = json.loads(path.read_bytes())
    for form in data["clauses"][0]["forms"]:
        del form["timelines"]
    path.write_text(json.dumps(data), encoding="utf-8")
    assert matrix([load(path)]) == matrix([sample.report(Verdict.FAILED, outcomes=failed())])


def test_a_run_writes_its_page(tmp_path: Path) -> None:
    """The page of one report, beside it."""
    save(EVERY, tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == matrix([EVERY])


def shape(page: Page) -> list[tuple[str, list[str], str]]:
    """What a page is made of: its elements, the names of their attributes, and the class of each."""
    return [(tag, sorted(given), given.get("class") or "") for tag, given in page.elements]


PLAIN = shape(Page(matrix([sample.everywhere("plain")])))


@settings(deadline=None)  # others may keep the machine busy
@given(HOSTILE)
def test_no_text_breaks_the_page(text: str) -> None:
    """Wherever it stands, it shows as it is, and makes no element, no attribute and no other address."""
    hostile = Page(matrix([sample.everywhere(text)]))
    assert shape(hostile) == PLAIN
    ids = hostile.all("", "id")
    assert [one for one in ids if re.search(r"\s", one)] == []
    assert len(set(ids)) == len(ids)
    assert {*hostile.all("", "aria-labelledby"), *hostile.all("", "aria-describedby")} <= set(ids)
    assert {one[1:] for one in hostile.all("a", "href") if one.startswith("#")} <= set(ids)
    shown = readable(f"why {text}").strip("\n")
    assert shown == hostile.text("pre")
    assert readable(f"Sentence {text}") in [data for tag, data in hostile.texts if tag == "p"]


@pytest.mark.parametrize("count", [0, 1, 30])
def test_any_number_of_runs_is_joined(count: int) -> None:
    """Each has its column."""
    page = Page(matrix([UNMET] * count))
    assert page.text("h3").count("mystore") == 2 * count
