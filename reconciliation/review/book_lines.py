"""Lines of both books as pages show them: by number, by name, by what a person typed, and what lies near an amount.

Law: a line is shown as it is stored, with what stands in the way of matching it now; every question has an index and a
bound. Decides nothing and writes nothing.

Example:
    Bookkeeper(connection, source, "bank").found("INV-2026-17")
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg.rows import class_row, dict_row

from ledger_core.sql import queries
from reconciliation.review.candidates import NEAR_PERMILLE, Suggestion
from reconciliation.review.side_by_side import BookLine, Sides
from reconciliation.sources import Source
from reconciliation.vocabulary import REFERENCE_COLUMNS

SQL: Final = queries(Path(__file__).with_name("detail.sql"))

LINES_MAX: Final = 200  # of one exception, group or question
SUGGESTIONS_MAX: Final = 12
NEAR_MAX: Final = 12
LOOKED_AT_MAX: Final = 400  # open exceptions with about the amount
NEAR_DAYS: Final = 45
_NAME: Final = re.compile(r"(?s)(external|ledger):(.+)/([0-9]{1,9})", re.ASCII)
_REFERENCES: Final = (*REFERENCE_COLUMNS, "batch_ref")
_PLACE: Final = ("side", "line_id", "entry_id", "line_no")

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a line stands in the store: its number, or its entry and number within it."""

    side: str
    line_id: int | None
    entry_id: int | None
    line_no: int | None


class Bookkeeper:
    """Reads lines of one source, of both books."""

    def __init__(self, connection: Connection, source_id: str, source: Source | None) -> None:
        self.connection = connection
        self.source_id = source_id
        self.zone = source.time_zone if source else "UTC"
        self.accounts = list(source.ledger_accounts) if source else []

    def of_exception(self, exception_id: int) -> list[Place]:
        """Where the lines of an exception stand."""
        return self._places("own_lines", {"exception": exception_id, "most": LINES_MAX})

    def lines(self, places: Iterable[Place]) -> dict[Place, BookLine]:
        """The lines at these places."""
        wanted = list(places)
        external = [place.line_id for place in wanted if place.side == "external"]
        ledger = _entries(place for place in wanted if place.side == "ledger")
        found = self._read("external_lines", {"lines": external}) if external else {}
        if ledger["entries"]:
            found |= self._read("ledger_lines", ledger | {"zone": self.zone})
        return found

    def named(self, names: Iterable[str]) -> list[BookLine]:
        """Lines by what forms call them, ``side:key/number``; the name of nothing gives nothing."""
        split = [parts for parts in map(split_name, names) if parts is not None]
        external = [(key, number) for side, key, number in split if side == "external"]
        ledger = [(key, number) for side, key, number in split if side == "ledger"]
        wanted = {
            "source": self.source_id,
            "accounts": self.accounts,
            "line_keys": [key for key, _ in external],
            "versions": [number for _, number in external],
            "entry_keys": [key for key, _ in ledger],
            "line_numbers": [number for _, number in ledger],
        }
        return self._ordered("lines_named", wanted) if split else []

    def found(self, word: str) -> list[BookLine]:
        """Lines of either book by a key or a reference, in canonical order."""
        wanted = {"source": self.source_id, "accounts": self.accounts, "word": word, "most": LINES_MAX}
        return self._ordered("lines_found", wanted) if word else []

    def near(
        self, exception_id: int, *, asset: str, wanted_minor: int, sides: Sequence[str], day: date
    ) -> tuple[list[BookLine], bool]:
        """Open lines with about this amount, and whether there were more exceptions than were looked at."""
        slack = max(abs(wanted_minor) * NEAR_PERMILLE // 1_000, 1)
        wanted = {
            "source": self.source_id,
            "exception": exception_id,
            "asset": asset,
            "sides": list(sides),
            "wanted": wanted_minor,
            "lowest": wanted_minor - slack,
            "highest": wanted_minor + slack,
            "least": max(abs(wanted_minor) - slack, 0),
            "largest": abs(wanted_minor) + slack,
            "first": day - timedelta(days=NEAR_DAYS),
            "last": day + timedelta(days=NEAR_DAYS),
            "day": day,
            "looked_at": LOOKED_AT_MAX,
            "most": NEAR_MAX,
        }
        rows = self.connection.cursor(row_factory=dict_row).execute(SQL["near_lines"], wanted).fetchall()
        is_cut = any(row.pop("looked_at") >= LOOKED_AT_MAX for row in rows)
        return list(self.lines(Place(**row) for row in rows).values()), is_cut

    def suggestions(self, places: Sequence[Place]) -> list[Suggestion]:
        """What the engine suggests for any of the lines at these places."""
        wanted = _entries(place for place in places if place.side == "ledger") | {
            "source": self.source_id,
            "lines": [place.line_id for place in places if place.side == "external"],
            "most": SUGGESTIONS_MAX,
        }
        groups = self.connection.execute(SQL["suggestions"], wanted).fetchall()
        members = self.members([group_id for group_id, _, _ in groups])
        return [
            Suggestion(group_id=group, match_pass=name, evidence=evidence, lines=members.get(group, ()))
            for group, name, evidence in groups
        ]

    def members(self, group_ids: Sequence[int]) -> dict[int, tuple[BookLine, ...]]:
        """The lines of match groups, each with its role."""
        cursor = self.connection.cursor(row_factory=dict_row)
        rows = cursor.execute(SQL["group_members"], {"groups": list(group_ids)}).fetchall()
        told = [(row["group_id"], Place(**{name: row[name] for name in _PLACE}), row["role"]) for row in rows]
        lines = self.lines({place: None for _, place, _ in told})
        held: dict[int, list[BookLine]] = {}
        for group_id, place, role in told:
            if place in lines:
                held.setdefault(group_id, []).append(replace(lines[place], role=role))
        return {group_id: Sides.of(members).lines for group_id, members in held.items()}

    def _ordered(self, query: str, wanted: Mapping[str, Any]) -> list[BookLine]:
        return list(Sides.of(self.lines(self._places(query, wanted)).values()).lines)

    def _places(self, query: str, wanted: Mapping[str, Any]) -> list[Place]:
        return self.connection.cursor(row_factory=class_row(Place)).execute(SQL[query], wanted).fetchall()

    def _read(self, query: str, wanted: Mapping[str, Any]) -> dict[Place, BookLine]:
        rows = self.connection.cursor(row_factory=dict_row).execute(SQL[query], wanted).fetchall()
        return {Place(**{name: row[name] for name in _PLACE}): _line(row) for row in rows}


def split_name(name: str) -> tuple[str, str, int] | None:
    """Side, key and number of ``side:key/number``; None for anything else."""
    found = _NAME.fullmatch(name)
    return None if found is None else (found[1], found[2], int(found[3]))


def _entries(places: Iterable[Place]) -> dict[str, Any]:
    pairs = [(place.entry_id, place.line_no) for place in places]
    return {"entries": [entry for entry, _ in pairs], "numbers": [number for _, number in pairs]}


def _line(row: Mapping[str, Any]) -> BookLine:
    names = ("side", "key", "number", "account", "asset", "amount_minor", "day", "value_date", "kind", "counterparty",
             "text", "fee_minor", "exception_id", "origin", "problem")  # fmt: skip
    return BookLine(
        references=tuple((name, row[name]) for name in _REFERENCES if row[name]),
        **{name: row[name] for name in names},
    )
