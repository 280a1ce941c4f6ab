"""A chat in the terminal that remembers: stop it, start it again, and it goes on where you were.

    pip install backscroll
    python examples/cli_chat.py                          # kept in chat.db
    python examples/cli_chat.py redis://localhost:6379/0 --session alice

The model is a stand-in, so that it runs anywhere: put yours in place of `answer`.
"""

import argparse
import sys
from collections.abc import Sequence

import backscroll

REMEMBERED = 20
"""How many messages the model is given."""


def answer(messages: Sequence[backscroll.Message]) -> str:
    """What a model says to the end of a conversation."""
    asked = [message.content for message in messages if message.role == "user"]
    return f"You said {asked[-1]!r}; before that, {len(asked) - 1} other things that I remember."


def main() -> int:
    """Talk until the input ends."""
    parser = argparse.ArgumentParser(description="Chat, and be remembered.")
    parser.add_argument("url", nargs="?", default="sqlite:///chat.db", help="the database (default: %(default)s)")
    parser.add_argument("--session", default="me", help="whose conversation it is (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        with backscroll.open(arguments.url) as store:
            chat = store.history(arguments.session)
            for message in chat.last(REMEMBERED):
                print(f"{message.role}: {message.content}")
            for line in sys.stdin:
                if text := line.strip():
                    question = backscroll.Message("user", text)
                    said = answer([*chat.last(REMEMBERED), question])
                    # Both are one turn: nobody ever reads the question without its answer.
                    chat.append([question, backscroll.Message("assistant", said)])
                    print(f"assistant: {said}", flush=True)
    except backscroll.BackscrollError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
