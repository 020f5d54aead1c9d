"""The ledger core in full: slim lines with layers, refusals, projections, transactions, quotes, periods, the feed.

Every table changed its shape: what is posted is set aside, the new schema made as schema.sql has it, and filled.
"""

from pathlib import Path

import psycopg
from alembic import op

from ledger_core.sql import execute_script

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move everything posted so far into the new tables."""
    driver = op.get_bind().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - migrate() runs on nothing else
    for name in ("r0002_keep.sql", "r0002_schema.sql", "r0002_fill.sql"):
        execute_script(driver, Path(__file__).with_name(name))
