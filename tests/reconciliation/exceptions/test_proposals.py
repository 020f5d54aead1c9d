"""What people may propose and approve, what they may not, and what has changed since: held by the database itself."""

import hashlib
import json
from datetime import date
from typing import Any

import psycopg
import pytest

from reconciliation.errors import NotAllowed, NotTheirs, RefusedProposal, StaleView, UnknownItem
from reconciliation.exceptions.proposals import list_proposals
from tests.reconciliation.daily.desk import (
    BANK_ACCOUNT,
    FRIDAY,
    MONDAY,
    OPENING_MINOR,
    TUESDAY,
    Desk,
    movement,
)
from tests.reconciliation.exceptions.people import (
    ENTRY,
    LINE,
    approved,
    proposed,
    rejected,
    staff,
    undone,
    unrecognised,
)


def waiting(desk: Desk) -> list[int]:
    with desk.session("tieout_auditor") as connection:
        return [one.proposal_id for one in list_proposals(connection, source_id="bank")]


def test_a_proposal_keeps_its_lines_as_they_were_seen_and_waits(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    made = proposed(desk, line, "force_match", f"fee={ENTRY}")
    assert [
        (member["side"], member["role"], member["amount_minor"], member["asset"], member["account"])
        for member in made.members
    ] == [
        ("external", "principal", 500, "EUR", BANK_ACCOUNT),
        ("ledger", "fee", 512, "EUR", BANK_ACCOUNT),
    ]
    assert (made.state, made.exception_id, made.source) == ("waiting", line, "bank")
    assert waiting(desk) == [made.proposal_id]
    assert desk.events(line) == ["opened", "proposed"]
    assert desk.ask("SELECT count(*) FROM recon.decision") == [0]


def test_a_second_person_makes_it_a_decision_from_the_last_reconciled_day_on(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    judged = approved(desk, proposed(desk, line, "force_match", f"fee={ENTRY}"), note="seen it")
    assert (judged.state, judged.judged_by, judged.acts_from, judged.note) == (
        "approved",
        "bob",
        MONDAY,
        "seen it",
    )
    assert waiting(desk) == []
    assert desk.events(line) == ["opened", "proposed", "approved"]
    decisions = desk.ask(
        "SELECT x.kind, x.actor, x.approved_by, x.as_of, x.proposal_id FROM recon.decision AS x"
    )
    assert decisions == [("force_match", "ada", "bob", MONDAY, judged.proposal_id)]
    members = desk.ask(
        "SELECT m.side, m.line_key, m.version, m.entry_key, m.line_no, m.role, m.allocated_minor"
        " FROM recon.decision_member AS m ORDER BY m.member_no"
    )
    assert members == [
        ("external", LINE, 1, None, None, "principal", 500),
        ("ledger", None, None, "sale", 1, "fee", 512),
    ]


def test_nobody_approves_their_own_proposal_not_even_by_another_account_or_in_sql(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    desk.enrol("ada.root", "approver", same_as="ada")
    made = proposed(desk, line, "exclude")
    for login in ("ada", "ada.root"):
        with pytest.raises(NotTheirs, match="another person"):
            approved(desk, made, by=login)
    with pytest.raises(NotAllowed, match="carl may not do this"):
        approved(desk, made, by="carl")
    with pytest.raises(psycopg.Error) as caught, desk.acting("ada") as connection:
        connection.execute("SELECT recon.judge_proposal(%s, 'approved')", (made.proposal_id,))
    assert caught.value.sqlstate == "TR007"
    assert caught.value.diag.message_hint is not None
    with desk.session("tieout_analyst") as connection:
        connection.execute(
            "SELECT set_config('tieout.actor', 'bob', true), set_config('tieout.session', 'bob', true)"
        )
        with pytest.raises(psycopg.Error) as caught, connection.transaction():
            connection.execute("SELECT recon.judge_proposal(%s, 'approved')", (made.proposal_id,))
    assert caught.value.sqlstate == "TR009"
    assert waiting(desk) == [made.proposal_id]
    assert desk.ask("SELECT count(*) FROM recon.decision") == [0]


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO recon.proposal_verdict (proposal_id, verdict, actor) VALUES (1, 'approved', 'bob')",
        "INSERT INTO recon.decision (source_id, kind, content_key, reason, actor) VALUES ('b', 'exclude', '', '', '')",
        "UPDATE recon.proposal SET proposed_by = 'eve'",
    ],
)
def test_analysts_write_through_the_doors_alone(desk: Desk, statement: str) -> None:
    line, _ = unrecognised(desk)
    proposed(desk, line, "exclude")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), desk.session("tieout_analyst") as connection:
        connection.execute(statement)


