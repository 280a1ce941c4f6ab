from collections import Counter
from collections.abc import Callable
from random import SystemRandom

import pytest
from simulated import history

from backscroll_conformance.checker import Kind, check
from backscroll_conformance.history import Op


def fresh(count: int) -> range:
    """Seeds that were never used before; a test that fails shows its own."""
    first = SystemRandom().randrange(2**40)
    return range(first, first + count)


def kinds(ops: list[Op]) -> set[Kind]:
    """The kinds of anomalies in a history of a store that knows its last 4 turns."""
    return {anomaly.kind for anomaly in check(ops, window=4)}


def faulty(seed: int, fault: str, *, clears: bool) -> list[Op]:
    """A short run of a store with a fault."""
    # It takes a conditional turn that is repeated before the window has passed: more clients, more of them.
    workers = 12 if fault == "conflict before duplicate" else 5
    return history(seed, calls=160, workers=workers, fault=fault, clears=clears)


def acknowledged_once(ops: list[Op]) -> set[str]:
    """The messages that were acknowledged to the only call that sent them."""
    appends = [op for op in ops if op.kind == "append"]
    sent = Counter(text for op in appends for text in op.texts)
    return {text for op in appends if op.outcome == "done" for text in op.texts if sent[text] == 1}


@pytest.mark.parametrize("window", [2, 4, 16])
@pytest.mark.parametrize("workers", [2, 5])
def test_a_correct_store_is_never_suspected(window: int, workers: int) -> None:
    """Whatever a correct store answers to clients at once, there is no anomaly; the seed is told."""
    for seed in fresh(40):
        found = check(history(seed, window=window, workers=workers, calls=40), window=window)
        assert (seed, found) == (seed, [])


FAULTS = {
    "lost update": {Kind.CONFLICT},
    "doubled retry": {Kind.DUPLICATED},
    "stale read": {Kind.STALE},
    "clock skew": {Kind.REORDERED},
    "torn append": {Kind.TORN},
    "lost append": {Kind.LOST, Kind.STALE},
    "wrong answer": {Kind.WRONG_ANSWER},
    "phantom": {Kind.PHANTOM},
    "cached version": {Kind.CONFLICT},
    "conflict before duplicate": {Kind.CONFLICT, Kind.PHANTOM},
}


@pytest.mark.parametrize(("fault", "expected"), FAULTS.items(), ids=FAULTS)
def test_a_store_with_a_fault_is_found(fault: str, expected: set[Kind]) -> None:
    """In at least 19 of 20 short runs the fault is found under its own name."""
    missed = [seed for seed in fresh(20) if not expected & kinds(faulty(seed, fault, clears=False))]
    assert len(missed) <= 1, missed


@pytest.mark.parametrize(("fault", "expected"), [("ignored clear", Kind.PHANTOM), ("greedy clear", Kind.LOST)])
def test_a_store_that_clears_wrongly_is_found(fault: str, expected: Kind) -> None:
    """In some of a few runs with clears the fault is found under its own name."""
    seeds = fresh(20)
    runs = [kinds(faulty(seed, fault, clears=True)) for seed in seeds]
    assert any(expected in run for run in runs), seeds


def drop(read: Op, known: set[str]) -> Op:
    """Without the newest that is known."""
    seq = max(seq for seq, text in read.found if text in known)
    return read._replace(found=tuple(row for row in read.found if row[0] != seq))


def shift(read: Op, known: set[str]) -> Op:
    """Everything one seq higher."""
    return read._replace(found=tuple((seq + 1, text) for seq, text in read.found))


def turn_round(read: Op, known: set[str]) -> Op:
    """In the opposite order."""
    seqs, shown = zip(*read.found, strict=True)
    return read._replace(found=tuple(zip(seqs, reversed(shown), strict=True)))


def swap(read: Op, known: set[str]) -> Op:
    """The first and the last of those that are known change places."""
    rows = dict(read.found)
    low, *_, high = (seq for seq, text in read.found if text in known)
    rows[low], rows[high] = rows[high], rows[low]
    return read._replace(found=tuple(rows.items()))


def double(read: Op, known: set[str]) -> Op:
    """The newest again, behind itself."""
    (_, text), (last, _) = read.found[-1], read.found[-1]
    return read._replace(found=(*read.found, (last + 1, text)))


def invent(read: Op, known: set[str]) -> Op:
    """A message of nobody."""
    return read._replace(found=(*read.found, (read.found[-1][0] + 1, "nobody's")))


MUTATIONS: list[tuple[Callable[[Op, set[str]], Op], set[Kind]]] = [
    (drop, {Kind.LOST, Kind.TORN}),
    (shift, {Kind.WRONG_ANSWER}),
    (turn_round, {Kind.REORDERED}),
    (swap, {Kind.REORDERED}),
    (double, {Kind.DUPLICATED}),
    (invent, {Kind.PHANTOM}),
]


@pytest.mark.parametrize(("mutate", "expected"), MUTATIONS, ids=lambda value: getattr(value, "__name__", ""))
def test_a_changed_final_read_is_found(mutate: Callable[[Op, set[str]], Op], expected: set[Kind]) -> None:
    """A correct history whose final read is changed contradicts itself, in the way in which it was changed."""
    for seed in fresh(30):
        *before, last = history(seed, clears=False, calls=60)
        found = kinds([*before, mutate(last, acknowledged_once(before))])
        assert (seed, bool(expected & found)) == (seed, True)


def test_a_read_that_misses_one_known_message_is_found() -> None:
    """Any acknowledged message that is taken out of a later read of everything makes it stale, or a turn torn."""
    for seed in fresh(20):
        *before, last = history(seed, clears=False, calls=60)
        known = acknowledged_once(before)
        late = last._replace(begin=last.end + 1, end=last.end + 1)
        for missing in [row for row in last.found if row[1] in known][::10]:
            early = last._replace(found=tuple(row for row in last.found if row != missing))
            found = kinds([*before, early, late])
            assert (seed, missing, bool({Kind.STALE, Kind.TORN} & found)) == (seed, missing, True)
