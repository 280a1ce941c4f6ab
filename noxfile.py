"""Everything that one can run here: `nox` runs what has to be green, `nox --list` shows the rest.

The members are found by their pyproject.toml and the Pythons by trying them, so a new plugin or a new
Python needs no edit here. What follows `--` is passed on to pytest or to the benchmark.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

sys.path.insert(0, str(Path(__file__).parent))

from checks import imports
from checks.distributions import build, check_contents, check_missing_extra
from checks.members import ROOT, Member, discover, needed, usable_extras
from checks.pythons import pythons
from checks.readme import set_up_commands

nox.needs_version = ">=2025.10.14"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = True
nox.options.sessions = [
    "lint",
    "workflows",
    "servers",
    "browser",
    "tests",
    "faulty",
    "wheel",
    "lowest",
    "docs",
    "site",
    "examples",
    "template",
    "unrun",
]


MEMBERS = discover()
CORE = MEMBERS[0]
PYTHONS = pythons()
OLDEST, NEWEST = PYTHONS[0], PYTHONS[-1]
FAULTY = "conformance/faulty"
"""The backends by which the conformance suite is itself tested; never published, so no member."""

ON_ALL_PROCESSORS = ("-n", "auto", "--dist", "worksteal")
"""For pytest: some tests take minutes, and none waits for them behind another that could take it over."""

SERVERS_REQUIRED = os.environ.get("BACKSCROLL_SERVERS") == "required"
UNRUN = ROOT / ".nox" / "unrun.txt"
"""What the conformance suite leaves behind of the servers that it could not start."""
os.environ["BACKSCROLL_UNRUN"] = str(UNRUN)

REPORTS = ROOT / "reports"
"""Where `tests` and `template` leave the conformance reports of their last run."""

ACTIONLINT = "github.com/rhysd/actionlint/cmd/actionlint@v1.7"
"""The linter of workflows: one minor release, as of ruff."""

each_member = nox.parametrize("member", MEMBERS, ids=[member.folder for member in MEMBERS])
each_member_on_its_pythons = nox.parametrize(
    "python,member",
    [
        nox.param(python, member, id=f"{member.folder}-{python}")
        for member in MEMBERS
        for python in (PYTHONS if member is CORE else [NEWEST])
    ],
)


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types and import directions."""
    session.install(*group("lint"), *editable(MEMBERS), "-e", f"./{FAULTY}", *without_markers(MEMBERS))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run(
        "mypy",
        *(f"{member.folder}/src" for member in MEMBERS),
        f"{FAULTY}/src",
        "checks",
        "servers/up.py",
        "noxfile.py",
    )
    within = nox.project.load_toml("pyproject.toml").get("tool", {}).get("importlinter", {}).get("contracts", [])
    for name, contracts, typing in (
        ("directions", list(imports.directions(MEMBERS)), True),
        ("rooms", [*imports.light_rooms(MEMBERS), *within], False),
    ):
        if contracts:
            path = Path(session.create_tmp(), f"{name}.toml")
            path.write_text(imports.configuration(MEMBERS, contracts, typing=typing), encoding="utf-8")
            session.run("lint-imports", "--no-cache", "--config", str(path))


@nox.session
def workflows(session: nox.Session) -> None:
    """The workflows of this project and of the template's plugins: actionlint, and that they run what nox runs."""
    session.install(*group("workflows"))
    # Go itself comes as a wheel, and actionlint from Go's registry: its own wheel fetches a binary from elsewhere.
    session.run("go", "install", ACTIONLINT, env={"GOBIN": session.bin, "GOTOOLCHAIN": "local"})
    session.run("python", "-m", "checks.workflows")


@nox.session(venv_backend="none")
def servers(session: nox.Session) -> None:
    """Make sure that the real servers can be started; where they cannot, the others go on without them."""
    UNRUN.unlink(missing_ok=True)
    codes = None if SERVERS_REQUIRED else range(256)
    session.run(sys.executable, "servers/up.py", external=True, success_codes=codes)