def test_who_made_a_proposal_takes_it_back_and_others_reject_it(desk: Desk) -> None:
    line, entry = unrecognised(desk)
    own, other = proposed(desk, line, "exclude"), proposed(desk, entry, "exclude")
    assert rejected(desk, own, by="ada").state == "withdrawn"
    assert rejected(desk, other, by="bob").state == "rejected"
    assert waiting(desk) == []
    assert desk.events(line) == ["opened", "proposed", "withdrawn"]
    assert desk.events(entry) == ["opened", "proposed", "rejected"]
    for made in (own, other):
        with pytest.raises(UnknownItem, match="expected one that waits"):
            approved(desk, made)


def test_two_sides_that_differ_need_a_line_that_owns_the_difference(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    with pytest.raises(RefusedProposal, match="differ by -12 minor units"):
        proposed(desk, line, "force_match", ENTRY)
    assert proposed(desk, line, "force_match", f"rounding={ENTRY}").state == "waiting"


def test_a_match_has_two_sides_and_a_proposal_says_something_new(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    with pytest.raises(RefusedProposal, match="one side alone"):
        proposed(desk, line, "force_match")
    with pytest.raises(RefusedProposal, match="names no line"):
        proposed(desk, line, "exclude", without=[LINE])
    first = proposed(desk, line, "exclude")
    with pytest.raises(RefusedProposal, match=f"proposal {first.proposal_id} says the same and waits"):
        proposed(desk, line, "exclude", by="eve")
    approved(desk, first)
    with pytest.raises(RefusedProposal, match="was excluded by decision"):
        proposed(desk, line, "not_duplicate")


def test_what_cannot_be_found_is_said(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    with pytest.raises(UnknownItem, match="exception 999"):
        proposed(desk, 999, "exclude")
    with pytest.raises(UnknownItem, match="nowhere: expected one line of source bank, found none"):
        proposed(desk, line, "force_match", "nowhere")
    with pytest.raises(UnknownItem, match="which is not"):
        proposed(desk, line, "force_match", without=[ENTRY])
    with pytest.raises(UnknownItem, match="match 7"):
        proposed(desk, line, "force_match", suggestion=7)
    desk.post(LINE, MONDAY, 500)
    with pytest.raises(UnknownItem, match=f"external {LINE} version 1, ledger {LINE} / 1"):
        proposed(desk, line, "force_match", LINE)
    assert len(proposed(desk, line, "force_match", f"ledger:{LINE}").members) == 2


def test_a_line_that_was_corrected_since_is_not_decided_about(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    made = proposed(desk, line, "force_match", f"fee={ENTRY}")
    desk.statement(MONDAY, movement("PAID", 501), version="b")
    with pytest.raises(RefusedProposal, match=rf"line {LINE} version 1 was superseded.*propose anew"):
        approved(desk, made)
    assert waiting(desk) == [made.proposal_id]


def test_a_line_that_was_matched_since_is_not_decided_about(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    made = proposed(desk, line, "exclude")
    desk.post("late", MONDAY, 500, ref_end_to_end="PAID")
    desk.run(MONDAY)
    ((group_id, _),) = desk.live_groups().values()
    with pytest.raises(RefusedProposal, match=f"is in match {group_id}"):
        approved(desk, made)


def test_a_decision_acts_from_no_day_that_is_over_and_a_proposal_may_expire(desk: Desk) -> None:
    line, entry = unrecognised(desk)
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 500)
    desk.run(TUESDAY)
    made = proposed(desk, line, "exclude")
    with pytest.raises(RefusedProposal, match=f"reconciled to {TUESDAY}"):
        approved(desk, made, acts_from=MONDAY)
    assert approved(desk, made, acts_from=FRIDAY).acts_from == FRIDAY
    late = proposed(desk, entry, "exclude", expires_on=MONDAY)
    assert late.state == "expired"
    with pytest.raises(RefusedProposal, match=f"good until {MONDAY}"):
        approved(desk, late)
    assert approved(desk, proposed(desk, entry, "exclude", expires_on=TUESDAY)).acts_from == TUESDAY


def test_one_line_is_not_promised_to_two_matches(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    desk.post("other", MONDAY, 500)
    one = proposed(desk, line, "force_match", f"fee={ENTRY}")
    two = proposed(desk, line, "force_match", "other")
    approved(desk, one)
    with pytest.raises(RefusedProposal, match="which the next run carries out"):
        approved(desk, two)


def test_a_forced_match_goes_by_the_key_that_the_engine_gives_to_the_same_lines(desk: Desk) -> None:
    staff(desk)
    desk.post("säle/7", MONDAY, 500, ref_end_to_end="PAID")
    desk.statement(MONDAY, movement("PAID", 500))
    desk.run(MONDAY)
    ((key, (group_id, _)),) = desk.live_groups().items()
    undone(desk, group_id)
    desk.run(MONDAY)
    line = next(row["exception_id"] for row in desk.exceptions() if row["side"] == "external")
    made = proposed(desk, line, "force_match", "ledger:säle/7")
    approved(desk, made)
    assert desk.ask("SELECT x.content_key FROM recon.decision AS x WHERE x.kind = 'force_match'") == [key]


@pytest.mark.parametrize(
    "identities",
    [
        ["external:1:a:1", "ledger:1:a:1"],
        ["ledger:2:éZ:1", "external:1:b:2", "external:1:B:2", "ledger:2:ez:1"],
    ],
)
def test_content_keys_sort_by_bytes(desk: Desk, identities: list[str]) -> None:
    text = "\n".join(["ledger", *sorted(identities, key=str.encode)])
    with desk.session(None) as connection:
        row = connection.execute("SELECT recon.content_key('force_match', %s)", (identities,)).fetchone()
    assert row == (hashlib.sha256(text.encode()).hexdigest(),)


def test_a_suggestion_is_proposed_by_its_number(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    with desk.session(None) as connection:
        group_id = suggested(connection)
    made = proposed(desk, line, "force_match", suggestion=group_id)
    assert [(member["side"], member["role"]) for member in made.members] == [
        ("external", "principal"),
        ("ledger", "fee"),
    ]


def suggested(connection: psycopg.Connection[Any]) -> int:
    """A suggestion as a run leaves it: line and entry, nothing of it live."""
    row = connection.execute(
        """
        WITH made AS (
            INSERT INTO recon.match_group (group_key, source_id, leg, match_pass, as_of, asset, external_minor,
                ledger_minor, difference_minor, evidence, run_id, state)
            SELECT repeat('a', 64), 'bank', 'ledger', 'many_to_many', %s, 'EUR', 500, 512, -12, '{"gap": "12"}',
                max(r.run_id), 'suggested' FROM recon.run AS r
            RETURNING group_id
        )
        INSERT INTO recon.match_member (group_id, member_no, leg, side, line_id, entry_id, line_no, entry_key,
            business_date, account, asset, allocated_minor, role, live)
        SELECT made.group_id, 1, 'ledger', 'external', l.line_id, NULL, NULL, NULL, l.booking_date, l.account, 'EUR',
            500, 'principal', false FROM made, recon.line AS l
        UNION ALL
        SELECT made.group_id, 2, 'ledger', 'ledger', NULL, j.entry_id, j.line_no, j.entry_key, %s, j.account, 'EUR',
            512, 'fee', false FROM made, ledger.journal_line_v1 AS j WHERE j.entry_key = 'sale' AND j.line_no = 1
        RETURNING group_id
        """,
        (MONDAY, MONDAY),
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_card_number_in_a_reason_is_masked_and_in_sql_refused(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    made = proposed(desk, line, "exclude", reason="card 5555555555554444")
    assert "5555555555554444" not in made.reason
    with pytest.raises(psycopg.Error, match="without a card number"), desk.acting("ada") as connection:
        connection.execute(
            "SELECT recon.propose(%s, NULL, 'exclude', '[]', 'other', 'card 5555555555554444')", (line,)
        )


def test_people_wait_while_a_run_has_the_source(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    made = proposed(desk, line, "exclude")
    with desk.session("tieout_matcher") as run:
        run.execute("SELECT pg_advisory_xact_lock(hashtextextended('source:bank', 0))")
        for statement in (
            f"SELECT recon.propose({line}, NULL, 'exclude', '[]', 'other', 'r')",
            f"SELECT recon.judge_proposal({made.proposal_id}, 'approved')",
        ):
            with desk.acting("bob") as person:
                person.execute("SET LOCAL lock_timeout = '50ms'")
                with pytest.raises(psycopg.errors.LockNotAvailable), person.transaction():
                    person.execute(statement)


def test_what_somebody_changed_meanwhile_is_told_and_nothing_is_proposed(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    (version,) = desk.ask("SELECT e.version FROM recon.exception AS e WHERE e.exception_id = %s", line)
    proposed(desk, line, "exclude", version=version)
    with pytest.raises(StaleView, match="changed since you looked: proposed by ada"):
        proposed(desk, line, "not_duplicate", by="eve", version=version)
    assert len(waiting(desk)) == 1


def test_what_is_not_of_the_source_cannot_be_named(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    desk.post("elsewhere", date(2026, 11, 9), 5, account="assets:processor:eur")
    with pytest.raises(UnknownItem, match="elsewhere"):
        proposed(desk, line, "force_match", "elsewhere")
    members = json.dumps([{"side": "ledger", "entry_key": "elsewhere", "line_no": 1}])
    with (
        pytest.raises(psycopg.Error, match="on the accounts of source bank"),
        desk.acting("ada") as session,
    ):
        session.execute("SELECT recon.propose(%s, NULL, 'exclude', %s, 'other', 'r')", (line, members))
