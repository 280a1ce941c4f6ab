"""The drawing of a timeline tells the truth about its calls."""

from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from backscroll_conformance.drawing import BETWEEN_TICKS, NARROW, WIDE, Bar, drawn
from backscroll_conformance.timeline import Call, Timeline

MOMENTS = st.floats(0, 10_000).map(lambda moment: round(moment, 3))


def call(begin: float, end: float | None = None, worker: str = "w", **rest: object) -> Call:
    """A call."""
    given = {"kind": "append", "outcome": "done", "given": "", "answer": "", "involved": False, **rest}
    return Call(worker=worker, begin=begin, end=end, **given)  # type: ignore[arg-type]


def timeline(*calls: Call) -> Timeline:
    """A timeline of some calls."""
    return Timeline("lost", "it was lost", "s", tuple(calls), 0)


@st.composite
def calls(draw: st.DrawFn) -> Call:
    """Any call that was answered, or not."""
    begin, end = sorted((draw(MOMENTS), draw(MOMENTS)))
    return call(begin, draw(st.sampled_from([end, None])), draw(st.sampled_from("abc")), involved=draw(st.booleans()))


def overlap(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether two spans have more than a moment in common."""
    return max(one[0], other[0]) < min(one[1], other[1])


def span(bar: Bar) -> tuple[float, float]:
    """Where a bar begins and ends."""
    return bar.x, bar.x + bar.width


@settings(deadline=None)  # others may keep the machine busy
@given(st.lists(calls(), max_size=12))
def test_what_overlaps_on_the_drawing_did_overlap(made: list[Call]) -> None:
    """And what did not, does not; each bar lies within the drawing, in the lane of its worker."""
    drawing = drawn(timeline(*made))
    lasting = [bar for bar in drawing.bars if bar.call.end is None or bar.call.end > bar.call.begin]
    for one, other in combinations(lasting, 2):
        really = overlap(
            *((bar.call.begin, float("inf") if bar.call.end is None else bar.call.end) for bar in (one, other))
        )
        assert overlap(span(one), span(other)) == really
    assert all(bar.x > 0 and bar.x + bar.width <= drawing.width for bar in drawing.bars)
    assert [dict(drawing.lanes)[bar.call.worker] for bar in drawing.bars] == [bar.y for bar in drawing.bars]


@settings(deadline=None)  # others may keep the machine busy
@given(st.lists(calls(), max_size=12))
def test_times_along_the_axis_stand_in_order_and_apart(made: list[Call]) -> None:
    """Each at the place of a call that begins or ends then, so that none covers another."""
    drawing = drawn(timeline(*made))
    assert list(drawing.ticks) == sorted(drawing.ticks)
    assert all(right - left >= BETWEEN_TICKS for (left, _), (right, _) in pairwise(drawing.ticks))
    edges = {(bar.x, bar.call.begin) for bar in drawing.bars}
    edges |= {(bar.x + bar.width, bar.call.end) for bar in drawing.bars if bar.call.end}
    assert bool(made) == bool(drawing.ticks)
    assert {moment for _, moment in drawing.ticks} <= {moment for _, moment in edges}


def test_a_long_time_in_which_nothing_happened_is_cut() -> None:
    """It takes no more room than others, and is marked."""
    drawing = drawn(timeline(call(0, 1), call(2, 3), call(5_000, 5_001)))
    left, right = drawing.bars[1].x + drawing.bars[1].width, drawing.bars[2].x
    assert (drawing.cuts, right - left) == (((left, right),), WIDE)


def test_a_moment_has_room_for_its_names() -> None:
    """However little time lies between two calls of one worker."""
    drawing = drawn(timeline(call(0, 0.001), call(0.002, 0.003), call(0.004, 900)))
    assert all(bar.width >= NARROW for bar in drawing.bars)


def test_each_call_is_named_by_its_kind_and_place_with_a_sign_of_its_outcome() -> None:
    """A call that was never answered has a sign of its own and reaches to the end."""
    made = [
        call(1, 2),
        call(2, 3, kind="read", outcome="refused"),
        call(3, 4, kind="clear", outcome="unknown"),
        call(4, 5, outcome="conflict"),
        call(5, None),
        call(6, 9, kind="<other>", outcome="odd"),
    ]
    drawing = drawn(timeline(*made))
    assert [bar.name + bar.sign for bar in drawing.bars] == [
        "A1",
        "R2\N{MULTIPLICATION SIGN}",
        "C3?",
        "A4≠",
        "A5…",
        "?6?",
    ]
    assert span(drawing.bars[4])[1] > span(drawing.bars[5])[1]


def test_no_time_breaks_the_drawing() -> None:
    """A report from elsewhere may say anything: it stays a drawing of finite size."""
    made = [call(-1.7e308, 1.7e308), call(1.7e308, -1.7e308), call(5e-324, 0.0), call(0.0, 0.0)]
    assert 0 < drawn(timeline(*made)).width < 1_000
    assert drawn(timeline()).bars == ()
