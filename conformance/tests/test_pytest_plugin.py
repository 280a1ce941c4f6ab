"""The options that pytest has, and what it says where they are wrong."""

import subprocess
import sys
from pathlib import Path

import pytest

FILE = """
from backscroll_conformance import BackendConformance

class TestMine(BackendConformance):
    backend = "sqlite"
"""


TWO = (
    FILE
    + """
class TestOther(TestMine):
    pass
"""
)

SHARED = """
import pytest

@pytest.mark.parametrize("number", range(4))
def test_shared(backscroll_run_folder, number):
    with open("found", "a") as file:
        file.write(f"{backscroll_run_folder}\\n")
    backscroll_run_folder.mkdir(exist_ok=True)
    (backscroll_run_folder / str(number)).touch()
"""


def run(folder: Path, *options: str, file: str = FILE) -> "subprocess.CompletedProcess[str]":
    """Run pytest on the test file of a plugin."""
    (folder / "test_mine.py").write_text(file, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_mine.py"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=folder)


@pytest.mark.parametrize(
    "url", ["sqlite://bob:hunter2@local host:abc/db", "nosuch://bob:hunter2@localhost/db", "bob:hunter2"]
)
def test_a_wrong_url_is_told_once_and_never_shown(tmp_path: Path, url: str) -> None:
    """What cannot be opened ends the run with one line, and a password in it stays hidden."""
    done = run(tmp_path, "--backscroll-url", url, "-l")
    assert done.returncode == 3
    assert "hunter2" not in done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("backscroll: ") == 1


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--backscroll-tier=nope", "nope is none of contract, stateful, concurrent, durable, measured"),
        ("--backscroll-effort=nope", "nope is none of short, normal, long"),
        ("--backscroll-seed=nope", "invalid int value: 'nope'"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_runs(tmp_path: Path, option: str, told: str) -> None:
    """The values that there are stand in the error."""
    done = run(tmp_path, option)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert told in done.stderr


def test_a_report_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    """Without a traceback."""
    (tmp_path / "file").touch()
    done = run(tmp_path, "-k", "APP-001", "--backscroll-report", str(tmp_path / "file"))
    assert "--backscroll-report: cannot write there" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_the_run_can_be_repeated(tmp_path: Path) -> None:
    """The command that repeats it names tier, effort and seed."""
    done = run(tmp_path, "-k", "APP-001", "--backscroll-tier=contract", "--backscroll-seed=7")
    assert "again: pytest -k TestMine --backscroll-tier contract --backscroll-effort normal" in done.stdout
    assert "--backscroll-seed 7" in done.stdout


def test_several_classes_leave_a_report_each_and_the_workers_of_xdist_none(tmp_path: Path) -> None:
    """A worker has seen a part only, so that what it would write is wrong."""
    one_class_each = ("-n", "2", "--dist", "loadscope")
    done = run(tmp_path, *one_class_each, "-k", "APP-001", "--backscroll-report", "reports", file=TWO)
    assert done.returncode == 0
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("report.json")}
    assert written == {"reports/TestMine/report.json", "reports/TestOther/report.json"}


@pytest.mark.parametrize("processes", ["0", "2"])
def test_what_the_processes_of_a_run_share_goes_with_it(tmp_path: Path, processes: str) -> None:
    """All of them have the same folder, which is gone afterwards."""
    assert run(tmp_path, "-n", processes, file=SHARED).returncode == 0
    (folder,) = set((tmp_path / "found").read_text(encoding="utf-8").splitlines())
    assert folder
    assert not Path(folder).exists()
