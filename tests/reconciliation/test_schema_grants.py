"""Who may do what to recon, from a table written out here; evidence that nobody can change, the owner included."""

import psycopg
import pytest
from psycopg import Connection, sql

ROLES = (
    "tieout_poster",
    "tieout_ledger_reader",
    "tieout_intake",
    "tieout_matcher",
    "tieout_analyst",
    "tieout_auditor",
    "tieout_doorkeeper",
)
READERS = {"tieout_matcher", "tieout_analyst", "tieout_auditor"}
INTAKE, MATCHER = {"tieout_intake"}, {"tieout_matcher"}
PEOPLE, DOOR = {"tieout_analyst"}, {"tieout_doorkeeper"}
NOBODY: set[str] = set()

# table or view: who may select, who may insert; UPDATE and DELETE are below.
GRANTS = {
    "source_version": (READERS | INTAKE, INTAKE | MATCHER),
    "delivery": (READERS | INTAKE, INTAKE),
    "release": (READERS | INTAKE, NOBODY),
    "statement": (READERS | INTAKE, INTAKE),
    "line": (INTAKE, INTAKE),
    "line_closure": (READERS | INTAKE, INTAKE),
    "provisional_line": (READERS | INTAKE, INTAKE),
    "provisional_end": (READERS | INTAKE, INTAKE),
    "provisional_line_v1": (READERS | INTAKE, NOBODY),
    "run": (READERS | INTAKE, MATCHER),
    "match_group": (READERS, MATCHER),
    "match_revocation": (READERS, MATCHER),
    "match_member": (READERS, MATCHER),
    "decision": (READERS, NOBODY),
    "decision_member": (READERS, NOBODY),
    "proposal": (READERS, NOBODY),
    "proposal_verdict": (READERS, NOBODY),
    "lag_observation": (READERS, MATCHER),
    "exception": (READERS, MATCHER),
    "exception_member": (READERS, MATCHER),
    "exception_event": (READERS, NOBODY),
    "balance_proof": (READERS, MATCHER),
    "alert": (READERS | INTAKE, INTAKE | MATCHER),
    "alert_attempt": (READERS, MATCHER),
    "statement_v1": (READERS | INTAKE, NOBODY),
    "line_v1": (READERS, NOBODY),
    "match_v1": (READERS, NOBODY),
    "exception_v1": (READERS, NOBODY),
    "balance_proof_v1": (READERS, NOBODY),
    "proposal_v1": (READERS, NOBODY),
    "alert_waiting_v1": (READERS, NOBODY),
    "alembic_version": (NOBODY, NOBODY),
    "person": (READERS | DOOR, NOBODY),
    "person_event": (READERS | DOOR, NOBODY),
    "credential": (DOOR, NOBODY),
    "session": (DOOR, NOBODY),
    "login_attempt": (DOOR | {"tieout_auditor"}, NOBODY),
    "saved_filter": ({"tieout_analyst", "tieout_auditor"}, NOBODY),
    "export_record": (READERS, NOBODY),
    "exception_line": (READERS, MATCHER),
    "event_chain": (READERS, NOBODY),
    "event_link": (READERS, NOBODY),
    "attachment": (READERS, NOBODY),
    "attachment_content": (READERS, NOBODY),
    "adjustment": (READERS, NOBODY),
    "sign_off": (READERS, NOBODY),
    "sign_off_verdict": (READERS, NOBODY),
    "sign_off_v1": (READERS, NOBODY),
    "adjustment_waiting_v1": (READERS, NOBODY),
}
FUNCTIONS = {
    "actor": READERS | INTAKE,
    "holds_card_number": READERS | INTAKE,
    "is_card_number": READERS | INTAKE,
    "exception_facts": READERS,
    "refresh_line_statistics": INTAKE,
    "refresh_match_statistics": {"tieout_matcher"},
    "undo_match": PEOPLE,
    "release_delivery": PEOPLE,
    "work": PEOPLE,
    "attach": PEOPLE,
    "propose": PEOPLE,
    "judge_proposal": PEOPLE,
    "prepare_sign_off": PEOPLE,
    "review_sign_off": PEOPLE,
    "save_filter": PEOPLE,
    "forget_filter": PEOPLE,
    "record_adjustment": MATCHER,
    "enrol": DOOR,
    "change_person": DOOR,
    "set_password_hash": DOOR,
    "open_session": DOOR,
    "end_session": DOOR,
    "end_sessions_of": DOOR,
    "note_attempt": DOOR,
    "visitor": DOOR | {"tieout_analyst", "tieout_auditor"},
    "permits": DOOR | {"tieout_analyst", "tieout_auditor"},
    "touch_session": DOOR | {"tieout_analyst", "tieout_auditor"},
    "leave": DOOR | {"tieout_analyst", "tieout_auditor"},
    "record_export": {"tieout_analyst", "tieout_auditor"},
    "human": READERS,
    "rules_of": READERS,
    "verify_chains": READERS,
    "event_text": READERS,
    "last_deed": READERS,
    "judging_limit": READERS,
    "sign_off_obstacles": READERS,
    "changed_since_sign_off": READERS,
}
PROJECTIONS = {"exception_member", "lag_observation"}  # the engine writes them anew
EVIDENCE = (
    "source_version", "delivery", "release", "statement", "line", "line_closure", "provisional_line", "provisional_end",
    "run", "match_group", "match_revocation", "proposal", "proposal_verdict", "decision", "decision_member",
    "exception_event", "balance_proof", "alert", "alert_attempt", "person_event", "login_attempt", "export_record",
    "exception_line", "event_link", "attachment", "attachment_content", "adjustment", "sign_off", "sign_off_verdict",
)  # fmt: skip
NEVER_REMOVED = ("match_member", "exception", "person", "session", "event_chain")