@nox.session(venv_backend="none")
def browser(session: nox.Session) -> None:
    """Make sure that Chromium is there for the tests of a page; where it cannot be, they are left out."""
    if not shutil.which("chromium") and shutil.which("apt-get") and not os.geteuid():
        codes = None if SERVERS_REQUIRED else range(256)
        apt = ("env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", "--yes")
        session.run(*apt, "update", external=True, success_codes=codes)
        # It comes without a font, and without one nothing on a page has a width.
        packages = ("chromium", "fonts-dejavu-core")
        session.run(*apt, "install", "--no-install-recommends", *packages, external=True, success_codes=codes)
    if not shutil.which("chromium"):
        tell = session.error if SERVERS_REQUIRED else session.warn
        tell("there is no chromium, and it takes root on Debian to install it: install one yourself")


@nox.session(venv_backend="none")
def unrun(session: nox.Session) -> None:
    """List the runs on real servers, and in a browser, that did not happen."""
    lines = UNRUN.read_text(encoding="utf-8").splitlines() if UNRUN.exists() else []
    for line in sorted(set(lines)):
        session.warn(f"did not run: {line}")
    if lines and SERVERS_REQUIRED:
        session.error("BACKSCROLL_SERVERS=required, and not everything ran")


@nox.session
@each_member_on_its_pythons
def tests(session: nox.Session, member: Member) -> None:
    """A member's tests: core's on every Python, the others' on the newest."""
    wanted = test_group(session, member)
    members = with_needed(member, [*all_requirements(member), *parsed(wanted)])
    session.install(*wanted, *editable(members))
    install_alone(session, member)
    run_tests(session, member, *keeping_reports(member, members))


@nox.session(python=NEWEST)
def faulty(session: nox.Session) -> None:
    """The conformance suite catches every faulty backend, and passes the correct one."""
    member = next(member for member in MEMBERS if member.kind == "conformance")
    faulty_needs = parsed(nox.project.load_toml(f"{FAULTY}/pyproject.toml")["project"]["dependencies"])
    needs = with_needed(member, [*all_requirements(member), *faulty_needs])
    session.install(*test_group(session, member), *editable(needs), "-e", f"./{FAULTY}")
    session.run("python", "-m", "pytest", *ON_ALL_PROCESSORS, f"{FAULTY}/tests", *session.posargs)


@nox.session(venv_backend="uv")
@each_member
def wheel(session: nox.Session, member: Member) -> None:
    """Build a member, install nothing but its wheel, and use it."""
    folder = Path(session.create_tmp(), "dist").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    wheels = {one: build(session, one, folder / one.name) for one in with_needed(member, member.requirements)}
    check_contents(session, member, wheels[member])

    session.install(*map(str, wheels.values()))
    session.run("uv", "pip", "check")
    plugins = member.settings["project"].get("entry-points", {}).get("backscroll.plugins", {}).values()
    for module in (*member.packages, *plugins):
        session.run("python", "-I", "-W", "error", "-c", f"import {module}")
    if member is CORE:
        check_missing_extra(session)
        session.install(f"{CORE.name}[cli] @ {wheels[CORE].as_uri()}")
        with session.chdir(folder):
            session.run("backscroll", "tour")


@nox.session(venv_backend="uv", python=OLDEST)
@each_member
def lowest(session: nox.Session, member: Member) -> None:
    """A member's tests with the lowest versions that it says it works with."""
    wanted = test_group(session, member)
    session.install("--resolution", "lowest-direct", *lowest_sources(session, member))
    pins = Path(session.create_tmp(), "lowest.txt").resolve()
    frozen = session.run("uv", "pip", "freeze", "--exclude-editable", silent=True) or ""
    pins.write_text("".join(line + "\n" for line in frozen.splitlines() if "==" in line), encoding="utf-8")
    session.log("lowest: %s", ", ".join(pins.read_text(encoding="utf-8").split()))
    installed = with_needed(member, all_requirements(member))
    helpers = [one for one in with_needed(member, parsed(wanted)) if one not in installed]
    session.install("--constraint", str(pins), *wanted, *editable(helpers))
    install_alone(session, member)
    # What an older driver does otherwise shows without a long search, and without figures.
    tiers = [f"--backscroll-tier={tier}" for tier in ("contract", "stateful", "concurrent", "durable")]
    short = ("--backscroll-effort", "short", *tiers) if member.kind == "plugin" else ()
    run_tests(session, member, "-m", "not newest", *short)


