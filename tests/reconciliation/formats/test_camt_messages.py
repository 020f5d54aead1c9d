"""Reports within the day (camt.052) and notifications (camt.054): what they may leave out, and what proves them."""

import dataclasses

import pytest

from reconciliation.formats import (
    camt_052,
    camt_053,
    camt_054,
    registry,
)
from reconciliation.formats.canonical import Format
from tests.reconciliation.formats.camt_builder import (
    NAMESPACE,
    OPTIONS,
    REPORTS,
    as_message,
    balance,
    column,
    detail,
    document,
    entry,
    read,
    refusal,
    statement,
)

WAIVED = dataclasses.replace(OPTIONS, waived=frozenset({"balance", "control_total", "sequence"}))
OTHERS = (camt_052, camt_054)


def summary(count: int, total: str, net: str = "") -> str:
    return f"<TxsSummry><TtlNtries><NbOfNtries>{count}</NbOfNtries><Sum>{total}</Sum>{net}</TtlNtries></TxsSummry>"


def page(number: int, *, last: bool, name: str = "StmtPgntn") -> str:
    return f"<{name}><PgNb>{number}</PgNb><LastPgInd>{str(last).lower()}</LastPgInd></{name}>"


@pytest.mark.parametrize("reader", OTHERS)
@pytest.mark.parametrize("version", [f"{number:02}" for number in range(2, 15)])
def test_every_version_of_a_message_without_balances_is_read(reader: Format, version: str) -> None:
    content = document(statement(entry(), balances=""), namespace=NAMESPACE[:-2] + version)
    whole = read(as_message(content, reader), reader=reader)
    (only,) = whole.parsed.statements
    assert (whole.parsed.format_name, whole.parsed.format_version) == (reader.NAME, f"001.{version}")
    assert (only.opening_minor, only.closing_minor, only.movement_minor) == (None, None, 2500)
    assert only.interim == (reader is camt_052)
    (note,) = whole.parsed.notes
    assert note.startswith("statements in which nothing proves that they are complete: at statement 1 (S1, ")


def test_a_container_of_version_1_is_read_too() -> None:
    content = document(statement(entry(), balances=""))
    for reader, (_, container, _) in REPORTS.items():
        old = as_message(content, reader).replace(container, f"{container}V01")
        assert read(old, WAIVED, reader).lines.num_rows == 1


@pytest.mark.parametrize("reader", REPORTS)
def test_a_message_is_recognised_and_the_others_are_refused_by_name(reader: Format) -> None:
    content = as_message(document(statement(entry())), reader)
    assert registry.recognise(content.encode()) == reader.NAME
    assert registry.recognise(f"<Envelope><AppHdr/>{content}</Envelope>".encode("utf-16")) == reader.NAME
    for other in set(REPORTS) - {reader}:
        wrong = refusal(content, reader=other)
        assert (wrong.code, wrong.found) == ("not_this_format", reader.NAME)


@pytest.mark.parametrize(
    ("status", "expected"),
    [("BOOK", "booked"), ("PDNG", "pending"), ("INFO", "info"), ("FUTR", "expected")],
)
@pytest.mark.parametrize("form", ["<Sts>{}</Sts>", "<Sts><Cd>{}</Cd></Sts>", "<Sts><Prtry>{}</Prtry></Sts>"])
@pytest.mark.parametrize("reader", OTHERS)
def test_each_line_has_its_status_and_only_booked_ones_count(
    status: str, expected: str, form: str, reader: Format
) -> None:
    content = document(statement(entry(status=form.format(status)), balances=""))
    whole = read(as_message(content, reader), reader=reader)
    (only,) = whole.parsed.statements
    booked = int(status == "BOOK")
    assert column(whole, "status") == [expected]
    assert (only.line_count, only.pending_count, only.movement_minor) == (booked, 1 - booked, 2500 * booked)


def test_a_notification_without_any_date_in_its_entries_is_dated_by_its_own_day() -> None:
    bare = entry(status="<Sts>INFO</Sts>", booked="", valued="")
    whole = read(as_message(document(statement(bare, balances="")), camt_054), reader=camt_054)
    assert [str(day) for day in column(whole, "booking_date")] == ["2026-11-16"]
    assert "without booking date" in whole.parsed.notes[0]


