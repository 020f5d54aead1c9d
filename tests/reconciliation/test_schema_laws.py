"""Laws that the database itself keeps on matches and exceptions, each with its teeth: without it a breach succeeds."""

import hashlib
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg import Connection
from psycopg.types.json import Jsonb

from reconciliation.intake import register_sources
from tests.reconciliation.intake.builder import BANK, SOURCES, Entry, bank_file, bank_statement, deliver

GROUP_AND_MEMBERS = """
    WITH made AS (
        INSERT INTO recon.match_group (group_key, source_id, leg, match_pass, as_of, asset, external_minor,
            ledger_minor, difference_minor, evidence, run_id, state, evidence_millibits, margin_millibits, solutions)
        VALUES (%(group_key)s, 'bank', 'ledger', 'exact', '2026-11-16', 'EUR', %(external)s, %(ledger)s,
            %(external)s::bigint - %(ledger)s::bigint, %(evidence)s, 1, %(state)s, 12345, 7, 2)
        RETURNING group_id
    )
    INSERT INTO recon.match_member (group_id, member_no, leg, side, line_id, entry_id, line_no, entry_key,
        business_date, account, asset, allocated_minor, role, live)
    SELECT made.group_id, m.member_no, 'ledger', m.side, m.line_id, m.entry_id, m.line_no, m.entry_key,
        '2026-11-16', 'assets:bank:main-eur', m.asset, m.allocated_minor, 'principal', %(live)s
    FROM made, jsonb_to_recordset(%(members)s) AS m (member_no integer, side text, line_id bigint, entry_id bigint,
        line_no integer, entry_key text, asset text, allocated_minor bigint)
    RETURNING group_id
"""
RUN = """
    INSERT INTO recon.run (run_id, source_id, business_date, from_date, state, rules_digest, calendar_version,
        code_version, data_snapshot, counts, actor, started_at)
    OVERRIDING SYSTEM VALUE
    VALUES (1, 'bank', '2026-11-16', '2026-11-16', 'succeeded', %s, 'c1', '1', pg_current_snapshot(), '{}', 'test',
        now())
"""
EXCEPTION = """
    INSERT INTO recon.exception (exception_key, source_id, opened_on, as_of, class, kind, severity, status, side,
        amount_minor, difference_minor, item_date, age_business_days, factors)
    VALUES ('k1', 'bank', '2026-11-16', '2026-11-16', 'genuine', 'amount_mismatch', 'high', 'open', 'external', 1, 1,
        '2026-11-16', 0, '{}')
    RETURNING exception_id
"""


@pytest.fixture
def book(connection: Connection) -> Connection:
    """Lines A1 of 1.00 and A2 of 2.00 from the bank, and a run to make matches in; everything as the superuser."""
    connection.autocommit = True
    with connection.transaction():
        register_sources(connection, SOURCES)
        connection.execute(RUN, (BANK.rules_digest,))
    deliver(connection, bank_file(bank_statement(Entry(100, "A1"), Entry(200, "A2"))))
    return connection


def line_id(book: Connection, key: str) -> int:
    row = book.execute(
        "SELECT line_id FROM recon.line WHERE line_key = %s ORDER BY version", (key,)
    ).fetchone()
    assert row is not None
    return int(row[0])


def external(book: Connection, key: str = "A1", amount_minor: int = 100) -> dict[str, Any]:
    return {
        "side": "external",
        "line_id": line_id(book, key),
        "asset": "EUR",
        "allocated_minor": amount_minor,
    }


def ledger(entry_id: int = 1, amount_minor: int = 100) -> dict[str, Any]:
    return {
        "side": "ledger",
        "entry_id": entry_id,
        "line_no": 1,
        "entry_key": f"e{entry_id}",
        "asset": "EUR",
        "allocated_minor": amount_minor,
    }


def match(
    book: Connection,
    *members: dict[str, Any],
    sums: tuple[int, int] = (100, 100),
    evidence: Any = None,
    state: str = "confirmed",
    live: bool | None = None,
) -> int:
    numbered = [member | {"member_no": number} for number, member in enumerate(members)]
    row = book.execute(
        GROUP_AND_MEMBERS,
        {
            "group_key": hashlib.sha256(str(numbered).encode()).hexdigest(),
            "external": sums[0],
            "ledger": sums[1],
            "evidence": Jsonb({"rule": "exact"} if evidence is None else evidence),
            "members": Jsonb(numbered),
            "state": state,
            "live": state == "confirmed" if live is None else live,
        },
    ).fetchone()
    assert row is not None, "a group without members was accepted"
    return int(row[0])


