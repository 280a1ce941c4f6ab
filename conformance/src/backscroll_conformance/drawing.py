"""A timeline as a drawing: where its calls, workers and times stand."""

from collections.abc import Iterable
from itertools import pairwise
from statistics import median
from typing import Final

import attrs

from backscroll_conformance.timeline import Call, Timeline

LANE: Final = 38.0
"""How much room each worker has from top to bottom; like all lengths here in units of the drawing."""

TOP: Final = 14.0
AXIS: Final = 34.0
MARGIN: Final = 32.0
"""What is free above the lanes, below them for the times, and beside them."""

NARROW, USUAL, WIDE = 16.0, 24.0, 64.0
"""The least, the median and the greatest room between a moment and the next."""

BETWEEN_TICKS: Final = 62.0
"""How far apart the times along the axis are at the least."""

LETTERS: Final = {"append": "A", "read": "R", "clear": "C"}
"""By what the name of a call of each kind begins."""

SIGNS: Final = {"done": "", "refused": "\N{MULTIPLICATION SIGN}", "conflict": "\N{NOT EQUAL TO}", "unknown": "?"}
"""What stands behind the name of a call of each outcome."""

UNANSWERED: Final = "\N{HORIZONTAL ELLIPSIS}"
"""What stands behind the name of a call that was never answered."""


@attrs.frozen
class Bar:
    """A call as it is drawn.

    Args:
        name: Its name in this timeline, for example ``A3``.
        sign: What became of it, as a sign.
        call: The call.
        x: Where it begins.
        y: Where the top of its worker's lane is.
        width: How long it is.
    """

    name: str
    sign: str
    call: Call
    x: float
    y: float
    width: float


@attrs.frozen
class Drawing:
    """A timeline with all its places.

    Args:
        width: How wide it is.
        height: How high it is.
        lanes: The workers, each with the top of its lane.
        bars: The calls, in the order of the timeline.
        ticks: Places along the axis with their times, in milliseconds.
        cuts: From where to where the axis leaves out most of the time that passed.
    """

    width: float
    height: float
    lanes: tuple[tuple[str, float], ...]
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, float], ...]
    cuts: tuple[tuple[float, float], ...]


def drawn(timeline: Timeline) -> Drawing:
    """Draw a timeline.

    It is not to scale, or one would see nothing: a call takes less than a millisecond, and what it contradicts may come
    seconds later. The order of all moments is kept, so that what overlaps on the drawing did overlap.
    """
    places, cuts = _places(timeline.calls)
    right = max(places.values(), default=MARGIN)
    workers = sorted({one.worker for one in timeline.calls})
    tops = {worker: TOP + number * LANE for number, worker in enumerate(workers)}
    bars = []
    for number, call in enumerate(timeline.calls, 1):
        x = places[call.begin]
        end = right + MARGIN / 2 if call.end is None else places[call.end]
        sign = UNANSWERED if call.end is None else SIGNS.get(call.outcome, "?")
        bars.append(Bar(f"{LETTERS.get(call.kind, '?')}{number}", sign, call, x, tops[call.worker], max(4.0, end - x)))
    return Drawing(
        width=right + MARGIN,
        height=TOP + len(workers) * LANE + AXIS,
        lanes=tuple(tops.items()),
        bars=tuple(bars),
        ticks=_ticks(timeline.calls, places),
        cuts=cuts,
    )


def _places(calls: Iterable[Call]) -> tuple[dict[float, float], tuple[tuple[float, float], ...]]:
    """The place of each moment, and the spans that are cut."""
    moments = sorted({moment for one in calls for moment in (one.begin, one.end) if moment is not None})
    steps = [right - left for left, right in pairwise(moments)]
    usual = median(steps) if steps else 1.0
    places, cuts, x = {}, [], MARGIN - NARROW
    for moment, step in zip(moments, [0.0, *steps], strict=False):
        wanted = USUAL * (step / usual)
        before, x = x, x + (min(wanted, WIDE) if wanted > NARROW else NARROW)
        if wanted > WIDE:
            cuts.append((before, x))
        places[moment] = x
    return places, tuple(cuts)


def _ticks(calls: Iterable[Call], places: dict[float, float]) -> tuple[tuple[float, float], ...]:
    """As many times as there is room for, first those of the calls that contradict each other."""
    chosen: dict[float, float] = {}
    for call in sorted(calls, key=lambda one: not one.involved):
        for moment in (call.begin, call.end):
            if moment is not None and all(abs(places[moment] - x) >= BETWEEN_TICKS for x in chosen):
                chosen[places[moment]] = moment
    return tuple(sorted(chosen.items()))