def test_two_balances_of_a_report_prove_it_or_are_flagged_since_it_may_tell_only_what_is_new() -> None:
    both = balance("OPBD", "100.00") + balance("ITBD", "125.00")
    good = as_message(document(statement(entry(), balances=both)), camt_052)
    (only,) = read(good, reader=camt_052).parsed.statements
    assert only.proofs == ("OPBD 100.00 + 1 booked entries 25.00 = ITBD 125.00 EUR",)
    (part,) = read(good.replace(">125.00<", ">126.00<"), reader=camt_052).parsed.statements
    (flag,) = part.flags
    assert flag == (
        "not demanded within the day: balance: Bal ITBD: expected 125.00 EUR (OPBD 100.00 and 1 booked entries of "
        "25.00), found 126.00 EUR, a difference of 1.00 EUR"
    )
    assert (part.opening_minor, part.closing_minor, part.proofs, part.movement_minor) == (
        None,
        None,
        (),
        2500,
    )
    alone = as_message(document(statement(entry(), balances=balance("ITBD", "7.00"))), camt_052)
    assert read(alone, reader=camt_052).parsed.statements[0].opening_minor is None


def test_totals_that_a_report_states_are_demanded_all_the_same() -> None:
    summary = "<TxsSummry><TtlNtries><NbOfNtries>2</NbOfNtries></TtlNtries></TxsSummry>"
    content = as_message(document(statement(entry(), balances="", more=summary)), camt_052)
    assert refusal(content, reader=camt_052).code == "control_total"


def test_a_report_of_pending_entries_does_not_move_its_balance() -> None:
    both = balance("OPBD", "100.00") + balance("CLBD", "125.00")
    entries = (entry(), entry("9.99", status="<Sts>PDNG</Sts>", ref="P"))
    (only,) = read(
        as_message(document(statement(*entries, balances=both)), camt_052), reader=camt_052
    ).parsed.statements
    assert (only.closing_minor, only.pending_count) == (12500, 1)


@pytest.mark.parametrize("reader", REPORTS)
def test_stated_totals_are_those_of_the_booked_entries_or_of_all(reader: Format) -> None:
    entries = (entry(), entry("9.99", status="<Sts>PDNG</Sts>", ref="P"))

    def of(stated: str) -> str:
        return as_message(document(statement(*entries, more=stated)), reader)

    for stated in (summary(1, "25.00"), summary(2, "34.99")):
        assert len(read(of(stated), reader=reader).parsed.statements[0].proofs) == 2
    for stated in (summary(2, "25.00"), summary(1, "34.99"), summary(3, "34.99"), summary(1, "25.01")):
        wrong = refusal(of(stated), reader=reader)
        assert (wrong.code, wrong.place.rpartition(", ")[2]) == ("control_total", "TxsSummry/TtlNtries")
        (flagged,) = read(of(stated), WAIVED, reader).parsed.statements
        assert flagged.flags[0].startswith("waived: control_total: TxsSummry/TtlNtries: expected ")
        assert flagged.closing_minor == 12500


@pytest.mark.parametrize(
    "net",
    [
        "<TtlNetNtryAmt>5.00</TtlNetNtryAmt><CdtDbtInd>DBIT</CdtDbtInd>",
        "<TtlNetNtry><Amt>5.00</Amt><CdtDbtInd>DBIT</CdtDbtInd></TtlNetNtry>",
    ],
)
def test_the_net_of_all_entries_is_demanded_in_both_of_its_forms(net: str) -> None:
    entries = (entry(), entry("30.00", "DBIT", ref="D"))
    content = document(statement(*entries, closing="95.00", more=summary(2, "55.00", net)))
    assert read(content).parsed.statements[0].proofs[-1] == "net of all entries 5.00"
    for changed in (content.replace(">5.00<", ">6.00<"), content.replace(net, net.replace("DBIT", "CRDT"))):
        assert refusal(changed).code == "control_total"


def test_debits_that_the_sender_sums_with_a_minus_are_the_same_sum() -> None:
    debits = "<TxsSummry><TtlDbtNtries><NbOfNtries>1</NbOfNtries><Sum>-25.00</Sum></TtlDbtNtries></TxsSummry>"
    assert read(document(statement(entry(side="DBIT"), closing="75.00", more=debits))).lines.num_rows == 1


