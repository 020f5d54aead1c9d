"""The statement of a day as plain tables, from which page, CSV and workbook are made: they cannot disagree. Pure.

Law: every open line, every excluded line and every identity of the statement is a row here; nothing is summed up away.
Amounts are whole numbers of minor units in columns whose names end in ``_minor``, beside the ``asset`` of their row.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from reconciliation.evidence.statement import DayStatement
from reconciliation.evidence.statement_parts import BRIDGE_LINES

Row = Mapping[str, Any]
Reader = Callable[[DayStatement], Iterable[Row]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows with all of ``columns``, in order; ``title`` for people, ``name`` for scripts."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]

    def of_account(self, account: str, **values: str) -> "Table":
        """The rows of one account, and of these values in other columns."""
        wanted = {"account": account} | values
        kept = tuple(row for row in self.rows if all(row[name] == value for name, value in wanted.items()))
        return Table(name=self.name, title=self.title, columns=self.columns, rows=kept)


def tables_of(statement: DayStatement) -> dict[str, Table]:
    """All tables of a statement by name, in the order in which they are read."""
    return {
        name: Table(
            name=name,
            title=title,
            columns=columns,
            rows=tuple({column: row.get(column) for column in columns} for row in read(statement)),
        )
        for name, title, columns, read in _TABLES
    }


def title_of(column: str) -> str:
    """The head of a column."""
    return column.removesuffix("_minor").replace("_", " ")


def _statement(statement: DayStatement) -> Iterator[Row]:
    decided = statement.record["decided_by"] or {}
    for name, value in {
        "source": statement.source_id,
        "date": statement.books["date"],
        "tied out": "yes" if statement.tied_out else "no",
        "known at": statement.known_at,
        "sha256 of the statement": statement.sha256,
        "sha256 of the books": statement.books_sha256,
        "rules": decided.get("rules_digest"),
        "calendar": decided.get("calendar_version"),
        "program": decided.get("code_version"),
    }.items():
        yield {"name": name, "value": value}


def _balances(statement: DayStatement) -> Iterator[Row]:
    for account in statement.accounts:
        yield {**account, **{f"{name}_count": count for name, count in (account["counts"] or {}).items()}}


def _bridge(statement: DayStatement) -> Iterator[Row]:
    for account in statement.accounts:
        for name, words, sign in BRIDGE_LINES:
            if account["bridge"] is not None:
                told = {"part": words, "amount_minor": sign * account["bridge"][name]}
                yield {"account": account["account"], "asset": account["asset"]} | told


def _of_accounts(part: str) -> Reader:
    def read(statement: DayStatement) -> Iterator[Row]:
        for account in statement.accounts:
            for row in account[part]:
                yield {"account": account["account"], "asset": account["asset"]} | row

    return read


def _open_items(statement: DayStatement) -> Iterator[Row]:
    explanations = statement.record["explanations"]
    for row in _of_accounts("open_items")(statement):
        yield row | explanations.get(row["exception_key"], {})


def _files(statement: DayStatement) -> Iterator[Row]:
    files = statement.books["files"]
    for owed in files["expected"]:
        yield {"state": "expected", "account": owed["account"], "to_date": owed["date"]}
    for row in files["received"]:
        yield row | {"state": "corrected" if row["corrected"] else "received", "flags": "; ".join(row["flags"])}
    for owed in files["missing"]:
        yield {"state": "missing", "account": owed["account"], "to_date": owed["date"]}


def _identities(statement: DayStatement) -> Iterator[Row]:
    for identity in statement.books["identities"]:
        unit = "minor units" if identity["asset"] else "lines"
        yield identity | {"holds": "holds" if identity["holds"] else "does not hold", "unit": unit}


def _decisions(statement: DayStatement) -> Iterator[Row]:
    for row in statement.books["decisions"]:
        names = (f"{member['side']} {member['key']}" for member in row["members"] or ())
        yield row | {"lines": ", ".join(names)}


def _proposals(statement: DayStatement) -> Iterator[Row]:
    for row in (*statement.record["waiting_proposals"], *statement.record["adjustments"]):
        yield row | {"state": row["posting"] or row["verdict"] or "waits"}


def _recorded(part: str) -> Reader:
    return lambda statement: statement.record[part]


def _deeds(statement: DayStatement) -> Iterator[Row]:
    for row in statement.record["deeds"]:
        changes = (f"{name}: {_told(was)} -> {_told(now)}" for name, (was, now) in sorted(row["changed"].items()))
        yield row | {"change": ", ".join(changes)}
    for row in statement.record["undone_matches"]:
        yield {
            "at": row["revoked_at"],
            "actor": row["actor"],
            "event": "match undone",
            "note": row["reason"],
            "change": f"{row['match_pass']} of {row['as_of']}",
        }


def _told(value: object) -> str:
    return "none" if value is None else str(value)


_ITEM: Final = ("account", "asset", "side", "business_date", "key", "number", "amount_minor")
_TABLES: Final[tuple[tuple[str, str, tuple[str, ...], Reader], ...]] = (
    ("statement", "Statement", ("name", "value"), _statement),
    ("balances", "Balances and counts", (
        "account", "asset", "external_account", "basis", "opening_minor", "movement_minor", "closing_minor",
        "ledger_opening_minor", "ledger_movement_minor", "ledger_closing_minor", "lines_count", "matched_count",
        "timing_count", "genuine_count", "excluded_count"), _balances),
    ("bridge", "Bridge from our balance to theirs", ("account", "asset", "part", "amount_minor"), _bridge),
    ("open_items", "Open items", (
        *_ITEM, "bucket", "kind", "severity", "reference", "counterparty", "value_date", "opened_on", "due_on",
        "reason", "carried_until", "assignee", "told_on", "class", "exception_key"), _open_items),
    ("excluded", "Left out by decision", (
        *_ITEM, "as_of", "reason", "proposed_by", "approved_by"), _of_accounts("excluded")),
    ("passes", "Matches of the day, and what they explain", (
        "account", "asset", "match_pass", "groups", "external_lines", "ledger_lines", "external_minor", "ledger_minor",
        "difference_of_day_minor", "difference_minor"), _of_accounts("passes")),
    ("files", "Files", (
        "state", "account", "to_date", "from_date", "statement_ref", "version", "file_name", "file_sha256", "asset",
        "opening_minor", "movement_minor", "closing_minor", "line_count", "flags"), _files),
    ("exceptions", "Exceptions without open lines", (
        "account", "asset", "item_date", "kind", "severity", "amount_minor", "difference_minor", "opened_on", "due_on",
        "line_key", "class", "exception_key"), lambda statement: statement.books["exceptions_without_lines"]),
    ("identities", "Checks", ("account", "name", "said", "holds", "expected", "found", "asset", "unit"), _identities),
    ("decisions", "Decisions that act from the day on", (
        "kind", "as_of", "lines", "reason", "proposed_by", "approved_by"), _decisions),
    ("proposals", "Proposals that wait, and entries for the day", (
        "state", "action", "stake_minor", "asset", "reason_code", "reason", "proposed_by", "proposed_at", "judged_by",
        "entry_key", "posting_said"), _proposals),
    ("deeds", "What people did", ("at", "actor", "event", "reason", "note", "change", "exception_key"), _deeds),
    ("deliveries", "Deliveries", (
        "received_at", "file_name", "file_sha256", "outcome", "received_by", "line_count", "refusal_code",
        "refusal_place", "refusal_expected", "refusal_found"), _recorded("deliveries")),
    ("alerts", "Alerts", ("written_at", "severity", "title", "item_count"), _recorded("alerts")),
    ("runs", "Runs that reached the day", (
        "run_id", "state", "from_date", "business_date", "actor", "started_at", "finished_at", "rules_digest",
        "calendar_version", "code_version"), _recorded("runs")),
    ("chains", "Heads of the event chains", ("origin", "length", "head"), _recorded("chains")),
)  # fmt: skip
