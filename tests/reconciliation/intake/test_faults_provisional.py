"""What is not booked for good never counts, whatever format told it, and lives until the statement that replaces it."""

from itertools import permutations

import pytest
from psycopg import Connection

from tests.reconciliation.daily.desk import BANK_ACCOUNT, MONDAY, SOURCES, TUESDAY, Desk, movement
from tests.reconciliation.daily.desk import IBAN as DESK_IBAN
from tests.reconciliation.intake.builder import (
    IBAN,
    Entry,
    bank_file,
    bank_statement,
    closures,
    deliver,
    keys_and_amounts,
)
from tests.reconciliation.intake.fault_files import Told, amounts, file_of, source_of
from tests.reconciliation.intake.test_provisional import (
    MONDAY as MONDAY_TEXT,
)
from tests.reconciliation.intake.test_provisional import (
    WITH_INTRADAY,
    intraday,
    live,
    pending_entry,
    statement,
)

LINES = (Told(1, 2_500), Told(2, 990))
BOTH = source_of("camt.053").model_copy(update={"intraday": ("mt940", "camt.054")})
E9 = pending_entry(900, "E9", MONDAY_TEXT)
NOTIFICATION = (
    '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.054.001.08"><BkToCstmrDbtCdtNtfctn><GrpHdr><MsgId>N1</MsgId>'
    "<CreDtTm>2026-11-16T09:00:00</CreDtTm></GrpHdr><Ntfctn><Id>N1</Id><CreDtTm>2026-11-16T09:00:00</CreDtTm>"
    f"<Acct><Id><IBAN>{IBAN}</IBAN></Id><Ccy>EUR</Ccy></Acct>{Entry(2_500, 'X1').xml('2026-11-16', 'EUR')}"
    "</Ntfctn></BkToCstmrDbtCdtNtfctn></Document>"
).encode()
TOLD_BESIDES = {
    "as MT940": file_of("mt940", *LINES),
    "as a notification": NOTIFICATION,
    "as camt.053": file_of("camt.053", *LINES),
}


@pytest.mark.parametrize("order", list(permutations(TOLD_BESIDES)))
def test_a_day_told_in_two_formats_counts_once_whatever_comes_first(
    store: Connection, order: tuple[str, ...]
) -> None:
    for name in order:
        outcome = deliver(store, TOLD_BESIDES[name], source=BOTH)
        assert outcome.outcome == "accepted", outcome.sentence
        if name != "as camt.053":
            assert (outcome.line_count, outcome.provisional_count > 0) == (0, True)
            assert any("is an intraday format of this source" in note for note in outcome.notes)
    assert amounts(store, BOTH) == [990, 2_500]
    assert live(store) == []
    assert store.execute("SELECT count(*) FROM recon.statement").fetchone() == (1,)


def test_a_correction_that_still_calls_a_line_pending_leaves_it_waiting(store: Connection) -> None:
    deliver(store, statement(Entry(100, "A1"), pending=E9))
    outcome = deliver(store, statement(Entry(105, "A1"), pending=E9))
    assert (outcome.outcome, outcome.changed_count) == ("corrected", 1)
    assert live(store) == [(900, "pending", "E9")]


def test_a_correction_that_no_longer_calls_a_line_pending_ends_it(store: Connection) -> None:
    deliver(store, statement(Entry(100, "A1"), pending=E9))
    deliver(store, statement(Entry(100, "A1"), Entry(900, "A9", end_to_end="E9")))
    assert live(store) == []
    assert keys_and_amounts(store) == {"A1": (1, 100), "A9": (1, 900)}


def test_a_correction_of_pending_lines_alone_is_one_and_touches_no_booked_line(store: Connection) -> None:
    deliver(store, statement(Entry(100, "A1"), pending=E9))
    outcome = deliver(store, statement(Entry(100, "A1"), pending=pending_entry(901, "E9", MONDAY_TEXT)))
    assert (outcome.outcome, outcome.unchanged_count) == ("corrected", 1)
    assert live(store) == [(901, "pending", "E9")]
    assert keys_and_amounts(store) == {"A1": (1, 100)}
    assert closures(store) == []


def test_a_file_of_two_days_replaces_what_its_first_day_calls_pending(store: Connection) -> None:
    first = bank_statement(Entry(100, "A1")).replace("</Stmt>", f"{E9}</Stmt>")
    second = bank_statement(Entry(900, "A9", end_to_end="E9"), day="2026-11-17", opening_minor=10_100)
    deliver(store, bank_file(first, second))
    assert live(store) == []


def test_what_is_provisional_is_never_matched_nor_in_the_bridge(database_url: str) -> None:
    desk = Desk(database_url)
    desk.post("sale", MONDAY, 2_500, ref_end_to_end="E1")
    desk.statement(MONDAY)
    desk.run(MONDAY)
    before = desk.ask("SELECT to_jsonb(p)::text FROM recon.balance_proof_v1 AS p")
    source = SOURCES["bank"].model_copy(update={"intraday": ("camt.052",)})
    report = intraday((2_500, "E1", "BOOK"), (900, "E2", "PDNG"), day=str(TUESDAY)).replace(
        IBAN.encode(), DESK_IBAN.encode()
    )
    with desk.session(None) as connection:
        outcome = deliver(connection, report, source=source)
    assert (outcome.outcome, outcome.provisional_count) == ("accepted", 2), outcome.sentence
    desk.run(MONDAY)
    assert desk.live_groups() == {}
    assert desk.ask("SELECT to_jsonb(p)::text FROM recon.balance_proof_v1 AS p") == before
    desk.statement(TUESDAY, movement("E1", 2_500))
    desk.run(TUESDAY)
    assert len(desk.live_groups()) == 1
    assert desk.ask(
        "SELECT sum(l.amount_minor)::bigint FROM recon.line AS l WHERE l.account = %s", BANK_ACCOUNT
    ) == [2_500]


def test_a_report_that_comes_after_its_statement_is_over_at_once(store: Connection) -> None:
    deliver(store, statement(Entry(2_500, "A1", end_to_end="E1")), source=WITH_INTRADAY)
    deliver(store, intraday((2_500, "E1", "BOOK")), source=WITH_INTRADAY)
    assert live(store) == []