def test_what_a_batch_states_about_its_details_is_demanded() -> None:
    def of(count: str, total: str) -> str:
        batch = f'<Btch><NbOfTxs>{count}</NbOfTxs><TtlAmt Ccy="EUR">{total}</TtlAmt></Btch>'
        details = f"<NtryDtls>{batch}{detail('20.00')}{detail('5.00')}</NtryDtls>"
        return as_message(document(statement(entry(details=details), balances="")), camt_054)

    (only,) = read(of("2", "25.00"), reader=camt_054).parsed.statements
    assert only.proofs == ("1 entries = the sums of their 2 details",)
    for count, total, name in (
        ("3", "25.00", "NbOfTxs"),
        ("x", "25.00", "NbOfTxs"),
        ("2", "25.01", "TtlAmt"),
    ):
        wrong = refusal(of(count, total), reader=camt_054)
        assert (wrong.code, wrong.place) == (
            "control_total",
            f"statement 1, entry 1 (BANK1), NtryDtls/Btch/{name}",
        )
        flagged = read(of(count, total), WAIVED, camt_054)
        assert column(flagged, "amount_minor") == [2000, 500]
        assert "waived: control_total" in flagged.parsed.statements[0].flags[0]


def test_several_groups_of_details_keep_their_own_batches_and_netted_directions() -> None:
    details = (
        f"<NtryDtls><Btch><PmtInfId>B1</PmtInfId></Btch>{detail('40.00')}{detail('10.00', side='DBIT')}</NtryDtls>"
        "<NtryDtls><Btch><PmtInfId>EMPTY</PmtInfId></Btch></NtryDtls>"
        f"<NtryDtls>{detail('5.00', side='DBIT', refs='<PmtInfId>OWN</PmtInfId>')}</NtryDtls>"
    )
    whole = read(document(statement(entry(details=details))))
    assert column(whole, "amount_minor") == [4000, -1000, -500]
    assert column(whole, "batch_ref") == ["B1", "B1", "OWN"]
    assert column(whole, "detail_no") == [1, 2, 3]
    assert column(whole, "batch_minor") == [2500, 2500, 2500]


def test_one_detail_for_a_batch_of_several_payments_is_noted() -> None:
    details = f"<NtryDtls><Btch><NbOfTxs>7</NbOfTxs></Btch>{detail('25.00')}</NtryDtls>"
    whole = read(document(statement(entry(details=details))))
    assert "one detail for all" in whole.parsed.notes[0]
    assert (column(whole, "detail_no"), column(whole, "batch_minor")) == ([None], [None])


def test_a_detail_in_another_currency_or_without_amount_leaves_its_entry_whole() -> None:
    for other in (detail("5.00", asset="USD"), detail()):
        whole = read(document(statement(entry(details=f"<NtryDtls>{detail('20.00')}{other}</NtryDtls>"))))
        assert column(whole, "amount_minor") == [2500]


def test_an_amount_that_was_instructed_is_never_the_amount_of_a_detail() -> None:
    instructed = '<AmtDtls><InstdAmt><Amt Ccy="EUR">12.50</Amt></InstdAmt></AmtDtls>'
    transacted = '<AmtDtls><TxAmt><Amt Ccy="EUR">12.50</Amt></TxAmt></AmtDtls>'
    for amounts, expected in ((instructed, [2500]), (transacted, [1250, 1250])):
        details = f"<NtryDtls>{detail(more=amounts)}{detail(more=amounts)}</NtryDtls>"
        assert column(read(document(statement(entry(details=details)))), "amount_minor") == expected


def paged(*numbers: int, of: int = 3, reader: Format = camt_053) -> str:
    """Pages of one statement, each with an entry; the first opens it and the last closes it."""
    pages = []
    for number in numbers:
        opening = balance("OPBD" if number == 1 else "ITBD", f"{100 + 25 * (number - 1)}.00")
        closing = balance("CLBD" if number == of else "ITBD", f"{100 + 25 * number}.00")
        own = entry(ref=f"P{number}")
        pages.append(statement(own, balances=opening + closing, more=page(number, last=number == of)))
    return as_message(document(*pages), reader)


@pytest.mark.parametrize("reader", REPORTS)
def test_pages_in_one_file_are_one_statement(reader: Format) -> None:
    whole = read(paged(1, 2, 3, reader=reader), reader=reader)
    (only,) = whole.parsed.statements
    assert (only.statement_ref, only.line_count, only.movement_minor) == ("S1", 3, 7500)
    assert (only.opening_minor, only.closing_minor) == (10000, 17500)
    assert column(whole, "statement_no") == [0, 0, 0]


