"""What a camt.053 says becomes lines, statements and proofs."""

from datetime import UTC, date, datetime

import pytest

from tests.reconciliation.formats.camt_builder import (
    NAMESPACE,
    balance,
    column,
    detail,
    document,
    entry,
    read,
    refusal,
    statement,
)


def test_a_statement_is_read_with_its_balances_tied() -> None:
    delivery = read(document(statement(entry())))
    (only,) = delivery.parsed.statements
    assert (only.statement_ref, only.account, only.asset) == ("S1", "DE89370400440532013000", "EUR")
    assert (only.opening_minor, only.movement_minor, only.closing_minor) == (10000, 2500, 12500)
    assert (only.sequence_no, only.from_date, only.to_date) == (7, date(2026, 11, 16), date(2026, 11, 16))
    assert only.proofs == ("OPBD 100.00 + 1 booked entries 25.00 = CLBD 125.00 EUR",)
    assert (delivery.parsed.format_version, delivery.parsed.file_reference, delivery.parsed.notes) == (
        "001.08",
        "M1",
        (),
    )
    (line,) = delivery.lines.to_pylist()
    assert (line["amount_minor"], line["native_id"], line["ref_servicer"]) == (2500, "BANK1", "BANK1")
    assert (line["booking_date"], line["value_date"]) == (date(2026, 11, 16), date(2026, 11, 17))
    assert (line["kind"], line["type_code"], line["record_no"]) == ("transfer", "PMNT/RCDT/ESCT", 1)


def test_a_reversal_keeps_the_direction_the_bank_gave_it() -> None:
    reversed_credit = entry(side="DBIT", more="<RvslInd>true</RvslInd>")
    delivery = read(document(statement(reversed_credit, closing="75.00")))
    assert column(delivery, "amount_minor") == [-2500]
    assert column(delivery, "reversal") == [True]


def test_a_batch_whose_details_add_up_becomes_one_line_per_detail() -> None:
    details = (
        "<NtryDtls><Btch><MsgId>RUN-9</MsgId><PmtInfId>BATCH-9</PmtInfId><NbOfTxs>2</NbOfTxs></Btch>"
        + detail("30.00", side="CRDT", refs="<EndToEndId>A</EndToEndId>")
        + detail("5.00", side="DBIT", refs="<AcctSvcrRef>OWN</AcctSvcrRef><EndToEndId>B</EndToEndId>")
        + "</NtryDtls>"
    )
    delivery = read(document(statement(entry(details=details))))
    assert column(delivery, "amount_minor") == [3000, -500]
    assert column(delivery, "ref_end_to_end") == ["A", "B"]
    assert column(delivery, "native_id") == ["BANK1/1", "OWN"]
    assert column(delivery, "batch_ref") == ["BATCH-9", "BATCH-9"]
    assert column(delivery, "record_no") == [1, 1]
    assert delivery.parsed.statements[0].line_count == 2


def test_a_batch_without_details_is_one_line_that_names_its_batch() -> None:
    details = "<NtryDtls><Btch><PmtInfId>BATCH-9</PmtInfId><NbOfTxs>162</NbOfTxs></Btch></NtryDtls>"
    delivery = read(document(statement(entry(details=details))))
    assert column(delivery, "amount_minor") == [2500]
    assert column(delivery, "batch_ref") == ["BATCH-9"]


def test_details_that_do_not_add_up_leave_the_entry_whole_and_are_noted() -> None:
    details = "<NtryDtls>" + detail("30.00") + detail("5.00") + "</NtryDtls>"
    delivery = read(document(statement(entry(details=details))))
    assert column(delivery, "amount_minor") == [2500]
    assert "do not add up" in delivery.parsed.notes[0]
    assert "statement 1, entry 1 (BANK1)" in delivery.parsed.notes[0]


