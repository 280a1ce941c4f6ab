"""Every clause, in one place: what a run, the list, the report and the documentation come from."""

from importlib import import_module
from typing import Final

from backscroll_conformance.clauses import Clause, Tier

MODULES: Final = (
    "contract.identity",
    "contract.appending",
    "contract.repeating",
    "contract.conditional",
    "contract.reading",
    "contract.expiry",
    "contract.dropping",
    "contract.listing",
    "contract.failing",
    "contract.lifecycle",
    "contract.undeclared",
    "stateful",
    "concurrent",
    "durable",
    "outage",
    "measured",
)
"""The modules that hold the clauses, in the order in which they are judged."""


def _collected() -> tuple[Clause, ...]:
    found: dict[str, Clause] = {}
    for name in MODULES:
        for value in vars(import_module(f"backscroll_conformance.{name}")).values():
            if isinstance(value, Clause):
                if value.id in found:
                    raise ValueError(f"two clauses have the id {value.id}")
                found[value.id] = value
    tiers = list(Tier)
    return tuple(sorted(found.values(), key=lambda clause: (tiers.index(clause.tier), clause.id)))


CATALOGUE: Final = _collected()
"""Every clause, by tier and id."""

BY_ID: Final = {clause.id: clause for clause in CATALOGUE}
"""Every clause by its id."""
