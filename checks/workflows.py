"""Checks the workflows of this project and of the plugins that the template makes.

They run the sessions that the noxfile beside them runs by default, all of them and nothing else, and keep the
conformance reports. What else can be wrong with them, actionlint says.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from checks.members import ROOT
from checks.template import EMBEDDED, SERVER, generate

ACTIONLINT: Final = ("actionlint", "-shellcheck", "", "-pyflakes", "")
"""Without the linters that it calls where they are installed, so that it says the same everywhere."""

PREPARATION: Final = "python -m pip install nox uv"
NOX: Final = re.compile(r"python -m nox(?P<chosen> -s(?P<names>( \w+)+))?")

KEEPER: Final = "actions/upload-artifact"
ACTIONS: Final = {"actions/checkout", "actions/setup-python", KEEPER}
REPORTS: Final = "reports/"
"""Where the tests leave the conformance reports."""


def main() -> int:
    """Check them all; gives the exit code."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        projects = [ROOT, generate(folder / "server", SERVER), generate(folder / "embedded", EMBEDDED)]
        files = [path for project in projects for path in workflows(project)]
        code = subprocess.run([*ACTIONLINT, *files], check=False).returncode
        found = [problem for project in projects for problem in problems(project)]
        sys.stdout.writelines(f"{problem}\n" for problem in found)
        return code or bool(found)


def workflows(folder: Path) -> list[Path]:
    """The workflows of a project; there is at least one.

    Args:
        folder: Where its noxfile is.
    """
    found = sorted(folder.glob(".github/workflows/*"))
    if not found:
        raise FileNotFoundError(f"{folder}/.github/workflows is empty")
    return found


def problems(folder: Path) -> Iterator[str]:
    """What is wrong with the workflows of a project.

    Args:
        folder: Where its noxfile is.
    """
    wanted = sessions(folder)
    run: set[str] = set()
    for path in workflows(folder):
        for name, job in yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"].items():
            place = f"{folder.name}: job {name} of {path.name}"
            for what in steps(job):
                if match := NOX.fullmatch(what):
                    run |= set(match["names"].split()) if match["chosen"] else wanted
                elif what != PREPARATION and what.partition("@")[0] not in ACTIONS:
                    yield f"{place} runs `{what}`, which is no session of the noxfile"
            if not keeps_reports(job):
                yield f"{place} does not keep {REPORTS}, whatever comes out"
    for problem, names in (("no job runs", wanted - run), ("jobs run for nothing", run - wanted)):
        if names:
            yield f"{folder.name}: {problem} {', '.join(sorted(names))}"


def sessions(folder: Path) -> set[str]:
    """The names of the sessions that the noxfile of a project runs by default."""
    command = [sys.executable, "-m", "nox", "--noxfile", str(folder / "noxfile.py"), "--list", "--json"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    return {session["name"] for session in json.loads(listed.stdout)}


def steps(job: dict[str, Any]) -> Iterator[str]:
    """What a job does: each action that it uses, and each command."""
    for step in job["steps"]:
        yield from [step["uses"]] if "uses" in step else map(str.strip, step["run"].strip().splitlines())


def keeps_reports(job: dict[str, Any]) -> bool:
    """Whether a job keeps the conformance reports as an artifact, also where a session fails."""
    kept = [step for step in job["steps"] if step.get("uses", "").startswith(f"{KEEPER}@")]
    return any(step["with"]["path"] == REPORTS and step.get("if") == "always()" for step in kept)


if __name__ == "__main__":
    sys.exit(main())
