"""A book of 20,000 lines, for tests of plans and of memory."""

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pyarrow as pa

from ledger_core.posting import post_lines
from tests.ledger_core.books import BANK, SALES, lines, open_chart

LINES = 20_000
FIRST = datetime(2026, 1, 1, tzinfo=UTC)


def write_large_book(connection: psycopg.Connection[Any]) -> None:
    """One sale a minute from 2026-01-01; its first line has references of its own, one of three rails, an order."""
    open_chart(connection)
    pairs = range(LINES // 2)
    rows = [(f"k{pair}", account, sign) for pair in pairs for account, sign in ((BANK, 1), (SALES, -1))]
    times = [FIRST + timedelta(minutes=place // 2) for place in range(LINES)]
    said: dict[str, list[str | None]] = {
        name: [f"{name}-{place // 2}" if place % 2 == 0 else None for place in range(LINES)]
        for name in ("ref_psp", "ref_end_to_end", "ref_arn", "ref_auth_code")
    }
    said["batch_ref"] = [f"batch-{place // 200}" for place in range(LINES)]
    rails = ("sepa", "swift", "card")
    said["metadata"] = [
        f'{{"rail": "{rails[place // 2 % 3]}", "order": {place // 2}}}' if place % 2 == 0 else None
        for place in range(LINES)
    ]
    table = lines(*rows, **said, effective_at=pa.array(times, pa.timestamp("us", tz="UTC")))
    assert post_lines(connection, table)["outcome"].unique().to_pylist() == ["posted"]
    connection.commit()
    connection.execute("SET ROLE tieout_owner")
    connection.execute(
        "ANALYZE ledger.journal_entry, ledger.journal_line, ledger.journal_line_detail, ledger.account"
    )
    connection.commit()
    connection.execute("RESET ROLE")
    connection.commit()
