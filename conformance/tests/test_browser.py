"""The page of several reports in a real browser, headless Chromium: by mouse, keyboard and assistive means."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import sample
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from backscroll.cli.output import readable
from backscroll_conformance.matrix import matrix
from backscroll_conformance.outcomes import Verdict
from backscroll_conformance.report import Report
from backscroll_conformance.servers import is_required, note_unrun

pytestmark = pytest.mark.newest

expect.set_options(timeout=30_000)  # others may keep the machine busy

MISSING = "there is no chromium on the PATH: nox -s browser installs it"
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 360, "height": 640}
FAILED, PASSED = "APP-007.1", "APP-001.1"
HEADING = "APP-007 on mystore (1): failed"

Show = Callable[..., Page]


def every_verdict() -> list[Report]:
    """Two runs with clauses of every verdict; what failed has figures and a timeline."""
    made = sample.report(*Verdict)
    failed = made.clauses[-1]
    extra = {"timelines": (sample.TIMELINE,), "figures": {"appends": 20_000}}
    forms = tuple(attrs.evolve(one, **extra) for one in failed.forms)
    clauses = (*made.clauses[:-1], attrs.evolve(failed, forms=forms))
    return [attrs.evolve(made, clauses=clauses), sample.report(Verdict.FAILED, word="SHOULD")]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all tests here."""
    path = shutil.which("chromium")
    if path is None:
        if is_required():
            pytest.fail(MISSING)
        note_unrun("the page of reports", MISSING)
        pytest.skip(MISSING)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path)
        yield started
        started.close()


@pytest.fixture
def show(browser: Browser, tmp_path: Path) -> Iterator[Show]:
    """Opens reports as a file; nothing else is loaded, and nothing is refused or fails, as long as the test lasts."""
    requests: list[str] = []
    complaints: list[str] = []
    path = tmp_path / "a report's page.html"

    def told(message: ConsoleMessage) -> None:
        complaints.append(message.text)

    def show(reports: list[Report] | None = None, fragment: str = "", **context: Any) -> Page:
        path.write_bytes(matrix(reports or every_verdict()).encode())
        page = browser.new_context(**{"viewport": WIDE, "reduced_motion": "reduce", **context}).new_page()
        page.set_default_timeout(30_000)
        page.on("request", lambda request: requests.append(request.url))
        page.on("console", told)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri() + fragment)
        return page

    yield show
    for context in browser.contexts:
        context.close()
    assert complaints == []
    assert {url.partition("#")[0] for url in requests} == {path.as_uri()}


def cell(page: Page, id: str) -> Any:
    """The link of a cell."""
    return page.locator(f'[id="{id}.cell"]')