@pytest.mark.parametrize(("numbers", "place"), [((1, 3), "page 2"), ((1, 2), "page 3"), ((2, 3), "page 1")])
def test_a_missing_page_is_refused(numbers: tuple[int, ...], place: str) -> None:
    wrong = refusal(paged(*numbers))
    assert (wrong.code, wrong.expected) == ("sequence", place)
    flagged = read(paged(*numbers), WAIVED).parsed.statements[0].flags
    assert any(flag.startswith("waived: sequence: PgNb") for flag in flagged)


def test_a_page_that_does_not_begin_where_the_one_before_ended_is_refused() -> None:
    wrong = refusal(paged(1, 2, 3).replace(balance("ITBD", "150.00"), balance("ITBD", "151.00"), 1))
    assert wrong.code == "balance"
    broken = paged(1, 2, 3)
    second = broken.index(balance("ITBD", "125.00"), broken.index("P1"))
    broken = broken[:second] + broken[second:].replace(">125.00<", ">126.00<", 1)
    wrong = refusal(broken)
    assert (wrong.code, wrong.found) == ("balance", "126.00 EUR, a difference of 1.00 EUR")
    (only,) = read(broken, WAIVED).parsed.statements
    assert (only.opening_minor, only.closing_minor, only.movement_minor) == (None, None, 7500)


def test_pages_of_a_message_join_statements_that_state_balances_once() -> None:
    first = document(
        statement(entry(ref="A"), balances=balance("OPBD", "100.00")),
        header=f"<MsgId>M1</MsgId>{page(1, last=False, name='MsgPgntn')}",
    )
    second = document(
        statement(entry(ref="B"), balances=balance("CLBD", "150.00")),
        header=f"<MsgId>M1</MsgId>{page(2, last=True, name='MsgPgntn')}",
    )
    (only,) = read(f"<BizMsgEnvlp>{first}{second}</BizMsgEnvlp>").parsed.statements
    assert (only.opening_minor, only.closing_minor, only.line_count) == (10000, 15000, 2)
    assert refusal(first).code == "balance"


@pytest.mark.parametrize("reader", REPORTS)
def test_envelopes_change_nothing(reader: Format) -> None:
    plain = as_message(document(statement(entry())), reader)
    header = (
        '<AppHdr xmlns="urn:iso:std:iso:20022:tech:xsd:head.001.001.02"><BizMsgIdr>B</BizMsgIdr></AppHdr>'
    )
    soap = '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{}</s:Body></s:Envelope>'
    for envelope in (
        "<BizMsgEnvlp>{}</BizMsgEnvlp>",
        '<Envelope xmlns="urn:swift:xsd:envelope">{}</Envelope>',
        soap,
    ):
        whole = read(envelope.format(header + plain), reader=reader)
        assert whole.parsed == read(plain, reader=reader).parsed


def test_a_repeat_is_said_by_the_application_header_too() -> None:
    header = "<AppHdr><CpyDplct>DUPL</CpyDplct></AppHdr>"
    assert "marked as a repeat" in read(f"<x>{header}{document(statement(entry()))}</x>").parsed.notes[0]


def test_failed_balances_that_a_person_waives_are_not_kept() -> None:
    (only,) = read(document(statement(entry(), closing="130.00")), WAIVED).parsed.statements
    assert (only.opening_minor, only.closing_minor, only.movement_minor) == (None, None, 2500)
    (flag,) = only.flags
    assert flag.startswith("waived: balance: Bal CLBD: expected 125.00 EUR")
    (bare,) = read(document(statement(entry(), balances="")), WAIVED).parsed.statements
    assert "no balance at all" in bare.flags[0]
    twice = balance("OPBD", "100") + balance("OPBD", "101") + balance("CLBD", "125")
    (differing,) = read(document(statement(entry(), balances=twice)), WAIVED).parsed.statements
    assert (differing.opening_minor, len(differing.flags)) == (None, 1)


def test_a_total_that_is_off_by_a_power_of_ten_says_so() -> None:
    wrong = refusal(document(statement(entry("125.00"), opening="0", closing="12500.00")))
    assert "it is 100 times what was expected, which points to wrong minor digits" in wrong.found


def test_a_sequence_number_of_zeros_numbers_nothing() -> None:
    content = document(statement(entry())).replace("<ElctrncSeqNb>7<", "<ElctrncSeqNb>00000<")
    assert read(content).parsed.statements[0].sequence_no is None
