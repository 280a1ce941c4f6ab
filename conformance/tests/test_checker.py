import pytest
from calls import MS, S, append, clear, final, read
from simulated import history

from backscroll_conformance.anomalies import MOST_TOLD
from backscroll_conformance.checker import Kind, check
from backscroll_conformance.history import Op


def kinds(*ops: Op, window: int = 16) -> set[Kind]:
    """The kinds of anomalies among calls."""
    return {anomaly.kind for anomaly in check(ops, window=window)}


def others(count: int, at: int, begin: int) -> list[Op]:
    """So many turns of one message, one after the other."""
    return [append(begin + 2 * n, begin + 2 * n + 1, f"o{at + n}", at=at + n) for n in range(count)]


def texts(ops: list[Op]) -> list[str]:
    """The texts of some turns."""
    return [text for op in ops for text in op.texts]


A, B = append(1, 2, "a", at=0), append(3, 4, "b", at=1)
A_OWN = append(1, 2, "a", at=0, turn_id="A")
TAIL = {"limit": 2, "newest": True}
MANY = others(16, 1, 10)
CONFLICT = {"outcome": "conflict", "turn_id": "C"}

FINE: dict[str, list[Op]] = {
    "nothing happened": [final()],
    "two turns, one after the other": [A, B, final("a", "b")],
    "turns at once land in either order": [append(1, 5, "a", at=1), append(1, 5, "b", at=0), final("b", "a")],
    "seqs may have gaps": [A, append(3, 4, "b", at=9), final(found=((0, "a"), (9, "b")))],
    "sessions do not know of each other": [A, final("a"), *(op._replace(session="t") for op in (A, final("a")))],
    "an unknown turn landed": [append(1, 2, "a"), final("a")],
    "an unknown turn never landed": [append(1, 2, "a"), final()],
    "an unknown turn lands after others that were sent later": [append(1, 2, "z"), A, final("a", "z")],
    "a call without an answer may land whenever it likes": [append(1, None, "z"), A, B, final("a", "b", "z")],
    "a refused turn is not there": [append(1, 2, "a", outcome="refused"), final()],
    "a clear explains what is gone": [A, clear(3, 4), final()],
    "a clear at the same time may explain it": [append(3, 6, "a", at=0), clear(1, 4), final()],
    "an unknown clear may explain it": [A, clear(3, 4, "unknown"), final()],
    "a clear without an answer may explain it": [clear(1, None), A, final()],
    "an unknown clear may do nothing": [A, clear(3, 4, "unknown"), final("a")],
    "a clear leaves what comes later": [A, clear(3, 4), append(5, 6, "b", at=1), final("b", at=1)],
    "a repeat is told that it is one": [A_OWN, append(3, 4, "a", at=0, turn_id="A", duplicate=True), final("a")],
    "a repeat of an unknown call is the first answer": [
        append(1, 2, "a", turn_id="A"),
        append(3, 4, "a", at=0, turn_id="A"),
        final("a"),
    ],
    "a call may be told duplicate for its own first try": [
        append(1, 2, "a", at=0, turn_id="A", duplicate=True),
        final("a"),
    ],
    "a repeat beyond the window lands again": [
        A_OWN,
        *MANY,
        append(60, 61, "a", at=17, turn_id="A"),
        final("a", *texts(MANY), "a"),
    ],
    "a repeat after a clear is a duplicate still": [
        A_OWN,
        clear(3, 4),
        append(5, 6, "a", at=0, turn_id="A", duplicate=True),
        final(),
    ],
    "a repeat lands again after a clear, where the window ended unseen": [
        A_OWN,
        *MANY,
        clear(50, 51),
        append(60, 61, "a", at=17, turn_id="A"),
        final("a", at=17),
    ],
    "a read at the same time may show a turn or not": [
        A,
        append(3, 9, "b", at=1),
        read(4, 5, "a"),
        read(4, 5, "a", "b"),
        final("a", "b"),
    ],
    "a read shows what began before it ended": [append(1, 9, "a", at=0), read(2, 3, "a"), final("a")],
    "the tail begins within a turn": [
        append(1, 2, "a", "b", "c", at=0),
        read(3, 4, "b", "c", at=1, **TAIL),
        final("a", "b", "c"),
    ],
    "a limit ends within a turn": [
        append(1, 2, "a", "b", "c", at=0),
        read(3, 4, "a", "b", limit=2),
        final("a", "b", "c"),
    ],
    "a bound begins within a turn": [append(1, 2, "a", "b", at=0), read(3, 4, "b", at=1, after=0), final("a", "b")],
    "the tail above a bound ends early": [A, B, read(5, 6, "b", at=1, after=0, **TAIL), final("a", "b")],
    "a clear comes between two pages": [append(1, 2, "a", "b", "c", at=0), clear(3, 9), read(4, 5, "a", "b"), final()],
    "a clear comes between two pages, backward": [
        append(1, 2, "a", "b", at=0),
        clear(3, 9),
        read(4, 5, "b", at=1, **{**TAIL, "limit": 5}),
        final(),
    ],
    "a conditional turn stands behind its version": [A, append(3, 4, "b", at=1, expected=1), final("a", "b")],
    "a conditional turn is behind a gap": [A, append(3, 4, "b", at=7, expected=1), final(found=((0, "a"), (7, "b")))],
    "a conflict after the version moved": [A, append(3, 4, "c", expected=0, current=1, **CONFLICT), final("a")],
    "a conflict as the version may have moved": [
        append(1, 9, "a", at=0),
        append(3, 4, "c", expected=0, current=1, **CONFLICT),
        final("a"),
    ],
    "a conflict with a version that is not reached": [
        A,
        append(3, 4, "c", expected=5, current=1, **CONFLICT),
        final("a"),
    ],
    "a conflict with a turn that was cleared unseen": [
        append(1, 2, "x"),
        clear(3, 4),
        append(5, 6, "c", expected=0, current=1, **CONFLICT),
        final(),
    ],
    "a repeat before the first try landed conflicts": [
        A,
        append(1, 30, "c", turn_id="C", at=1, expected=1),
        append(1, 3, "c", expected=1, current=0, **CONFLICT),
        final("a", "c"),
    ],
    "the version stays after a clear": [A, clear(3, 4), append(5, 6, "b", at=1, expected=1), final("b", at=1)],
}