def relations(connection: Connection) -> set[str]:
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'recon'::regnamespace AND relkind IN ('r', 'v')"
    )
    return {name for (name,) in found}


def test_every_table_and_view_is_in_the_table_of_grants(connection: Connection) -> None:
    assert relations(connection) == set(GRANTS)


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_what_the_table_says_and_nothing_else(connection: Connection, role: str) -> None:
    query = "SELECT has_table_privilege(%s, 'recon.' || quote_ident(%s), %s)"
    for name, (select, insert) in GRANTS.items():
        expected = {
            "SELECT": role in select,
            "INSERT": role in insert,
            "UPDATE": False,
            "DELETE": name in PROJECTIONS and role == "tieout_matcher",
            "TRUNCATE": False,
            "REFERENCES": False,
            "TRIGGER": False,
        }
        found = {
            verb: connection.execute(query, (role, name, verb)).fetchone() == (True,) for verb in expected
        }
        assert (name, found) == (name, expected)


def test_the_engine_moves_an_exception_on_but_not_its_identity_nor_its_people(connection: Connection) -> None:
    query = """
        SELECT attname FROM pg_attribute
        WHERE attrelid = 'recon.exception'::regclass AND attnum > 0
          AND NOT has_column_privilege('tieout_matcher', attrelid, attnum, 'UPDATE')
    """
    kept = {name for (name,) in connection.execute(query)}
    computed = {"severity_rank", "value_minor", "due_key"}
    assert kept - computed == {
        *("exception_id", "exception_key", "source_id", "opened_on", "opened_at"),
        *("assignee", "reason", "changed_at"),
    }
    others = """
        SELECT c.relname, r.rolname FROM pg_class AS c CROSS JOIN pg_roles AS r
        WHERE c.relnamespace = 'recon'::regnamespace AND c.relkind IN ('r', 'v') AND r.rolname = ANY(%s)
          AND has_any_column_privilege(r.rolname, c.oid, 'UPDATE')
    """
    assert connection.execute(others, (list(ROLES),)).fetchall() == [("exception", "tieout_matcher")]


def test_card_tokens_are_read_by_the_intake_alone(connection: Connection) -> None:
    query = "SELECT has_column_privilege(%s, 'recon.line', %s, 'SELECT')"
    for role in ROLES:
        assert connection.execute(query, (role, "card_token")).fetchone() == (role == "tieout_intake",)
        assert connection.execute(query, (role, "card_truncated")).fetchone() == (role in READERS | INTAKE,)


def test_functions_are_open_to_those_named_and_to_nobody_else(connection: Connection) -> None:
    query = """
        SELECT p.proname, r.rolname FROM pg_proc AS p CROSS JOIN pg_roles AS r
        WHERE p.pronamespace = 'recon'::regnamespace AND r.rolname = ANY(%s)
          AND has_function_privilege(r.oid, p.oid, 'EXECUTE')
    """
    found = set(connection.execute(query, (list(ROLES),)).fetchall())
    assert found == {(name, role) for name, roles in FUNCTIONS.items() for role in roles}


def test_everything_belongs_to_the_owner_and_what_runs_as_the_owner_has_a_fixed_path(
    connection: Connection,
) -> None:
    strangers = """
        SELECT relname FROM pg_class WHERE relnamespace = 'recon'::regnamespace AND relowner <> 'tieout_owner'::regrole
        UNION ALL
        SELECT proname FROM pg_proc WHERE pronamespace = 'recon'::regnamespace
          AND (proowner <> 'tieout_owner'::regrole
               OR prosecdef AND ('search_path=pg_catalog, pg_temp' = ANY(proconfig)) IS NOT TRUE)
    """
    assert connection.execute(strangers).fetchall() == []


def attempts(connection: Connection, table: str) -> list[sql.Composed]:
    """Every way to change or remove rows of a table."""
    column = connection.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attidentity = '' LIMIT 1",
        (f"recon.{table}",),
    ).fetchone()
    assert column is not None
    target, name = sql.Identifier("recon", table), sql.Identifier(column[0])
    ways = [sql.SQL("DELETE FROM {}").format(target), sql.SQL("TRUNCATE {} CASCADE").format(target)]
    update = sql.SQL("UPDATE {} SET {} = {}").format(target, name, name)
    return [*ways, update] if table in EVIDENCE else ways


@pytest.mark.parametrize("role", ["tieout_owner", None, *ROLES])
def test_evidence_is_changed_by_nobody(connection: Connection, role: str | None) -> None:
    """``None`` is the login itself, a superuser in the embedded server: even it meets the trigger."""
    ways = [statement for table in (*EVIDENCE, *NEVER_REMOVED) for statement in attempts(connection, table)]
    if role is not None:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    for statement in ways:
        with pytest.raises(psycopg.Error) as caught, connection.transaction():
            connection.execute(statement)
        assert caught.value.sqlstate == ("42501" if role in ROLES else "TR001")


def test_without_its_trigger_evidence_could_be_changed(connection: Connection) -> None:
    """The teeth of the test above: it would fail if a trigger were missing."""
    for table in (*EVIDENCE, *NEVER_REMOVED):
        with connection.transaction(force_rollback=True):
            target = sql.Identifier("recon", table)
            connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(target))
            connection.execute(sql.SQL("DELETE FROM {}").format(target))