@nox.session
def docs(session: nox.Session) -> None:
    """Run what the documentation and the docstrings show, and set up a fresh clone as README.md says."""
    first, second = set_up_commands(session)
    if second not in Path(".ci/run").read_text(encoding="utf-8").splitlines():
        session.error(f".ci/run does not call the second command of README.md's Set up: {second}")

    session.install(*group("docs"), *editable(MEMBERS))
    pages = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs"]
    pages += [f"{member.folder}/{part}" for member in MEMBERS for part in ("README.md", "src")]
    options = ["-p", "checks.documents", "-p", "no:cacheprovider", "-o", "python_files="]
    session.run("python", "-m", "pytest", *options, *(session.posargs or pages))

    if session.posargs:
        return
    clone = Path(session.create_tmp(), "clone").resolve()
    shutil.rmtree(clone, ignore_errors=True)
    session.run("git", "clone", "--quiet", str(ROOT), str(clone), external=True)
    session.log(first)
    # As a newcomer's shell would: without this session's environment.
    done = subprocess.run(["bash", "-c", first], cwd=clone, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        session.error(f"the first command of README.md's Set up ended with {done.returncode} in a fresh clone")


@nox.session(venv_backend="uv", python=NEWEST)
def template(session: nox.Session) -> None:
    """Let a plugin that is made of the template pass the suite, from wheels; `-- --effort normal` for longer."""
    folder = Path(session.create_tmp(), "dist").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    members = [member for member in MEMBERS if member.kind in {"core", "conformance"}]
    wheels = [str(build(session, member, folder / member.name)) for member in members]
    session.install(*group("template"))
    # Not within this checkout, where a session's temporary files would be.
    outside = {"TMPDIR": os.environ.get("TMPDIR")}
    arguments = (*session.posargs, str(REPORTS / "template"), *wheels)
    session.run("python", "-m", "checks.template", *arguments, env=outside)


@nox.session(python=NEWEST)
def site(session: nox.Session) -> None:
    """Build the documentation as a site, offline and without a warning, and see that nothing is missing in it."""
    session.install(*group("site"), *editable(MEMBERS), "-e", f"./{FAULTY}")
    folder = Path(session.create_tmp(), "site").resolve()
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "sphinx", "-q", "-b", "html", "-n", "-W", "--keep-going", "-E", "docs", str(folder))
    session.log(f"the site: {folder / 'index.html'}")
    options = ["-p", "no:cacheprovider", *session.posargs]
    session.run("python", "-m", "pytest", *options, "checks/tests", env={"BACKSCROLL_SITE": str(folder)})


@nox.session(python=NEWEST)
def examples(session: nox.Session) -> None:
    """Run the examples."""
    session.install(*group("examples"), *editable(MEMBERS))
    session.run("python", "-m", "pytest", *ON_ALL_PROCESSORS, "examples/tests", *session.posargs)


@nox.session(python=NEWEST)
@each_member
def coverage(session: nox.Session, member: Member) -> None:
    """Which lines and branches of a member its own tests reach."""
    wanted = test_group(session, member)
    members = with_needed(member, [*all_requirements(member), *parsed(wanted)])
    session.install(*group("coverage"), *wanted, *editable(members))
    install_alone(session, member)
    run_tests(session, member, *(f"--cov={package}" for package in member.packages), "--cov-report=term-missing")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure against hand-written code and peers; `nox -s bench -- redis` for another backend than SQLite."""
    named = [member for member in MEMBERS if Path(member.folder).name in session.posargs]
    wanted = [one for member in named for one in nox.project.dependency_groups(member.settings, "bench")]
    if "langgraph" in session.posargs:
        wanted += group("bench-langgraph")
    requirements = [*parsed(wanted), *(one for member in named for one in all_requirements(member))]
    session.install(*wanted, *editable((CORE, *named, *needed(requirements, MEMBERS))))
    for member in named:
        install_alone(session, member)
    session.run("python", "benchmarks/run.py", "--out", "benchmarks/results", *session.posargs)


def group(name: str) -> tuple[str, ...]:
    """A dependency group of the root."""
    return nox.project.dependency_groups(nox.project.load_toml("pyproject.toml"), name)


def test_group(session: nox.Session, member: Member) -> tuple[str, ...]:
    """What a member's tests need."""
    if not member.settings.get("dependency-groups", {}).get("test"):
        session.error(f"{member.folder}/pyproject.toml has no [dependency-groups] test")
    return nox.project.dependency_groups(member.settings, "test")


