"""What the ledger only plans or holds has moved no money, and no source will ever tell of it."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest

from ledger_core.posting import post_lines
from tests.reconciliation.daily.desk import BANK_ACCOUNT, CUSTOMERS, MONDAY, Desk


@pytest.mark.parametrize(("layer", "found"), [("posted", ["timing missing_at_source"]), ("planned", [])])
def test_what_is_only_planned_is_not_reconciled(desk: Desk, layer: str, found: list[str]) -> None:
    at = datetime(MONDAY.year, MONDAY.month, MONDAY.day, 12, tzinfo=UTC)
    lines = {
        "entry_key": ["plan", "plan"],
        "effective_at": pa.array([at] * 2, pa.timestamp("us", tz="UTC")),
        "account": [BANK_ACCOUNT, CUSTOMERS],
        "amount_minor": pa.array([500, -500], pa.int64()),
        "asset": ["EUR", "EUR"],
        "layer": [layer, layer],
    }
    with desk.session("tieout_poster") as connection:
        post_lines(connection, pa.table(lines))
    desk.statement(MONDAY)
    desk.run(MONDAY)
    assert desk.kinds() == found
