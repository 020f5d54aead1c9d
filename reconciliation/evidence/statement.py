"""The reconciliation statement of a source and business day, as it is known now or was known at any moment before.

Laws: the same moment of knowledge gives the same bytes, whatever came later; everything is read from evidence that is
only ever added to, at one snapshot; ``books`` says how the two books stand and is what people sign, ``record`` says how
that came about: runs, actors, instants, heads of the event chains. No clock, no fraction, no surrogate number in books.

What people said of an open item (coded reason, owner, until when it is carried) is record: it explains the books and
does not change them.

Example:
    statement = day_statement(connection, source, date(2026, 11, 13))
    statement.tied_out, statement.books_sha256, statement.canonical_bytes()
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
from psycopg.rows import dict_row

from ledger_core.money import exponent_of, format_minor
from ledger_core.read_port import balances_before
from ledger_core.sql import copy_out, queries
from reconciliation.classification import BusinessCalendar, FileCalendar, business_date_of
from reconciliation.errors import UnknownItem
from reconciliation.evidence.business_time import end_of_business_day
from reconciliation.evidence.canonical_json import bytes_of_plain, plain
from reconciliation.evidence.knowledge import Snapshot, after_run, snapshot_of
from reconciliation.evidence.statement_parts import (
    BRIDGE_LINES,
    OPEN_EXTERNAL_SCHEMA,
    OPEN_LEDGER_SCHEMA,
    Row,
    explanations_of,
    files_of,
    identities_of,
    in_order,
    open_item,
)
from reconciliation.sources import Source

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
FORM: Final = 1
"""Version of the statement's form; it moves with any change that gives other bytes for the same evidence."""

