"""The ledger from nothing: tables and laws, then doors, windows and grants."""

from pathlib import Path

from alembic import op

from ledger_core.sql import execute_script

revision = "r0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create everything in schema `ledger`."""
    for name in ("r0001_schema.sql", "r0001_functions.sql"):
        execute_script(op.get_bind().connection.driver_connection, Path(__file__).parent / name)
