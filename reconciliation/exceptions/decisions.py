"""The decisions of people that a run keeps, read by content.

Law: of several decisions about one content the latest holds, and what two people forced is read in an order that no row
number decides. Whether a decision still fits what is open is for the run to find out, day by day.

Example:
    decisions = read_decisions(connection, "bank", until=window.last)
    [forced.group for forced in decisions.forced if forced.as_of <= day]
"""

from dataclasses import dataclass
from datetime import date
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import psycopg

from ledger_core.sql import queries
from reconciliation.classification.shapes import ledger_natural_key
from reconciliation.matching.context import ForcedGroup, ForcedMember

SQL: Final = queries(Path(__file__).with_suffix(".sql"))


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedGroup:
    """A match that people made, and the business day from which on it holds."""

    as_of: date
    group: ForcedGroup


@dataclass(frozen=True, slots=True, kw_only=True)
class DecidedLine:
    """A line that people decided about, and the business day from which on it holds.

    ``key`` and ``number`` are line key and version, or entry key and line number.
    """

    as_of: date
    side: str
    key: str
    number: int

    @property
    def name(self) -> tuple[str, str]:
        """Side and natural key, as the classification names lines."""
        if self.side == "external":
            return self.side, self.key
        return self.side, ledger_natural_key(self.key, self.number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """All that binds the runs of one source: ``rejected`` holds keys of groups and binds every day, the others their
    day and those after it.
    """

    rejected: frozenset[str] = frozenset()
    forced: tuple[DecidedGroup, ...] = ()
    not_duplicate: tuple[DecidedLine, ...] = ()
    excluded: tuple[DecidedLine, ...] = ()


def read_decisions(connection: psycopg.Connection[Any], source_id: str, *, until: date) -> Decisions:
    """What people decided about a source and what acts on ``until`` or before."""
    wanted = {"source": source_id, "until": until}
    return Decisions(
        rejected=frozenset(key for (key,) in connection.execute(SQL["rejected"], wanted)),
        forced=_forced(connection, wanted),
        not_duplicate=_lines(connection, wanted | {"kind": "not_duplicate"}),
        excluded=_lines(connection, wanted | {"kind": "exclude"}),
    )


def _forced(connection: psycopg.Connection[Any], wanted: dict[str, Any]) -> tuple[DecidedGroup, ...]:
    rows = connection.execute(SQL["forced"], wanted).fetchall()
    found = []
    for (_, as_of, reason, actor, approved_by), members in groupby(rows, key=lambda row: row[:5]):
        group = ForcedGroup(
            members=tuple(
                ForcedMember(side=side, key=key, number=number, role=role)
                for *_, side, key, number, role in members
            ),
            reason=reason,
            decided_by=(actor, approved_by),
        )
        found.append(DecidedGroup(as_of=as_of, group=group))
    return tuple(found)


def _lines(connection: psycopg.Connection[Any], wanted: dict[str, Any]) -> tuple[DecidedLine, ...]:
    return tuple(
        DecidedLine(as_of=as_of, side=side, key=key, number=number)
        for as_of, side, key, number in connection.execute(SQL["lines"], wanted)
    )
