"""People: who acts and by which right, the life of an exception under a hash chain, adjustments, sign-off."""

from pathlib import Path

import psycopg
from alembic import op

from ledger_core.sql import execute_script

revision = "r0004"
down_revision = "r0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add persons, the chain of events and the signatures to what is there; old rows count as known from now on."""
    driver = op.get_bind().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101 - migrate() runs on nothing else
    execute_script(driver, Path(__file__).with_name("r0004_schema.sql"))
