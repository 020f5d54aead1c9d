"""`tieout export`: the contract's columns as CSV, Parquet or a workbook, in bulk and whole or not at all.

Laws: the columns and their order are what people's scripts rely on, and a CSV holds them and nothing else: its footer
(what was asked, rows, totals, digest, by whom and when) is a file beside it, and in Parquet metadata of the file. A
text that a spreadsheet would run as a formula is marked in CSV; a half-written file never takes the place of a whole
one.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from dagster_project.errors import SettingsError
from ledger_core.sql import copy_out, queries
from reconciliation.evidence.independent import SIDECAR
from reconciliation.evidence.produced import Produced, Production, instants, proved
from reconciliation.evidence.produced_sheets import write_xlsx
from reconciliation.evidence.spreadsheet_text import marked_table
from reconciliation.vocabulary import REFERENCE_COLUMNS

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
_TEXT, _NUMBER, _SMALL, _DAY = pa.string(), pa.int64(), pa.int32(), pa.date32()
_BITS, _INSTANT = pa.decimal128(18, 3), pa.timestamp("us", tz="UTC")


def _schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    return pa.schema([pa.field(name, kind) for name, kind in columns.items()])


KINDS: Final[Mapping[str, pa.Schema]] = {
    "lines": _schema(
        {
            "source": _TEXT, "line_key": _TEXT, "file_name": _TEXT, "file_sha256": _TEXT, "record_no": _NUMBER,
            "statement_ref": _TEXT, "booking_date": _DAY, "value_date": _DAY, "amount_minor": _NUMBER, "asset": _TEXT,
            "fee_minor": _NUMBER, **dict.fromkeys(REFERENCE_COLUMNS, _TEXT), "batch_ref": _TEXT, "counterparty": _TEXT,
            "text": _TEXT, "kind": _TEXT, "version": _SMALL, "status": _TEXT,
        }
    ),
    "matches": _schema(
        {
            "group_id": _NUMBER, "source": _TEXT, "as_of": _DAY, "match_pass": _TEXT, "state": _TEXT, "side": _TEXT,
            "line_key": _TEXT, "entry_key": _TEXT, "line_no": _SMALL, "allocated_minor": _NUMBER, "asset": _TEXT,
            "role": _TEXT, "evidence_bits": _BITS, "margin_bits": _BITS, "solutions": _NUMBER,
        }
    ),
    "exceptions": _schema(
        {
            "exception_id": _NUMBER, "source": _TEXT, "opened_on": _DAY, "as_of": _DAY, "class": _TEXT, "kind": _TEXT,
            "severity": _TEXT, "status": _TEXT, "side": _TEXT, "line_key": _TEXT, "entry_key": _TEXT, "line_no": _SMALL,
            "amount_minor": _NUMBER, "difference_minor": _NUMBER, "asset": _TEXT, "due_on": _DAY,
            "expected_clear_on": _DAY, "age_business_days": _SMALL, "assignee": _TEXT, "cleared_by_group": _NUMBER,
        }
    ),
    "statements": _schema(
        {
            "source": _TEXT, "account": _TEXT, "asset": _TEXT, "business_date": _DAY, "basis": _TEXT,
            **dict.fromkeys(
                (
                    "opening_minor", "movement_minor", "closing_minor", "ledger_minor", "timing_external_minor",
                    "timing_ledger_minor", "genuine_external_minor", "genuine_ledger_minor",
                    "excluded_external_minor", "excluded_ledger_minor",
                    "allocation_difference_minor", "unexplained_minor", "matched_count", "timing_count",
                    "genuine_count", "excluded_count", "line_count",
                ),
                _NUMBER,
            ),
        }
    ),
}  # fmt: skip
"""The exports of the contract, with the columns in their order."""

WORK_COLUMNS: Final[Mapping[str, pa.DataType]] = {"team": _TEXT, "reason": _TEXT, "sla_due_on": _DAY, "cycle": _SMALL}
RECORDS: Final[Mapping[str, pa.Schema]] = {
    "events": _schema(
        {
            "event_id": _NUMBER, "exception_id": _NUMBER, "source": _TEXT, "at": _INSTANT, "as_of": _DAY,
            "event": _TEXT, "actor": _TEXT, "reason": _TEXT, "note": _TEXT, "before": _TEXT, "after": _TEXT,
            "origin": _TEXT, "chain_no": _NUMBER, "hash": _TEXT,
        }
    ),
    "proposals": _schema(
        {
            "proposal_id": _NUMBER, "source": _TEXT, "exception_id": _NUMBER, "action": _TEXT, "state": _TEXT,
            "reason_code": _TEXT, "reason": _TEXT, "stake_minor": _NUMBER, "asset": _TEXT, "members": _TEXT,
            "entry": _TEXT, "proposed_by": _TEXT, "proposed_at": _INSTANT, "expires_on": _DAY, "judged_by": _TEXT,
            "judged_at": _INSTANT, "note": _TEXT, "acts_from": _DAY, "posting": _TEXT, "posting_said": _TEXT,
        }
    ),
    "decisions": _schema(
        {
            "decision_id": _NUMBER, "source": _TEXT, "kind": _TEXT, "content_key": _TEXT, "side": _TEXT,
            "line_key": _TEXT, "version": _SMALL, "entry_key": _TEXT, "line_no": _SMALL, "role": _TEXT,
            "allocated_minor": _NUMBER, "asset": _TEXT, "reason": _TEXT, "decided_by": _TEXT,
            "approved_by": _TEXT, "proposal_id": _NUMBER,
            "as_of": _DAY, "decided_at": _INSTANT,
        }
    ),
    "sign-offs": _schema(
        {
            "sign_off_id": _NUMBER, "source": _TEXT, "business_date": _DAY, "state": _TEXT, "prepared_by": _TEXT,
            "prepared_at": _INSTANT, "note": _TEXT, "reviewed_by": _TEXT, "reviewed_at": _INSTANT, "review_note": _TEXT,
            "content_sha256": _TEXT, "books_sha256": _TEXT, "known_at": _TEXT, "changed_since": _TEXT,
        }
    ),
    "people": _schema(
        {
            "login": _TEXT, "name": _TEXT, "roles": _TEXT, "team": _TEXT, "same_as": _TEXT, "state": _TEXT,
            "known_by": _TEXT, "made_at": _INSTANT,
        }
    ),
}  # fmt: skip
"""What people did and decided, and who they are."""

EXPORTS: Final = {**KINDS, **RECORDS}
ENDINGS: Final = (".xlsx", ".csv", ".parquet")
FOOTER_KEY: Final = b"tieout.footer"


def export_table(
    connection: psycopg.Connection[Any], out: Path, production: Production, *, with_work: bool = False
) -> Produced:
    """Write one of ``EXPORTS``, ``production.what``, to a file; returns its footer.

    Dates bound the booking date of lines, the day of proposals, and the business date of the others, both included;
    people have none. ``with_work`` adds ``WORK_COLUMNS`` behind the columns of exceptions.

    Raises:
        SettingsError: the file's name ends otherwise, or it cannot be written; what was there before stays.
        UnfitForWorkbook: a workbook cannot hold it.
    """
    if out.suffix not in ENDINGS:
        raise SettingsError(
            f"{out}: expected a name that ends in .xlsx, .csv or .parquet, found {out.suffix or 'no ending'}"
        )
    wanted = {
        "source": production.source,
        "from_date": production.first_date,
        "to_date": production.last_date,
    }
    name, schema = production.what.replace("-", "_"), EXPORTS[production.what]
    if with_work and production.what == "exceptions":
        name, schema = "exceptions_with_work", pa.schema([*schema, *_schema(WORK_COLUMNS)])
    table = copy_out(connection, SQL[name], wanted, schema)
    asked = replace(production, query=in_words(production))
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    footer, footer_draft = (
        out.with_name(out.name + SIDECAR),
        out.with_name(f".{out.name}{SIDECAR}.{os.getpid()}"),
    )
    try:
        if out.suffix == ".xlsx":
            with draft.open("wb") as file:
                produced = write_xlsx(file, table, asked)
            draft.replace(out)
            return produced
        produced = proved(table, asked)
        told = json.dumps(produced.as_value(), ensure_ascii=False, indent=1) + "\n"
        footer_draft.write_text(told, encoding="utf-8")
        _write(table, draft, told, csv=out.suffix == ".csv")
        draft.replace(out)
        footer_draft.replace(footer)
    except OSError as error:
        raise SettingsError(f"{out}: expected a place that can be written, found: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)
        footer_draft.unlink(missing_ok=True)
    return produced


def in_words(production: Production) -> str:
    """What was asked for."""
    words = production.what
    if production.source:
        words += f" of source {production.source}"
    if production.first_date:
        words += f" from {production.first_date}"
    if production.last_date:
        words += f" to {production.last_date}"
    return words


def _write(table: pa.Table, draft: Path, footer: str, *, csv: bool) -> None:
    if csv:
        pa.csv.write_csv(marked_table(_instants_as_text(table)), draft)
    else:
        kept = {**(table.schema.metadata or {}), FOOTER_KEY: footer.encode()}
        pa.parquet.write_table(table.replace_schema_metadata(kept), draft)


def _instants_as_text(table: pa.Table) -> pa.Table:
    for place, field in enumerate(table.schema):
        if pa.types.is_timestamp(field.type):
            table = table.set_column(place, field.name, instants(table.column(place)))
    return table
