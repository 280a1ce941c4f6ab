"""Which file a URL names, and the database in memory."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import backscroll
from backscroll import InvalidURL, StorageError
from backscroll.capabilities import Durability

HI = {"role": "user", "content": "hi!"}


def test_relative_and_absolute(open_store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three slashes name a relative path and four an absolute one."""
    monkeypatch.chdir(tmp_path)
    open_store("sqlite:///relative.db").append("chat", HI)
    open_store(f"sqlite:////{str(tmp_path)[1:]}/absolute.db").append("chat", HI)
    assert {"relative.db", "absolute.db"} <= {file.name for file in tmp_path.iterdir()}


def test_chdir_after_open(open_store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is taken from the directory in which the store was opened."""
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///chat.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    store.append("chat", HI)
    assert (tmp_path / "chat.db").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["a b.db", "100%.db", "%41.db", "what?.db", "a#b.db", "a@b.db", "a&mode=memory", "ünï-話.db", "file:x", "'\""],
)
def test_special_names(open_store: Any, tmp_path: Path, name: str) -> None:
    """A percent-encoded name is taken literally."""
    store = open_store(f"sqlite:///{tmp_path}/{quote(name)}")
    store.append("chat", HI)
    assert len(store.last("chat")) == 1
    assert name in {file.name for file in tmp_path.iterdir()}


def test_name_that_is_not_utf8(open_store: Any, tmp_path: Path) -> None:
    """A name that the file system gave, in bytes that are not UTF-8, is kept."""
    store = open_store(f"sqlite:///{tmp_path}/caf\udce9.db")
    store.append("chat", HI)
    assert (tmp_path / "caf\udce9.db").exists()


def test_two_spellings_of_one_path(open_store: Any, tmp_path: Path) -> None:
    """Two stores that reach one file by different paths share its sessions."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    one, two = open_store(f"sqlite:///{tmp_path}/folder/x.db"), open_store(f"sqlite:///{tmp_path}/link/../folder/x.db")
    one.append("chat", HI)
    two.append("chat", HI)
    assert [record.seq for record in one.read("chat")] == [0, 1]


@pytest.mark.parametrize("url", ["sqlite://chat.db", "sqlite://host/chat.db", "sqlite:///"])
def test_urls_that_name_no_file(url: str) -> None:
    """A URL with a host or without a name is refused with the right spelling."""
    with pytest.raises(InvalidURL, match=r"sqlite:///chat\.db"):
        backscroll.open(url)


def test_url_with_a_nul_byte() -> None:
    """A name that no file can have is refused."""
    with pytest.raises(InvalidURL, match="NUL byte"):
        backscroll.open("sqlite:///a%00b")


def test_opening_makes_nothing(open_store: Any, tmp_path: Path) -> None:
    """Opening, reading, removing and pinging make no file."""
    store = open_store()
    assert store.last("chat") == []
    assert list(store.iterate("chat")) == []
    assert (store.version("chat"), store.count("chat")) == (0, 0)
    assert store.sessions().session_ids == ()
    assert store.remove("chat", [0]) == ()
    store.clear("chat")
    store.delete("chat")
    store.purge()
    store.ping()
    assert list(tmp_path.iterdir()) == []


def test_missing_directory(open_store: Any, tmp_path: Path) -> None:
    """A missing directory is an error that names it, and it is not made."""
    store = open_store(f"sqlite:///{tmp_path}/missing/chat.db")
    for call in (lambda: store.append("chat", HI), lambda: store.last("chat"), store.ping):
        with pytest.raises(StorageError, match=r"there is no directory .*/missing "):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_memory_threads(open_store: Any, url: str) -> None:
    """A database in memory serves many threads like a file."""
    store = open_store(url, timeout=60)

    def write(writer: int) -> None:
        for number in range(40):
            store.append("chat", {"role": "user", "content": f"{writer} {number}"})
            assert f"{writer} {number}" in {record.message.content for record in store.last("chat", 400)}

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(write, range(6)))
    assert list(range(240)) == [record.seq for record in store.iterate("chat")]
    assert store.count("chat") == 240


def test_memory_contract(open_store: Any) -> None:
    """A database in memory knows duplicates, conflicts, expiry, sessions and removal like a file."""
    now = [10**18]
    store = open_store("sqlite://", clock=lambda: now[0])
    first = store.append("chat", [HI, HI], turn_id="one", ttl=5)
    assert first.seqs == store.append("chat", [HI, HI], turn_id="one").seqs
    with pytest.raises(backscroll.VersionConflict):
        store.append("chat", HI, expected_version=1)
    store.append("chat", HI, expected_version=2)
    now[0] += 5 * 10**9
    assert [record.seq for record in store.last("chat")] == [2]
    assert store.remove("chat", [1, 2])[-1:] == (2,)
    assert store.sessions().session_ids == ("chat",)
    store.delete("chat")
    assert store.sessions().session_ids == ()


def test_memory_loops(open_store: Any) -> None:
    """A database in memory serves one event loop after the other, and two at once."""
    store = open_store("sqlite://")

    async def write() -> None:
        await asyncio.gather(*(store.aappend("chat", HI) for _ in range(10)))

    asyncio.run(write())
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: asyncio.run(write()), range(2)))
    assert len(store.last("chat", 100)) == 30


def test_two_stores_in_memory(open_store: Any) -> None:
    """Each store in memory has a database of its own, and claims no durability beyond the process."""
    one, two = open_store("sqlite://"), open_store("sqlite://")
    one.append("chat", HI)
    assert two.last("chat") == []
    assert one.limits.durability is Durability.PROCESS
