"""A database that holds evidence moves to the next revision with what it holds, and it is evidence still."""

from pathlib import Path

import psycopg
import pytest

import reconciliation
from ledger_core.migrate import upgrade as upgrade_ledger

REVISIONS = Path(reconciliation.__file__).parent / "migrations" / "versions"
DIGEST = "a" * 64
EVIDENCE = f"""
    INSERT INTO recon.delivery (source_id, file_name, file_sha256, byte_count, outcome, line_count, added_count)
    VALUES ('bank', 'monday.xml', '{DIGEST}', 1, 'accepted', 1, 1);
    INSERT INTO recon.delivery (source_id, file_name, file_sha256, byte_count, outcome, same_as)
    VALUES ('bank', 'again.xml', '{DIGEST}', 1, 'redelivered', 1);
    INSERT INTO recon.statement (delivery_id, source_id, account, statement_ref, version, asset, from_date, to_date,
        movement_minor, line_count, pending_count, proofs)
    VALUES (1, 'bank', 'assets:bank', 'S', 1, 'EUR', '2026-11-16', '2026-11-16', 5, 1, 0, '{{}}');
    INSERT INTO recon.line (source_id, line_key, native_id, version, statement_id, record_no, account, booking_date,
        amount_minor, asset, fee_minor, kind, reversal, content_digest)
    VALUES ('bank', 'A1', 'A1', 1, 1, 1, 'assets:bank', '2026-11-16', 5, 'EUR', 0, 'transfer', false, '{DIGEST}')
"""  # noqa: S608 - a digest of ours


def test_evidence_of_the_first_revision_is_kept_and_stays_evidence(empty_database_url: str) -> None:
    upgrade_ledger(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as store:
        store.execute("CREATE SCHEMA IF NOT EXISTS recon AUTHORIZATION tieout_owner")
        store.execute("SET ROLE tieout_owner")
        store.execute((REVISIONS / "r0001_schema.sql").read_bytes())
        store.execute(EVIDENCE.encode())
        with store.transaction():
            store.execute((REVISIONS / "r0002_schema.sql").read_bytes())
        deliveries = store.execute("SELECT file_name, content_sha256 FROM recon.delivery ORDER BY 1").fetchall()
        assert deliveries == [("again.xml", DIGEST), ("monday.xml", DIGEST)]
        lines = store.execute("SELECT line_key, amount_minor, content_digest, detail_no FROM recon.line").fetchall()
        assert lines == [("A1", 5, DIGEST, None)]
        for table in ("delivery", "statement", "line"):
            with pytest.raises(psycopg.Error, match="is evidence"):
                store.execute(f"DELETE FROM recon.{table}")  # noqa: S608 - names of ours
