"""Whatever goes on in a process and around it, a call finds what the log says."""

import random
from collections import defaultdict
from typing import Any

import pytest
from faked import PLACE, Log, run
from test_sessions import walked

from backscroll_kafka.fold import DISCARD, SHIFT

NAMES = [b"a", b"b", b"c"]


class Others:
    """Those who write, drop and read meanwhile, and what is there by what they did.

    Args:
        log: Where they do.
        seed: Of the random choices.
    """

    def __init__(self, log: Log, seed: int) -> None:
        self.log = log
        self.random = random.Random(seed)
        self.there: defaultdict[bytes, list[int]] = defaultdict(list)
        self.reading = b""

    def write(self, name: bytes) -> None:
        """Add a turn, or drop some."""
        what, there = self.random.random(), self.there[name]
        if what < 0.7 or not there:
            there.append(self.log.turn(name))
        elif what < 0.85:
            self.log.remove(name, there.pop(self.random.randrange(len(there))))
        else:
            bound = there[len(there) // 2]
            self.log.drop(name, DISCARD, bound)
            self.there[name] = [seq for seq in there if seq >= bound]

    def look(self) -> None:
        """Do something in the midst of a look back; other sessions than the one that is read may change."""
        if self.random.random() < 0.5:
            name = self.random.choice(NAMES)
            self.log.sight(name)
            if name != self.reading:
                self.write(name)
            self.log.heard()

    def disturb(self) -> None:
        """Let retention cut the log, or the tail lose it, now and then."""
        if self.random.random() < 0.05:
            self.log.start = self.random.randint(self.log.start, self.log.end // 2)
            for name, there in self.there.items():
                self.there[name] = [seq for seq in there if seq >> SHIFT >= self.log.start]
            self.log.views.cut(self.log.view(), self.log.start)
        if self.random.random() < 0.05:
            self.log.views.drop(PLACE)


@pytest.mark.parametrize("index_bytes", [-1, 900, 1 << 20])
@pytest.mark.parametrize("cache_bytes", [1, 1 << 20])
def test_what_is_found_is_what_the_log_says(monkeypatch: Any, index_bytes: int, cache_bytes: int) -> None:
    """With little room or much, while others write, drop and read."""
    monkeypatch.setattr("backscroll_kafka.logs.FIRST_STEP", 7)
    for seed in range(12):
        log = Log(monkeypatch, cache_bytes=cache_bytes, index_bytes=index_bytes)
        others = Others(log, seed)
        log.scanning = others.look
        for _ in range(60):
            for _ in range(others.random.randrange(6)):
                others.write(others.random.choice(NAMES))
            others.disturb()
            name = others.reading = others.random.choice(NAMES)
            newest, limit = others.random.random() < 0.5, others.random.choice([1, 3, 100])
            sight, there = log.sight(name), others.there[name]
            assert walked(sight, limit, newest=newest) == (there[::-1] if newest else there), seed
            assert run(sight.count(0)) == len(there), seed
            assert run(sight.live([offset << SHIFT for offset in range(log.end)], 0)) == there, seed
            assert log.views._cached == sum(session.size for session in log.views._used.values()), seed
