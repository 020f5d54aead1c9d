"""Entries that are drafted and frozen: on a day that is not signed, as drafted, and no other even by direct SQL."""

import json

import psycopg
import pytest
from psycopg.types.json import Jsonb

from reconciliation.errors import RefusedProposal
from reconciliation.exceptions.adjustments import Share
from reconciliation.exceptions.proposals import draft, propose
from reconciliation.sources import Sources
from tests.reconciliation.daily.desk import BANK_ACCOUNT, CUSTOMERS, MONDAY, SOURCES, TUESDAY, Desk
from tests.reconciliation.exceptions.people import ENTRY, approved, unrecognised

SIGNED = """
WITH made AS (
    INSERT INTO recon.sign_off (source_id, business_date, known_at, content, content_sha256, books_sha256, prepared_by)
    VALUES ('bank', %s, pg_current_snapshot(), '{}', encode(sha256('{}'), 'hex'), repeat('0', 64), 'ada')
    RETURNING sign_off_id
)
INSERT INTO recon.sign_off_verdict (sign_off_id, verdict, actor) SELECT m.sign_off_id, 'signed', 'bob' FROM made AS m
"""


def test_an_entry_takes_effect_on_the_last_reconciled_day_or_after_the_signed_ones(desk: Desk) -> None:
    line, entry = unrecognised(desk)
    to_customers = [Share(account=CUSTOMERS)]
    with desk.acting("ada") as connection:
        drafted = draft(connection, SOURCES, line, "book_entry", shares=to_customers)
        assert (drafted.effective_date, drafted.references["ref_end_to_end"]) == (MONDAY, "PAID")
        difference = draft(connection, SOURCES, line, "book_entry", shares=to_customers, more=[ENTRY])
        assert (difference.difference_minor, difference.corrects) == (-12, None)
        alone = draft(connection, SOURCES, entry, "book_entry", shares=to_customers)
        assert (alone.difference_minor, alone.corrects, alone.references) == (-512, "sale", {})
        with pytest.raises(RefusedProposal, match=r"review.write_off.*in EUR, found none"):
            draft(connection, SOURCES, line, "write_off")
        with pytest.raises(RefusedProposal, match="expected the entry that is to be posted"):
            propose(connection, SOURCES, line, "book_entry", reason_code="other", reason="r")
        with pytest.raises(RefusedProposal, match="expected reversal_family"):
            draft(connection, without_reversals(), entry, "book_entry", shares=to_customers)

    with desk.session(None) as connection:
        connection.execute(SIGNED, (MONDAY,))
    with desk.acting("ada") as connection:
        told = {"reason_code": "fee_not_booked", "reason": "card 5555555555554444"}
        with (
            pytest.raises(RefusedProposal, match=f"expected a day after {MONDAY}, which is signed"),
            connection.transaction(),
        ):
            propose(connection, SOURCES, line, "book_entry", entry=drafted, **told)  # type: ignore[arg-type]
        later = draft(
            connection, SOURCES, line, "book_entry", shares=to_customers, description=told["reason"]
        )
        made = propose(connection, SOURCES, line, "book_entry", entry=later, **told)  # type: ignore[arg-type]
    assert made.entry is not None
    assert (later.effective_date, made.entry["effective_date"]) == (TUESDAY, TUESDAY.isoformat())
    assert "5555555555554444" not in json.dumps(made.entry) + made.reason
    assert (made.stake_minor, made.asset, made.posting) == (500, "EUR", None)
    assert approved(desk, made).state == "approved"
    assert desk.ask(
        "SELECT w.entry_key, w.reference_columns ->> 'ref_end_to_end' FROM recon.adjustment_waiting_v1 AS w"
    ) == [(f"proposal:{made.proposal_id}", "PAID")]


def without_reversals() -> Sources:
    """The same sources, the bank without the pass that nets corrections."""
    bank = SOURCES["bank"]
    passes = tuple(name for name in bank.match.passes if name != "reversal_family")
    changed = bank.model_copy(update={"match": bank.match.model_copy(update={"passes": passes})})
    return SOURCES.model_copy(update={"sources": (changed, *SOURCES.sources[1:])})


def test_direct_sql_freezes_no_entry_that_would_not_bring_the_lines_to_zero(desk: Desk) -> None:
    line, _ = unrecognised(desk)
    members = Jsonb([{"side": "external", "line_key": "N-PAID", "version": 1}])
    for lines, sentence in (
        ([(BANK_ACCOUNT, 500), (CUSTOMERS, -499)], "add up to zero"),
        ([(BANK_ACCOUNT, 400), (CUSTOMERS, -400)], "expected 500 minor units"),
        ([(CUSTOMERS, 500), (BANK_ACCOUNT, -500)], "the first line of its entry"),
        ([(BANK_ACCOUNT, 500), ("nowhere", -500)], "nowhere: expected an open account"),
        ([(BANK_ACCOUNT, 500), (BANK_ACCOUNT, -500)], "does not reconcile"),
        ([(BANK_ACCOUNT, 500)], "two lines or more"),
    ):
        wanted = {
            "effective_date": MONDAY.isoformat(),
            "description": "by hand",
            "lines": [{"account": code, "amount_minor": minor, "asset": "EUR"} for code, minor in lines],
        }
        with pytest.raises(psycopg.Error, match=sentence) as refused, desk.acting("ada") as connection:
            connection.execute(
                "SELECT recon.propose(%s, NULL, 'book_entry', %s, 'other', 'r', NULL, %s)",
                (line, members, Jsonb(wanted)),
            )
        assert refused.value.sqlstate == "TR008"