BROKEN: dict[str, tuple[Kind, list[Op]]] = {
    "an acknowledged turn is gone": (Kind.LOST, [A, B, final("a")]),
    "a turn that was read is gone": (Kind.LOST, [append(1, 2, "a"), read(3, 4, "a"), final()]),
    "a clear that ended before explains nothing": (Kind.LOST, [clear(1, 2), append(3, 4, "a", at=0), final()]),
    "a clear that was refused explains nothing": (Kind.LOST, [A, clear(3, 4, "refused"), final()]),
    "a clear takes the newer and leaves the older": (Kind.LOST, [A, B, clear(5, 6), final("a")]),
    "a message twice": (Kind.DUPLICATED, [A, final("a", "a")]),
    "a row twice": (Kind.DUPLICATED, [A, final(found=((0, "a"), (0, "a")))]),
    "a turn twice": (Kind.DUPLICATED, [append(1, 2, "a", "b", at=0), final("a", "b", "a", "b")]),
    "a repeat within the window landed again": (
        Kind.DUPLICATED,
        [A_OWN, *MANY[:15], append(60, 61, "a", at=16, turn_id="A"), final("a", *texts(MANY[:15]), "a")],
    ),
    "a repeat after a clear landed again": (
        Kind.DUPLICATED,
        [A_OWN, clear(3, 4), append(5, 6, "a", at=1, turn_id="A"), final("a", at=1)],
    ),
    "beyond the window, but sent once": (Kind.DUPLICATED, [A, *MANY, final("a", *texts(MANY), "a")]),
    "nobody sent it": (Kind.PHANTOM, [A, final("a", "x")]),
    "a refused turn is there": (Kind.PHANTOM, [append(1, 2, "a", outcome="refused"), final("a")]),
    "a turn that conflicted is there": (
        Kind.PHANTOM,
        [A, append(3, 4, "c", expected=0, current=1, **CONFLICT), final("a", "c")],
    ),
    "read before it was sent": (Kind.PHANTOM, [read(1, 2, "a"), append(3, 4, "a", at=0), final("a")]),
    "there in the end though cleared": (Kind.PHANTOM, [A, clear(3, 4), final("a")]),
    "read though cleared": (Kind.PHANTOM, [A, clear(3, 4), read(5, 6, "a"), final()]),
    "the end of a turn is missing": (Kind.TORN, [append(1, 2, "a", "b", at=0), final("a")]),
    "the middle of a turn is missing": (
        Kind.TORN,
        [append(1, 2, "a", "b", "c", at=0), final(found=((0, "a"), (2, "c")))],
    ),
    "a turn in another order": (Kind.TORN, [append(1, 2, "a", "b"), final("b", "a")]),
    "a gap within a turn": (Kind.TORN, [append(1, 2, "a", "b"), final(found=((0, "a"), (2, "b")))]),
    "two turns interleaved": (Kind.TORN, [append(1, 2, "a", "b"), append(1, 2, "c", "d"), final("a", "c", "b", "d")]),
    "a read shows half a turn": (Kind.TORN, [append(1, 9, "a", "b", at=0), read(2, 3, "a"), final("a", "b")]),
    "the tail ends within a turn": (
        Kind.TORN,
        [append(1, 9, "a", "b", "c", at=0), read(2, 3, "a", "b", **TAIL), final("a", "b", "c")],
    ),
    "a clear that is over tears nothing": (
        Kind.TORN,
        [append(1, 2, "a", "b", at=0), clear(3, 4), read(5, 6, "b", at=1), final()],
    ),
    "a turn below one that was acknowledged before": (Kind.REORDERED, [A, append(3, 4, "b"), final("b", "a")]),
    "a turn below one that was read before": (
        Kind.REORDERED,
        [append(1, None, "a"), read(2, 3, "a", at=1), append(5, 6, "b", at=0), final("b", "a")],
    ),
    "seqs fall": (Kind.REORDERED, [append(1, 2, "a"), append(1, 2, "b"), final(found=((1, "a"), (0, "b")))]),
    "a message moves": (Kind.REORDERED, [append(1, 2, "a"), read(3, 4, "a"), final("a", at=3)]),
    "a seq holds another message": (
        Kind.REORDERED,
        [append(1, 2, "a"), append(1, 2, "b"), read(3, 4, "a", "b"), final("b", "a")],
    ),
    "an acknowledged turn is not read": (Kind.STALE, [A, B, read(5, 6, "a"), final("a", "b")]),
    "the tail is old": (Kind.STALE, [A, B, read(5, 6, "a", limit=1, newest=True), final("a", "b")]),
    "a read behind a bound is empty": (Kind.STALE, [A, B, read(5, 6, after=0), final("a", "b")]),
    "what stands below is not there, though nobody knew it": (
        Kind.STALE,
        [append(1, 9, "a", at=0), append(1, 9, "b", at=1), read(2, 3, "b", at=1), final("a", "b")],
    ),
    "the beginning is missing": (Kind.STALE, [A, B, read(5, 6, "b", at=1, limit=9), final("a", "b")]),
    "a hole": (
        Kind.STALE,
        [A, B, append(5, 6, "c", at=2), read(7, 8, found=((0, "a"), (2, "c"))), final("a", "b", "c")],
    ),
    "what another read showed is not there": (
        Kind.STALE,
        [append(1, None, "a"), read(2, 3, "a"), read(4, 5), final("a")],
    ),
    "a message of a cleared session is missing before the clear": (Kind.STALE, [A, read(3, 4), clear(5, 6), final()]),
    "one version, two turns": (
        Kind.CONFLICT,
        [append(1, 5, "a", at=0, expected=0), append(1, 5, "b", at=1, expected=0), final("a", "b")],
    ),
    "one version, and the second turn took the place of the first": (
        Kind.CONFLICT,
        [append(1, 5, "a", at=0, expected=0), append(1, 5, "b", at=0, expected=0), final("b")],
    ),
    "a turn behind another version": (Kind.CONFLICT, [A, B, append(5, 6, "c", at=2, expected=1), final("a", "b", "c")]),
    "a turn below its version": (Kind.CONFLICT, [append(1, 2, "a", at=0, expected=3), final("a")]),
    "an unknown turn behind another version": (Kind.CONFLICT, [A, append(3, 4, "b", expected=0), final("a", "b")]),
    "a conflict with what was expected": (
        Kind.CONFLICT,
        [A, append(3, 4, "c", expected=1, current=1, **CONFLICT), final("a")],
    ),
    "a conflict with an old version": (
        Kind.CONFLICT,
        [A, append(3, 4, "c", expected=1, current=0, **CONFLICT), final("a")],
    ),
    "a conflict though nothing moved": (
        Kind.CONFLICT,
        [A, append(3, 4, "c", expected=1, **CONFLICT), B._replace(begin=5 * MS, end=6 * MS), final("a", "b")],
    ),
    "a conflict with a version nobody made": (
        Kind.CONFLICT,
        [A, append(3, 4, "c", expected=1, current=9, **CONFLICT), final("a")],
    ),
    "a repeat answered as a conflict": (
        Kind.CONFLICT,
        [
            append(1, 2, "c", at=0, turn_id="C", expected=0),
            append(3, 4, "c", expected=0, current=1, **CONFLICT),
            final("c"),
        ],
    ),
    "seqs with a gap": (Kind.WRONG_ANSWER, [append(1, 2, "a", "b", at=0, seqs=(0, 2), version=3), final("a", "b")]),
    "too few seqs": (Kind.WRONG_ANSWER, [append(1, 2, "a", "b", at=0, seqs=(0,), version=1), final("a", "b")]),
    "seqs elsewhere": (Kind.WRONG_ANSWER, [append(1, 2, "a", at=5), final("a")]),
    "seqs of another turn": (Kind.WRONG_ANSWER, [append(1, 9, "a", at=0), append(1, 9, "b", at=0), final("a", "b")]),
    "another version": (Kind.WRONG_ANSWER, [append(1, 2, "a", at=0, version=2), final("a")]),
    "a duplicate without an id": (Kind.WRONG_ANSWER, [append(1, 2, "a", at=0, duplicate=True), final("a")]),
    "a repeat is answered elsewhere": (
        Kind.WRONG_ANSWER,
        [A_OWN, append(3, 4, "a", at=7, turn_id="A", duplicate=True), final("a")],
    ),
    "two calls both stored it": (Kind.WRONG_ANSWER, [A_OWN, append(1, 4, "a", at=0, turn_id="A"), final("a")]),
    "it stood there before the call that stored it": (
        Kind.WRONG_ANSWER,
        [append(1, 2, "a", turn_id="A"), read(3, 4, "a"), append(5, 6, "a", at=0, turn_id="A"), final("a")],
    ),
    "more than the limit": (Kind.WRONG_ANSWER, [A, B, read(5, 6, "a", "b", limit=1), final("a", "b")]),
    "what the bound excludes": (Kind.WRONG_ANSWER, [A, B, read(5, 6, "a", "b", after=0), final("a", "b")]),
}


