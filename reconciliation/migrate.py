"""Brings the schema `recon` to its newest revision. The ledger's schema comes first: its windows are read from here."""

from pathlib import Path
from typing import Final

import sqlalchemy

from ledger_core.migrate import migrate

SCHEMA: Final = "recon"
SCRIPTS: Final = Path(__file__).parent / "migrations"


def upgrade(target: str | sqlalchemy.Connection) -> str:
    """Run all outstanding revisions; the name of the newest. Takes and raises what `ledger_core.migrate` does."""
    return migrate(target, script_folder=SCRIPTS, schema=SCHEMA)