def test_a_single_detail_lends_its_references_even_when_a_charge_makes_its_amount_another() -> None:
    charges = (
        '<Chrgs><Rcrd><Amt Ccy="EUR">3.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><ChrgInclInd>true</ChrgInclInd></Rcrd>'
        '<Rcrd><Amt Ccy="EUR">1.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><ChrgInclInd>false</ChrgInclInd></Rcrd></Chrgs>'
    )
    details = f"<NtryDtls>{detail('50.00', refs='<EndToEndId>DD-1</EndToEndId>', more=charges)}</NtryDtls>"
    delivery = read(document(statement(entry("53.00", "DBIT", details=details), closing="47.00")))
    assert column(delivery, "amount_minor") == [-5300]
    assert column(delivery, "fee_minor") == [300]
    assert column(delivery, "ref_end_to_end") == ["DD-1"]


def test_references_that_say_there_is_none_are_none() -> None:
    uetr = "D0826D0F-A005-5E3B-B3DC-54DA4AC7F0D0"
    refs = f"<EndToEndId>NOTPROVIDED</EndToEndId><UETR>{uetr}</UETR><InstrId>I-1</InstrId>"
    delivery = read(document(statement(entry(details=f"<NtryDtls>{detail(refs=refs)}</NtryDtls>"))))
    (line,) = delivery.lines.to_pylist()
    assert line["ref_end_to_end"] is None
    assert line["ref_uetr"] == uetr.lower()
    assert line["text"] == "I-1"


@pytest.mark.parametrize(
    ("side", "more", "expected"),
    [
        ("CRDT", "", "Payer"),
        ("DBIT", "", "Payee"),
        ("CRDT", "<RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>", "Payee"),
        ("DBIT", "<RtrInf><Rsn><Cd>MD06</Cd></Rsn></RtrInf>", "Payer"),
    ],
)
def test_the_counterparty_is_the_other_side_and_a_return_keeps_the_roles_of_the_original(
    side: str, more: str, expected: str
) -> None:
    parties = "<RltdPties><Dbtr><Pty><Nm>Payer</Nm></Pty></Dbtr><Cdtr><Nm>Payee</Nm></Cdtr></RltdPties>"
    line = entry("25.00", side, details=f"<NtryDtls>{detail(more=parties + more)}</NtryDtls>")
    delivery = read(document(statement(line, closing="125.00" if side == "CRDT" else "75.00")))
    assert column(delivery, "counterparty") == [expected]


@pytest.mark.parametrize(
    ("code", "side", "kind"),
    [
        ("ACMT/MCOP/CHRG", "DBIT", "fee"),
        ("PMNT/MDOP/FEES", "DBIT", "fee"),
        ("ACMT/MCOP/INTR", "CRDT", "interest"),
        ("PMNT/RDDT/UPDD", "DBIT", "chargeback"),
        ("PMNT/ICDT/RRTN", "CRDT", "refund"),
        ("PMNT/MDOP/ADJT", "DBIT", "adjustment"),
        ("PMNT/RCDT/ESCT", "CRDT", "transfer"),
    ],
)
def test_the_banks_code_tells_the_kind_of_movement(code: str, side: str, kind: str) -> None:
    closing = "125.00" if side == "CRDT" else "75.00"
    delivery = read(document(statement(entry("25.00", side, code=code), closing=closing)))
    assert column(delivery, "kind") == [kind]


def test_remittance_is_kept_line_by_line_and_card_numbers_in_it_are_not() -> None:
    remittance = (
        "<RmtInf><Ustrd>card 5555555555554444</Ustrd>"
        "<Strd><CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd></RmtInf>"
    )
    delivery = read(document(statement(entry(details=f"<NtryDtls>{detail(more=remittance)}</NtryDtls>"))))
    (text,) = column(delivery, "text")
    assert text == "card 555555******4444\nRF18539007547034"
    assert column(delivery, "ref_merchant") == ["RF18539007547034"]


def test_what_was_instructed_in_another_currency_is_kept_beside_what_was_booked() -> None:
    exchange = (
        '<AmtDtls><InstdAmt><Amt Ccy="JPY">4000</Amt></InstdAmt><TxAmt><Amt Ccy="EUR">25.00</Amt><CcyXchg>'
        "<SrcCcy>JPY</SrcCcy><XchgRate>160.000</XchgRate></CcyXchg></TxAmt></AmtDtls>"
    )
    line = entry("25.00", "DBIT", details=f"<NtryDtls>{detail(more=exchange)}</NtryDtls>")
    (row,) = read(document(statement(line, closing="75.00"))).lines.to_pylist()
    assert (row["original_amount_minor"], row["original_asset"], row["fx_rate"]) == (-4000, "JPY", "160.000")


