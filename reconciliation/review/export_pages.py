"""The list as a file: the same filter, every row, with the footer that proves it whole and unchanged.

Laws: a file holds the rows of exactly the list that its address shows, read in one statement; columns are those of
`tieout export exceptions`, then what the list knows beside; no text runs as a formula; more rows than a file may have
are refused, never cut; every file leaves a record of itself. The answer is written to a file first, so that a client
who hangs up leaves nothing half done.

Example: /export/exceptions.csv?source=bank&severity=critical
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, cast

import pyarrow as pa
from starlette.responses import Response, StreamingResponse

from ledger_core.sql import copy_out, queries
from reconciliation.errors import ReconciliationError
from reconciliation.evidence.produced import Produced, Production, Rows, write_csv, write_json
from reconciliation.evidence.produced_sheets import write_xlsx
from reconciliation.review.filters import Filter
from reconciliation.review.web import Page, Visit

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
ROWS_MAX: Final[Mapping[str, int]] = {"csv": 1_000_000, "json": 200_000, "xlsx": 100_000}
"""CSV is written in bulk; the others row by row, and nobody else is served well meanwhile."""
_IN_MEMORY_BYTES: Final = 16 * 1024 * 1024  # a longer answer waits in a file of the system
_CHUNK_BYTES: Final = 256 * 1024
_TEXT, _NUMBER, _SMALL, _DAY = pa.string(), pa.int64(), pa.int32(), pa.date32()
_COLUMNS: Final[Mapping[str, pa.DataType]] = {
    "exception_id": _NUMBER, "source": _TEXT, "opened_on": _DAY, "as_of": _DAY, "class": _TEXT, "kind": _TEXT,
    "severity": _TEXT, "status": _TEXT, "side": _TEXT, "line_key": _TEXT, "entry_key": _TEXT, "line_no": _SMALL,
    "amount_minor": _NUMBER, "difference_minor": _NUMBER, "asset": _TEXT, "due_on": _DAY, "expected_clear_on": _DAY,
    "age_business_days": _SMALL, "assignee": _TEXT, "cleared_by_group": _NUMBER, "account": _TEXT, "item_date": _DAY,
    "reference": _TEXT, "counterparty": _TEXT, "team": _TEXT, "reason": _TEXT, "sla_due_on": _DAY,
    "snoozed_until": _DAY, "carried_until": _DAY, "cycle": _SMALL, "cleared_on": _DAY, "value_minor": _NUMBER,
}  # fmt: skip
SCHEMA: Final = pa.schema([pa.field(name, kind) for name, kind in _COLUMNS.items()])
Writer = Callable[[BinaryIO, Rows, Production], Produced]
WRITERS: Final[Mapping[str, tuple[Writer, str]]] = {
    "csv": (write_csv, "text/csv; charset=utf-8"),
    "xlsx": (write_xlsx, "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    "json": (write_json, "application/json"),
}


def export(ending: str) -> Callable[[Visit], Response]:
    """The page that gives the list as a file of one form."""
    write, media_type = WRITERS[ending]

    def handler(visit: Visit) -> Response:
        filter_ = Filter.from_query(visit.request.query_params)
        rows = read_rows(visit, filter_, rows_max=ROWS_MAX[ending])
        # The answer outlives this function; it closes the file when the last byte is sent.
        file = cast(BinaryIO, SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES))  # noqa: SIM115
        try:
            produced = write(file, rows, _production(visit, filter_))
        except BaseException:
            file.close()
            raise
        visit.connection.execute(
            SQL["record"],
            {
                "what": produced.production.what,
                "query": produced.production.query,
                "rows": produced.rows,
                "sha256": produced.sha256,
            },
        )
        size = file.tell()
        file.seek(0)
        headers = {
            "Content-Disposition": f'attachment; filename="exceptions_{visit.today}.{ending}"',
            "Content-Length": str(size),
            "X-Tieout-Rows": str(produced.rows),
            "X-Tieout-Sha256": produced.sha256,
        }
        return StreamingResponse(_chunks(file), media_type=media_type, headers=headers)

    return handler


def read_rows(visit: Visit, filter_: Filter, *, rows_max: int) -> pa.Table:
    """Every row of the list, by number.

    Raises:
        ReconciliationError: there are more than a file may have.
    """
    condition, values = filter_.where(today=visit.today, me=visit.visitor.login)
    query = " ".join((SQL["exceptions"], "WHERE", condition, SQL["order"]))
    rows = copy_out(visit.connection, query, values | {"limit": rows_max + 1}, SCHEMA)
    if rows.num_rows > rows_max:
        raise ReconciliationError(
            f"export: expected at most {rows_max:,} rows, found more; narrow the filter, or take CSV"
        )
    return rows


def _production(visit: Visit, filter_: Filter) -> Production:
    return Production(
        what="exceptions",
        query=visit.config.base_url.rstrip("/") + filter_.path(),
        produced_by=visit.visitor.login,
        produced_at=visit.now,
        system=f"tieout {visit.config.code_version}".rstrip(),
        parameters={"today": visit.today.isoformat(), "me": visit.visitor.login},
        source=filter_.source[0] if len(filter_.source) == 1 else None,
    )


def _chunks(file: Any) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


PAGES: Final = tuple(
    Page(path=f"/export/exceptions.{ending}", handler=export(ending), deed="export", seconds=60)
    for ending in WRITERS
)
