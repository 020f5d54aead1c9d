"""Records the rules of every source as they are, so that each run can name the version it used."""

import json
from typing import Any

import psycopg

from reconciliation.intake.deliveries import SQL
from reconciliation.sources import Sources


def register_sources(connection: psycopg.Connection[Any], sources: Sources) -> int:
    """Write a version for each source whose rules were not seen before; how many. Safe to repeat."""
    versions = [
        {
            "source_id": source.id,
            "rules_digest": source.rules_digest,
            "definition": source.model_dump(mode="json"),
        }
        for source in sources.sources
    ]
    return connection.execute(SQL["register_sources"], {"versions": json.dumps(versions)}).rowcount
