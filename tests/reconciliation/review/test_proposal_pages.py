"""Two pairs of eyes over HTTP: entries, limits, what changed since, what is handed on, and matches undone."""

import re
from html import unescape

import pytest

from reconciliation.intake.source_versions import register_sources
from tests.reconciliation.daily.desk import MONDAY, OPENING_MINOR, TUESDAY, Desk, movement
from tests.reconciliation.review.counter import FEES, WRITE_OFFS, Counter, counter, with_review
from tests.reconciliation.review.test_detail_pages import field, told

SOURCES = with_review(
    write_off={"EUR": WRITE_OFFS},
    entry_accounts=["expenses"],
    limits=[{"role": "approver", "asset": "EUR", "amount_minor": 1_000}],
)


@pytest.fixture
def evening(desk: Desk) -> Desk:
    """A small fee and a large one that nobody booked, at a bank with rules for people; a payment that was matched."""
    with desk.session("tieout_poster") as connection:
        codes = [FEES, WRITE_OFFS]
        connection.execute(
            "SELECT ledger.open_accounts(%s, %s, %s, %s, %s)",
            (codes, codes, ["expense"] * 2, ["EUR"] * 2, [True] * 2),
        )
    with desk.session("tieout_intake") as connection:
        register_sources(connection, SOURCES)
    desk.post("sale-1", MONDAY, 10_000, ref_end_to_end="INV-1")
    lines = [movement("FEE-1", -300), movement("FEE-2", -5_000), movement("INV-1", 10_000)]
    desk.statement(MONDAY, *lines)
    desk.statement(TUESDAY, opening_minor=OPENING_MINOR + 4_700)
    desk.run(TUESDAY)
    desk.enrol("ada")
    desk.enrol("bob", "approver")
    desk.enrol("cora", "controller")
    return desk


def number(desk: Desk, reference: str) -> int:
    (found,) = desk.ask("SELECT e.exception_id FROM recon.exception AS e WHERE e.reference = %s", reference)
    return int(found)


def proposed(app: Counter, about: int, **form: str) -> int:
    """Propose something as ada; the number of the proposal."""
    ada = app.browser("ada")
    version = field(ada.get(f"/exceptions/{about}").text, "version")
    answer = ada.post(f"/exceptions/{about}/propose", version=version, **form)
    assert answer.status_code == 303, told(answer.text)[:400]
    return int(app.desk.ask("SELECT max(p.proposal_id) FROM recon.proposal AS p")[0])


def test_an_entry_is_shown_before_it_is_booked_and_handed_on_after_the_approval(evening: Desk) -> None:
    with counter(evening, SOURCES) as app:
        ada, bob, cora = (app.browser(login) for login in ("ada", "bob", "cora"))
        assert "Nothing waits for you." in told(bob.get("/proposals").text)
        about = number(evening, "FEE-1")
        form = {"action": "book_entry", "account": FEES, "reason": "fee_not_booked", "note": "monthly fee"}
        refused = ada.post(
            f"/exceptions/{about}/propose", **{**form, "account": "expenses:nowhere"}, part="book"
        )
        assert refused.status_code == 422
        assert 'value="expenses:nowhere"' in refused.text
        small = proposed(app, about, **form)
        page = told(bob.get(f"/proposals/{small}").text)
        assert "Book the missing entry" in page
        assert f"{FEES} 3.00 EUR" in page
        assert "Difference after it -3.00 − -3.00 = 0.00 EUR" in page
        assert "You may approve up to 10.00 EUR here." in page

        large = proposed(
            app, number(evening, "FEE-2"), action="write_off", reason="write_off", note="not worth it"
        )
        too_much = bob.get(f"/proposals/{large}")
        assert "More than you may approve: your limit here is 10.00 EUR" in told(too_much.text)
        assert f"/proposals/{large}/approve" not in too_much.text
        assert bob.post(f"/proposals/{large}/approve").status_code == 403
        assert app.approved == []
        assert bob.post(f"/proposals/{small}/approve").status_code == 303
        assert app.approved == ["bank"]
        assert cora.post(f"/proposals/{large}/reject", note="ask them first").status_code == 303
        assert app.approved == ["bank"]  # what was rejected is nobody's to carry out
        assert "ask them first" in told(ada.get(f"/proposals/{large}").text)
        assert evening.ask("SELECT w.proposal_id FROM recon.adjustment_waiting_v1 AS w") == [small]
        listed = told(bob.get("/proposals").text)
        assert "approved bob" in listed
        assert "rejected cora" in listed
        assert "entry" in told(ada.get(f"/exceptions/{about}").text)


def test_what_changed_since_stands_beside_what_was_proposed_and_is_refused(evening: Desk) -> None:
    with counter(evening, SOURCES) as app:
        bob = app.browser("bob")
        made = proposed(app, number(evening, "FEE-1"), action="exclude", reason="other", note="not ours")
        assert "Nothing has changed." in told(bob.get(f"/proposals/{made}").text)
        evening.statement(
            MONDAY, movement("FEE-1", -400), movement("FEE-2", -5_000), movement("INV-1", 10_000), version="b"
        )
        page = told(bob.get(f"/proposals/{made}").text)
        assert "N-FEE-1 was superseded" in page
        assert "-3.00" in page  # as it was proposed
        refused = bob.post(f"/proposals/{made}/approve")
        assert refused.status_code == 422
        assert "was superseded" in told(refused.text)
        assert bob.get("/proposals/999").status_code == 404
        assert bob.post("/proposals/999/approve").status_code == 404


def test_a_match_explains_itself_and_is_undone_with_a_reason(evening: Desk) -> None:
    with counter(evening, SOURCES) as app:
        ada = app.browser("ada")
        ((group, _),) = evening.live_groups().values()
        page = ada.get(f"/matches/{group}").text
        assert "The same reference and amount on both sides." in told(page)
        assert "Difference 100.00 − 100.00 = 0.00 EUR ✓ ties out" in told(page)
        assert re.search(r"run 1 for 2026-11-10 by tests", told(page))
        path = f"/matches/{group}/undo"
        assert ada.post(path, reason="data_correction", note="").status_code == 400
        assert ada.post(path, reason="because", note="wrong").status_code == 400
        assert ada.post(path, reason="data_correction", note="<u>another</u> customer").status_code == 303
        undone = ada.get(f"/matches/{group}")
        assert "Undone by ada" in told(undone.text)
        assert "<u>another</u> customer" in unescape(undone.text)
        assert "<u>" not in undone.text
        assert ada.post(path, reason="data_correction", note="again").status_code == 409
        assert ada.get("/matches/999").status_code == 404
    assert evening.live_groups() == {}
