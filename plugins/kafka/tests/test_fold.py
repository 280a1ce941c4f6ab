"""Everyone who reads a log agrees on what counts, and what was promised holds."""

from contextlib import suppress

import pytest
from simulated import World, in_order, plain_live, plain_verdicts

from backscroll_kafka.fold import (
    APPEND,
    APPLIED,
    CONFLICT,
    DELETE,
    DISCARD,
    LOST,
    REMOVE,
    SHIFT,
    STRAY,
    Dropped,
    Entry,
    How,
    Short,
    Stretch,
    Undecidable,
    Verdict,
    find_turn,
    newest_turn,
    removed_by,
)

T, U, V = b"t" * 16, b"u" * 16, b"v" * 16

RUNS = 1_000
"""How many random interleavings each property is tried on."""

STEPS = 40


def append(offset: int, checked: int, turn_id: bytes = T, expected: int | None = None) -> Entry:
    """A turn of one message."""
    return Entry(offset, APPEND, checked, turn_id, b"d" * 8, None, expected, 1)


def whole(*entries: Entry, start: int = 0) -> Stretch:
    """All there is of a session."""
    return Stretch(entries, start, start)


def verdicts(*entries: Entry, start: int = 0) -> list[Verdict]:
    """What became of the turns."""
    stretch = whole(*entries, start=start)
    return [stretch.verdict(entry) for entry in entries if entry.kind == APPEND]


def test_a_turn_that_lands_twice_counts_once() -> None:
    """The later copy is the duplicate, whichever of them was sent first."""
    first_lands_late = [append(3, checked=3), append(5, checked=1)]
    assert verdicts(*first_lands_late) == [APPLIED, Verdict(How.DUPLICATE, 3)]
    assert verdicts(append(3, checked=1), append(5, checked=2)) == [APPLIED, Verdict(How.DUPLICATE, 3)]


def test_a_copy_that_does_not_count_makes_no_duplicate() -> None:
    """A turn that met a conflict may be sent again, and lands."""
    entries = (append(1, 0, U), append(2, 0, T, expected=0), append(3, 3, T))
    assert verdicts(*entries) == [APPLIED, CONFLICT, APPLIED]


def test_the_same_turn_before_what_was_checked_is_another_matter() -> None:
    """Whoever wrote the later one knew of it."""
    assert verdicts(append(1, 0), append(5, 2)) == [APPLIED, APPLIED]


def test_of_turns_for_one_version_the_first_counts() -> None:
    """The others conflict, and nothing is in conflict with a conflict."""
    entries = (append(4, 4, T, 0), append(5, 4, U, 0), append(6, 5, V, 0))
    assert verdicts(*entries) == [APPLIED, CONFLICT, APPLIED]


def test_a_deletion_takes_the_version_that_a_turn_expects() -> None:
    """Not one that is newer than what was deleted, and not that of a new session."""
    version = append(1, 0).version
    delete = Entry(2, DELETE, 2, bound=version)
    assert verdicts(append(1, 0), delete, append(3, 2, U, version)) == [APPLIED, CONFLICT]
    assert verdicts(append(1, 0), delete, append(3, 2, U, version + 1)) == [APPLIED, APPLIED]
    assert verdicts(append(1, 0), delete, append(3, 2, U, 0)) == [APPLIED, APPLIED]


def test_what_retention_left_undecided_is_lost() -> None:
    """With what hangs on it, but not with what something else decides."""
    assert verdicts(append(10, 5), start=8) == [LOST]
    assert verdicts(append(9, 9), append(10, 5), start=8) == [APPLIED, Verdict(How.DUPLICATE, 9)]
    entries = (append(10, 5, T), append(11, 9, U, 7), append(12, 12, V, 7), append(13, 9, U, 7))
    assert verdicts(*entries, start=8) == [LOST, LOST, APPLIED, CONFLICT]


def test_a_record_that_was_meant_for_another_log_is_a_stray() -> None:
    """It knows of more than there was."""
    assert verdicts(append(1, 100)) == [STRAY]


