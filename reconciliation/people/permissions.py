"""What a role may do, as one table.

Law: this table and the database's `recon.permits` say the same; the database is the one that decides. What else stands
in the way of a deed (limits by amount, four eyes, the roles that a source names for its sign-off) is not told here.

Example:
    permits(("viewer", "approver"), "judge")  # True
"""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Final

ROLES: Final = ("viewer", "analyst", "approver", "controller", "auditor", "admin")

_WORKERS: Final = frozenset({"analyst", "approver", "controller"})

MAY: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "look": frozenset(ROLES),
        "export": _WORKERS | {"auditor"},
        "work": _WORKERS,
        "propose": _WORKERS,
        "judge": frozenset({"approver", "controller"}),
        "prepare": _WORKERS,
        "review": frozenset({"approver", "controller"}),
        "audit": frozenset({"auditor", "controller", "admin"}),
        "administer": frozenset({"admin"}),
        "operate": _WORKERS | {"admin"},
    }
)
DEEDS: Final = tuple(MAY)


def permits(roles: Collection[str], deed: str) -> bool:
    """Whether one of the roles may do it; nobody may do what is not in the table."""
    return not MAY.get(deed, frozenset()).isdisjoint(roles)


def roles_that_may(deed: str) -> tuple[str, ...]:
    """The roles that may do it, in the order of ``ROLES``; for the sentence to somebody who may not."""
    return tuple(role for role in ROLES if role in MAY.get(deed, frozenset()))