def sum_mismatch(book: Connection) -> None:
    match(book, external(book), ledger(amount_minor=90))


def part_of_a_line(book: Connection) -> None:
    match(book, external(book, amount_minor=90), ledger(amount_minor=90), sums=(90, 90))


def one_side_alone(book: Connection) -> None:
    match(book, external(book), sums=(100, 0))


def one_side_with_a_rest(book: Connection) -> None:
    match(book, external(book), external(book, "A2", 200), sums=(300, 0))


def suggestion_that_takes_its_lines(book: Connection) -> None:
    match(book, external(book), ledger(), state="suggested", live=True)


def match_that_takes_nothing(book: Connection) -> None:
    match(book, external(book), ledger(), live=False)


def suggestion_brought_to_life(book: Connection) -> None:
    match(book, external(book), ledger(), state="suggested")
    book.execute("UPDATE recon.match_member SET live = true")


def key_that_is_no_digest(book: Connection) -> None:
    book.execute("ALTER TABLE recon.match_group DISABLE TRIGGER match_group_has_members")
    book.execute(
        "INSERT INTO recon.match_group (group_key, source_id, leg, match_pass, as_of, asset, external_minor,"
        " ledger_minor, difference_minor, evidence, run_id)"
        " VALUES (%s, 'bank', 'ledger', 'exact', '2026-11-16', 'EUR', 0, 0, 0, %s, 1)",
        ("A" * 64, Jsonb({"rule": "exact"})),
    )


def proposal(book: Connection, action: str = "exclude") -> int:
    row = book.execute(
        "INSERT INTO recon.proposal (source_id, action, members, reason, proposed_by)"
        " VALUES ('bank', %s, %s, 'not ours', 'ada') RETURNING proposal_id",
        (action, Jsonb([{"side": "external"}])),
    ).fetchone()
    assert row is not None
    return int(row[0])


def judged(book: Connection, verdict: str, actor: str) -> int:
    number = proposal(book)
    book.execute(
        "INSERT INTO recon.proposal_verdict (proposal_id, verdict, actor, note) VALUES (%s, %s, %s, 'seen')",
        (number, verdict, actor),
    )
    return number


def decided(
    book: Connection,
    proposal_id: int | None,
    *,
    approved_by: str | None = "bob",
    kind: str = "exclude",
    members: int = 1,
) -> None:
    book.execute(
        "WITH made AS (INSERT INTO recon.decision (source_id, kind, content_key, reason, actor, as_of, approved_by,"
        " proposal_id) VALUES ('bank', %s, 'k', 'not ours', 'ada', '2026-11-16', %s, %s) RETURNING decision_id)"
        " INSERT INTO recon.decision_member (decision_id, member_no, side, line_key, version, role, allocated_minor)"
        " SELECT made.decision_id, n, 'external', 'A1', 1, 'principal', 100 FROM made, generate_series(1, %s) AS n",
        (kind, approved_by, proposal_id, members),
    )


def enter(book: Connection, login: str) -> None:
    """The rest of the transaction is somebody at work."""
    book.execute("SELECT recon.enrol(%s, 'Somebody', '{analyst}', 'users', NULL, NULL, 'test')", (login,))
    book.execute("SELECT recon.open_session(%s, sha256('secret'), 'command line', 5, 5)", (login,))
    book.execute("SELECT set_config('tieout.session', 'secret', true)")
    book.execute("SET LOCAL ROLE tieout_analyst")


def own_approval(book: Connection) -> None:
    judged(book, "approved", " ADA")


def own_approval_by_a_second_account(book: Connection) -> None:
    book.execute("SELECT recon.enrol(login, login, '{approver}', 'users', NULL, same, 'test')"
                 " FROM (VALUES ('ada', NULL), ('ada.second', 'ada')) AS p (login, same)")  # fmt: skip
    judged(book, "approved", "ada.second")


def accounts_in_a_row(book: Connection) -> None:
    for login, same_as in (("ada", None), ("ada.second", "ada"), ("ada.third", "ada.second")):
        book.execute(
            "INSERT INTO recon.person (login, name, roles, known_by, same_as) VALUES (%s, 'Ada', '{}', 'users', %s)",
            (login, same_as),
        )


def signed(book: Connection, actor: str, verdict: str = "signed") -> None:
    book.execute(
        "WITH made AS (INSERT INTO recon.sign_off (source_id, business_date, known_at, content, content_sha256,"
        " books_sha256, prepared_by) VALUES ('bank', '2026-11-16', pg_current_snapshot(), '{}',"
        " encode(sha256('{}'), 'hex'), repeat('a', 64), 'ada') RETURNING sign_off_id)"
        " SELECT set_config('test.number', made.sign_off_id::text, false) FROM made"
    )
    book.execute(
        "INSERT INTO recon.sign_off_verdict (sign_off_id, verdict, actor, note)"
        " VALUES (current_setting('test.number')::bigint, %s, %s, 'seen')",
        (verdict, actor),
    )


