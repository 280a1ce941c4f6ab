"""The command of the conformance suite, with a server that it starts and one that is not there."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import docker
import docker.errors
import pytest

from backscroll_conformance.containers import Server
from backscroll_conformance.outcomes import ExitCode

COMMAND = [sys.executable, "-m", "backscroll", "conformance", "redis"]


def test_a_run_that_is_ended_takes_its_server_with_it(server: Server, tmp_path: Path) -> None:
    """By SIGTERM, as a time limit of CI sends it."""
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen([*COMMAND, "--effort", "short"], env=environment, stderr=subprocess.PIPE) as run:
        end = time.monotonic() + 60
        while not (known := list(tmp_path.glob("backscroll-*/redis-*.json"))):
            assert time.monotonic() < end
            time.sleep(0.05)
        container = json.loads(known[0].read_bytes())["server"]["container"]
        run.send_signal(signal.SIGTERM)
        run.communicate(timeout=60)
    assert run.returncode == 128 + signal.SIGTERM
    with closing(docker.from_env()) as engine, pytest.raises(docker.errors.NotFound):
        engine.containers.get(container)
    assert not known[0].exists()


def test_a_database_that_is_not_there_is_told_in_one_line() -> None:
    """Instead of a verdict on the backend."""
    run = subprocess.run(
        [*COMMAND, "--clause", "APP-001", "--url", "redis://localhost:1/0"], capture_output=True, text=True, check=False
    )
    assert run.returncode == ExitCode.HARNESS_FAILED
    [line] = run.stderr.splitlines()
    assert "cannot be judged" in line
    assert "Connection refused" in line
