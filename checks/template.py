"""Goes the way of a third party: makes a plugin of the template, fills it in, and lets it pass the conformance suite.

The plugin is tried by its own noxfile, in a folder apart from this one. Of the project it gets the wheels that are
given, and nothing else.
"""

import argparse
import difflib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from packaging.utils import parse_wheel_filename

from checks.members import ROOT

TEMPLATE: Final = ROOT / "template"
FILLED: Final = TEMPLATE / "filled"
PROFILE: Final = ROOT / "conformance/src/backscroll_conformance/profiles/base-1.txt"

ROOMS: Final = ("plugin.py", "options.py", "layout.py", "backend.py")
MOST_LINES: Final = 150
"""How many lines an author writes, at the most, for the shortest backend that keeps the contract."""

NOT_APPLICABLE: Final = frozenset(
    [f"CAP-00{number}" for number in range(1, 9)]  # they judge what is declared as unsupported, and that is WATCH alone
    + ["WAT-001", "WAT-002"]
    + [f"DUR-00{number}" for number in range(5, 10)]  # they need a server, as the two that follow
    + ["MEA-005", "MEA-006"]
)
"""The clauses of the profile that do not apply to the backend in `FILLED`."""

EMBEDDED: Final = ("--data-file", str(FILLED / "answers.yml"))
SERVER: Final = (
    "--defaults",
    *("--data", "name=abcdefghijklmnopqrst"),  # as long as names may be, so that no line comes out too long
    *("--data", "title=Abcdefghi-Jklmnop.qr"),
    *("--data", "kind=server"),
    *("--data", 'author=Ann "A." O\\Hara'),
    *("--data", "license=MIT"),
)
"""The answers to the template's questions, as options of copier."""

UNWRITTEN: Final = re.compile(r"NotImplementedError at backend\.py:.*\nit said: setup: make the schema")
"""What the evidence says of a backend in which nothing is written yet."""

Files = Mapping[Path, bytes]


class Failed(Exception):
    """The template does not keep what it promises."""


def main(reports: Path, wheels: list[Path], effort: str) -> None:
    """Try the template.

    Args:
        reports: Where to leave the conformance report.
        wheels: What is installed of the project.
        effort: How far the suite's random choices go.
    """
    with tempfile.TemporaryDirectory(prefix="backscroll-template-") as scratch:
        folder = Path(scratch).resolve()
        wheels = [wheel.resolve() for wheel in wheels]
        environment = _environment(folder, wheels)
        server = generate(folder / "server", SERVER)
        run("nox", "-s", "lint", cwd=server, env=environment)

        plugin = generate(folder / "plugin", EMBEDDED)
        run("nox", "-s", "lint", cwd=plugin, env=environment)
        check_unfilled(judged(plugin, environment, "--backscroll-tier=contract", "--no-summary"))

        before = files_of(plugin)
        (package,) = (plugin / "src").iterdir()
        for path in FILLED.glob("*.py"):
            shutil.copy(path, package)
        lines = check_written(before, files_of(plugin), package.relative_to(plugin))
        run("nox", "-s", "lint", cwd=plugin, env=environment)
        report = judged(plugin, environment, f"--backscroll-effort={effort}")
        check_filled(report)
        check_installed(plugin, wheels)
        shutil.rmtree(reports, ignore_errors=True)
        shutil.copytree(plugin / "reports", reports)
        say(f"{report['environment']['plugin']['name']}: {lines} lines written, {report['conclusion']}")


def generate(folder: Path, answers: Iterable[str]) -> Path:
    """Make a plugin.

    Args:
        folder: Where to.
        answers: Options of copier that answer the template's questions.
    """
    run("copier", "copy", "--quiet", *answers, str(TEMPLATE), str(folder), cwd=folder.parent)
    return folder


def check_unfilled(report: dict[str, Any]) -> None:
    """Before anything is written, every clause that can be judged fails, and says where to write, and what."""
    silent = {
        clause["id"]
        for clause in report["clauses"]
        if clause["tier"] == "contract" and clause["id"] not in NOT_APPLICABLE
        for form in clause["forms"]
        if form["verdict"] != "failed" or not UNWRITTEN.search(form["evidence"])
    }
    if report["conclusion"] != "not conformant" or silent:
        raise Failed(f"unfilled: {report['conclusion']}; these do not fail for what is missing: {sorted(silent)}")


