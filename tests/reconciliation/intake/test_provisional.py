"""What is not booked for good is kept apart, told once, and replaced by the statement that covers it, in any order."""

from itertools import permutations

import psycopg
import pytest
from psycopg import Connection

from reconciliation.intake.deliveries import list_provisional
from tests.reconciliation.intake.builder import (
    BANK,
    IBAN,
    Entry,
    bank_file,
    bank_statement,
    closures,
    deliver,
    keys_and_amounts,
    money,
)

WITH_INTRADAY = BANK.model_copy(update={"intraday": ("camt.052",)})
MONDAY, TUESDAY = "2026-11-16", "2026-11-17"
Told = tuple[int, str, str]  # cents, end-to-end reference, status


def intraday(*entries: Told, day: str = MONDAY, number: int = 1) -> bytes:
    """An intraday report of the bank, by camt.052."""
    told = "".join(
        f'<Ntry><Amt Ccy="EUR">{money(abs(amount), "EUR")}</Amt>'
        f"<CdtDbtInd>{'CRDT' if amount >= 0 else 'DBIT'}</CdtDbtInd><Sts><Cd>{status}</Cd></Sts>"
        f"<BookgDt><Dt>{day}</Dt></BookgDt><ValDt><Dt>{day}</Dt></ValDt>"
        f"<NtryDtls><TxDtls><Refs><EndToEndId>{reference}</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>"
        for amount, reference, status in entries
    )
    return (
        '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.052.001.08"><BkToCstmrAcctRpt>'
        f"<GrpHdr><MsgId>I{day}{number}</MsgId><CreDtTm>{day}T{8 + number:02}:00:00</CreDtTm></GrpHdr>"
        f"<Rpt><Id>R{day}-{number}</Id><CreDtTm>{day}T{8 + number:02}:00:00</CreDtTm>"
        f"<FrToDt><FrDtTm>{day}T00:00:00</FrDtTm><ToDtTm>{day}T{8 + number:02}:00:00</ToDtTm></FrToDt>"
        f"<Acct><Id><IBAN>{IBAN}</IBAN></Id><Ccy>EUR</Ccy></Acct>{told}</Rpt></BkToCstmrAcctRpt></Document>"
    ).encode()


def statement(*entries: Entry, day: str = MONDAY, pending: str = "") -> bytes:
    """The bank's statement of a day, with entries that are not booked yet after the others."""
    text = bank_file(bank_statement(*entries, day=day), message_id=f"S{day}")
    return text.replace(b"</Stmt>", pending.encode() + b"</Stmt>")


def live(store: Connection) -> list[tuple[int, str, str | None]]:
    """Amount, status and reference of what is told and not replaced."""
    rows = list_provisional(store)
    return sorted((row["amount_minor"], row["status"], row["ref_end_to_end"]) for row in rows if row["live"])


def became(store: Connection) -> dict[str, str | None]:
    """Reference of what was replaced, and the booked line it became."""
    return {
        row["ref_end_to_end"]: row["became_line_key"] for row in list_provisional(store) if not row["live"]
    }


def test_an_intraday_report_adds_no_line_and_no_balance(store: Connection) -> None:
    outcome = deliver(
        store, intraday((2500, "E1", "BOOK"), (-700, "E2", "PDNG")), source=WITH_INTRADAY, file_name="i.xml"
    )
    assert outcome.sentence == "i.xml: accepted: 0 lines in 1 statement, 2 more not booked for good"
    assert keys_and_amounts(store) == {}
    assert store.execute("SELECT count(*) FROM recon.statement").fetchone() == (0,)
    assert live(store) == [(-700, "pending", "E2"), (2500, "interim", "E1")]


def test_a_report_that_tells_of_a_movement_again_tells_nothing_new(store: Connection) -> None:
    deliver(store, intraday((2500, "E1", "BOOK")), source=WITH_INTRADAY)
    deliver(store, intraday((2500, "E1", "BOOK"), (40, "E2", "BOOK"), number=2), source=WITH_INTRADAY)
    assert live(store) == [(40, "interim", "E2"), (2500, "interim", "E1")]


def test_two_equal_movements_of_a_report_are_both_told(store: Connection) -> None:
    deliver(store, intraday((2500, "E1", "BOOK"), (2500, "E1", "BOOK")), source=WITH_INTRADAY)
    assert live(store) == [(2500, "interim", "E1")] * 2


ARRIVALS = {
    "morning": intraday((2500, "E1", "BOOK"), (-700, "E2", "PDNG")),
    "noon": intraday((2500, "E1", "BOOK"), (90, "E3", "BOOK"), number=4),
    "evening": statement(Entry(2500, "A1", end_to_end="E1"), Entry(90, "A3", end_to_end="E3")),
    "next morning": intraday((11, "E4", "BOOK"), day=TUESDAY),
}


@pytest.mark.parametrize("order", list(permutations(ARRIVALS)))
def test_the_statement_replaces_the_reports_of_its_day_whatever_comes_first(
    store: Connection, order: tuple[str, ...]
) -> None:
    for name in order:
        assert deliver(store, ARRIVALS[name], source=WITH_INTRADAY).outcome == "accepted"
    assert keys_and_amounts(store) == {"A1": (1, 2500), "A3": (1, 90)}
    assert live(store) == [(11, "interim", "E4")]
    assert became(store) == {"E1": "A1", "E2": None, "E3": "A3"}


def pending_entry(amount: int, reference: str, day: str) -> str:
    entry = Entry(amount, end_to_end=reference).xml(day, "EUR")
    return entry.replace("<Cd>BOOK</Cd>", "<Cd>PDNG</Cd>")


def test_what_a_statement_calls_pending_counts_nowhere_until_it_is_booked(store: Connection) -> None:
    outcome = deliver(
        store, statement(Entry(100, "A1"), pending=pending_entry(900, "E9", MONDAY)), source=WITH_INTRADAY
    )
    assert (outcome.line_count, outcome.provisional_count) == (1, 1)
    assert live(store) == [(900, "pending", "E9")]
    deliver(store, statement(Entry(900, "A9", end_to_end="E9"), day=TUESDAY), source=WITH_INTRADAY)
    assert live(store) == []
    assert keys_and_amounts(store) == {"A1": (1, 100), "A9": (1, 900)}


def test_a_redelivered_statement_with_pending_entries_changes_nothing(store: Connection) -> None:
    content = statement(Entry(100, "A1"), pending=pending_entry(900, "E9", MONDAY))
    deliver(store, content, source=WITH_INTRADAY)
    again = deliver(store, content.replace(b"M1", b"M2") + b"\n", source=WITH_INTRADAY)
    assert again.outcome == "redelivered"
    assert live(store) == [(900, "pending", "E9")]
    assert closures(store) == []


def test_a_source_that_is_not_told_of_intraday_reports_refuses_them(store: Connection) -> None:
    outcome = deliver(store, intraday((2500, "E1", "BOOK")), source=BANK)
    assert outcome.refusal is not None
    assert outcome.refusal.code == "not_this_format"
    assert "camt.052" in outcome.refusal.found


def test_nobody_changes_what_was_told(store: Connection) -> None:
    deliver(store, ARRIVALS["morning"], source=WITH_INTRADAY)
    deliver(store, ARRIVALS["evening"], source=WITH_INTRADAY)
    for deed in (
        "UPDATE recon.provisional_line SET status = 'info'",
        "DELETE FROM recon.provisional_line",
        "UPDATE recon.provisional_end SET line_id = NULL",
        "DELETE FROM recon.provisional_end",
    ):
        with pytest.raises(psycopg.Error, match="is evidence"):
            store.execute(deed)
