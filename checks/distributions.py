"""Builds distributions for nox sessions, and looks at what came out."""

import subprocess
import zipfile
from pathlib import Path

import nox

from checks.members import ROOT, Member


def build(session: nox.Session, member: Member, folder: Path) -> Path:
    """Build the source distribution, and the wheel from it."""
    session.run("uv", "build", "--quiet", "--out-dir", str(folder), member.folder)
    (built,) = folder.glob("*.whl")
    return built


def check_contents(session: nox.Session, member: Member, path: Path) -> None:
    """The wheel says that it is typed, and holds the licence."""
    with zipfile.ZipFile(path) as files:
        names = files.namelist()
        licences = [files.read(name) for name in names if name.endswith(".dist-info/licenses/LICENSE")]
    missing = [f"{package}/py.typed" for package in member.packages if f"{package}/py.typed" not in names]
    if licences != [(ROOT / "LICENSE").read_bytes()]:
        missing.append(f"the licence: {member.folder}/LICENSE has to be a copy of LICENSE")
    if missing:
        session.error(f"{path.name} lacks {', '.join(missing)}")


def check_missing_extra(session: nox.Session) -> None:
    """Without the extra, the command line says in one line what to install."""
    python = Path(session.bin, "python")
    done = subprocess.run([python, "-I", "-m", "backscroll"], capture_output=True, text=True, check=False)
    if not done.returncode or done.stdout or done.stderr.count("\n") != 1 or "backscroll[cli]" not in done.stderr:
        session.error(f"`python -m backscroll` without its extra: {done.returncode}\n{done.stdout}{done.stderr}")
    session.log(done.stderr.strip())