def test_what_was_meant_for_another_log_drops_nothing() -> None:
    """Whatever its kind, it neither hides messages nor takes a version, and it was no removal."""
    strays = [
        Entry(2, DISCARD, 9, bound=1 << 40),
        Entry(3, DELETE, 9, bound=1 << 40),
        Entry(4, REMOVE, 9, seqs=(1 << SHIFT,)),
    ]
    turns = append(1, 1), append(5, 2, U, append(1, 1).version)
    dropped = Dropped(strays)
    assert (dropped.bound, dropped.deleted, dropped.removed) == (0, 0, set())
    assert verdicts(turns[0], *strays, turns[1]) == [APPLIED, APPLIED]
    removal = Entry(6, REMOVE, 2, seqs=(1 << SHIFT,))
    assert removed_by(removal, strays) == removal.seqs
    assert removed_by(strays[2], ()) == ()


def test_a_short_look_says_how_far_it_has_to_go() -> None:
    """Unless what is seen decides already."""
    late, copy = append(9, 2, T, 0), append(8, 8, T)
    with pytest.raises(Short) as caught:
        Stretch([late], 5, 0).verdict(late)
    assert caught.value.low == 2
    assert Stretch([copy, late], 5, 0).verdict(late) == Verdict(How.DUPLICATE, 8)


def test_a_conflict_is_told_where_no_earlier_copy_can_lie_unseen() -> None:
    """Else a turn that is stored would be told as refused: it conflicts with what came behind its own first try."""
    first, other, delete, late = append(3, 2, T, 0), append(7, 7, U), Entry(8, DELETE, 8, bound=5), append(9, 2, T, 5)
    for between in (other, delete):
        with pytest.raises(Short) as caught:
            Stretch([between, late], 5, 0).verdict(late)
        assert caught.value.low == 2
        assert Stretch([first, between, late], 2, 0).verdict(late) == Verdict(How.DUPLICATE, 3)
        assert Stretch([between, late], 2, 0).verdict(late) == CONFLICT
        assert Stretch([between, late], 5, 5).verdict(late) == CONFLICT


def test_verdicts_do_not_hang_on_what_others_keep_of_them() -> None:
    """Another thread may forget them at any moment."""

    class Forgetful(dict[int, Verdict]):
        def __setitem__(self, offset: int, verdict: Verdict) -> None:
            pass

    entries = [append(offset, max(0, offset - 3), offset.to_bytes(16, "big"), 0) for offset in range(20)]
    kept, forgotten = Stretch(entries, 0, 0), Stretch(entries, 0, 0, Forgetful())
    assert [forgotten.verdict(entry) for entry in entries] == [kept.verdict(entry) for entry in entries]


def test_a_long_burst_of_conditional_turns_is_decided() -> None:
    """However many hang on each other."""
    entries = [append(offset, max(0, offset - 1), offset.to_bytes(16, "big"), 0) for offset in range(20_000)]
    assert whole(*entries).verdict(entries[-1]) == CONFLICT


def test_the_largest_bound_counts() -> None:
    """A control record that lands late brings nothing back."""
    dropped = Dropped([Entry(3, DISCARD, bound=34), Entry(4, DISCARD, bound=18), Entry(5, REMOVE, seqs=(40,))])
    assert (dropped.bound, dropped.deleted) == (34, 0)
    assert [dropped.has(seq) for seq in (18, 33, 34, 40, 41)] == [True, True, False, True, False]


def test_a_deletion_takes_version_and_turns() -> None:
    """Also for a reader who saw nothing of what it took."""
    turn = append(1, 0)
    entries = (turn, Entry(2, DELETE, bound=turn.version))
    dropped = Dropped(entries)
    assert newest_turn(whole(*entries), dropped) is None
    assert find_turn(whole(*entries), dropped, T, 16, None) is None
    assert newest_turn(Stretch(entries[1:], 2, 0), dropped) is None
    anew = (*entries, append(3, 3))
    assert newest_turn(whole(*anew), dropped) == anew[-1]


def test_the_version_is_looked_for_as_far_as_it_takes() -> None:
    """A refused turn has none."""
    refused = (append(8, 8, U), append(9, 8, T, 5))
    assert newest_turn(whole(*refused), Dropped()) == refused[0]
    with pytest.raises(Short) as caught:
        newest_turn(Stretch((), 5, 0), Dropped())
    assert caught.value.low == 4