@pytest.mark.parametrize("ops", FINE.values(), ids=FINE)
def test_what_the_contract_allows_is_no_anomaly(ops: list[Op]) -> None:
    """What a correct store can answer is not told, whatever happens at once."""
    assert check(ops) == []


@pytest.mark.parametrize(("kind", "ops"), BROKEN.values(), ids=BROKEN)
def test_what_the_contract_forbids_is_told_by_its_kind(kind: Kind, ops: list[Op]) -> None:
    """Each contradiction is found under its own name."""
    assert kind in kinds(*ops)


def test_the_window_is_the_declared_one() -> None:
    """A turn may land again behind as many others as the store says that it knows."""
    few = others(2, 1, 10)
    ops = [A_OWN, *few, append(60, 61, "a", at=3, turn_id="A"), final("a", *texts(few), "a")]
    assert kinds(*ops, window=2) == set()
    assert kinds(*ops, window=3) == {Kind.DUPLICATED}


def test_the_order_of_the_calls_in_a_history_does_not_matter() -> None:
    """Workers may hand in their calls one after the other."""
    ops = history(3)
    assert check(reversed(ops), window=4) == check(sorted(ops), window=4) == []


def test_an_anomaly_names_messages_calls_and_times() -> None:
    """An author reads who did what when, in milliseconds since the first call."""
    (anomaly,) = check([A, B, read(5, 6, "a"), final("a", "b")])
    assert anomaly.session == S
    assert anomaly.text == (
        "read by r (4.000 to 5.000 ms) does not show 'b' of the turn of 'b' at seq 1, "
        "which was there by append by w (2.000 to 3.000 ms)"
    )