def check_written(before: Files, after: Files, package: Path) -> int:
    """Only the four rooms were written in, and not too much; gives how many lines.

    Args:
        before: The files as they were generated.
        after: The files as they are filled in.
        package: The folder of the rooms.
    """
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    if changed != {package / room for room in ROOMS}:
        raise Failed(f"these were touched, and not the four rooms: {sorted(map(str, changed))}")
    lines = sum(map(_written, (before[path] for path in changed), (after[path] for path in changed)))
    if lines > MOST_LINES:
        raise Failed(f"{lines} lines were written, more than {MOST_LINES}: what could the template or core do instead?")
    return lines


def _written(before: bytes, after: bytes) -> int:
    told = difflib.ndiff(before.decode().splitlines(), after.decode().splitlines())
    return sum(line.startswith("+ ") and bool(line[2:].strip()) for line in told)


def check_filled(report: dict[str, Any]) -> None:
    """Every clause of the profile was judged and holds, in all its forms, but for those that do not apply."""
    verdicts = {
        clause["id"]: sorted({clause["verdict"], *(form["verdict"] for form in clause["forms"])})
        for clause in report["clauses"]
    }
    expected = {
        name: ["not applicable" if name in NOT_APPLICABLE else "passed"]
        for name in PROFILE.read_text(encoding="utf-8").split()
    }
    wrong = {name: verdicts.get(name) for name in {*verdicts, *expected} if verdicts.get(name) != expected.get(name)}
    if report["conclusion"] != "conformant" or report["profile"] != "base-1" or wrong:
        raise Failed(f"filled in: {report['conclusion']} to {report['profile']}; not as expected: {wrong}")


def check_installed(plugin: Path, wheels: Iterable[Path]) -> None:
    """What was judged came from these wheels and the plugin's folder, and is no link to where it came from."""
    origins = [json.loads(path.read_bytes()) for path in plugin.glob(".nox/tests-*/**/direct_url.json")]
    found = sorted(origin["url"] for origin in origins if not origin.get("dir_info", {}).get("editable"))
    expected = sorted(path.as_uri() for path in (*wheels, plugin))
    if found != expected:
        raise Failed(f"installed was {found}, and not {expected}")


def judged(plugin: Path, environment: Mapping[str, str], *options: str) -> dict[str, Any]:
    """Run the plugin's tests; gives the report that they leave.

    Args:
        plugin: The folder of the plugin.
        environment: The environment variables.
        *options: Options of pytest.
    """
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    shutil.rmtree(plugin / "reports", ignore_errors=True)
    code = run("nox", "--force-python", python, "-s", "tests", "--", *options, cwd=plugin, env=environment, check=False)
    report: dict[str, Any] = json.loads(plugin.joinpath("reports", python, "report.json").read_text(encoding="utf-8"))
    if (code == 0) != (report["conclusion"] == "conformant"):
        raise Failed(f"the tests ended with {code}, and the report says: {report['conclusion']}")
    return report


def files_of(plugin: Path) -> Files:
    """All files, but for what the runs leave."""
    left = {".nox", "reports"}
    return {
        path.relative_to(plugin): path.read_bytes()
        for path in plugin.rglob("*")
        if path.is_file() and path.relative_to(plugin).parts[0] not in left and "cache" not in str(path)
    }


def run(*command: str, cwd: Path, env: Mapping[str, str] | None = None, check: bool = True) -> int:
    """Run a Python module's command; gives its exit code.

    Args:
        *command: The name of the module, and its arguments.
        cwd: Where.
        env: The environment variables; None for those of this process.
        check: Fail unless the code is 0.
    """
    say(f"{cwd.name}$ {' '.join(command)}")
    code = subprocess.run([sys.executable, "-m", *command], cwd=cwd, env=env, check=False).returncode
    if check and code:
        raise Failed(f"{' '.join(command)} ended with {code}")
    return code


def _environment(folder: Path, wheels: Iterable[Path]) -> dict[str, str]:
    """The environment variables of a user who gets what is released, which are these wheels."""
    pins = folder / "wheels.txt"
    lines = [f"{parse_wheel_filename(wheel.name)[0]} @ {wheel.as_uri()}\n" for wheel in wheels]
    pins.write_text("".join(lines), encoding="utf-8")
    ours = {"PYTHONPATH", "VIRTUAL_ENV"}
    kept = {name: value for name, value in os.environ.items() if name not in ours and not name.startswith("NOX")}
    return kept | {"UV_CONSTRAINT": str(pins), "PIP_CONSTRAINT": str(pins)}


def say(text: str) -> None:
    """Tell what goes on."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--effort", default="short")
    parser.add_argument("reports", type=Path)
    parser.add_argument("wheels", type=Path, nargs="+")
    try:
        main(**vars(parser.parse_args()))
    except Failed as failure:
        sys.exit(f"template: {failure}")
