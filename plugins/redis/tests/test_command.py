"""The command of the conformance suite, with a server that it starts and one that is not there."""

import signal
import subprocess
import sys
import time
from contextlib import closing

import docker
import pytest

from backscroll_conformance.containers import PROCESS
from backscroll_conformance.outcomes import ExitCode

COMMAND = [sys.executable, "-m", "backscroll", "conformance", "redis"]


@pytest.mark.usefixtures("server")
def test_a_run_that_is_ended_takes_its_server_with_it() -> None:
    """By SIGTERM, as a time limit of CI sends it."""
    with closing(docker.from_env()) as engine:
        with subprocess.Popen([*COMMAND, "--effort", "short"], stderr=subprocess.PIPE) as run:
            its_own = {"label": f"{PROCESS}={run.pid}"}
            end = time.monotonic() + 60
            while not engine.containers.list(filters=its_own):
                assert time.monotonic() < end
                time.sleep(0.05)
            run.send_signal(signal.SIGTERM)
            run.communicate(timeout=60)
        assert run.returncode == 128 + signal.SIGTERM
        assert engine.containers.list(all=True, filters=its_own) == []


def test_a_database_that_is_not_there_is_told_in_one_line() -> None:
    """Instead of a verdict on the backend."""
    run = subprocess.run(
        [*COMMAND, "--clause", "APP-001", "--url", "redis://localhost:1/0"], capture_output=True, text=True, check=False
    )
    assert run.returncode == ExitCode.HARNESS_FAILED
    [line] = run.stderr.splitlines()
    assert "cannot be judged" in line
    assert "Connection refused" in line