def test_a_call_that_was_never_answered_is_told_so() -> None:
    """A call without an end is named as one."""
    (anomaly,) = check([append(1, None, "z"), A, read(5, 6, "a"), read(7, 8, at=0), final("a")])
    assert "does not show 'a'" in anomaly.text
    (other,) = check([read(1, 2, "a"), append(3, None, "a"), final("a")])
    assert "(2.000 to never answered)" in other.text


def test_only_a_few_anomalies_of_a_kind_are_told_and_the_others_counted() -> None:
    """A store that loses everything is told briefly."""
    lost = check([*others(500, 0, 1)[:400], final()])
    assert len(lost) == MOST_TOLD + 1
    assert lost[-1].text == f"and {400 - MOST_TOLD} more of this kind in this session"


@pytest.mark.parametrize(
    "ops",
    [
        [A],
        [A, read(3, 4, "a"), B],
        [A, read(5, 6, "a", limit=9)],
        [A, read(5, 6, after=0)],
        [A, final("a")._replace(outcome="unknown")],
        [A, final("a")._replace(end=None)],
    ],
)
def test_a_history_without_a_final_read_cannot_be_judged(ops: list[Op]) -> None:
    """Without a read of everything after everything else there is no order to compare with."""
    with pytest.raises(ValueError, match="no read of everything began after every other call had ended"):
        check(ops)


@pytest.mark.parametrize(
    "ops",
    [
        [append(1, 2, "a", turn_id="A"), append(1, 2, "b", turn_id="A"), final()],
        [append(1, 2), final()],
        [append(1, 2, "a"), append(1, 2, "a"), final()],
        [append(1, 2, "a", "a"), final()],
    ],
)
def test_a_history_whose_messages_are_not_unique_cannot_be_judged(ops: list[Op]) -> None:
    """A text that belongs to two places proves nothing."""
    with pytest.raises(ValueError, match=r"must all carry the same messages|is not unique"):
        check(ops)