def test_a_turn_is_known_among_the_last_ones_and_since_its_first_try() -> None:
    """The window counts what counts."""
    entries = [append(offset, offset, offset.to_bytes(16, "big")) for offset in range(40)]
    stretch, dropped = whole(*entries), Dropped()
    assert find_turn(stretch, dropped, entries[24].turn_id, 16, None) == entries[24]
    assert find_turn(stretch, dropped, entries[23].turn_id, 16, None) is None
    assert find_turn(stretch, dropped, entries[10].turn_id, 16, 10) == entries[10]
    assert find_turn(stretch, dropped, entries[9].turn_id, 16, 10) is None


def test_a_lost_copy_of_a_turn_is_told() -> None:
    """Nobody can say whether it counts."""
    with pytest.raises(Undecidable):
        find_turn(whole(append(10, 5), start=8), Dropped(), T, 16, None)


def test_of_several_removals_the_first_has_each_seq() -> None:
    """What was discarded meanwhile is not removed either."""
    first, discard = Entry(5, REMOVE, 4, seqs=(1, 2)), Entry(6, DISCARD, 5, bound=4)
    second = Entry(7, REMOVE, 4, seqs=(2, 3, 9))
    log = [first, discard, second]
    assert removed_by(first, log) == (1, 2)
    assert removed_by(second, log) == (9,)


@pytest.mark.parametrize("retention", [False, True])
def test_lazy_verdicts_are_those_of_the_plain_model(retention: bool) -> None:
    """For all who look back as far as has to be, wherever they begin, and whatever was asked before."""
    for seed in range(RUNS):
        world = World(seed, retention=retention)
        world.run(STEPS)
        plain = plain_verdicts(world.log)
        for low in range(0, world.end, 7):
            stretch = world.stretch(low, start=0)
            turns = [entry for entry in stretch.entries if entry.kind == APPEND]
            world.random.shuffle(turns)
            for entry in turns:
                with suppress(Short):
                    how = stretch.verdict(entry).how
                    assert (how is How.APPLIED) == (plain[entry.offset] is How.APPLIED), (seed, low, entry)


def test_after_retention_a_turn_counts_as_before_or_is_lost() -> None:
    """Nothing comes back, and nothing that was refused counts."""
    for seed in range(RUNS):
        world = World(seed, retention=True)
        world.run(STEPS)
        plain = plain_verdicts(world.log)
        for start in range(0, world.end, 5):
            stretch = world.stretch(start, start=start)
            for entry in stretch.entries:
                if entry.kind == APPEND:
                    how = stretch.verdict(entry).how
                    assert how is How.LOST or (how is How.APPLIED) == (plain[entry.offset] is How.APPLIED), (
                        seed,
                        entry,
                    )


@pytest.mark.parametrize("deletes", [False, True])
def test_what_writers_were_told_is_what_the_log_says(deletes: bool) -> None:
    """An acknowledged turn counts once, at the seq that was told; a conditional one landed on its version."""
    for seed in range(RUNS):
        world = World(seed, deletes=deletes)
        world.run(STEPS)
        plain = plain_verdicts(world.log)
        applied = [entry for entry in world.log if plain.get(entry.offset) is How.APPLIED]
        counted = {entry.first_seq for entry in applied}
        for turn, tries in world.turns.items():
            landed = {seq for told in tries for seq in told.landed}
            assert landed <= counted, (seed, turn)
            copies = [entry for entry in applied if entry.turn_id == turn.to_bytes(16, "big")]
            if not deletes:
                assert len(copies) <= 1, (seed, turn)
                assert not (copies and all(told.refused for told in tries)), (seed, turn)
        for entry in applied:
            if entry.expected is not None:
                dropped = Dropped(other for other in world.log if other.offset < entry.offset)
                before = [other for other in applied if dropped.deleted <= other.first_seq < entry.first_seq]
                assert entry.expected == (before[-1].version if before else 0), (seed, entry)


def test_what_readers_find_is_in_order_and_the_same_for_all() -> None:
    """Also of removals, each of which is answered once."""
    for seed in range(RUNS):
        world = World(seed)
        world.run(STEPS)
        found = world.live()
        assert in_order(found), seed
        assert found == plain_live(world.log), seed
        for low in range(0, world.end, 11):
            with suppress(Short):
                assert world.live(low=low, start=0) == found, (seed, low)
        assert all(len(answers) == 1 for answers in world.removed.values()), seed
