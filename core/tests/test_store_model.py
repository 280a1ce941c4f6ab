"""`Store` against a plain list, by random operations over three backends: dense, log-like and SQLite."""

import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from toy import Toy

import backscroll
from backscroll import Message, Store

SESSIONS = st.sampled_from(["a", "A", "a ", "a\0", "ä", "a\u0308", "'; DROP TABLE session;--", "%", "\U0001f600"])
SECOND = 1_000_000_000


class Model(RuleBasedStateMachine):
    """Each session is a list of (seq, text, expiry), the version, and the answers by turn_id."""

    def open(self, clock: Any, seed: int) -> Store:
        raise NotImplementedError

    @initialize(seed=st.integers(1, 1 << 30))
    def begin(self, seed: int) -> None:
        self.now = 1_000 * SECOND
        self.store = self.open(lambda: self.now, seed)
        self.live: dict[str, list[tuple[int, str, int | None]]] = {}
        self.version: dict[str, int] = {}
        self.turns: dict[str, list[tuple[str, list[Message], backscroll.Appended]]] = {}
        self.names = itertools.count()

    def teardown(self) -> None:
        self.store.close()

    def expected(self, session_id: str) -> list[tuple[int, str]]:
        return [(seq, text) for seq, text, end in self.live.get(session_id, []) if end is None or end > self.now]

    @rule(session_id=SESSIONS)
    def append_without_id(self, session_id: str) -> None:
        text = f"message {next(self.names)}"
        answer = self.store.append(session_id, Message("assistant", text))
        assert not answer.duplicate
        self.live.setdefault(session_id, []).append((answer.seqs[0], text, None))
        self.version[session_id] = answer.version
        self.turns.setdefault(session_id, []).append((str(answer.turn_id), [Message("assistant", text)], answer))

    @rule(session_id=SESSIONS, size=st.integers(1, 4), ttl=st.none() | st.integers(1, 5), conditional=st.booleans())
    def append(self, session_id: str, size: int, ttl: int | None, conditional: bool) -> None:
        texts = [f"message {next(self.names)}" for _ in range(size)]
        messages = [Message("user", text) for text in texts]
        known = self.version.get(session_id, 0)
        answer = self.store.append(
            session_id,
            messages,
            turn_id=texts[0],
            ttl=ttl,
            expected_version=known if conditional else None,
        )
        assert answer.seqs == tuple(range(answer.seqs[0], answer.seqs[0] + size))
        assert answer.seqs[0] >= known
        assert answer.version == answer.seqs[-1] + 1
        end = None if ttl is None else self.now + ttl * SECOND
        entries = [(seq, text, end) for seq, text in zip(answer.seqs, texts, strict=True)]
        self.live.setdefault(session_id, []).extend(entries)
        self.version[session_id] = answer.version
        self.turns.setdefault(session_id, []).append((texts[0], messages, answer))

    @rule(session_id=SESSIONS, back=st.integers(0, 15))
    def repeat(self, session_id: str, back: int) -> None:
        turns = self.turns.get(session_id, [])
        if back < len(turns):
            name, messages, first = turns[-1 - back]
            again = self.store.append(session_id, messages, turn_id=name, expected_version=0)
            assert (again.seqs, again.version, again.duplicate) == (first.seqs, first.version, True)
            with pytest.raises(backscroll.TurnIdReused):
                self.store.append(session_id, Message("user", "something else"), turn_id=name)

    @rule(session_id=SESSIONS, off=st.sampled_from([-1, 1, 1 << 40]))
    def conflict(self, session_id: str, off: int) -> None:
        known = self.version.get(session_id, 0)
        if known + off >= 0:
            with pytest.raises((backscroll.VersionConflict, backscroll.OutcomeUnknown)) as caught:
                self.store.append(session_id, Message("user", "no"), expected_version=known + off, timeout=0.3)
            if isinstance(caught.value, backscroll.VersionConflict):
                assert caught.value.current == known

    @rule(
        session_id=SESSIONS,
        low=st.none() | st.integers(0, 12),
        high=st.none() | st.integers(0, 12),
        limit=st.integers(1, 8),
        newest=st.booleans(),
    )
    def read(self, session_id: str, low: int | None, high: int | None, limit: int, newest: bool) -> None:
        everything = self.live.get(session_id, [])
        after = everything[low][0] if low is not None and low < len(everything) else None
        before = everything[high][0] if high is not None and high < len(everything) else None
        window = [
            (seq, text)
            for seq, text in self.expected(session_id)
            if (after is None or seq > after) and (before is None or seq < before)
        ]
        found = self.store.read(session_id, after=after, before=before, limit=limit, newest=newest)
        assert pairs(found) == (window[-limit:] if newest else window[:limit])

    @rule(session_id=SESSIONS)
    def clear(self, session_id: str) -> None:
        self.store.clear(session_id)
        self.live[session_id] = []

    @rule(session_id=SESSIONS, place=st.integers(0, 12))
    def discard(self, session_id: str, place: int) -> None:
        everything = self.live.get(session_id, [])
        before = everything[place][0] if place < len(everything) else 1 << 62
        self.store.discard(session_id, before=before)
        self.live[session_id] = [entry for entry in everything if entry[0] >= before]

    @rule(session_id=SESSIONS, places=st.sets(st.integers(0, 12), max_size=3))
    def remove(self, session_id: str, places: set[int]) -> None:
        there = self.expected(session_id)
        seqs = tuple(there[place][0] for place in sorted(places) if place < len(there))
        assert self.store.remove(session_id, [*reversed(seqs), 1 << 50]) == seqs
        self.live[session_id] = [entry for entry in self.live.get(session_id, []) if entry[0] not in seqs]

    @rule(session_id=SESSIONS)
    def delete(self, session_id: str) -> None:
        self.store.delete(session_id)
        for kept in (self.live, self.version, self.turns):
            kept.pop(session_id, None)

    @rule(seconds=st.integers(1, 3))
    def wait(self, seconds: int) -> None:
        self.now += seconds * SECOND

    @rule(prefix=st.sampled_from(["", "a", "\U0001f600", "zz"]), limit=st.integers(1, 4))
    def sessions(self, prefix: str, limit: int) -> None:
        found: list[str] = []
        cursor = None
        while True:
            page = self.store.sessions(prefix=prefix, cursor=cursor, limit=limit)
            found.extend(page)
            if (cursor := page.cursor) is None:
                break
        assert found == sorted((key for key in self.version if key.startswith(prefix)), key=str.encode)

    @rule(session_id=SESSIONS, k=st.integers(1, 5))
    def last(self, session_id: str, k: int) -> None:
        assert pairs(self.store.last(session_id, k)) == self.expected(session_id)[-k:]

    @invariant()
    def same(self) -> None:
        for session_id in self.version:
            expected = self.expected(session_id)
            assert pairs(self.store.iterate(session_id)) == expected
            assert self.store.count(session_id) == len(expected)
            assert self.store.version(session_id) == self.version[session_id]


def pairs(records: Any) -> list[tuple[int, str]]:
    """The place and the text of each record."""
    return [(record.seq, record.message.content) for record in records]


class Dense(Model):
    def open(self, clock: Any, seed: int) -> Store:
        return Store(Toy(clock=clock))


class LogLike(Model):
    def open(self, clock: Any, seed: int) -> Store:
        return Store(Toy(faults=0.3, seed=seed, clock=clock))


class SQLite(Model):
    def open(self, clock: Any, seed: int) -> Store:
        return backscroll.open("sqlite://", clock=clock)


@pytest.mark.parametrize("machine", [Dense, LogLike, SQLite])
def test_store_behaves_like_a_plain_list(machine: type[Model]) -> None:
    """Whatever is done to it, and whatever goes wrong underneath, a store answers as a plain list would."""
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