def install_alone(session: nox.Session, member: Member) -> None:
    """Install what a member's tests need, and whose own requirements rule out what it works with."""
    if alone := member.settings.get("dependency-groups", {}).get("test-alone"):
        session.install("--no-deps", *alone)


def parsed(requirements: Iterable[str]) -> list[Requirement]:
    """Requirements from their text."""
    return [Requirement(text) for text in requirements]


def all_requirements(member: Member) -> list[Requirement]:
    """What a member needs with all its extras."""
    return [*member.requirements, *(one for extra in usable_extras(member, MEMBERS) for one in member.extras[extra])]


def with_needed(member: Member, requirements: Iterable[Requirement]) -> list[Member]:
    """A member and those others that these requirements need."""
    return [member, *(other for other in needed(requirements, MEMBERS) if other is not member)]


def editable(members: Iterable[Member]) -> list[str]:
    """Arguments that install members from this checkout with all their extras."""
    arguments = []
    for member in members:
        extras = ",".join(usable_extras(member, MEMBERS))
        arguments += ["-e", f"./{member.folder}[{extras}]" if extras else f"./{member.folder}"]
    return arguments


def without_markers(members: tuple[Member, ...]) -> list[str]:
    """What members need on some Python only: mypy reads the code as the oldest one would."""
    marked = [one for member in members for one in member.requirements if one.marker]
    return [f"{one.name}{one.specifier}" for one in marked]


def run_tests(session: nox.Session, member: Member, *options: str) -> None:
    """Run a member's tests on all processors; pytest fails where it finds none."""
    folder = f"{member.folder}/tests"
    helpers = f"pythonpath={folder}"  # what tests share lies beside them
    session.run("python", "-m", "pytest", *ON_ALL_PROCESSORS, "-o", helpers, *options, folder, *session.posargs)


def keeping_reports(member: Member, members: Iterable[Member]) -> list[str]:
    """What lets pytest keep the conformance reports of a member's tests, where the suite is installed."""
    if all(one.kind != "conformance" for one in members):
        return []
    folder = REPORTS / Path(member.folder).name
    shutil.rmtree(folder, ignore_errors=True)
    return [f"--backscroll-report={folder}"]


def lowest_sources(session: nox.Session, member: Member) -> list[str]:
    """Arguments that install a member and, of each other that it needs, the release that its floor names.

    A release is a tag, ``<distribution>-v<version>``. Until a floor is released, or where a clone has no
    tags, the checkout stands in.
    """
    arguments = editable([member])
    for other in with_needed(member, all_requirements(member))[1:]:
        tag = floor_tag(member, other)
        if tag:
            archive = subprocess.run(["git", "archive", tag, other.folder], capture_output=True, check=True)
            folder = Path(session.create_tmp(), tag).resolve()
            with tarfile.open(fileobj=BytesIO(archive.stdout)) as files:
                files.extractall(folder, filter="data")
            arguments.append(str(folder / other.folder))
        else:
            session.warn(f"the floor has no tag: {member.name} is tried with the {other.name} of this checkout")
            arguments += editable([other])
    return arguments


def floor_tag(member: Member, other: Member) -> str | None:
    """The tag of the release that is a member's floor for another one."""
    floors = [
        Version(one.version)
        for requirement in all_requirements(member)
        if canonicalize_name(requirement.name) == other.name
        for one in requirement.specifier
        if one.operator == ">="
    ]
    listed = subprocess.run(["git", "tag", "--list", f"{other.name}-v*"], capture_output=True, text=True, check=True)
    for tag in listed.stdout.split():
        if Version(tag.removeprefix(f"{other.name}-v")) in floors:
            return tag
    return None
