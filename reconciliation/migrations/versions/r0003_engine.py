"""The full engine's side of the store: suggestions beside matches, decisions by two people, lags, what is excluded."""

from pathlib import Path

import psycopg
from alembic import op

from ledger_core.sql import execute_script

revision = "r0003"
down_revision = "r0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what the full engine and the people who work beside it need to what is there."""
    driver = op.get_bind().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - migrate() runs on nothing else
    execute_script(driver, Path(__file__).with_name("r0003_schema.sql"))
