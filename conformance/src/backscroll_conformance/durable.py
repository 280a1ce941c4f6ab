"""The durable tier: clients that are killed in the middle of their appends."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import attrs

from backscroll.errors import BackscrollError
from backscroll_conformance.clauses import Tier, clause
from backscroll_conformance.client import LONG_TURN, Job, Planned
from backscroll_conformance.expect import Broken, equal, true
from backscroll_conformance.processes import Client, why_not_elsewhere
from backscroll_conformance.subject import NotRun, Subject, Twin, messages, texts_of
from backscroll_conformance.workload import fitting

WORKERS: Final = 4
"""How many threads or tasks of a client append at once."""

SESSIONS: Final = 2
"""Over how many sessions they are spread."""

AT_ONCE: Final = 2
"""How many clients are at work at once."""

LEAST_WINDOW: Final = 16
"""How many of its last turns every session knows."""

MOST_TURNS: Final = 20
"""After how many acknowledged turns a client is killed at the latest, give or take `LONGEST_PAUSE`."""

LONGEST_PAUSE: Final = 0.05
"""The longest time, in seconds, that a client goes on after these turns: the moment of the kill is random."""


@attrs.frozen
class Killed:
    """What a client did before it was killed.

    Args:
        sessions: Where it appended.
        acknowledged: The seqs of every turn that was acknowledged.
        most: How many messages a turn can have.
    """

    sessions: list[str]
    acknowledged: dict[Planned, tuple[int, ...]]
    most: int

    @property
    def under_way(self) -> list[Planned]:
        """The turns that may have been under way: the next one of each worker."""
        done = [sum(turn.worker == worker for turn in self.acknowledged) for worker in range(WORKERS)]
        return [Planned(worker, number, self.most) for worker, number in enumerate(done)]

    @property
    def acknowledged_last(self) -> list[Planned]:
        """The newest turn of each session that was acknowledged."""
        by_seq = sorted(self.acknowledged, key=lambda turn: self.acknowledged[turn])
        return list({self.session_of(turn): turn for turn in by_seq}.values())

    def session_of(self, turn: Planned) -> str:
        """Where a turn was appended."""
        return self.sessions[turn.worker % SESSIONS]


@clause("DUR-001", tier=Tier.DURABLE)
async def kept(s: Subject) -> None:
    """What a client acknowledged before it was killed MUST be there for others: once, whole and in order."""
    for killed in _kills(s):
        found = await _found(s, killed)
        for turn, seqs in killed.acknowledged.items():
            expected = list(zip(seqs, turn.texts, strict=True))
            equal(found[turn], expected, f"turn {turn.turn_id}, which was acknowledged before the client was killed")


@clause("DUR-002", tier=Tier.DURABLE)
async def whole(s: Subject) -> None:
    """A turn under way when its client is killed MUST be there whole or not at all."""
    landed = 0
    for killed in _kills(s):
        found = await _found(s, killed)
        for turn in killed.under_way:
            if records := found.pop(turn, None):
                _is_whole(turn, records)
                landed += 1
        strangers = [turn.turn_id for turn in found if turn not in killed.acknowledged]
        equal(strangers, [], "the turns that are there and were never begun")
    s.figures["turns under way that had landed"] = landed


@clause("DUR-003", tier=Tier.DURABLE)
async def unlocked(s: Subject) -> None:
    """After a client is killed, others MUST be able to append within the deadline: it leaves no lock behind."""
    longest = 0.0
    for killed in _kills(s):
        for session_id in killed.sessions:
            began = time.monotonic()
            try:
                answer = await s.store.append(session_id, messages("after the kill"))
            except BackscrollError as error:
                name = type(error).__name__
                raise Broken(f"after a client was killed, another could not append: {name}: {error}") from error
            longest = max(longest, time.monotonic() - began)
            seq = answer.seqs[0]
            found = await s.store.read(session_id, after=seq - 1, before=seq + 1)
            equal([(r.seq, r.message.content) for r in found], [(seq, "after the kill")], "the message after the kill")
    s.figures["longest append after a kill (ms)"] = round(longest * 1_000, 1)


@clause("DUR-004", tier=Tier.DURABLE)
async def repeated(s: Subject) -> None:
    """A turn under way when its client is killed MUST land once when another client repeats it by its turn_id."""
    duplicates = 0
    for killed in _kills(s):
        other, _ = s.open()
        # The one that was acknowledged last is such a turn, too, for all that the client's users may have seen.
        doubtful = [*killed.under_way, *killed.acknowledged_last]
        known = _within_the_window(killed, await _found(s, killed), doubtful)
        answers = {turn: await _append(other, killed, turn) for turn in known}
        duplicates += sum(answer.duplicate for answer in answers.values())
        found = await _found(s, killed)
        for turn, answer in answers.items():
            again = await _append(other, killed, turn)
            equal(again, attrs.evolve(answer, duplicate=True), f"the answer to repeating turn {turn.turn_id} again")
            expected = list(zip(answer.seqs, turn.texts, strict=True))
            equal(found[turn], expected, f"turn {turn.turn_id}, which was under way and then repeated")
        await other.close()
    s.figures["turns repeated that had landed"] = duplicates


def _kills(s: Subject) -> Iterator[Killed]:
    """Kill as many clients as the effort says, each while others are at work where there are others."""
    if reason := why_not_elsewhere(s.target):
        raise NotRun(reason)
    left = s.effort.kills
    while left > 0:
        with ExitStack() as stack:
            clients = [_start(s, stack) for _ in range(min(left, AT_ONCE))]
            left -= len(clients)
            for client, sessions in clients:
                yield _killed(s, client, sessions)


def _start(s: Subject, stack: ExitStack) -> tuple[Client, list[str]]:
    sessions = [s.session() for _ in range(SESSIONS)]
    arguments = {"sessions": sessions, "workers": WORKERS}
    return stack.enter_context(Client(Job(kind="append", target=s.target, form=s.form, arguments=arguments))), sessions


def _killed(s: Subject, client: Client, sessions: list[str]) -> Killed:
    lines = [client.line() for _ in range(s.random.randint(1, MOST_TURNS))]
    time.sleep(s.random.uniform(0, LONGEST_PAUSE))
    lines += client.kill()
    most = fitting(s.limits, LONG_TURN)
    acknowledged = {Planned(line["worker"], line["number"], most): tuple(line["seqs"]) for line in lines}
    return Killed(sessions, acknowledged, most)


async def _found(s: Subject, killed: Killed) -> dict[Planned, list[tuple[int, str]]]:
    """What a client that was opened after the kill finds of each turn, by seq."""
    found: dict[Planned, list[tuple[int, str]]] = defaultdict(list)
    store, _ = s.open()
    for session_id in killed.sessions:
        records: list[Any] = await s.everything(session_id, store)
        for record, text in zip(records, texts_of(records), strict=True):
            turn = Planned.of(text, killed.most)
            equal(session_id, killed.session_of(turn), f"the session of turn {turn.turn_id}")
            found[turn].append((record.seq, text))
        _in_order(found)
    await store.close()
    return found


def _in_order(found: dict[Planned, list[tuple[int, str]]]) -> None:
    """A worker begins a turn when the one before is acknowledged, so that they have to stand in that order."""
    for worker in range(WORKERS):
        turns = [turn for turn in found if turn.worker == worker]
        equal([turn.number for turn in turns], list(range(len(turns))), f"the order of the turns of worker {worker}")


def _is_whole(turn: Planned, records: list[tuple[int, str]]) -> None:
    equal([text for _, text in records], turn.texts, f"turn {turn.turn_id}, which was under way at the kill")
    first = records[0][0]
    seqs = [seq for seq, _ in records]
    true(seqs == list(range(first, first + len(seqs))), f"turn {turn.turn_id} was under way and stands torn at {seqs}")


def _within_the_window(
    killed: Killed, found: dict[Planned, list[tuple[int, str]]], turns: list[Planned]
) -> list[Planned]:
    """Those that surely are known by their ids: the contract promises that of the last turns of a session only."""
    known = []
    for turn in turns:
        others = [other for other in found if killed.session_of(other) == killed.session_of(turn)]
        later = sum(turn in found and found[other] > found[turn] for other in others)
        if later + len(turns) < LEAST_WINDOW:
            known.append(turn)
    return known


async def _append(store: Twin, killed: Killed, turn: Planned) -> Any:
    return await store.append(killed.session_of(turn), messages(*turn.texts), turn_id=turn.turn_id)