def own_signature(book: Connection) -> None:
    signed(book, "Ada ")


def preparation_taken_back_by_another(book: Connection) -> None:
    signed(book, "bob", "withdrawn")


def statement_of_another_digest(book: Connection) -> None:
    book.execute(
        "INSERT INTO recon.sign_off (source_id, business_date, known_at, content, content_sha256, books_sha256,"
        " prepared_by)"
        " VALUES ('bank', '2026-11-16', pg_current_snapshot(), '{}', repeat('b', 64), repeat('a', 64), 'ada')"
    )


def adjustment_under_another_key(book: Connection) -> None:
    book.execute(
        "INSERT INTO recon.adjustment (proposal_id, entry_key, outcome) VALUES (%s, 'mine', 'posted')",
        (proposal(book),),
    )


def money_moved_without_an_entry(book: Connection) -> None:
    proposal(book, "write_off")


def withdrawal_by_another(book: Connection) -> None:
    judged(book, "withdrawn", "bob")


def decision_by_one_person(book: Connection) -> None:
    decided(book, proposal(book), approved_by=None)


def decision_by_one_person_under_two_names(book: Connection) -> None:
    decided(book, proposal(book), approved_by="Ada ")


def decision_that_nobody_approved(book: Connection) -> None:
    decided(book, proposal(book))


def decision_that_was_rejected(book: Connection) -> None:
    decided(book, judged(book, "rejected", "bob"))


def decision_approved_by_somebody_else(book: Connection) -> None:
    decided(book, judged(book, "approved", "carl"))


def decision_other_than_proposed(book: Connection) -> None:
    decided(book, judged(book, "approved", "bob"), kind="not_duplicate")


def decision_about_nothing(book: Connection) -> None:
    decided(book, judged(book, "approved", "bob"), members=0)


def closed_line(book: Connection) -> None:
    deliver(book, bank_file(bank_statement(Entry(100, "A2", "other"), Entry(70, "A3"))))
    book.execute("RESET ROLE")  # the breach runs within one transaction, where the intake's role would stay
    match(book, external(book), ledger())


def external_line_twice(book: Connection) -> None:
    match(book, external(book), ledger(1))
    match(book, external(book), ledger(2))


def ledger_line_twice(book: Connection) -> None:
    match(book, external(book), ledger())
    match(book, external(book, "A2", 200), ledger(), ledger(2), sums=(200, 200))


def no_explanation(book: Connection) -> None:
    match(book, external(book), ledger(), evidence={})


def unlike_member_added_later(book: Connection) -> None:
    group_id = match(book, external(book), ledger())
    book.execute(
        "INSERT INTO recon.match_member SELECT group_id, 9, leg, side, line_id, 77, line_no, entry_key, business_date,"
        " account, asset, allocated_minor, role, live FROM recon.match_member WHERE group_id = %s AND side = 'ledger'",
        (group_id,),
    )


def group_alone(book: Connection) -> None:
    book.execute(
        "INSERT INTO recon.match_group (group_key, source_id, leg, match_pass, as_of, asset, external_minor,"
        " ledger_minor, difference_minor, evidence, run_id)"
        " VALUES (%s, 'bank', 'ledger', 'exact', '2026-11-16', 'EUR', 0, 0, 0, %s, 1)",
        ("a" * 64, Jsonb({"rule": "exact"})),
    )


def member_brought_back(book: Connection) -> None:
    group_id = match(book, external(book), ledger())
    book.execute("INSERT INTO recon.match_revocation VALUES (%s, 'wrong', 'test')", (group_id,))
    book.execute("UPDATE recon.match_member SET live = true")


def opening_day_moved(book: Connection) -> None:
    book.execute(EXCEPTION)
    book.execute("UPDATE recon.exception SET opened_on = '2026-11-01'")


def another_line(book: Connection, text: str, *, of_delivery: bool) -> None:
    book.execute(
        "INSERT INTO recon.line (source_id, xid, line_key, version, statement_id, record_no, account, booking_date,"
        " amount_minor, asset, fee_minor, text, kind, reversal, content_digest)"
        " SELECT source_id, CASE WHEN %s THEN xid ELSE pg_current_xact_id() END, 'X', 1, statement_id, 1, account,"
        " booking_date, amount_minor, asset, 0, %s, kind, false, content_digest FROM recon.line LIMIT 1",
        (of_delivery, text),
    )


