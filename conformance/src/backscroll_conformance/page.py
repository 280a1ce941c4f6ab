"""The page of the clauses, from the catalogue: ``python -m backscroll_conformance.page > docs/clauses.md``."""

import sys
from collections.abc import Iterable

from backscroll_conformance.catalogue import CATALOGUE
from backscroll_conformance.clauses import Clause, Form, Tier

INTRODUCTION = """\
# The clauses

What [the conformance suite](conformance.md) judges: {count} clauses. The words MUST and SHOULD have the meaning of
RFC 2119; a SHOULD that is not kept is reported and costs nothing. Each is judged in both forms, sync and async, unless
it says otherwise. An id never changes its meaning.

This page is made from the catalogue: `python -m backscroll_conformance.page > docs/clauses.md`.
"""


def page(clauses: Iterable[Clause] = CATALOGUE) -> str:
    """The page, in Markdown.

    Args:
        clauses: What is on it.
    """
    chosen = tuple(clauses)
    parts = [INTRODUCTION.format(count=len(chosen))]
    for tier in Tier:
        rows = [_row(one) for one in chosen if one.tier is tier]
        if rows:
            head = f"## {tier.value.capitalize()}\n\n| id | what | where |\n|---|---|---|"
            parts.append("\n".join([head, *rows]) + "\n")
    return "\n".join(parts)


def _row(clause: Clause) -> str:
    where = [f"`{name}`" for name in sorted(one.value for one in clause.needs)]
    if clause.lacks:
        where.append(f"without `{clause.lacks.value}`")
    if len(clause.forms) < len(Form):
        where += [f"{form.value} only" for form in clause.forms]
    sentence = clause.sentence.replace("|", "\\|")
    return f"| **{clause.id}** | {sentence} | {', '.join(where) or 'everywhere'} |"


if __name__ == "__main__":
    sys.stdout.write(page())