@pytest.mark.parametrize(("asset", "amount", "minor"), [("JPY", "2500", 2500), ("KWD", "25.001", 25001)])
def test_currencies_without_cents_and_with_three_decimals_are_exact(
    asset: str, amount: str, minor: int
) -> None:
    one = statement(entry(amount, asset=asset), opening="0", closing=amount, asset=asset)
    assert column(read(document(one)), "amount_minor") == [minor]


def test_entries_that_are_not_booked_are_lines_of_their_own_status_and_count_for_nothing() -> None:
    others = [entry("9.99", status=f"<Sts>{status}</Sts>") for status in ("PDNG", "INFO", "FUTR")]
    delivery = read(document(statement(entry(status="<Sts>BOOK</Sts>"), *others)))
    (only,) = delivery.parsed.statements
    assert (only.line_count, only.pending_count, only.movement_minor) == (1, 3, 2500)
    assert column(delivery, "amount_minor") == [2500, 999, 999, 999]
    assert column(delivery, "status") == ["booked", "pending", "info", "expected"]


def test_dates_stay_as_the_bank_wrote_them() -> None:
    late = "<BookgDt><DtTm>2026-11-16T00:30:00+02:00</DtTm></BookgDt>"
    dates = "<RltdDts><TxDtTm>2026-11-15T23:30:00+01:00</TxDtTm></RltdDts>"
    delivery = read(
        document(statement(entry(booked=late, details=f"<NtryDtls>{detail(more=dates)}</NtryDtls>")))
    )
    assert column(delivery, "booking_date") == [date(2026, 11, 16)]
    assert column(delivery, "event_at") == [datetime(2026, 11, 15, 22, 30, tzinfo=UTC)]


def test_an_entry_without_booking_date_takes_the_day_of_a_one_day_statement_and_is_noted() -> None:
    delivery = read(document(statement(entry(booked="", valued="<ValDt><Dt>2026-11-20</Dt></ValDt>"))))
    assert column(delivery, "booking_date") == [date(2026, 11, 16)]
    assert "without booking date" in delivery.parsed.notes[0]


def test_a_balance_without_direction_is_a_credit_and_noted() -> None:
    both = balance("OPBD", "100.00", side="") + balance("CLBD", "125.00", side="")
    delivery = read(document(statement(entry(), balances=both)))
    assert delivery.parsed.notes == (
        "balances without CdtDbtInd, read as credit: 2 times, first at statement 1",
    )


def test_an_overdrawn_account_ties_out_with_debit_balances() -> None:
    both = balance("PRCD", "10.00", side="DBIT", day="2026-11-13") + balance("CLBD", "15.00")
    (only,) = read(document(statement(entry(), balances=both))).parsed.statements
    assert (only.opening_minor, only.closing_minor) == (-1000, 1500)


def test_several_accounts_in_one_file_are_told_apart() -> None:
    other = statement(
        entry("1", asset="JPY", ref="BANK2"), opening="4", closing="5", asset="JPY", account="JP1"
    )
    delivery = read(document(statement(entry()), other))
    assert [(one.account, one.asset, one.movement_minor) for one in delivery.parsed.statements] == [
        ("DE89370400440532013000", "EUR", 2500),
        ("JP1", "JPY", 1),
    ]
    assert column(delivery, "statement_no") == [0, 1]