def card_number_in_text(book: Connection) -> None:
    another_line(book, "card 5555555555554444", of_delivery=True)


def line_after_its_delivery(book: Connection) -> None:
    another_line(book, "late", of_delivery=False)


ONE_LOCK = "ALTER TABLE recon.decision DISABLE TRIGGER decision_rests_on_a_proposal"
TWO_LOCKS = f"{ONE_LOCK}; ALTER TABLE recon.decision DROP CONSTRAINT decided_by_two"
LAWS: list[tuple[Callable[[Connection], None], str, str]] = [
    (sum_mismatch, "TR002", "ALTER TABLE recon.match_member DISABLE TRIGGER match_member_adds_up"),
    (one_side_alone, "TR002", "ALTER TABLE recon.match_member DISABLE TRIGGER match_member_adds_up"),
    (part_of_a_line, "TR003", "ALTER TABLE recon.match_member DISABLE TRIGGER match_member_adds_up"),
    (closed_line, "TR003", "ALTER TABLE recon.match_member DISABLE TRIGGER match_member_adds_up"),
    (
        unlike_member_added_later,
        "TR002",
        "ALTER TABLE recon.match_member DISABLE TRIGGER match_member_adds_up",
    ),
    (one_side_with_a_rest, "TR002", "ALTER TABLE recon.match_member DISABLE TRIGGER match_member_adds_up"),
    (
        suggestion_that_takes_its_lines,
        "TR002",
        "ALTER TABLE recon.match_member DISABLE TRIGGER match_member_adds_up",
    ),
    (
        match_that_takes_nothing,
        "TR002",
        "ALTER TABLE recon.match_member DISABLE TRIGGER match_member_adds_up",
    ),
    (
        suggestion_brought_to_life,
        "TR001",
        "ALTER TABLE recon.match_member DISABLE TRIGGER match_member_only_ends",
    ),
    (key_that_is_no_digest, "23514", "ALTER TABLE recon.match_group DROP CONSTRAINT group_key_shape"),
    (own_approval, "TR007", "ALTER TABLE recon.proposal_verdict DISABLE TRIGGER verdict_by_the_right_person"),
    (
        own_approval_by_a_second_account,
        "TR007",
        "ALTER TABLE recon.proposal_verdict DISABLE TRIGGER verdict_by_the_right_person",
    ),
    (
        own_signature,
        "TR007",
        "ALTER TABLE recon.sign_off_verdict DISABLE TRIGGER signature_by_another_person",
    ),
    (
        statement_of_another_digest,
        "23514",
        "ALTER TABLE recon.sign_off DROP CONSTRAINT content_is_its_digest",
    ),
    (
        adjustment_under_another_key,
        "23514",
        "ALTER TABLE recon.adjustment DROP CONSTRAINT adjustment_key_is_the_proposals",
    ),
    (
        money_moved_without_an_entry,
        "23514",
        "ALTER TABLE recon.proposal DROP CONSTRAINT entry_where_money_moves",
    ),
    (
        withdrawal_by_another,
        "TR007",
        "ALTER TABLE recon.proposal_verdict DISABLE TRIGGER verdict_by_the_right_person",
    ),
    (decision_by_one_person, "23514", TWO_LOCKS),
    (decision_by_one_person_under_two_names, "23514", TWO_LOCKS),
    (decision_that_nobody_approved, "TR007", ONE_LOCK),
    (decision_that_was_rejected, "TR007", ONE_LOCK),
    (decision_approved_by_somebody_else, "TR007", ONE_LOCK),
    (decision_other_than_proposed, "TR007", ONE_LOCK),
    (decision_about_nothing, "TR002", ONE_LOCK),
    (external_line_twice, "23505", "DROP INDEX recon.external_line_matched_once"),
    (ledger_line_twice, "23505", "DROP INDEX recon.ledger_line_matched_once"),
    (
        no_explanation,
        "23514",
        "ALTER TABLE recon.match_group DROP CONSTRAINT no_match_without_an_explanation",
    ),
    (group_alone, "TR002", "ALTER TABLE recon.match_group DISABLE TRIGGER match_group_has_members"),
    (member_brought_back, "TR001", "ALTER TABLE recon.match_member DISABLE TRIGGER match_member_only_ends"),
    (opening_day_moved, "TR001", "ALTER TABLE recon.exception DISABLE TRIGGER exception_keeps_identity"),
    (card_number_in_text, "23514", "ALTER TABLE recon.line DROP CONSTRAINT line_text_without_card_number"),
    (line_after_its_delivery, "TR005", "ALTER TABLE recon.line DISABLE TRIGGER line_has_its_statement"),
]


