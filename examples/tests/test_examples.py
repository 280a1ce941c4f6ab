"""The examples run, each in a process of its own, and are as short as they are said to be."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

EXAMPLES = Path(__file__).parents[1]
TESTS = [Path(__file__), EXAMPLES.parent / "core" / "tests" / "cli" / "test_examples.py"]
PATIENCE = 60


def run(name: str, *arguments: str, given: str = "", expected: int = 0) -> tuple[str, str]:
    """What an example prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / name, *arguments],
        input=given, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == expected, done.stderr
    return done.stdout, done.stderr


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_an_example_has_less_than_a_hundred_lines(path: Path) -> None:
    """And every one is run by a test here, or in the tests of core."""
    assert len(path.read_text(encoding="utf-8").splitlines()) < 100
    assert any(path.stem in test.read_text(encoding="utf-8") for test in TESTS)


def test_a_chat_in_the_terminal_goes_on_where_it_was(tmp_path: Path) -> None:
    """In another process, and only for who asks."""
    url = f"sqlite:///{tmp_path / 'chat.db'}"
    first, _ = run("cli_chat.py", url, given="tea\n\ncake\n")
    assert first == (
        "assistant: You said 'tea'; before that, 0 other things that I remember.\n"
        "assistant: You said 'cake'; before that, 1 other things that I remember.\n"
    )
    assert run("cli_chat.py", url)[0] == (
        "user: tea\nassistant: You said 'tea'; before that, 0 other things that I remember.\n"
        "user: cake\nassistant: You said 'cake'; before that, 1 other things that I remember.\n"
    )
    assert run("cli_chat.py", url, "--session", "other")[0] == ""


def test_a_chat_in_the_terminal_says_what_is_wrong() -> None:
    """In one line."""
    shown, error = run("cli_chat.py", "nothing://there", expected=1)
    assert shown == ""
    assert re.fullmatch(r"error: .*nothing.*\n", error)


@pytest.mark.parametrize("name", ["langchain_chat.py", "openai_agents_chat.py"])
def test_a_framework_remembers_each_conversation(name: str, tmp_path: Path) -> None:
    """Also in another process."""
    url = f"sqlite:///{tmp_path / 'chat.db'}"
    assert run(name)[0] == run(name, url)[0] == (
        "alice: tea -> That makes 1: tea.\n"
        "bob: coffee -> That makes 1: coffee.\n"
        "alice: cake -> That makes 2: tea, cake.\n"
    )  # fmt: skip
    assert run(name, url)[0].endswith("alice: cake -> That makes 4: tea, cake, tea, cake.\n")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[httpx.Client]:
    """The HTTP chat, in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "--app-dir", EXAMPLES, "fastapi_chat:app", "--port", str(port)]
    environment = {**os.environ, "CHAT_URL": f"sqlite:///{tmp_path / 'chat.db'}"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE) as client:
                wait_for(client, process)
                yield client
        finally:
            process.terminate()
            _, errors = process.communicate(timeout=PATIENCE)
    assert b"Traceback" not in errors


def wait_for(client: httpx.Client, process: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            client.get("/chats/nobody")
            return
        except httpx.ConnectError:
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)


def asked(client: httpx.Client, text: str, key: str) -> list[str]:
    """The events that answer a question."""
    with client.stream("POST", "/chats/alice", json={"text": text}, headers={"Idempotency-Key": key}) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        return [event for event in "".join(answer.iter_text()).split("\n\n") if event]


def test_the_http_chat_streams_its_answers_and_keeps_each_once(server: httpx.Client) -> None:
    """A request that is sent again adds nothing."""
    *pieces, stored = asked(server, "hi!", "key-1")
    said = "".join(json.loads(piece.removeprefix("data: ")) for piece in pieces).rstrip()
    assert said == "You said 'hi!', and I know 0 messages before it."
    assert len(pieces) > 1
    assert stored == 'event: stored\ndata: {"seqs": [0, 1], "duplicate": false}'
    kept = [{"role": "user", "content": "hi!"}, {"role": "assistant", "content": said}]
    assert server.get("/chats/alice").json() == kept
    assert asked(server, "and again", "key-2")[-1].startswith('event: stored\ndata: {"seqs": [2, 3]')
    # What the model says hangs on what it knows by now, so this is the same key with another answer.
    assert asked(server, "and again", "key-2")[-1] == "event: known\ndata: null"
    assert len(server.get("/chats/alice").json()) == 4
