"""The processes in which clauses are judged leave nothing behind, and tell no secrets."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from at_work import eventually, needs_proc, those_in
from planted import planted

from backscroll_conformance import children
from backscroll_conformance.catalogue import BY_ID
from backscroll_conformance.outcomes import Verdict
from backscroll_conformance.target import Target

SECRET = "correct-horse-battery-staple"

PARENT = """
import json, signal, sys
from backscroll_conformance import children
from backscroll_conformance.catalogue import BY_ID
from backscroll_conformance.target import Target

signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a script it is ignored
given = json.loads(sys.argv[1])
target = Target(backend=given["backend"], url=given["url"])
children.run(target, [BY_ID[name] for name in given["clauses"]], 1, "short", lambda outcome: None)
"""

PRINTS_AND_ENDS = """
    def __init__(self, declared, url, options):
        super().__init__(declared, attrs.evolve(url, hosts=(), username=None), options)

    def count(self, session_id, now, deadline):
        os.write(2, (self.url.password + "y" * {length}).encode())
        os.abort()
"""

NEVER_ENDS = """
    def count(self, session_id, now, deadline):
        time.sleep(600)
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where all temporary folders are made."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


def test_what_a_child_printed_is_cut_behind_what_is_hidden(tmp_path: Path) -> None:
    """A password stays hidden where the end of what was printed begins within it."""
    fault = PRINTS_AND_ENDS.format(length=children.TAIL - len(SECRET) // 2)
    with planted(tmp_path, fault, elsewhere=True) as made:
        url = f"{made.backend}://user:{SECRET}@localhost/{{folder}}/chat.db"
        outcomes = children.run(
            Target(backend=made.backend, url=url), [BY_ID["INF-002"]], 1, "short", lambda outcome: None
        )
    assert {one.verdict for one in outcomes} == {Verdict.FAILED}
    assert all("yyyy" in one.evidence and "staple" not in one.evidence for one in outcomes)


def test_a_child_that_is_ended_leaves_no_folder(tmp_path: Path, temporary: Path) -> None:
    """Whatever a backend does to its process, what was made for it goes."""
    with planted(tmp_path, PRINTS_AND_ENDS.format(length=0), elsewhere=True) as made:
        url = f"{made.backend}://user:{SECRET}@localhost/{{folder}}/chat.db"
        children.run(Target(backend=made.backend, url=url), [BY_ID["INF-002"]], 1, "short", lambda outcome: None)
    assert list(temporary.iterdir()) == []


@needs_proc
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGKILL"])
@pytest.mark.parametrize("clause", ["INF-002", "CON-001"])
def test_a_run_that_is_ended_leaves_no_process_and_no_folder(
    tmp_path: Path, temporary: Path, how: str, clause: str
) -> None:
    """By Ctrl-C, which goes to all of them, or by a signal to the one that was started."""
    with planted(tmp_path, NEVER_ENDS, elsewhere=True) as made:
        job = json.dumps({"backend": made.backend, "url": made.url, "clauses": [clause]})
        command = [sys.executable, "-c", PARENT, job]
        here = tmp_path / "here"
        here.mkdir()
        parent = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True, cwd=here)
        eventually(lambda: any(temporary.glob("backscroll-*/backscroll-*/*")))
        assert len(those_in(here)) >= 2  # the parent and its child
        (os.killpg if how == "SIGINT" else os.kill)(parent.pid, signal.Signals[how])
        parent.wait(60)
    eventually(lambda: not those_in(here))
    eventually(lambda: not any(temporary.iterdir()))