_BRIDGE: Final = frozenset(name for name, _, _ in BRIDGE_LINES)
_COUNTS: Final = {
    "lines": "line_count",
    "matched": "matched_count",
    "timing": "timing_count",
    "genuine": "genuine_count",
    "excluded": "excluded_count",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DayStatement:
    """``books`` and ``record`` are plain values: mappings, lists, text and whole numbers (amounts in minor units).

    Made by ``day_statement`` and ``from_text`` alone.
    """

    books: Mapping[str, Any]
    record: Mapping[str, Any]

    @classmethod
    def from_text(cls, text: str) -> "DayStatement":
        """The statement of canonical JSON, as a sign-off keeps it."""
        value = plain(json.loads(text))
        return cls(books=value["books"], record=value["record"])

    @property
    def source_id(self) -> str:
        return str(self.books["source"])

    @property
    def day(self) -> date:
        return date.fromisoformat(self.books["date"])

    @property
    def known_at(self) -> str:
        """The snapshot that was known, as PostgreSQL writes it."""
        return str(self.record["known_at"])

    @property
    def accounts(self) -> Sequence[Mapping[str, Any]]:
        accounts: Sequence[Mapping[str, Any]] = self.books["accounts"]
        return accounts

    @property
    def tied_out(self) -> bool:
        """Whether every account was proved and nothing is left unexplained."""
        return all(account["bridge"] and not account["bridge"]["unexplained_minor"] for account in self.accounts)

    @property
    def failing(self) -> tuple[Mapping[str, Any], ...]:
        """Identities that do not hold."""
        return tuple(identity for identity in self.books["identities"] if not identity["holds"])

    @property
    def obstacles(self) -> tuple[str, ...]:
        """Why these books cannot be signed: an identity fails, a file is missing."""
        told = [in_words(identity) for identity in self.failing if identity["blocks"]]
        told += [
            f"{missing['account'] or self.source_id}: no file for {missing['date']}"
            for missing in self.books["files"]["missing"]
        ]
        return tuple(told)

    def as_value(self) -> dict[str, Any]:
        """The whole statement as one JSON object."""
        return {
            "form": FORM,
            "source": self.source_id,
            "date": self.day.isoformat(),
            "tied_out": self.tied_out,
            "books": self.books,
            "record": self.record,
        }

    def canonical_bytes(self) -> bytes:
        """The whole statement in the bytes that are kept with a sign-off."""
        return bytes_of_plain(self.as_value())

    @property
    def sha256(self) -> str:
        """Digest of the whole statement."""
        return hashlib.sha256(self.canonical_bytes()).hexdigest()

    @property
    def books_sha256(self) -> str:
        """Digest of what is signed."""
        return hashlib.sha256(bytes_of_plain(self.books)).hexdigest()


def in_words(identity: Mapping[str, Any]) -> str:
    """An identity as a sentence."""
    asset = identity["asset"]
    expected, found = (
        f"{format_minor(identity[name], exponent_of(asset))} {asset}" if asset else str(identity[name])
        for name in ("expected", "found")
    )
    return f"{identity['said']}: expected {expected}, found {found}"


def day_statement(
    connection: psycopg.Connection[Any], source: Source, day: date, *, known_at: str | None = None
) -> DayStatement:
    """The statement of a business day as it is known now, or was at ``known_at`` (see ``knowledge.snapshot_of``).

    Raises:
        UnknownItem: the date is no business day of the source on or after its start, or nothing was known then.
    """
    calendar = BusinessCalendar.of(source.calendars)
    _refuse_other_days(source, calendar, day)
    seen = snapshot_of(connection, source.id, day, known_at)
    return _Reading(connection, source, calendar, day, seen).statement()


class _Reading:
    """One reading of the evidence: the parameters that all queries share, and what they gave."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        source: Source,
        calendar: BusinessCalendar,
        day: date,
        seen: Snapshot,
    ) -> None:
        self.connection, self.source, self.calendar, self.day, self.seen = connection, source, calendar, day, seen
        before = _business_day_before(day, calendar)
        self.after = before
        self.opened_at = end_of_business_day(before, source, calendar)
        self.closed_at = end_of_business_day(day, source, calendar)
        self.wanted: dict[str, Any] = {
            "source": source.id,
            "accounts": list(source.ledger_accounts),
            "day": day,
            "after": before,
            "start_date": source.start_date,
            "from": end_of_business_day(source.start_date - timedelta(days=1), source, calendar),
            "before": self.closed_at,
            "seen": str(seen),
        }
        self.runs = self._rows("runs")
        done = [run for run in self.runs if run["state"] == "succeeded"]
        judged = after_run(done[-1]["data_snapshot"], done[-1]["xid"]) if done else Snapshot.nothing()
        self.wanted["judged"] = str(judged)
        self.items: list[Row] = []

    def statement(self) -> DayStatement:
        accounts = self._accounts()
        statements = self._rows("statements")
        books = {
            "source": self.source.id,
            "date": self.day,
            "business_day_before": self.after,
            "accounts": accounts,
            "exceptions_without_lines": self._rows("without_lines"),
            "files": files_of(self._owed(), statements),
            "decisions": self._rows("decisions"),
            "identities": [
                identity.as_value()
                for account in accounts
                for identity in identities_of(account, ledger_minor=account["ledger_closing_minor"])
            ],
        }
        return DayStatement(books=plain(books), record=plain(self._record()))

    def _accounts(self) -> list[dict[str, Any]]:
        """Each account with its balances, its bridge and every line that the bridge is made of."""
        proofs = {row["account"]: row for row in self._rows("proofs")}
        balances = self._balances()
        opened = self._open_items()
        excluded = self._by_account(self._excluded())
        passes = self._by_account(self._rows("passes"))
        return [
            _account(
                mapping.ledger,
                mapping.asset,
                mapping.external,
                proof=proofs.get(mapping.ledger),
                balances=balances[mapping.ledger],
                open_items=opened.get(mapping.ledger, []),
                excluded=excluded.get(mapping.ledger, []),
                passes=passes.get(mapping.ledger, []),
            )
            for mapping in sorted(self.source.accounts, key=lambda mapping: mapping.ledger)
        ]

    def _open_items(self) -> dict[str, list[dict[str, Any]]]:
        external = copy_out(self.connection, SQL["open_external"], self.wanted, OPEN_EXTERNAL_SCHEMA).to_pylist()
        ledger = self._dated(copy_out(self.connection, SQL["open_ledger"], self.wanted, OPEN_LEDGER_SCHEMA)).to_pylist()
        self.items = [*external, *ledger]
        found: dict[str, list[dict[str, Any]]] = {}
        for side, rows in (("external", external), ("ledger", ledger)):
            for row in rows:
                found.setdefault(row["account"], []).append(open_item(row, side, self.day))
        return {account: in_order(items) for account, items in found.items()}

    def _excluded(self) -> list[dict[str, Any]]:
        rows = self._rows("excluded")
        ledger = [row for row in rows if row["side"] == "ledger"]
        instants = pa.array([row["effective_at"] for row in ledger], pa.timestamp("us", tz="UTC"))
        for row, day in zip(ledger, self._business_dates(instants).to_pylist(), strict=True):
            row["business_date"] = day
        for row in rows:
            del row["effective_at"]
        order = ("side", "business_date", "key", "number", "as_of", "proposed_by", "approved_by", "reason")
        return sorted(rows, key=lambda row: tuple(row[name] for name in order))

    def _dated(self, ledger: pa.Table) -> pa.Table:
        return ledger.append_column("business_date", self._business_dates(ledger.column("effective_at")))

    def _business_dates(self, instants: Any) -> Any:
        source = self.source
        return business_date_of(instants, zone=source.zone, cut_off=source.cut_off, calendar=self.calendar)

    def _balances(self) -> dict[str, tuple[int, int]]:
        """Our balance of each account at the start and at the end of the day."""
        rows = balances_before(
            self.connection,
            self.source.ledger_accounts,
            [self.opened_at, self.closed_at],
            seen_by=str(self.seen),
        ).to_pylist()
        found = {(row["account"], row["instant"]): row["balance_minor"] for row in rows}
        return {
            account: (found[account, self.opened_at], found[account, self.closed_at])
            for account in self.source.ledger_accounts
        }

    def _owed(self) -> list[tuple[str | None, date]]:
        """Files that are owed for the dates of the day: its own, and those of the closed days before it."""
        files = FileCalendar(source=self.source, calendar=self.calendar)
        per_account = self.source.files.per == "account"
        return [
            (account if per_account else None, owed)
            for account in files.places
            for owed in files.owed(account, self.after + timedelta(days=1), self.day)
        ]

    def _record(self) -> dict[str, Any]:
        reached = [run for run in self.runs if run["from_date"] <= self.day <= run["business_date"]]
        decided = [run for run in reached if run["state"] == "succeeded"]
        names = ("rules_digest", "calendar_version", "code_version")
        proposals = self._rows("proposals")
        return {
            "known_at": str(self.seen),
            "decided_by": {name: decided[-1][name] for name in names} if decided else None,
            "runs": [{name: run[name] for name in run if name not in ("xid", "data_snapshot")} for run in reached],
            "deliveries": self._rows("deliveries"),
            "explanations": explanations_of(self.items),
            "deeds": [_deed(row) for row in self._rows("deeds")],
            "undone_matches": self._rows("undone"),
            "waiting_proposals": [row for row in proposals if row["verdict"] is None],
            "adjustments": [row for row in proposals if row["verdict"] is not None],
            "alerts": self._rows("alerts"),
            "chains": self._rows("chains"),
        }

    def _rows(self, name: str) -> list[dict[str, Any]]:
        return self.connection.cursor(row_factory=dict_row).execute(SQL[name], self.wanted).fetchall()

    @staticmethod
    def _by_account(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
        found: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            found.setdefault(row["account"], []).append({name: row[name] for name in row if name != "account"})
        return found


def _account(
    account: str,
    asset: str,
    external: str,
    *,
    proof: Row | None,
    balances: tuple[int, int],
    open_items: list[dict[str, Any]],
    excluded: list[dict[str, Any]],
    passes: list[dict[str, Any]],
) -> dict[str, Any]:
    opening_minor, closing_minor = balances
    told = proof or {}
    return {
        "account": account,
        "asset": asset,
        "external_account": external or None,
        "basis": told.get("basis"),
        "opening_minor": told.get("opening_minor"),
        "movement_minor": told.get("movement_minor"),
        "closing_minor": told.get("closing_minor"),
        "ledger_opening_minor": opening_minor,
        "ledger_movement_minor": closing_minor - opening_minor,
        "ledger_closing_minor": closing_minor,
        "bridge": {name: told[name] for name in told if name in _BRIDGE} if proof else None,
        "counts": {name: told[column] for name, column in _COUNTS.items()} if proof else None,
        "open_items": open_items,
        "excluded": excluded,
        "passes": passes,
    }


def _deed(row: Row) -> dict[str, Any]:
    """A step with what it changed alone."""
    before, after = row["before"] or {}, row["after"] or {}
    changed = {name: [before.get(name), after[name]] for name in after if before.get(name) != after[name]}
    return {name: row[name] for name in row if name not in ("before", "after")} | {"changed": changed if before else {}}


def _refuse_other_days(source: Source, calendar: BusinessCalendar, day: date) -> None:
    if day < source.start_date:
        raise UnknownItem(f"{source.id} {day}: expected a day from {source.start_date} on, when the source starts")
    if not calendar.is_business_day(day):
        raise UnknownItem(
            f"{source.id} {day}: expected a business day, found one on which {', '.join(source.calendars)} is closed;"
            f" what is dated on it belongs to {calendar.roll_forward(day)}"
        )


def _business_day_before(day: date, calendar: BusinessCalendar) -> date:
    before = day - timedelta(days=1)
    while not calendar.is_business_day(before):
        before -= timedelta(days=1)
    return before
