"""No secret is told, whatever its spelling and wherever a text is cut."""

import json
import re
from pathlib import Path
from urllib.parse import quote, quote_plus

import attrs
import pytest
import sample
from planted import judged, planted

from backscroll_conformance.catalogue import BY_ID
from backscroll_conformance.clauses import Form
from backscroll_conformance.client import LONGEST as LONGEST_FAILURE
from backscroll_conformance.client import Job
from backscroll_conformance.durable import kept
from backscroll_conformance.expect import LONGEST, Broken, fail, shown
from backscroll_conformance.measured import import_cost
from backscroll_conformance.outcomes import Verdict
from backscroll_conformance.processes import LAST_WORDS, Client
from backscroll_conformance.redaction import hide, redacted
from backscroll_conformance.running import judge
from backscroll_conformance.subject import Subject
from backscroll_conformance.target import EFFORTS, Target

PASSWORD = "Pa/ss wörd'\"\\\n%25+&\U0001f600"
SECRET = "correct-horse-battery-staple"
LEAST = 4
"""So many characters of a secret in a row are a leak."""


def target(password: str = SECRET) -> Target:
    """A database with a password."""
    return Target(backend="sqlite", url=f"sqlite://user:{quote(password, safe='')}@localhost/{{folder}}/chat.db")


def leaks(text: str) -> list[str]:
    """The parts of the secret that a text shows."""
    return [SECRET[at : at + LEAST] for at in range(len(SECRET) - LEAST + 1) if SECRET[at : at + LEAST] in text]


def lower(text: str) -> str:
    """With percent-encoding in lower case."""
    return re.sub("%..", lambda found: found[0].lower(), text)


@pytest.mark.parametrize(
    "spelled",
    [
        PASSWORD,
        quote(PASSWORD),
        quote(PASSWORD, safe=""),
        quote_plus(PASSWORD),
        lower(quote(PASSWORD, safe="")),
        quote(PASSWORD, safe="/'+& "),
        repr(PASSWORD)[1:-1],
        ascii(PASSWORD)[1:-1],
        repr([f"a {PASSWORD}"])[4:-2],
        repr(repr(PASSWORD))[3:-3],
        json.dumps(PASSWORD)[1:-1],
        json.dumps(PASSWORD, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(PASSWORD))[3:-3],
        repr(PASSWORD.encode())[2:-1],
    ],
)
def test_a_secret_is_hidden_in_every_spelling(spelled: str) -> None:
    """Plain, percent-encoded in whole or in part and in either case, escaped by repr and JSON, once or twice."""
    assert target(PASSWORD).redacted(f"<{spelled}>") == "<***>"


def test_what_is_written_in_a_url_is_hidden_as_it_is_written() -> None:
    """Also where the URL encodes what it need not, and only some of it."""
    written = "%70a%3a%2Fs%73w"
    assert Target(backend="sqlite", url=f"sqlite://u:{written}@h/x").redacted(f"{written} pa:/ssw") == "*** ***"


def test_a_longer_secret_is_not_hidden_in_part() -> None:
    """Where one secret begins with another one."""
    assert redacted("abcdef abc", ["abc", "abcdef", ""]) == "*** ***"
    assert redacted("abc", []) == "abc"


@pytest.mark.parametrize("place", range(LONGEST - len(SECRET) - 3, LONGEST + 2, 3))
def test_a_value_is_cut_behind_what_is_hidden(place: int) -> None:
    """Wherever in a long value the secret stands."""
    hide([SECRET])
    assert not leaks(shown("x" * place + SECRET + "y" * LONGEST))


HAS_A_PASSWORD = """
    def __init__(self, declared, url, options):
        super().__init__(declared, attrs.evolve(url, hosts=(), username=None), options)
"""

FAILS = """
    def append(self, session_id, turn, deadline):
        raise StorageError("x" * {length} + self.url.password)
"""

PRINTS = """
    def append(self, session_id, turn, deadline):
        os.write(2, (self.url.password + "y" * {length}).encode())
        os._exit(1)
"""


@pytest.mark.parametrize(
    ("fault", "longest"),
    [(FAILS, LONGEST_FAILURE - len("StorageError: ")), (PRINTS, LAST_WORDS)],
    ids=["fails", "prints"],
)
def test_what_a_client_says_is_cut_behind_what_is_hidden(tmp_path: Path, fault: str, longest: int) -> None:
    """Where it fails with a long text, and where it prints one and ends."""
    fault = fault.format(length=longest - len(SECRET) // 2)
    with planted(tmp_path, HAS_A_PASSWORD + fault, elsewhere=True) as made:
        url = target().url.replace("sqlite", "planted").replace("{folder}", str(tmp_path))
        job = Job(
            kind="append",
            target=Target(backend=made.backend, url=url),
            form=Form.SYNC,
            arguments={"sessions": ["a"], "workers": 1},
        )
        with Client(job) as client, pytest.raises(Broken) as caught:
            client.line()
    assert "xxxx" in str(caught.value) or "yyyy" in str(caught.value)
    assert not leaks(str(caught.value))


def test_what_an_import_prints_is_cut_behind_what_is_hidden(tmp_path: Path) -> None:
    """The traceback of a plugin's module whose import fails."""
    text = SECRET + "y" * (LAST_WORDS - len(SECRET) // 2)
    with planted(tmp_path, HAS_A_PASSWORD, elsewhere=True) as made:
        (tmp_path / "planted_plugin.py").write_text(f"import os\nos.write(2, {text!r}.encode())\nos._exit(1)\n")
        outcome = judged(
            import_cost, Target(backend=made.backend, url=f"planted://u:{SECRET}@h/{{folder}}/x"), effort="short"
        )
    assert (outcome.verdict, "yyyy" in outcome.evidence) == (Verdict.FAILED, True)
    assert not leaks(outcome.evidence)


def test_no_secret_stands_in_a_timeline(tmp_path: Path) -> None:
    """Wherever in it a backend brought it."""

    async def check(s: Subject) -> None:
        s.timelines.append(sample.TIMELINE.changed(lambda text: f"{text} {SECRET}"))
        fail("")

    clause = attrs.evolve(BY_ID["APP-001"], check=check)
    with planted(tmp_path, HAS_A_PASSWORD) as made:
        url = target().url.replace("sqlite", "planted")
        outcome = judged(clause, Target(backend=made.backend, url=url), effort="short")
    assert outcome.timelines == (sample.TIMELINE.changed(lambda text: f"{text} ***"),)


@pytest.mark.parametrize("url", ["sqlite://u:pw-in-it@[bad/x", "nosuch://u:pw-in-it@h/x", "u:pw-in-it"])
def test_a_wrong_url_is_told_as_an_outcome(url: str) -> None:
    """Judging never raises, and does not repeat what may be a password."""
    for clause in (kept, BY_ID["APP-001"]):
        outcome = judge(clause, Form.SYNC, Target(backend="sqlite", url=url), 1, EFFORTS["short"])
        assert outcome.verdict is Verdict.ERROR
        assert "pw-in-it" not in outcome.evidence
    assert "pw-in-it" not in Target(backend="sqlite", url=url).redacted("no host pw-in-it")