@pytest.mark.parametrize(("breach", "sqlstate", "pulled"), LAWS, ids=[law[0].__name__ for law in LAWS])
def test_a_breach_is_refused_and_goes_through_once_the_law_is_taken_away(
    book: Connection, breach: Callable[[Connection], None], sqlstate: str, pulled: str
) -> None:
    with pytest.raises(psycopg.Error) as caught, book.transaction():
        breach(book)
    assert caught.value.sqlstate == sqlstate
    book.execute(pulled)  # type: ignore[call-overload]  # one of the literals above
    with book.transaction():
        breach(book)


def test_a_revoked_group_frees_its_lines(book: Connection) -> None:
    group_id = match(book, external(book), ledger())
    book.execute("INSERT INTO recon.match_revocation VALUES (%s, 'wrong', 'test')", (group_id,))
    match(book, external(book), ledger(2))
    states = book.execute("SELECT DISTINCT group_id, state FROM recon.match_v1 ORDER BY 1").fetchall()
    assert [state for _, state in states] == ["revoked", "confirmed"]


def test_a_suggestion_takes_nothing_and_is_told_with_its_bits(book: Connection) -> None:
    match(book, external(book), ledger(), state="suggested")
    match(book, external(book), ledger(amount_minor=90), sums=(100, 90), state="suggested")
    match(book, external(book), ledger(2))
    states = book.execute(
        "SELECT m.state, m.evidence_bits::text, m.margin_bits::text, m.solutions FROM recon.match_v1 AS m"
        " WHERE m.side = 'external' ORDER BY m.group_id"
    ).fetchall()
    assert states == [(state, "12.345", "0.007", 2) for state in ("suggested", "suggested", "confirmed")]
    assert book.execute("SELECT l.status FROM recon.line_v1 AS l WHERE l.line_key = 'A1'").fetchone() == (
        "matched",
    )


def test_lines_of_one_side_that_cancel_out_are_a_match(book: Connection) -> None:
    deliver(book, bank_file(bank_statement(Entry(100, "A1"), Entry(200, "A2"), Entry(-100, "A4", "back"))))
    match(book, external(book), external(book, "A4", -100), sums=(0, 0))
    match(book, ledger(1), ledger(2, -100), sums=(0, 0))
    assert book.execute("SELECT count(*) FROM recon.match_member AS m WHERE m.live").fetchone() == (4,)


def test_what_two_people_agreed_on_is_a_decision(book: Connection) -> None:
    decided(book, judged(book, "approved", "bob"))
    assert book.execute("SELECT l.status FROM recon.line_v1 AS l WHERE l.line_key = 'A1'").fetchone() == (
        "excluded",
    )


def test_every_change_of_an_exception_leaves_an_event(book: Connection) -> None:
    exception_id = book.execute(EXCEPTION).fetchone()
    assert exception_id is not None
    with book.transaction():
        book.execute("SELECT set_config('tieout.actor', 'engine', true)")
        book.execute("UPDATE recon.exception SET severity = 'critical'")
        book.execute("UPDATE recon.exception SET age_business_days = 3")  # ageing alone is no event
        book.execute("UPDATE recon.exception SET status = 'cleared', cleared_on = '2026-11-17'")
        book.execute("UPDATE recon.exception SET status = 'open', cleared_on = NULL")
    with book.transaction():
        enter(book, "anna")
        for deed, note in (("take", None), ("comment", "asked the bank")):
            book.execute(
                "SELECT recon.work(ARRAY[%s], NULL, %s, %s)", (*exception_id, deed, Jsonb({"note": note}))
            )
    found = book.execute("SELECT event, actor, note FROM recon.exception_event ORDER BY event_id").fetchall()
    assert [row[0] for row in found] == ["opened", "changed", "cleared", "reopened", "taken", "commented"]
    assert [row[1] for row in found[1:]] == ["engine", "engine", "engine", "anna", "anna"]
    assert found[-1][2] == "asked the bank"


def test_a_rejected_match_is_revoked_and_remembered(book: Connection) -> None:
    group_id = match(book, external(book), ledger())
    with book.transaction():
        enter(book, "anna")
        book.execute("SELECT recon.undo_match(%s, 'counterparty_error', 'other customer')", (group_id,))
    assert book.execute("SELECT state FROM recon.match_v1 LIMIT 1").fetchone() == ("revoked",)
    assert book.execute("SELECT actor, reason FROM recon.decision").fetchall() == [("anna", "other customer")]
