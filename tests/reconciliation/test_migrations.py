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
MATCHED = f"""
    INSERT INTO recon.source_version (source_id, rules_digest, definition) VALUES ('bank', '{DIGEST}', '{{}}');
    INSERT INTO recon.run (source_id, business_date, from_date, state, rules_digest, calendar_version, code_version,
        data_snapshot, counts, actor, started_at)
    VALUES ('bank', '2026-11-16', '2026-11-16', 'succeeded', '{DIGEST}', 'c1', '1', pg_current_snapshot(), '{{}}',
        'test', now());
    WITH made AS (
        INSERT INTO recon.match_group (group_key, source_id, leg, match_pass, as_of, asset, external_minor,
            ledger_minor, difference_minor, evidence, run_id)
        VALUES ('{DIGEST}', 'bank', 'ledger', 'exact', '2026-11-16', 'EUR', 5, 5, 0, '{{"rule": "exact"}}', 1)
        RETURNING group_id
    )
    INSERT INTO recon.match_member (group_id, member_no, leg, side, line_id, entry_id, line_no, entry_key,
        business_date, account, asset, allocated_minor, role)
    SELECT group_id, 1, 'ledger', 'external', 1, NULL, NULL, NULL, '2026-11-16'::date, 'assets:bank', 'EUR', 5,
        'principal' FROM made
    UNION ALL
    SELECT group_id, 2, 'ledger', 'ledger', NULL, 1, 1, 'E1', '2026-11-16', 'assets:bank', 'EUR', 5,
        'principal' FROM made;
    INSERT INTO recon.balance_proof (run_id, source_id, account, asset, business_date, basis, opening_minor,
        movement_minor, closing_minor, ledger_minor, timing_external_minor, timing_ledger_minor, genuine_external_minor,
        genuine_ledger_minor, allocation_difference_minor, unexplained_minor, matched_count, timing_count,
        genuine_count, excluded_count, line_count)
    VALUES (1, 'bank', 'assets:bank', 'EUR', '2026-11-16', 'stated', 0, 5, 5, 5, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 2);
    SELECT recon.reject_match(1, 'other customer', 'anna')
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
        deliveries = store.execute(
            "SELECT file_name, content_sha256 FROM recon.delivery ORDER BY 1"
        ).fetchall()
        assert deliveries == [("again.xml", DIGEST), ("monday.xml", DIGEST)]
        lines = store.execute(
            "SELECT line_key, amount_minor, content_digest, detail_no FROM recon.line"
        ).fetchall()
        assert lines == [("A1", 5, DIGEST, None)]
        for table in ("delivery", "statement", "line"):
            with pytest.raises(psycopg.Error, match="is evidence"):
                store.execute(f"DELETE FROM recon.{table}")  # noqa: S608 - names of ours


def test_matches_and_decisions_of_the_second_revision_are_kept_and_stay_evidence(
    empty_database_url: str,
) -> None:
    upgrade_ledger(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as store:
        store.execute("CREATE SCHEMA IF NOT EXISTS recon AUTHORIZATION tieout_owner")
        store.execute("SET ROLE tieout_owner")
        for revision in ("r0001", "r0002"):
            store.execute((REVISIONS / f"{revision}_schema.sql").read_bytes())
        store.execute(EVIDENCE.replace("file_sha256, byte_count", "file_sha256, content_sha256, byte_count")
                      .replace(f"'{DIGEST}', 1", f"'{DIGEST}', '{DIGEST}', 1").encode())  # fmt: skip
        store.execute(MATCHED.encode())
        with store.transaction():
            store.execute((REVISIONS / "r0003_schema.sql").read_bytes())
        groups = store.execute(
            "SELECT m.state, m.side, m.line_key, m.entry_key, m.evidence_bits, m.margin_bits, m.solutions"
            " FROM recon.match_v1 AS m ORDER BY m.side"
        ).fetchall()
        assert groups == [
            ("revoked", "external", "A1", None, None, None, None),
            ("revoked", "ledger", None, "E1", None, None, None),
        ]
        decisions = "SELECT x.kind, x.content_key, x.actor, x.as_of, x.approved_by FROM recon.decision AS x"
        assert store.execute(decisions).fetchall() == [("reject_match", DIGEST, "anna", None, None)]
        proofs = store.execute(
            "SELECT p.closing_minor, p.excluded_external_minor, p.excluded_ledger_minor"
            " FROM recon.balance_proof_v1 AS p"
        )
        assert proofs.fetchall() == [(5, 0, 0)]
        for table in ("match_group", "match_member", "decision", "balance_proof"):
            with pytest.raises(psycopg.Error, match="is evidence"):
                store.execute(f"DELETE FROM recon.{table}")  # noqa: S608 - names of ours


def test_events_and_proposals_of_the_third_revision_are_kept_and_stand_in_the_chain(
    empty_database_url: str,
) -> None:
    upgrade_ledger(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as store:
        store.execute("CREATE SCHEMA IF NOT EXISTS recon AUTHORIZATION tieout_owner")
        store.execute("SET ROLE tieout_owner")
        for revision in ("r0001", "r0002", "r0003"):
            store.execute((REVISIONS / f"{revision}_schema.sql").read_bytes())
        store.execute(
            "INSERT INTO recon.exception (exception_key, source_id, opened_on, as_of, class, kind, severity, status,"
            " side, amount_minor, difference_minor, item_date, age_business_days, factors)"
            " VALUES ('k', 'bank', '2026-11-16', '2026-11-16', 'genuine',"
            " 'missing_in_ledger', 'high', 'open', 'external', -7, 0, '2026-11-16', 0, '{}');"
            "SELECT recon.take_exception(1, 'anna');"
            "INSERT INTO recon.proposal (source_id, exception_id, action, members, reason, proposed_by)"
            " VALUES ('bank', 1, 'exclude', '[{\"side\": \"external\"}]', 'not ours', 'anna')"
        )
        with store.transaction():
            store.execute((REVISIONS / "r0004_schema.sql").read_bytes())
        kept = "SELECT e.status, e.assignee, e.value_minor, e.severity_rank, e.cycle FROM recon.exception_v1 AS e"
        assert store.execute(kept).fetchall() == [("taken", "anna", 7, 3, 1)]
        waiting = "SELECT p.state, p.proposed_by, p.reason_code, p.entry FROM recon.proposal_v1 AS p"
        assert store.execute(waiting).fetchall() == [("waiting", "anna", "other", None)]
        links = """
            SELECT v.event, l.origin, l.chain_no
            FROM recon.event_link AS l JOIN recon.exception_event AS v ON v.event_id = l.event_id ORDER BY 3
        """
        assert store.execute(links).fetchall() == [
            ("opened", "engine", 1),
            ("taken", "engine", 2),
        ]
        assert store.execute("SELECT * FROM recon.verify_chains()").fetchall() == []
        with pytest.raises(psycopg.Error, match="is evidence"):
            store.execute("DELETE FROM recon.event_link")