def test_pages_of_a_statement_are_proved_one_by_one_and_joined() -> None:
    first = statement(
        entry(ref="A"),
        balances=balance("OPBD", "100.00") + balance("ITBD", "125.00"),
        more="<StmtPgntn><PgNb>1</PgNb><LastPgInd>false</LastPgInd></StmtPgntn>",
    )
    second = statement(
        entry(ref="B"),
        balances=balance("ITBD", "125.00") + balance("CLBD", "150.00"),
        more="<StmtPgntn><PgNb>2</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>",
    )
    delivery = read(document(first, second))
    (only,) = delivery.parsed.statements
    assert (only.statement_ref, only.opening_minor, only.closing_minor) == ("S1", 10000, 15000)
    assert (only.movement_minor, only.line_count) == (5000, 2)
    assert only.proofs == (
        "OPBD 100.00 + 1 booked entries 25.00 = ITBD 125.00 EUR",
        "ITBD 125.00 + 1 booked entries 25.00 = CLBD 150.00 EUR",
    )
    assert column(delivery, "statement_no") == [0, 0]
    assert [read(document(page)).parsed.statements[0].statement_ref for page in (first, second)] == [
        "S1/page 1",
        "S1/page 2",
    ]


def test_a_statement_without_entries_may_state_one_balance() -> None:
    (only,) = read(document(statement(balances=balance("CLBD", "80.00")))).parsed.statements
    assert (only.opening_minor, only.closing_minor, only.line_count) == (8000, 8000, 0)


def test_a_servicer_reference_that_several_entries_share_is_left_to_the_intake_to_drop() -> None:
    delivery = read(document(statement(entry(), entry(), entry(ref="X"), closing="175.00")))
    assert delivery.parsed.ids_may_repeat
    assert column(delivery, "native_id") == ["BANK1", "BANK1", "X"]
    assert column(delivery, "ref_servicer") == ["BANK1", "BANK1", "X"]


def test_stated_totals_are_proved_too() -> None:
    summary = (
        "<TxsSummry><TtlNtries><NbOfNtries>1</NbOfNtries><Sum>25.00</Sum></TtlNtries>"
        "<TtlDbtNtries><NbOfNtries>0</NbOfNtries></TtlDbtNtries></TxsSummry>"
    )
    assert len(read(document(statement(entry(), more=summary))).parsed.statements[0].proofs) == 3
    wrong = refusal(document(statement(entry(), more=summary.replace(">1<", ">2<"))))
    assert (wrong.code, wrong.expected) == ("control_total", "1 entries of 25.00 EUR as booked here")


@pytest.mark.parametrize("version", [f"{number:02}" for number in range(2, 15)])
def test_every_version_is_read_by_the_names_of_its_elements(version: str) -> None:
    delivery = read(document(statement(entry()), namespace=NAMESPACE[:-2] + version))
    assert (delivery.parsed.format_version, delivery.parsed.notes) == (f"001.{version}", ())


def test_envelopes_prefixes_and_byte_order_marks_change_nothing() -> None:
    plain = document(statement(entry()))
    expected = read(plain)
    prefixed = plain.replace("<", "<c:").replace("<c:/", "</c:").replace("xmlns=", "xmlns:c=")
    header = (
        '<AppHdr xmlns="urn:iso:std:iso:20022:tech:xsd:head.001.001.02"><BizMsgIdr>B</BizMsgIdr></AppHdr>'
    )
    for variant in (
        f"<Envelope>{header}{plain}</Envelope>",
        f"<?xml version='1.0'?><!-- sent by a bank -->{prefixed}",
        f"\ufeff{plain}",
        f"<?xml version='1.0' encoding='UTF-16'?>{plain}".encode("utf-16"),
        f"<?xml version='1.0' encoding='ISO-8859-1'?>{plain}".encode("latin-1"),
    ):
        delivery = read(variant)
        places = ["byte_offset", "byte_length"]
        assert delivery.lines.drop_columns(places).equals(expected.lines.drop_columns(places))
        assert delivery.parsed.statements == expected.parsed.statements


def test_a_repeat_and_a_test_file_say_so() -> None:
    repeat = read(document(statement(entry(), more="<CpyDplctInd>DUPL</CpyDplctInd>")))
    assert "marked as a repeat" in repeat.parsed.notes[0]
    assert read(
        document(statement(entry()), header="<MsgId>M</MsgId><AddtlInf>SPS/2.0/TEST</AddtlInf>")
    ).parsed.test_mode
    assert not repeat.parsed.test_mode
