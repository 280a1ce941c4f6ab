"""What a report keeps of the calls around an anomaly."""

from typing import Any

import pytest
from calls import MS, S, append, clear, final, read

from backscroll_conformance.anomalies import Anomaly, Kind
from backscroll_conformance.checker import check
from backscroll_conformance.history import Op
from backscroll_conformance.redaction import hide
from backscroll_conformance.timeline import LONGEST, MOST_CALLS, MOST_INVOLVED, Call, Timeline, around

LOST = append(5, 7, "a", at=0)
END = final("b", at=1)
SECRET = "correct-horse-battery-staple-of-timelines"


def told(*ops: Op) -> Timeline:
    """The timeline of the first thing that is wrong with some calls."""
    return around(check(ops)[0], ops)


def call(op: Op) -> Call:
    """A call as it is kept."""
    (kept,) = around(Anomaly(Kind.LOST, S, "", (op,)), [op]).calls
    return kept


def test_the_calls_that_contradict_each_other_are_marked() -> None:
    """Those and no others, with their times since the first call, in their order."""
    made = told(END, append(8, 9, "b", at=1), LOST)
    assert [(one.kind, one.begin, one.end, one.involved) for one in made.calls] == [
        ("append", 0.0, 2.0, True),
        ("append", 3.0, 4.0, False),
        ("read", 995.0, 996.0, True),
    ]
    assert (made.kind, made.session, made.others) == ("lost", S, 0)
    assert made.text == check([END, append(8, 9, "b", at=1), LOST])[0].text


def test_both_turns_of_a_lost_update_are_marked() -> None:
    """The one that landed on an older version than it expected, and the one that came between."""
    between = append(1, 2, "between", at=1)
    ops = [
        append(0, 1, "first", at=0),
        between,
        append(2, 3, "late", at=2, expected=1),
        final("first", "between", "late"),
    ]
    assert [one.given for one in told(*ops).calls if one.involved] == ["'between'", "'late', expected version 1"]


def test_every_anomaly_names_the_calls_that_its_text_tells() -> None:
    """A call is told by its worker and times, and is among those that are kept."""
    ops = [LOST, read(8, 9, "nobody's", at=3), append(10, 11, "b", at=1), append(12, 13, "c", at=1), END]
    found = check(ops)
    assert {Kind.LOST, Kind.PHANTOM, Kind.WRONG_ANSWER} <= {one.kind for one in found}
    for one in found:
        assert one.ops
        assert all(f"{op.kind} by {op.worker} ({(op.begin - 5 * MS) / 1e6:.3f}" in one.text for op in one.ops[:1])


def test_the_nearest_calls_of_the_session_are_kept_and_the_others_counted() -> None:
    """Whatever other sessions did meanwhile."""
    near = [append(20 + 2 * n, 21 + 2 * n, f"near {n}", at=10 + n) for n in range(MOST_CALLS - 1)]
    far = [append(5_000 + n, 5_001 + n, f"far {n}", at=100 + n) for n in range(50)]
    elsewhere = append(20, 21, "elsewhere", at=0)._replace(session="other")
    involved = append(30, 60, "involved", at=9)
    made = around(Anomaly(Kind.LOST, S, "", (involved,)), [*far, elsewhere, involved, *near])
    assert sorted(one.given for one in made.calls) == sorted(["'involved'", *(f"'near {n}'" for n in range(len(near)))])
    assert made.others == len(far)


def test_a_call_that_was_never_answered_lies_near_all_that_came_later() -> None:
    """Its effect may have come at any time, so it is kept however early it began."""
    never = append(0, None, "never")
    busy = [append(10 + n, 11 + n, f"busy {n}", at=n) for n in range(2 * MOST_CALLS)]
    made = around(Anomaly(Kind.LOST, S, "", (busy[-1],)), [never, *busy])
    assert (made.calls[0].given, made.calls[0].end) == ("'never'", None)


def test_of_a_turn_that_was_repeated_often_some_calls_are_kept() -> None:
    """So that there is room for what went on meanwhile."""
    repeats = [append(n, n + 1, "a", at=0, turn_id="A") for n in range(40)]
    made = around(Anomaly(Kind.LOST, S, "", tuple(repeats)), repeats)
    assert (sum(one.involved for one in made.calls), len(made.calls)) == (MOST_INVOLVED, MOST_CALLS)


@pytest.mark.parametrize(
    ("op", "given", "answer"),
    [
        (append(1, 2, "a", "b", at=3), "'a' and 1 more", "seq 3-4, version 5"),
        (append(1, 2, "a", at=3, turn_id="A", duplicate=True), "'a', turn_id 'A'", "seq 3, version 4, duplicate"),
        (append(1, 2, "a", at=3, seqs=(3, 4, 9)), "'a'", "seq 3-4, 9, version 4"),
        (append(1, 2, "a", at=3, seqs=()), "'a'", "no messages, version 4"),
        (append(1, 2, "a", outcome="conflict", expected=4, current=6), "'a', expected version 4", "version 6"),
        (append(1, None, "a"), "'a'", ""),
        (append(1, 2, at=0), "nothing", "no messages, version 0"),
        (read(1, 2), "all", "no messages"),
        (read(1, 2, "a", "b", limit=20, newest=True), "the newest 20", "seq 0-1"),
        (read(1, 2, found=((4, "a"), (3, "b")), limit=30, after=2), "up to 30 after seq 2", "seq 4, 3"),
        (clear(1, 2), "everything", ""),
    ],
)
def test_a_call_is_told_in_words(op: Op, given: str, answer: str) -> None:
    """What it was given and what it was answered."""
    assert (call(op).given, call(op).answer) == (given, answer)


def test_long_words_are_cut() -> None:
    """A read may show a thousand places, and a text may be long."""
    scattered: Any = tuple((2 * seq, str(seq)) for seq in range(1_000))
    for words in (call(read(1, 2, found=scattered)).answer, call(append(1, 2, "x" * 1_000, at=0)).given):
        assert len(words) < LONGEST + 30
        assert words.endswith(" characters)")


def test_no_secret_is_kept() -> None:
    """Neither where words are cut nor where they are changed later."""
    hide([SECRET])
    made = call(append(1, 2, "x" * (LONGEST - len(SECRET) // 2) + SECRET, at=0))
    assert "***" in made.given
    assert SECRET[:4] not in made.given


def test_every_text_can_be_changed() -> None:
    """Each of them, and nothing else."""
    made = Timeline(
        "kind", "text", "session", (Call("worker", "append", 1.5, None, "done", "given", "answer", True),), 7
    )
    changed = Timeline(
        "KIND", "TEXT", "SESSION", (Call("WORKER", "APPEND", 1.5, None, "DONE", "GIVEN", "ANSWER", True),), 7
    )
    assert made.changed(str.upper) == changed
