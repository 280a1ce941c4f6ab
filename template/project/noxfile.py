"""Everything that one can run here: `nox` runs what has to be green. What follows `--` goes to pytest."""

import nox

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"

PROJECT = nox.project.load_toml("pyproject.toml")


@nox.session
def lint(session: nox.Session) -> None:
    """Style and types."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"), ".")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")


@nox.session(python=nox.project.python_versions(PROJECT))
def tests(session: nox.Session) -> None:
    """The contract on the real database; leaves its report in the folder reports."""
    session.install(*nox.project.dependency_groups(PROJECT, "test"), ".")
    parallel = ("-n", "auto", "--dist", "worksteal")
    session.run("pytest", *parallel, f"--backscroll-report=reports/{session.python}", *session.posargs)
