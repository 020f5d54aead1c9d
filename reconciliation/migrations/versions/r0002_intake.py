"""Intake in full: more of every line, provisional lines, releases, archives; evidence keeps what it holds."""

from pathlib import Path

import psycopg
from alembic import op

from ledger_core.sql import execute_script

revision = "r0002"
down_revision = "r0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what the intake needs to what is there."""
    driver = op.get_bind().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - migrate() runs on nothing else
    execute_script(driver, Path(__file__).with_name("r0002_schema.sql"))
