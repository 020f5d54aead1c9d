"""What is wrong with a camt.053 is said with place, expected and found; attacks never reach the parser's bad sides."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation.errors import RefusedFile, SourcesError
from tests.reconciliation.formats.camt_builder import (
    OPTIONS,
    balance,
    detail,
    document,
    entry,
    read,
    refusal,
    statement,
)

GOOD = document(
    statement(
        entry(
            ref="A", details=f"<NtryDtls>{detail('25.00', refs='<EndToEndId>E-1</EndToEndId>')}</NtryDtls>"
        ),
        entry("10.00", "DBIT", ref="B"),
        closing="115.00",
    )
)
DOCTYPES = {
    "external entity": '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    "external subset": '<!DOCTYPE Document SYSTEM "http://127.0.0.1:9/a.dtd">',
    "internal entity": '<!DOCTYPE d [<!ENTITY a "999.00">]>',
    "billion laughs": '<!DOCTYPE d [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;">]>',
    "after a comment": "<!-- > --><?x ?><!DOCTYPE d>",
}


def test_a_balance_that_does_not_tie_is_refused_with_the_figures() -> None:
    wrong = refusal(document(statement(entry(), closing="130.00")))
    assert wrong.code == "balance"
    assert wrong.place == "statement 1 (S1, account DE89370400440532013000), Bal CLBD"
    assert wrong.expected == "125.00 EUR (OPBD 100.00 and 1 booked entries of 25.00)"
    assert wrong.found == "130.00 EUR, a difference of 5.00 EUR"


def test_a_statement_that_proves_nothing_is_refused_and_says_which_balances_it_has() -> None:
    wrong = refusal(document(statement(entry(), balances=balance("OPAV", "100") + balance("CLAV", "125"))))
    assert (wrong.code, wrong.found) == ("balance", "only OPAV, CLAV")
    assert refusal(document(statement(entry(), balances=balance("CLBD", "125")))).found == "only CLBD"
    assert refusal(document(statement(balances=""))).found == "no balance at all"


def test_two_opening_balances_that_differ_are_refused() -> None:
    balances = balance("OPBD", "100") + balance("OPBD", "101") + balance("CLBD", "125")
    assert refusal(document(statement(entry(), balances=balances))).code == "balance"


def test_an_entry_in_another_currency_than_its_account_is_refused() -> None:
    wrong = refusal(document(statement(entry(asset="CHF"))))
    assert wrong.code == "currency"
    assert wrong.found == "EUR (Acct/Ccy), CHF (statement 1, entry 1 (BANK1))"


def test_the_same_statement_twice_in_a_file_is_a_conflict() -> None:
    assert refusal(document(statement(entry()), statement(entry()))).code == "conflict"


@pytest.mark.parametrize(
    "amount",
    ["1E+2000000", "1e3", "NaN", "Infinity", "١٢", "1_000", "12.345", "1,50", "-25.00", "+25.00", " ", "0x10", "1 000",
     "9" * 19, "9" * 5000, "25.00\u00a0", "--1", "."],
)  # fmt: skip
def test_an_amount_that_is_not_plain_digits_is_refused_at_once(amount: str) -> None:
    wrong = refusal(document(statement(entry(amount))))
    assert wrong.code == "amount"
    assert wrong.place == "statement 1, entry 1 (BANK1), Amt"
    assert len(str(wrong)) < 400


def test_zeros_beyond_the_exponent_are_no_other_amount() -> None:
    assert read(document(statement(entry("25.00000")))).lines["amount_minor"].to_pylist() == [2500]


@pytest.mark.parametrize("side", ["", "crdt", "CREDIT", "D", "CRDT DBIT"])
def test_a_direction_that_is_neither_credit_nor_debit_is_refused(side: str) -> None:
    assert (
        refusal(document(statement(entry(side=side)))).place == "statement 1, entry 1 (BANK1), Ntry/CdtDbtInd"
    )
    assert refusal(
        document(statement(entry(details=f"<NtryDtls>{detail('1', side='X')}{detail('2')}</NtryDtls>")))
    )


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (entry(more='<Amt Ccy="EUR">1</Amt>'), "structure"),
        (entry(more="<CdtDbtInd>DBIT</CdtDbtInd>"), "structure"),
        (entry("25<x/>.00"), "structure"),
        (entry(status="<Sts><Cd>MAYBE</Cd></Sts>"), "structure"),
        (entry(more="<RvslInd>perhaps</RvslInd>"), "structure"),
        (entry(booked="<BookgDt><Dt>2026-02-30</Dt></BookgDt>"), "date"),
        (entry(booked="<BookgDt><Dt>16.11.2026</Dt></BookgDt>"), "date"),
        (entry(asset="ZZZ"), "currency"),
        (entry(asset=""), "currency"),
        (entry(details=detail("25.00")), "structure"),
        (entry(more=entry()), "structure"),
    ],
)
def test_an_entry_that_cannot_be_understood_is_refused(broken: str, code: str) -> None:
    wrong = refusal(document(statement(broken)))
    assert wrong.code == code
    assert "entry 1" in wrong.place


@pytest.mark.parametrize("name", DOCTYPES)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_document_type_is_refused_before_parsing_in_every_encoding(name: str, encoding: str) -> None:
    attack = DOCTYPES[name] + GOOD.replace(">25.00<", ">&a;<")
    assert refusal(attack.encode(encoding)).code == "unsafe"


def test_an_encoding_that_could_hide_a_document_type_is_refused() -> None:
    hidden = b'<?xml version="1.0" encoding="UTF-7"?>+ADwAIQ-DOCTYPE d+AD4-' + GOOD.encode()
    assert refusal(hidden).code == "unsafe"
    assert refusal(GOOD.encode("utf-32")).code in {"not_this_format", "structure"}
    assert refusal(GOOD.encode("cp037")).code == "not_this_format"


def test_an_entity_without_declaration_is_refused() -> None:
    assert refusal(GOOD.replace(">25.00<", ">&a;<")).code == "structure"


def test_depth_text_and_size_have_limits() -> None:
    deep = GOOD.replace("<GrpHdr>", "<GrpHdr>" + "<x>" * 300 + "</x>" * 300)
    assert refusal(deep).code == "structure"
    assert refusal(GOOD.replace(">E-1<", ">" + "E" * 12_000_000 + "<")).code == "structure"
    long = refusal(GOOD.replace(">E-1<", ">" + "E" * 20_001 + "<"))
    assert (long.code, long.found) == ("limit", "20001")
    with pytest.raises(RefusedFile, match="at most 100 bytes"):
        read(GOOD, dataclasses.replace(OPTIONS, bytes_max=100))
    assert refusal("<!-- " + "x" * 70_000 + "-->" + GOOD).code == "limit"


@pytest.mark.parametrize(
    "content", ["", "   ", ":20:MT940", "{}", "a,b\n1,2\n", "\x00", "<", "<html></html>"]
)
def test_something_else_is_not_taken_for_a_statement(content: str) -> None:
    assert refusal(content).code in {"truncated", "not_this_format", "structure"}


def test_reports_and_notifications_are_sent_to_their_own_format() -> None:
    for element, name in (("Rpt", "camt.052"), ("Ntfctn", "camt.054")):
        wrong = refusal(GOOD.replace("<Stmt>", f"<{element}>").replace("</Stmt>", f"</{element}>"))
        assert (wrong.code, wrong.found) == ("not_this_format", name)


def test_a_refusal_never_shows_a_card_number() -> None:
    for broken in (entry("5555555555554444x"), entry(ref="5555555555554444", side="?")):
        assert "5555555555554444" not in str(refusal(document(statement(broken))))


def test_settings_that_are_not_known_are_an_error_of_the_configuration() -> None:
    with pytest.raises(SourcesError, match="colour is not known"):
        read(GOOD, dataclasses.replace(OPTIONS, settings={"colour": "red"}))


def test_a_long_file_cut_at_every_kilobyte_is_refused() -> None:
    entries = [entry(ref=f"R{number}") for number in range(200)]
    whole = document(statement(*entries, closing="5100.00")).encode()
    assert read(whole).lines.num_rows == 200
    for size in range(0, len(whole), 1024):
        assert refusal(whole[:size]).code in {"truncated", "structure"}


@given(st.integers(min_value=0, max_value=len(GOOD) - 1))
def test_a_file_cut_anywhere_is_refused(size: int) -> None:
    with pytest.raises(RefusedFile):
        read(GOOD[:size])


@given(st.integers(min_value=0, max_value=len(GOOD) - 1), st.characters(codec="utf-8"))
def test_a_changed_character_never_gives_another_sum_unproved(position: int, character: str) -> None:
    try:
        delivery = read(GOOD[:position] + character + GOOD[position + 1 :])
    except RefusedFile:
        return
    (only,) = delivery.parsed.statements
    assert only.opening_minor is not None
    assert only.opening_minor + sum(delivery.lines["amount_minor"].to_pylist()) == only.closing_minor


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_break_the_reader(content: bytes) -> None:
    with pytest.raises(RefusedFile):
        read(content)
