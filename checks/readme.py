"""What a nox session takes from README.md."""

import re
import shlex
from pathlib import Path

import nox


def set_up_commands(session: nox.Session) -> tuple[str, str]:
    """The two commands under "Set up" in README.md."""
    text = Path("README.md").read_text(encoding="utf-8")
    section = re.search(r"^## Set up\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    commands = re.findall(r"^```sh\n(.*?)\n```$", section[1] if section else "", re.DOTALL | re.MULTILINE)
    if len(commands) != 2 or any("\n" in command or not shlex.split(command) for command in commands):
        session.error(f"README.md: Set up holds two sh blocks of one line each, not {commands}")
    return commands[0], commands[1]
