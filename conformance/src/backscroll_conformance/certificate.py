"""The report as a page for people who have to decide whether to trust a plugin."""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import jinja2

from backscroll.cli.output import readable
from backscroll_conformance.clauses import Level, Tier
from backscroll_conformance.outcomes import Conclusion, Outcome, Verdict
from backscroll_conformance.report import NOT_MET, WAS_NOT_RUN, ClauseReport, Report

TIERS: Final = {
    Tier.CONTRACT: "every operation, sync and async, by a single client",
    Tier.STATEFUL: "random operations on several sessions, compared with a plain list",
    Tier.CONCURRENT: "many threads, processes and event loops at once, and what each of them saw",
    Tier.DURABLE: (
        "client processes that are killed in the middle of an append; a server that is killed, restarted and paused, "
        "and a line to it that loses answers and brings requests late; and what is there afterwards"
    ),
    Tier.MEASURED: "what operations cost as a session grows, their round trips, and the connections of many sessions",
}
"""What each tier does, in words."""

NEVER_TESTED: Final = (
    (
        "No server is upgraded or failed over, none of several is lost, and no network is parted. What the backend "
        "claims to survive beyond the kill of its one server is its word."
    ),
    (
        "Nothing runs for days, or on more data than a few minutes make. The machine does not lose power, disks do "
        "not fill up, and the clock of the server is not moved."
    ),
    "When the bytes of removed messages leave the server's disks, replicas and backups is not looked at.",
    (
        "Access rights, encryption and the driver's own code are not judged. The suite looks for the password in "
        "what the backend says, and nowhere else."
    ),
    "Random choices try a part of what can happen. Another seed, or a longer run, tries another part.",
)
"""What no run of this release tests, whatever was asked for."""

LONGEST_EVIDENCE: Final = 4_000
"""How many characters of one piece of evidence the page shows."""

_CLAIMS: Final = {
    (
        "durability",
        "process",
    ): "what is acknowledged survives the end of the client, not the loss of the server's memory",
    ("durability", "server"): "what is acknowledged survives kill -9 of the server, or of the process that embeds it",
    ("durability", "replicated"): "what is acknowledged survives the loss of one server",
    ("consistency", "linearizable"): "every read sees all that was acknowledged before it began",
    ("consistency", "eventual"): "reads see what was acknowledged after a while",
    ("erasure", "immediate"): "no later read of the database returns the bytes of a removed message",
    ("erasure", "deferred"): "the bytes of a removed message leave later, by the server's own housekeeping",
}

_LIMITS: Final = {
    "max_message_bytes": ("largest message", "bytes"),
    "max_turn_bytes": ("largest turn", "bytes"),
    "max_turn_messages": ("longest turn", "messages"),
    "dedupe_turns": ("repeated turns are known", "turns back"),
    "max_ttl": ("longest TTL", "seconds"),
}

_COUNTS: Final = {
    Verdict.PASSED.value: ("holds", "hold"),
    Verdict.FAILED.value: ("fails", "fail"),
    Verdict.KNOWN_GAP.value: ("fails as a known gap", "fail as known gaps"),
    Verdict.GAP_CLOSED.value: (
        "holds though a known gap says that it fails",
        "hold though known gaps say that they fail",
    ),
    Verdict.ERROR.value: (
        "could not be judged because the suite failed",
        "could not be judged because the suite failed",
    ),
    Verdict.NOT_RUN.value: ("was not run", "were not run"),
    NOT_MET: ("is a recommendation that is not met", "are recommendations that are not met"),
    Verdict.NOT_APPLICABLE.value: ("does not apply", "do not apply"),
}

