"""Many threads and many processes on one SQLite file, and writers that are killed."""

import random
import signal
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

import backscroll

FAST = {"durability": "process", "timeout": 60}

WRITER = """
import backscroll, sys
url, name, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
with backscroll.open(url, timeout=60) as store:
    for number in range(turns):
        messages = [{"role": "user", "content": f"{name} {number} {i} {number % 3 + 1}"} for i in range(number % 3 + 1)]
        store.append("chat", messages)
        print(number, flush=True)
"""


def user(text: str) -> dict[str, str]:
    """A message."""
    return {"role": "user", "content": text}


def turn(name: object, number: int) -> list[dict[str, str]]:
    """A turn that says who wrote it, its number, each message's place in it, and how many there are."""
    return [user(f"{name} {number} {index} {number % 3 + 1}") for index in range(number % 3 + 1)]


def numbers(records: Iterable[Any]) -> dict[str, list[int]]:
    """The numbers of each writer's turns in the order of the session; every turn has to be whole and contiguous."""
    found = defaultdict(list)
    last_seq = -1
    for _, group in groupby(records, key=lambda record: record.turn_id):
        members = list(group)
        name, number, _, size = members[0].message.content.split()
        assert [f"{name} {number} {i} {size}" for i in range(int(size))] == [m.message.content for m in members]
        assert list(range(members[0].seq, members[0].seq + int(size))) == [m.seq for m in members]
        assert last_seq < members[0].seq
        last_seq = members[-1].seq
        found[name].append(int(number))
    return dict(found)


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """What `work` returns for 0, 1, … in as many threads, all let go at the same moment."""
    barrier = threading.Barrier(count)

    def start(number: int) -> Any:
        barrier.wait(20)
        return work(number)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(start, range(count)))


def test_threads_and_processes(path: Path, open_store: Any, python: Any) -> None:
    """Eight threads and four processes lose double split and reorder no turn."""
    store = open_store(**FAST)
    processes = [python(WRITER, f"sqlite:///{path}?durability=process", f"p{n}", 250) for n in range(4)]

    def write(writer: int) -> None:
        for number in range(125):
            store.append("chat", turn(f"t{writer}", number))

    in_threads(8, write)
    printed = [process.communicate(timeout=60)[0] for process in processes]
    assert ["".join(f"{n}\n" for n in range(250))] * 4 == printed
    expected = {f"t{n}": list(range(125)) for n in range(8)} | {f"p{n}": list(range(250)) for n in range(4)}
    assert expected == numbers(store.iterate("chat"))


def test_first_use_at_once(open_store: Any) -> None:
    """Eight threads may be the first to use a store at the same moment."""
    store = open_store(**FAST)
    in_threads(8, lambda writer: store.append("chat", turn(writer, 0)))
    assert {str(n): [0] for n in range(8)} == numbers(store.read("chat"))


def test_reads_while_writing(open_store: Any) -> None:
    """A read beside writers sees whole turns, and every one that was acknowledged before it began."""
    store = open_store(**FAST)

    def work(writer: int) -> None:
        for number in range(60):
            appended = store.append("chat", turn(writer, number))
            seen = store.read("chat", limit=1_000)
            assert set(appended.seqs) <= {record.seq for record in seen}
            assert list(range(number + 1)) == numbers(seen)[str(writer)]

    in_threads(4, work)


def test_one_turn_id_from_many_threads(open_store: Any) -> None:
    """Of many threads that append the same turn_id one stores the turn, and all get its seqs."""
    store = open_store(**FAST)
    for number in range(20):
        answers = in_threads(8, lambda _, n=number: store.append("chat", turn("same", n), turn_id=f"turn {n}"))
        assert sum(answer.duplicate for answer in answers) == 7
        assert len({(answer.version, answer.seqs, answer.turn_id) for answer in answers}) == 1
    assert {"same": list(range(20))} == numbers(store.read("chat"))


def test_expected_version_by_many_threads(open_store: Any) -> None:
    """Of eight threads that expect the same version one wins, and the others learn the new version."""
    store = open_store(**FAST)
    for number in range(20):
        version = store.version("chat")

        def attempt(writer: int, number: int = number, version: int = version) -> int:
            try:
                return store.append("chat", turn(writer, number), expected_version=version).version
            except backscroll.VersionConflict as conflict:
                return -conflict.current

        answers = in_threads(8, attempt)
        now = store.version("chat")
        assert [-now] * 7 + [now] == sorted(answers)
    assert list(range(20)) == sorted(number for ours in numbers(store.read("chat")).values() for number in ours)


def test_clear_beside_appends(open_store: Any) -> None:
    """Clear and discard take no message that was appended after they began, and no seq comes twice."""
    store = open_store(**FAST)
    appended: list[backscroll.Appended] = []
    done = threading.Event()

    def work(writer: int) -> None:
        if writer:
            for number in range(150):
                answer = store.append("chat", turn(writer, number))
                appended.append(answer)
            done.set()
        while not writer and not done.is_set():
            newest = appended[-1].version if appended else 0
            store.discard("chat", before=newest)
            store.clear("chat")
            bound = store.version("chat")
            assert set() == {record.seq for record in store.read("chat", limit=1_000)} & set(range(newest))
            kept = store.append("chat", user(f"0 0 0 {bound}"))
            assert kept.seqs[0] in {record.seq for record in store.read("chat", limit=1_000)}

    in_threads(4, work)
    seqs = [seq for answer in appended for seq in answer.seqs]
    assert len(set(seqs)) == len(seqs)
    newest = store.append("chat", turn(4, 0))
    assert newest.seqs[0] > max(seqs)
    store.discard("chat", before=newest.seqs[0])
    assert set(newest.seqs) == {record.seq for record in store.read("chat", limit=1_000)}


def test_remove_gives_each_message_to_one(open_store: Any) -> None:
    """Of many threads that remove the same messages each message is returned to exactly one."""
    store = open_store(**FAST)
    seqs = store.append("chat", [user(str(n)) for n in range(40)]).seqs
    removed = in_threads(8, lambda n: [seq for seq in seqs[n:] + seqs[:n] for seq in store.remove("chat", [seq])])
    assert list(seqs) == sorted(seq for ours in removed for seq in ours)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_killed_writers(path: Path, open_store: Any, python: Any) -> None:
    """What a writer acknowledged before kill -9 is there once, whole and in order; the turn under way whole or not."""
    store = open_store()
    acknowledged = {}
    for victim in range(8):
        writer = python(WRITER, f"sqlite:///{path}", f"v{victim}", 1_000_000)
        lines = [writer.stdout.readline() for _ in range(random.randint(1, 25))]
        store.append("chat", turn("witness", victim))
        writer.kill()
        lines += writer.stdout.readlines()
        acknowledged[f"v{victim}"] = sum(line.endswith("\n") for line in lines)
    found = numbers(store.iterate("chat"))
    assert list(range(8)) == found.pop("witness")
    assert set(acknowledged) == set(found)
    for name, theirs in found.items():
        assert list(range(len(theirs))) == theirs
        assert acknowledged[name] <= len(theirs) <= acknowledged[name] + 1
