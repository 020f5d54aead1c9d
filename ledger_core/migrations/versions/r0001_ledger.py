"""The ledger from nothing: tables and laws, doors, windows, grants."""

from pathlib import Path

import psycopg
from alembic import op

from ledger_core.sql import execute_script

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything in schema `ledger`."""
    driver = op.get_bind().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - migrate() runs on nothing else
    for name in ("r0001_schema.sql", "r0001_functions.sql", "r0001_views.sql"):
        execute_script(driver, Path(__file__).parent / name)