_LEADING: Final = re.compile(r"^(?:[-+=](?=[-+=\s]|$)|\d+(?=[.)](?:\s|$)))")
_SPECIAL: Final = re.compile(r"[\\`*<>\[\]#|~&!]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_LEGAL_IN_URL: Final = "%:/?#[]@!$&'()*+,;=-._~"


class Markdown(str):
    """Text that is Markdown already; everything else is escaped where it lands on the page."""

    __slots__ = ()


class Finding(NamedTuple):
    """A clause with those of its forms of which something is told.

    Args:
        clause: The clause.
        forms: The forms.
    """

    clause: ClauseReport
    forms: tuple[Outcome, ...]

    @property
    def name(self) -> str:
        """The clause's id, with the forms where it is not about all of them."""
        forms = " and ".join(form.form for form in self.forms)
        return self.clause.id if len(self.forms) == len(self.clause.forms) else f"{self.clause.id} ({forms})"

    @property
    def evidence(self) -> dict[str, str]:
        """What was seen, with the forms in which it was."""
        seen: dict[str, list[str]] = {}
        for form in self.forms:
            if form.evidence.strip():
                seen.setdefault(form.evidence, []).append(form.form)
        return {text: " and ".join(forms) for text, forms in seen.items()}


def certificate(report: Report) -> str:
    """The page, in Markdown.

    Whatever stands in the report, it is shown as text and breaks neither the page nor a terminal.
    """
    seen = report.environment
    page: str = _template().render(
        report=report,
        environment=seen,
        summary=summary(report),
        partial=[one for one in seen.capabilities if one.level != "full"],
        full=[one.capability for one in seen.capabilities if one.level == "full"],
        claims=[_claim(name, value) for name, value in seen.limits.items()],
        sections=_sections(report),
        untested=_untested(report),
        never_tested=NEVER_TESTED,
        figures=[(one, form) for one in report.clauses for form in one.forms if form.figures],
        tiers=[(tier, TIERS[tier], found) for tier in Tier if (found := _of_tier(report, tier))],
    )
    return page


def summary(report: Report) -> str:
    """The conclusion in one sentence, as plain text."""
    counts = Counter(clause.label for clause in report.clauses)
    total = len(report.clauses)
    held = counts.pop(Verdict.PASSED.value, 0)
    parts = [f"{held:,} of {total:,} {'clause holds' if held == total == 1 else 'clauses hold'}"]
    parts += [f"{counts[label]:,} {words[counts[label] > 1]}" for label, words in _COUNTS.items() if counts[label]]
    return f"{_verdict(report, counts)}: {', '.join(parts)}."


def _verdict(report: Report, counts: Counter[str]) -> str:
    plugin, profile = _subject(report), report.profile
    gaps = counts[Verdict.KNOWN_GAP.value]
    but = f", but for {gaps:,} known gap{'s' if gaps > 1 else ''}" if gaps else ""
    return {
        Conclusion.CONFORMANT: f"{plugin} conforms to {profile}{but}",
        Conclusion.NOT_CONFORMANT: f"{plugin} does not conform to {profile}",
        Conclusion.INCONCLUSIVE: f"Whether {plugin} conforms to {profile} is not known",
        Conclusion.HARNESS_FAILED: f"The suite itself failed, so whether {plugin} conforms to {profile} is not known",
    }[report.conclusion]


def _subject(report: Report) -> str:
    environment = report.environment
    plugin = str(environment.plugin or environment.backend)
    return f"{plugin} on {environment.server}" if environment.server else plugin


def _of_tier(report: Report, tier: Tier) -> list[tuple[ClauseReport, str]]:
    return [(clause, told(clause)) for clause in report.clauses if clause.tier is tier]


def told(clause: ClauseReport) -> str:
    """The verdict as the table tells it: with the forms where these differ."""
    worst = Finding(clause, tuple(form for form in clause.forms if form.verdict is clause.verdict))
    return clause.label + worst.name.removeprefix(clause.id)


def _findings(report: Report, verdict: Verdict) -> list[Finding]:
    every = (Finding(one, tuple(form for form in one.forms if form.verdict is verdict)) for one in report.clauses)
    return [finding for finding in every if finding.forms]


def _sections(report: Report) -> list[tuple[str, str, list[Finding]]]:
    """The parts that show evidence, each with its title and what it means."""
    failed = _findings(report, Verdict.FAILED)
    sections = [
        (
            "What failed",
            "Each of these is a rule that applications rely on, with what was seen instead.",
            [one for one in failed if one.clause.level is Level.MUST],
        ),
        (
            "Known gaps that have closed",
            "These hold now: take them off the list of known gaps.",
            _findings(report, Verdict.GAP_CLOSED),
        ),
        (
            "Where the suite itself failed",
            "This says nothing about the backend.",
            _findings(report, Verdict.ERROR),
        ),
        (
            "Known gaps",
            "These fail, as was said beforehand.",
            _findings(report, Verdict.KNOWN_GAP),
        ),
        (
            "Recommendations that are not met",
            "A clause with SHOULD does not decide whether a backend conforms.",
            [one for one in failed if one.clause.level is Level.SHOULD],
        ),
    ]
    return [section for section in sections if section[2]]


def _untested(report: Report) -> list[tuple[str, dict[str, list[str]]]]:
    """The clauses of which nothing is known, by the reason."""
    not_run, not_applicable = (_findings(report, one) for one in (Verdict.NOT_RUN, Verdict.NOT_APPLICABLE))
    return [
        ("Not run, so that nobody knows:", _by_reason(not_run, _why_not_run(report))),
        ("Not applicable, because of what the backend declares or is:", _by_reason(not_applicable, _evidence)),
    ]


def _by_reason(findings: Iterable[Finding], reason: Callable[[Finding], str]) -> dict[str, list[str]]:
    """The names of the findings by what is the reason for them."""
    grouped: dict[str, list[str]] = {}
    for finding in findings:
        grouped.setdefault(reason(finding), []).append(finding.name)
    return grouped


def _evidence(finding: Finding) -> str:
    return "; ".join(finding.evidence) or "no reason was given"


def _why_not_run(report: Report) -> Callable[[Finding], str]:
    def why(finding: Finding) -> str:
        tier = finding.clause.tier
        if set(finding.evidence) == {WAS_NOT_RUN} and tier not in report.tiers:
            return f"the {tier.value} tier was not asked for ({TIERS[tier]})"
        return _evidence(finding)

    return why


def _claim(name: str, value: Any) -> tuple[str, str]:
    if words := _CLAIMS.get((name, str(value))):
        return name, f"{value}: {words}"
    label, unit = _LIMITS.get(name, (name, ""))
    return label, "no bound" if value is None else f"{figure(value)} {unit}".strip()


def figure(value: Any) -> str:
    """A number as people read it; anything else as it is."""
    if type(value) is int:
        return f"{value:,}"
    if type(value) is not float or not math.isfinite(value):
        return str(value)
    return f"{value:.3g}" if abs(value) < 1 else f"{value:,.2f}".rstrip("0").rstrip(".")


def _inline(value: object) -> str:
    """Anything as text within a line, or within a cell of a table."""
    if isinstance(value, Markdown):
        return value
    text = _SPECIAL.sub(r"\\\g<0>", " ".join(readable(str(value)).split()))
    return _LEADING.sub(_escaped_start, text)


def _escaped_start(match: re.Match[str]) -> str:
    # What would begin a list, a rule or a heading, where the text begins a line.
    return f"\\{match[0]}" if match[0] in "-+=" else f"{match[0]}\\"


def _fenced(value: object, language: str = "text") -> Markdown:
    """Text as it is, between fences that it cannot close."""
    text = shortened(str(value))
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return Markdown(f"{fence}{language}\n{text}\n{fence}")


def shortened(evidence: str) -> str:
    """A piece of evidence as a page shows it."""
    text = readable(evidence).strip("\n")
    if len(text) <= LONGEST_EVIDENCE:
        return text
    return f"{text[:LONGEST_EVIDENCE]}\n… ({len(text):,} characters; all of them are in report.json)"


def _link(value: object) -> Markdown:
    return Markdown(f"<{quote(str(value), safe=_LEGAL_IN_URL, errors='replace')}>")


@cache
def _template() -> jinja2.Template:
    made = jinja2.Environment(  # noqa: S701 - it is Markdown; `finalize` escapes whatever is no Markdown yet
        loader=jinja2.PackageLoader("backscroll_conformance", ""),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        finalize=_inline,
    )
    made.filters |= {"fenced": _fenced, "link": _link, "figure": figure}
    return made.get_template("certificate.md.jinja")
