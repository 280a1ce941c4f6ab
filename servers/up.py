"""Make sure that the real servers can be started here: a Docker Engine that answers, and the images.

An image is pulled where that is possible, and otherwise built under the same name from packages: those of Debian, and
Maven's (which takes mvn and Java) or Go's. What is there already is kept. Starting an engine takes root on Debian, but
where one answers, nothing is installed.

    python servers/up.py                  the images that the tests need
    python servers/up.py cassandra:5.0    this one; --all for all that there are
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "backscroll-servers")
IMAGES = {
    "redis:7": "redis",
    "cassandra:5.0": "cassandra",
    "apache/kafka:4.1.0": "kafka",
    "pingcap/tidb:v8.5.4": "tidb",
    "mariadb:10.11": "mariadb",
}
"""The folder with the Dockerfile of each image."""

NEEDED = ("redis:7", "pingcap/tidb:v8.5.4", "mariadb:10.11", "cassandra:5.0", "apache/kafka:4.1.0")
"""Those that a plugin of this repository starts in its tests."""

FETCH = {
    "pom.xml": "mvn -q -B dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory=lib",
    "go.mod": "go build -mod=mod -trimpath -ldflags=-w -o tidb-server github.com/pingcap/tidb/cmd/tidb-server",
}
"""What brings that beside a Dockerfile which it copies, where a folder has such a file."""

BASE = "debian:bookworm-slim"
PULL_SECONDS = 300
ENGINE_SECONDS = 60


class Failed(Exception):
    """Something cannot be done here; the text says what."""


def run(*command: str, timeout: float | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command, and keep its output."""
    return subprocess.run(command, check=False, text=True, capture_output=True, timeout=timeout)


def must(*command: str, folder: Path | None = None) -> None:
    """Run a command that has to succeed."""
    try:
        done = subprocess.run(command, check=False, text=True, capture_output=True, cwd=folder)
    except FileNotFoundError:
        raise Failed(f"{command[0]} is not there: install it, or pull the image elsewhere") from None
    if done.returncode:
        raise Failed(f"{' '.join(command[:3])} … ended with {done.returncode}:\n{(done.stdout + done.stderr)[-2_000:]}")


def answers() -> bool:
    """Whether a Docker Engine answers."""
    return bool(shutil.which("docker")) and not run("docker", "info").returncode


def install(*packages: str) -> None:
    """Install packages of Debian that are missing."""
    if run("dpkg", "--status", *packages).returncode == 0:
        return
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    must("apt-get", "update", "--quiet")
    must("apt-get", "install", "--quiet", "--yes", "--no-install-recommends", *packages)


def start_engine() -> None:
    """Start a Docker Engine, which stays when this program ends."""
    if not shutil.which("apt-get") or os.geteuid():
        raise Failed("no Docker Engine answers, and it takes root on Debian to install one: start one yourself")
    install("docker.io", "iptables")
    CACHE.mkdir(parents=True, exist_ok=True)
    log = CACHE / "dockerd.log"
    with log.open("w") as output:
        subprocess.Popen(
            ["dockerd", "--data-root", str(CACHE / "docker")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    end = time.monotonic() + ENGINE_SECONDS
    while not answers():
        if time.monotonic() > end:
            raise Failed(f"the Docker Engine did not start; its log ends:\n{log.read_text()[-2_000:]}")
        time.sleep(0.5)


def is_there(image: str) -> bool:
    """Whether the engine has an image."""
    return not run("docker", "image", "inspect", image).returncode


def is_pulled(image: str) -> bool:
    """Try to pull an image."""
    try:
        return not run("docker", "pull", "--quiet", image, timeout=PULL_SECONDS).returncode
    except subprocess.TimeoutExpired:
        return False


def make_base() -> None:
    """Make the image on which the others are built, where it cannot be pulled."""
    if is_there(BASE) or is_pulled(BASE):
        return
    install("debootstrap")
    with tempfile.TemporaryDirectory() as folder:
        must("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", folder)
        shutil.rmtree(Path(folder, "var/cache/apt/archives"))
        archive = subprocess.Popen(["tar", "--directory", folder, "--create", "."], stdout=subprocess.PIPE)
        made = subprocess.run(["docker", "import", "-", BASE], stdin=archive.stdout, capture_output=True, check=False)
        if archive.wait() or made.returncode:
            raise Failed(f"docker import ended with {made.returncode}: {made.stderr.decode()[-2_000:]}")


def make(image: str) -> str:
    """Make sure that an image is there; gives how it came."""
    if is_there(image):
        return "is there"
    if is_pulled(image):
        return "pulled"
    make_base()
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(shutil.copytree(HERE / IMAGES[image], Path(parent, "image")))
        for name, command in FETCH.items():
            if (folder / name).exists():
                must(*command.split(), folder=folder)
        must("docker", "build", "--quiet", "--network", "host", "--tag", image, str(folder))
    return "built"


def main(images: list[str]) -> int:
    """Do it; gives the exit code."""
    images = list(IMAGES) if images == ["--all"] else images
    if unknown := [image for image in images if image not in IMAGES]:
        print(f"no such image: {', '.join(unknown)}; there are {', '.join(IMAGES)}", file=sys.stderr)
        return 2
    try:
        if not answers():
            start_engine()
        for image in images or NEEDED:
            began = time.monotonic()
            print(f"{image}: {make(image)} ({time.monotonic() - began:.0f} s)", flush=True)
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