def tab_to(page: Page, id: str) -> None:
    """Press the tabulator until something has the focus."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == id:
            return
    pytest.fail(f"the keyboard does not reach {id}")


# Opening and closing.


def test_every_cell_opens_its_evidence_by_a_click(show: Show) -> None:
    """In a dialog named by its heading, which the button closes; the focus is where it was."""
    page = show()
    links = page.locator(".matrix td a")
    assert links.count() == len(Verdict) + 1
    for place in range(links.count()):
        link = links.nth(place)
        heading = "".join(link.locator(".unseen, .word").all_text_contents())
        link.click()
        dialog = page.get_by_role("dialog", name=heading, exact=True)
        expect(dialog).to_be_visible()
        expect(dialog.get_by_role("article", name=heading, exact=True)).to_be_visible()
        dialog.get_by_role("button", name="Close").click()
        expect(dialog).to_be_hidden()
        expect(link).to_be_focused()


def test_the_page_stays_where_it_is_behind_a_dialog(show: Show) -> None:
    """So that one goes on reading the matrix where one was."""
    page = show(viewport=NARROW)
    cell(page, FAILED).scroll_into_view_if_needed()
    before = page.evaluate("scrollY")
    assert before > 0
    cell(page, FAILED).click()
    expect(page.get_by_role("dialog", name=HEADING)).to_be_visible()
    assert page.evaluate("scrollY") == before
    page.keyboard.press("Escape")
    expect(cell(page, FAILED)).to_be_focused()
    assert page.evaluate("scrollY") == before


def test_the_keyboard_alone_opens_and_closes_evidence(show: Show) -> None:
    """Enter on a cell opens it, Escape closes it, and the focus goes back to the cell."""
    page = show()
    tab_to(page, f"{FAILED}.cell")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name=HEADING)
    expect(dialog).to_be_visible()
    expect(dialog.get_by_text("saw APP-007")).to_be_visible()
    assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    assert page.url.endswith(f"#{FAILED}")
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(cell(page, FAILED)).to_be_focused()
    assert page.url.endswith(".html")
    # What was in the dialog is back in its place, and can be opened again.
    expect(page.locator(f'[id="{FAILED}"]')).to_be_visible()
    page.keyboard.press("Enter")
    expect(dialog).to_be_visible()


def test_the_keyboard_reaches_all_that_a_dialog_shows(show: Show) -> None:
    """The timeline can be scrolled by it, and so can its table."""
    page = show(viewport=NARROW)
    cell(page, FAILED).focus()
    page.keyboard.press("Enter")
    reached = set()
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent")
        )
    assert {"Close", "Timeline", "Calls"} <= reached
    calls = page.get_by_role("group", name="Calls").first
    calls.focus()
    page.keyboard.press("End")
    page.keyboard.press("ArrowRight")
    expect(calls).to_be_focused()
    expect(calls).not_to_have_js_property("scrollLeft", 0)  # the page's policy forbids wait_for_function's own eval


def test_an_address_opens_its_evidence(show: Show) -> None:
    """When the page is opened, and when the address is changed; the focus then goes to the cell."""
    page = show(fragment=f"#{FAILED}")
    expect(page.get_by_role("dialog", name=HEADING)).to_be_visible()
    page.evaluate(f"location.hash = '{PASSED}'")
    expect(page.get_by_role("dialog", name="APP-001 on mystore (1): passed")).to_be_visible()
    page.keyboard.press("Escape")
    expect(cell(page, PASSED)).to_be_focused()
    page.evaluate("location.hash = 'nothing'")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_without_scripts_a_cell_leads_to_its_evidence(show: Show) -> None:
    """Also where it is folded up; and back to the cell, by the keyboard as by the mouse."""
    page = show(java_script_enabled=False)
    for one in (FAILED, PASSED):
        cell(page, one).focus()
        page.keyboard.press("Enter")
        article = page.locator(f'[id="{one}"]')
        expect(article).to_be_in_viewport()
        expect(page.get_by_role("dialog")).to_be_hidden()
        article.get_by_role("link", name="Back to the matrix").click()
        expect(cell(page, one)).to_be_in_viewport()
        expect(cell(page, one)).to_be_focused()


@pytest.mark.parametrize("scripts", [True, False])
def test_one_can_look_at_findings_only(show: Show, scripts: bool) -> None:
    """By the keyboard, and with or without scripts."""
    page = show(java_script_enabled=scripts)
    page.get_by_label("every clause").focus()
    expect(cell(page, PASSED)).to_be_visible()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("only those with findings")).to_be_checked()
    expect(cell(page, "APP-002.1")).to_be_hidden()
    expect(cell(page, FAILED)).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(cell(page, "APP-002.1")).to_be_visible()


# What it looks like, and how it sounds.

CONTRAST = Path(__file__).with_name("contrast.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(show: Show, scheme: str) -> None:
    """At least 4.5 : 1, and 3 : 1 for what is drawn, in both colour schemes; on the page and in a dialog."""
    page = show(color_scheme=scheme)
    for summary in page.locator("summary").all():
        summary.click()
    for opened in (None, FAILED):
        if opened:
            cell(page, opened).click()
        found = page.evaluate(CONTRAST)
        texts = {what for what, _ in found}
        bars = [ratio for what, ratio in found if what is None]
        assert {"passed", "failed", "known gap", "not applicable", "R4", "client 1.0", "MyStore 5"} <= texts
        assert [(what, ratio) for what, ratio in found if what is not None and ratio < 4.5] == []
        assert len(bars) == 2 * len(sample.TIMELINE.calls)
        assert min(bars) >= 3.0


OUTLINE = """() => {
  const { outlineStyle, outlineWidth } = getComputedStyle(document.activeElement);
  return [document.activeElement.tagName, outlineStyle, parseFloat(outlineWidth)];
}"""
"""What has the focus, and the line around it."""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_focus_can_be_seen(show: Show, scheme: str) -> None:
    """Whatever has it has a line around it that stands out."""
    page = show(color_scheme=scheme)
    seen = set()
    for _ in range(30):
        page.keyboard.press("Tab")
        style = page.evaluate(OUTLINE)
        if style[0] != "BODY":
            seen.add(tuple(style))
    assert {tag for tag, _, _ in seen} >= {"A", "SUMMARY", "INPUT", "DIV"}
    assert {(line, width) for _, line, width in seen} == {("solid", 3)}


@pytest.mark.parametrize(("scheme", "viewport"), [("light", WIDE), ("dark", NARROW)], ids=["light", "dark"])
def test_axe_finds_nothing(show: Show, scheme: str, viewport: dict[str, int]) -> None:
    """The rules of axe-core, its best practices included, on the page with all unfolded and in a dialog."""
    page = show(color_scheme=scheme, viewport=viewport)
    for summary in page.locator("summary").all():
        summary.click()
    for opened in (None, FAILED):
        if opened:
            cell(page, opened).click()
        results = Axe().run(page, options={"resultTypes": ["violations", "passes"]})
        found = results.response
        assert len(found["passes"]) > 20
        told = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]]
        assert told == []


def tree(page: Page) -> dict[tuple[str, str], str]:
    """The descriptions of all that assistive means are told of by Chromium, by role and name."""
    session = page.context.new_cdp_session(page)
    nodes = session.send("Accessibility.getFullAXTree")["nodes"]

    def value(node: Any, name: str) -> str:
        return " ".join(str(node.get(name, {}).get("value", "")).split())

    return {(value(one, "role"), value(one, "name")): value(one, "description") for one in nodes if not one["ignored"]}


def test_assistive_means_are_told_what_is_what(show: Show) -> None:
    """Landmarks, the table with its headers, and the verdict of each cell with what it is the verdict of."""
    told = set(tree(show()))
    assert {
        ("main", ""),
        ("banner", ""),
        ("contentinfo", ""),
        ("heading", "Conformance of mystore (1), mystore (2)"),
        ("table", "What became of each clause, by backend"),
        ("columnheader", "mystore (1) MyStore 5"),
        ("rowheader", "APP-007 It MUST hold."),
        ("link", HEADING),
        ("link", "APP-001 on mystore (2): not met"),
        ("group", "Show"),
        ("radio", "every clause"),
    } <= told


def test_a_timeline_can_be_heard(show: Show) -> None:
    """It is a picture with a name and a description, and a table with all that is on it."""
    page = show(fragment=f"#{FAILED}")
    expect(page.get_by_role("dialog", name=HEADING)).to_be_visible()
    told = tree(page)
    description = told["image", "Timeline of an anomaly: lost"]
    assert "Contradicting each other: A1, append by client 1.0, done; R4, read by the final read, done." in description
    assert ("table", "The calls, in the session s") in told
    assert {("rowheader", "A1 (contradicts)"), ("rowheader", "A2"), ("cell", "never"), ("cell", "4,001.500")} <= set(
        told
    )


BOX = """() => {
  const box = document.querySelector("dialog .timeline").getBoundingClientRect();
  return [box.left + document.querySelector("dialog .lanes").getBoundingClientRect().width, box.right];
}"""
"""From where to where a timeline can be seen, beside the names of its workers."""


def test_a_timeline_is_opened_at_what_it_is_about(show: Show) -> None:
    """Where it is too wide, it is scrolled to the first call that contradicts another one."""
    calls = tuple(attrs.evolve(sample.TIMELINE.calls[2], begin=2.0 * n, end=2.0 * n + 1) for n in range(30))
    late = attrs.evolve(sample.TIMELINE.calls[3], begin=100.0, end=101.0)
    timeline = attrs.evolve(sample.TIMELINE, calls=(*calls, late))
    (made, _) = every_verdict()
    forms = tuple(attrs.evolve(one, timelines=(timeline,)) for one in made.clauses[-1].forms)
    made = attrs.evolve(made, clauses=(*made.clauses[:-1], attrs.evolve(made.clauses[-1], forms=forms)))
    page = show([made], fragment=f"#{FAILED}", viewport=NARROW)
    bar = page.get_by_role("dialog").locator(".timeline").first.locator(".involved rect")
    left, right = page.evaluate(BOX)
    assert left < bar.evaluate("one => one.getBoundingClientRect().x") < right


def test_a_narrow_screen_shows_it_all(show: Show) -> None:
    """The page is no wider than the screen, verdicts are signs there, and assistive means still hear their words."""
    page = show(viewport=NARROW)
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"]
    words = page.locator(".matrix td .word")
    assert {box["width"] for one in words.all() if (box := one.bounding_box())} == {1}
    expect(page.get_by_text("It MUST hold.").first).to_be_visible()
    assert ("link", HEADING) in tree(page)
    cell(page, FAILED).click()
    expect(page.get_by_role("dialog")).to_be_in_viewport(ratio=1)
    assert page.evaluate("document.querySelector('dialog').scrollWidth <= document.querySelector('dialog').clientWidth")


# What others wrote.

HOSTILE = {
    "script": '<script>hit = 1; document.title = "hit"</script>',
    "closing script": "</script><script>hit = 1</script>",
    "attribute": "\"'><img src=x onerror=hit=1><a href=javascript:hit=1>\"'",
    "elements": "--></title></style></svg></table></dialog><svg onload=hit=1><style>*{top:0}</style><base href=//x>",
    "template": "{{ 7 * 7 }}{% raw %}&lt;&#x202e;%3Cb%3E",
    "control characters": "a\x00b\x07c\x1b[31md\re\x85f\ud800",
    "direction": "\u202eevil\u202c \u2066x\u2069 \u05d0\u05d1",
    "long line": "x" * 5_000,
    "long words": "\u4e2d" * 3_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=list(HOSTILE))
def test_nothing_in_a_report_runs_or_breaks_the_page(show: Show, text: str) -> None:
    """Whatever stands in it and wherever: it is shown as text, no script runs, and the page keeps its width."""
    made = sample.everywhere(text)
    for viewport in (WIDE, NARROW):
        page = show([made], viewport=viewport)
        assert page.evaluate("typeof hit") == "undefined"
        assert page.title() == " ".join(readable(f"Conformance of B{text}").split())
        assert page.locator("script, style, img, base, iframe, object").count() == 2
        assert page.locator(".matrix td a").count() == 1
        page.locator(".matrix td a").click()
        dialog = page.get_by_role("dialog")
        expect(dialog).to_be_visible()
        assert (dialog.locator("pre").text_content() or "").startswith(readable(f"why {text}")[:4_000])
        shown = page.evaluate("document.body.textContent")
        assert not set(shown) & set("\x00\x07\x1b\r\x85\u202e\u202c\u2066\u2069")
        for element in ("document.documentElement", "document.querySelector('dialog')"):
            assert page.evaluate(f"{element}.scrollWidth <= {element}.clientWidth")
        page.keyboard.press("Escape")
        expect(page.locator(".matrix td a")).to_be_focused()
