"""The first tables and laws. Functions and views have no versions: `migrate` keeps them as the programs say."""

from pathlib import Path

import psycopg
from alembic import op

from ledger_core.sql import execute_script

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables in schema `ledger`."""
    driver = op.get_bind().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - migrate() runs on nothing else
    execute_script(driver, Path(__file__).with_name("r0001_schema.sql"))
