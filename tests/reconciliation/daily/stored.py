"""What a database holds after reconciliation, as plain values without ids and times of writing, to be compared."""

from typing import Any

import psycopg

HISTORY = {
    "deliveries": """
        SELECT d.source_id, d.file_name, d.file_sha256, d.outcome, d.line_count, d.added_count, d.changed_count,
            d.withdrawn_count, d.unchanged_count, d.refusal_code, d.refusal_place
        FROM recon.delivery AS d""",
    "statements": """
        SELECT s.source_id, s.account, s.statement_ref, s.version, s.from_date, s.to_date, s.opening_minor,
            s.closing_minor, s.movement_minor, s.line_count
        FROM recon.statement AS s""",
    "lines": """
        SELECT l.source_id, l.line_key, l.version, l.account, l.booking_date, l.amount_minor, l.asset, l.kind,
            l.content_digest, c.reason
        FROM recon.line AS l LEFT JOIN recon.line_closure AS c ON c.line_id = l.line_id""",
    "runs": """
        SELECT r.source_id, r.business_date, r.from_date, r.state, r.rules_digest, r.counts, r.actor
        FROM recon.run AS r""",
    "groups": """
        SELECT g.group_key, g.source_id, g.leg, g.match_pass, g.as_of, g.asset, g.external_minor, g.ledger_minor,
            g.difference_minor, g.evidence, r.reason AS revoked
        FROM recon.match_group AS g LEFT JOIN recon.match_revocation AS r ON r.group_id = g.group_id""",
    "members": """
        SELECT g.group_key, m.member_no, m.side, l.line_key, l.version, m.entry_key, m.line_no, m.allocated_minor,
            m.role, m.live
        FROM recon.match_member AS m JOIN recon.match_group AS g ON g.group_id = m.group_id
        LEFT JOIN recon.line AS l ON l.line_id = m.line_id""",
    "exceptions": """
        SELECT e.exception_key, e.source_id, e.opened_on, e.as_of, e.class, e.kind, e.severity, e.status, e.side,
            e.line_key, e.entry_key, e.line_no, e.account, e.amount_minor, e.difference_minor, e.asset, e.item_date,
            e.due_on, e.expected_clear_on, e.age_business_days, e.assignee, g.group_key,
            e.cleared_on, e.factors, e.version
        FROM recon.exception AS e LEFT JOIN recon.match_group AS g ON g.group_id = e.cleared_by_group""",
    "exception_members": """
        SELECT e.exception_key, m.side, l.line_key, l.version, j.entry_key, m.line_no
        FROM recon.exception_member AS m JOIN recon.exception AS e ON e.exception_id = m.exception_id
        LEFT JOIN recon.line AS l ON l.line_id = m.line_id
        LEFT JOIN ledger.journal_line_v1 AS j ON j.entry_id = m.entry_id AND j.line_no = m.line_no""",
    "events": """
        SELECT e.exception_key, row_number() OVER (PARTITION BY v.exception_id ORDER BY v.event_id) AS number, v.event,
            v.actor, v.as_of, v.before - 'cleared_by_group', v.after - 'cleared_by_group', v.note
        FROM recon.exception_event AS v JOIN recon.exception AS e ON e.exception_id = v.exception_id""",
    "proofs": """
        SELECT p.source_id, p.account, p.business_date,
            row_number() OVER (PARTITION BY p.source_id, p.account, p.business_date ORDER BY p.proof_id) AS number,
            p.basis, p.opening_minor, p.movement_minor, p.closing_minor, p.ledger_minor, p.timing_external_minor,
            p.timing_ledger_minor, p.genuine_external_minor, p.genuine_ledger_minor,
            p.excluded_external_minor, p.excluded_ledger_minor, p.allocation_difference_minor,
            p.unexplained_minor, p.matched_count, p.timing_count, p.genuine_count, p.excluded_count, p.line_count
        FROM recon.balance_proof AS p""",
    "alerts": "SELECT a.cause_key, a.severity, a.title, a.body, a.item_count, a.sums FROM recon.alert AS a",
}
"""Everything that was ever written."""

STATE = {
    "matches": """
        SELECT g.group_key, g.leg, g.match_pass, g.as_of, g.difference_minor, g.evidence, m.side, l.line_key,
            m.entry_key, m.line_no, m.allocated_minor, m.role
        FROM recon.match_group AS g JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.live
        LEFT JOIN recon.line AS l ON l.line_id = m.line_id""",
    "open": """
        SELECT e.exception_key, e.source_id, e.as_of, e.class, e.kind, e.severity, e.side, e.line_key,
            e.entry_key, e.line_no, e.account, e.amount_minor, e.difference_minor, e.asset, e.item_date, e.due_on,
            e.expected_clear_on, e.age_business_days, e.factors
        FROM recon.exception AS e WHERE e.cleared_on IS NULL""",
    "explained_by": HISTORY["exception_members"],
    "proofs": """
        SELECT p.source, p.account, p.business_date, p.basis, p.opening_minor, p.movement_minor, p.closing_minor,
            p.ledger_minor, p.timing_external_minor, p.timing_ledger_minor, p.genuine_external_minor,
            p.genuine_ledger_minor, p.excluded_external_minor, p.excluded_ledger_minor,
            p.allocation_difference_minor, p.unexplained_minor, p.matched_count, p.timing_count,
            p.genuine_count, p.excluded_count, p.line_count
        FROM recon.balance_proof_v1 AS p""",
}
"""What the books say now, however they came to say it."""

EVERY_ROW = """
    SELECT c.relname FROM pg_class AS c
    WHERE c.relnamespace = 'recon'::regnamespace AND c.relkind = 'r' ORDER BY c.relname
"""


def history(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """All that was written, sorted."""
    return _rows(connection, HISTORY)


def state(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Live matches, open exceptions with what they explain, latest proofs; sorted."""
    return _rows(connection, STATE)


def every_row(connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
    """Every row of every table as it stands, ids and times included."""
    tables = [name for (name,) in connection.execute(EVERY_ROW)]
    return {
        name: [text for (text,) in connection.execute(f"SELECT t::text FROM recon.{name} AS t ORDER BY 1")]  # noqa: S608
        for name in tables
    }


def assert_same(first: dict[str, list[str]], second: dict[str, list[str]]) -> None:
    """Fails with the first rows that only one of two values has."""
    told = differences(first, second)
    assert not told, "\n".join([f"{len(told)} differences", *told[:20]])


def differences(first: dict[str, list[str]], second: dict[str, list[str]]) -> list[str]:
    """The rows that only one of two values has, with a sign for which."""
    told = []
    for name in first.keys() | second.keys():
        left, right = set(first.get(name, [])), set(second.get(name, []))
        told += [f"- {name}: {row}" for row in sorted(left - right)]
        told += [f"+ {name}: {row}" for row in sorted(right - left)]
        if left == right and len(first[name]) != len(second[name]):
            told.append(f"{name}: {len(first[name])} rows and {len(second[name])}")
    return told


def _rows(connection: psycopg.Connection[Any], queries: dict[str, str]) -> dict[str, list[str]]:
    return {name: sorted(map(str, connection.execute(query).fetchall())) for name, query in queries.items()}
