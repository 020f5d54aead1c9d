"""References, parties, charges, rates, returns and cards of a camt detail become columns, in every message version."""

import json
from datetime import UTC, date, datetime

import pytest

from reconciliation.formats.card_numbers import KeyedCardTokens
from tests.reconciliation.formats.camt_builder import (
    OPTIONS,
    column,
    detail,
    document,
    entry,
    one,
    read,
    refusal,
    statement,
)

CARD = "4111111111111111"


def of(
    more: str = "", *, refs: str = "", side: str = "CRDT", amount: str = "25.00", entry_more: str = ""
) -> str:
    """A statement of one entry with one detail."""
    details = f"<NtryDtls>{detail(refs=refs, more=more)}</NtryDtls>"
    closing = 10000 + (1 if side == "CRDT" else -1) * int(amount.replace(".", ""))
    booked = entry(amount, side, details=details, more=entry_more)
    return document(
        statement(booked, closing=f"{'-' * (closing < 0)}{abs(closing) // 100}.{abs(closing) % 100:02}")
    )


def test_every_kind_of_reference_is_kept_under_its_name() -> None:
    refs = (
        "<MsgId>MSG-1</MsgId><AcctSvcrRef>SERVICER</AcctSvcrRef><PmtInfId>RUN-1</PmtInfId><InstrId>INSTR</InstrId>"
        "<EndToEndId>E2E</EndToEndId><TxId>TX</TxId><MndtId>MANDATE</MndtId><ChqNb>CHEQUE</ChqNb>"
        "<ClrSysRef>CLEARING</ClrSysRef><Prtry><Tp>BANK-ID</Tp><Ref>4711</Ref></Prtry>"
    )
    creditor = (
        "<RltdPties><Cdtr><Pty><Nm>Collector</Nm><Id><PrvtId><Othr><Id>DE98ZZZ09999999999</Id></Othr></PrvtId></Id>"
        "</Pty></Cdtr></RltdPties>"
    )
    remittance = (
        "<RmtInf><Strd><RfrdDocInf><Nb>INV-1</Nb></RfrdDocInf><RfrdDocInf><Nb>INV-2</Nb></RfrdDocInf>"
        "<CdtrRefInf><Ref>RF18539007547034</Ref></CdtrRefInf></Strd></RmtInf>"
    )
    line = one(of(creditor + remittance, refs=refs))
    assert (line["ref_end_to_end"], line["ref_servicer"], line["native_id"]) == (
        "E2E",
        "SERVICER",
        "SERVICER",
    )
    assert (line["ref_merchant"], line["batch_ref"]) == ("RF18539007547034", "RUN-1")
    assert json.loads(line["other_refs"]) == {
        "check": "CHEQUE",
        "clearing_system": "CLEARING",
        "creditor_id": "DE98ZZZ09999999999",
        "creditor_reference": "RF18539007547034",
        "instruction": "INSTR",
        "invoice": "INV-1\nINV-2",
        "mandate": "MANDATE",
        "message": "MSG-1",
        "payment_information": "RUN-1",
        "transaction": "TX",
    }


def test_remittance_lines_keep_their_order_and_their_breaks_even_when_they_repeat() -> None:
    remittance = (
        "<RmtInf><Ustrd> first </Ustrd><Ustrd>again</Ustrd><Ustrd>again</Ustrd><Strd><AddtlRmtInf>structured"
        "</AddtlRmtInf></Strd></RmtInf><AddtlTxInf>the bank says</AddtlTxInf>"
    )
    line = one(
        of(remittance, refs="<EndToEndId>E</EndToEndId>", entry_more="<AddtlNtryInf>again</AddtlNtryInf>")
    )
    assert line["text"] == "first\nagain\nagain\nstructured\nthe bank says"


@pytest.mark.parametrize(
    "party",
    [
        "<{0}><Nm>Someone</Nm></{0}>",
        "<{0}><Pty><Nm>Someone</Nm></Pty></{0}>",
        "<{0}><Agt><FinInstnId><Nm>Someone</Nm></FinInstnId></Agt></{0}>",
        "<Ultmt{0}><Nm>Someone</Nm></Ultmt{0}>",
    ],
)
@pytest.mark.parametrize("bic", ["BIC", "BICFI"])
def test_the_other_side_has_a_name_an_account_and_a_bank_in_every_version(party: str, bic: str) -> None:
    for side, role in (("CRDT", "Dbtr"), ("DBIT", "Cdtr")):
        more = (
            f"<RltdPties>{party.format(role)}<{role}Acct><Id><IBAN>FR7630006000011234567890189</IBAN></Id>"
            f"</{role}Acct></RltdPties><RltdAgts><{role}Agt><FinInstnId><{bic}>AGRIFRPPXXX</{bic}></FinInstnId>"
            f"</{role}Agt></RltdAgts>"
        )
        line = one(of(more, side=side))
        assert line["counterparty"] == "Someone"
        assert line["counterparty_account"] == "FR7630006000011234567890189"
        assert line["counterparty_bic"] == "AGRIFRPPXXX"


def test_an_account_that_is_a_card_number_is_masked_and_an_iban_is_not() -> None:
    account = "<RltdPties><DbtrAcct><Id><Othr><Id>{}</Id></Othr></Id></DbtrAcct></RltdPties>"
    assert one(of(account.format("ACC-77")))["counterparty_account"] == "ACC-77"
    assert one(of(account.format(CARD)))["counterparty_account"] == "411111******1111"


def test_no_card_number_leaves_in_a_text_or_a_note_not_even_over_a_line_break() -> None:
    remittance = f"<RmtInf><Ustrd>card 41111111</Ustrd><Ustrd>11111111 and {CARD}</Ustrd></RmtInf>"
    assert one(of(remittance))["text"] == "card 411111**\n****1111 and 411111******1111"
    unproved = "<NtryDtls>" + detail("1.00") + detail("2.00") + "</NtryDtls>"
    (note,) = read(document(statement(entry(ref=CARD, details=unproved)))).parsed.notes
    assert "411111******1111" in note


def test_a_return_tells_why_and_names_the_payment_that_came_back() -> None:
    back = "<RtrInf><Rsn><Cd>AC04</Cd></Rsn><AddtlInf>account closed</AddtlInf></RtrInf>"
    line = one(of(back, refs="<EndToEndId>PAY-7</EndToEndId>"))
    assert (line["reason_code"], line["kind"]) == ("AC04", "refund")
    assert json.loads(line["other_refs"]) == {"original": "PAY-7"}
    assert line["text"] == "account closed"
    own = one(of("<RtrInf><Rsn><Prtry>gone</Prtry></Rsn></RtrInf>"))
    assert (own["reason_code"], own["other_refs"]) == ("gone", None)


def test_settlement_and_event_are_dated_apart_from_booking() -> None:
    accepted = "<AccptncDtTm>2026-11-15T23:30:00Z</AccptncDtTm>"
    line = one(of(f"<RltdDts>{accepted}<IntrBkSttlmDt>2026-11-13</IntrBkSttlmDt></RltdDts>"))
    assert (line["settlement_date"], line["booking_date"]) == (date(2026, 11, 13), date(2026, 11, 16))
    assert line["event_at"] == datetime(2026, 11, 15, 23, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("exchange", "fraction"),
    [
        ("<SrcCcy>USD</SrcCcy><TrgtCcy>EUR</TrgtCcy><UnitCcy>USD</UnitCcy><XchgRate>0.8</XchgRate>", (8, 10)),
        (
            "<SrcCcy>USD</SrcCcy><TrgtCcy>EUR</TrgtCcy><UnitCcy>EUR</UnitCcy><XchgRate>1.25</XchgRate>",
            (100, 125),
        ),
        ("<SrcCcy>USD</SrcCcy><XchgRate>0.80</XchgRate>", (8, 10)),
        ("<SrcCcy>EUR</SrcCcy><XchgRate>1.2500</XchgRate>", (100, 125)),
        # the unit is said wrongly: the amounts know better
        ("<SrcCcy>USD</SrcCcy><UnitCcy>USD</UnitCcy><XchgRate>1.25</XchgRate>", (100, 125)),
        ("<SrcCcy>GBP</SrcCcy><XchgRate>0.8</XchgRate>", (None, None)),
        ("<SrcCcy>USD</SrcCcy><XchgRate>7.7</XchgRate>", (None, None)),
    ],
)
def test_a_rate_is_a_fraction_where_its_direction_is_certain(
    exchange: str, fraction: tuple[int | None, int | None]
) -> None:
    amounts = (
        f'<AmtDtls><InstdAmt><Amt Ccy="USD">31.25</Amt></InstdAmt><TxAmt><Amt Ccy="EUR">25.00</Amt>'
        f"<CcyXchg>{exchange}</CcyXchg></TxAmt></AmtDtls>"
    )
    line = one(of(amounts))
    assert (line["original_amount_minor"], line["original_asset"]) == (3125, "USD")
    assert (line["fx_numerator"], line["fx_denominator"]) == fraction


def test_a_rate_near_one_is_directed_by_its_unit_alone() -> None:
    exchange = "<CcyXchg><SrcCcy>USD</SrcCcy>{}<XchgRate>1.01</XchgRate></CcyXchg>"
    amounts = '<AmtDtls><TxAmt><Amt Ccy="USD">25.25</Amt>' + exchange + "</TxAmt></AmtDtls>"
    unsaid, said = (one(of(amounts.format(unit))) for unit in ("", "<UnitCcy>EUR</UnitCcy>"))
    assert (unsaid["fx_rate"], unsaid["fx_numerator"]) == ("1.01", None)
    assert (said["fx_numerator"], said["fx_denominator"]) == (100, 101)


@pytest.mark.parametrize("rate", ["1E3", "-1.2", "1,25", "", "9" * 500])
def test_a_rate_that_is_no_plain_number_is_refused(rate: str) -> None:
    wrong = refusal(of(f"<AmtDtls><TxAmt><CcyXchg><XchgRate>{rate}</XchgRate></CcyXchg></TxAmt></AmtDtls>"))
    assert (wrong.code, wrong.place) == (
        "amount",
        "statement 1, entry 1 (BANK1), AmtDtls/TxAmt/CcyXchg/XchgRate",
    )


def test_charges_inside_the_amount_are_its_fee_and_others_are_told_apart() -> None:
    records = (
        '<Chrgs><Rcrd><Amt Ccy="EUR">3.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><ChrgInclInd>true</ChrgInclInd></Rcrd>'
        '<Rcrd><Amt Ccy="EUR">0.50</Amt><CdtDbtInd>CRDT</CdtDbtInd><ChrgInclInd>1</ChrgInclInd></Rcrd>'
        '<Rcrd><Amt Ccy="USD">7.00</Amt><ChrgInclInd>false</ChrgInclInd></Rcrd>'
        '<Rcrd><Amt Ccy="EUR">0.00</Amt></Rcrd></Chrgs>'
    )
    line = one(of(records, side="DBIT", amount="53.00"))
    assert (line["amount_minor"], line["fee_minor"]) == (-5300, 250)
    assert json.loads(line["fees"]) == [
        {"amount_minor": 300, "asset": "EUR", "included": True, "type": "charge"},
        {"amount_minor": -50, "asset": "EUR", "included": True, "type": "charge"},
        {"amount_minor": 700, "asset": "USD", "included": False, "type": "charge"},
    ]


@pytest.mark.parametrize(
    ("side", "paid", "charge", "fee_minor"),
    [
        ("DBIT", "50.00", "3.00", 300),
        ("CRDT", "56.00", "3.00", 300),
        ("DBIT", "53.00", "3.00", 0),
        ("DBIT", "49.00", "3.00", 0),
    ],
)
def test_a_charge_without_mark_is_inside_the_amount_only_if_it_is_what_parts_it_from_the_payment(
    side: str, paid: str, charge: str, fee_minor: int
) -> None:
    more = (
        f'<AmtDtls><InstdAmt><Amt Ccy="EUR">{paid}</Amt></InstdAmt></AmtDtls>'
        f'<Chrgs><TtlChrgsAndTaxAmt Ccy="EUR">{charge}</TtlChrgsAndTaxAmt><Amt Ccy="EUR">{charge}</Amt></Chrgs>'
        '<Chrgs><Amt Ccy="EUR">0.00</Amt></Chrgs>'
    )
    line = one(of(more, side=side, amount="53.00"))
    assert line["fee_minor"] == fee_minor
    assert json.loads(line["fees"])[0]["included"] is bool(fee_minor)


def test_a_card_number_becomes_a_token_and_its_ends() -> None:
    card = (
        f"<CardTx><Card><PlainCardData><PAN>{CARD}</PAN><XpryDt>2028-01</XpryDt></PlainCardData></Card>"
        "<POI><Id><Id>TERM-1</Id></Id></POI><Tx><Indv><SeqNb>17</SeqNb><TxId><TxRef>T-9</TxRef></TxId></Indv></Tx></CardTx>"
    )
    whole = read(of(card))
    (line,) = whole.lines.to_pylist()
    assert line["card_token"] == KeyedCardTokens(bytes(range(32))).token(CARD)
    assert line["card_truncated"] == "411111******1111"
    assert json.loads(line["other_refs"]) == {"stan": "17", "terminal_id": "TERM-1", "trace": "T-9"}
    assert CARD not in str(whole.lines.to_pylist()) + str(whole.parsed)


def test_a_card_number_that_came_truncated_stays_so_and_has_no_token() -> None:
    line = one(of("<CardTx><Card><PlainCardData><PAN>411111XXXXXX1111</PAN></PlainCardData></Card></CardTx>"))
    assert (line["card_token"], line["card_truncated"]) == (None, "411111******1111")
    assert (
        one(of("<CardTx><Card><PlainCardData><PAN>4111</PAN></PlainCardData></Card></CardTx>"))[
            "card_truncated"
        ]
        is None
    )


@pytest.mark.parametrize("name", ["TrckData", "CardSctyCd"])
def test_track_data_and_security_codes_are_refused(name: str) -> None:
    plain = f"<PlainCardData><PAN>{CARD}</PAN><{name}><TrckVal>123</TrckVal></{name}></PlainCardData>"
    for content in (
        of(f"<CardTx><Card>{plain}</Card></CardTx>"),
        of(entry_more=f"<CardTx><Card>{plain}</Card></CardTx>"),
    ):
        wrong = refusal(content)
        assert (wrong.code, wrong.found) == ("sensitive_data", f"the element {name}")
        assert CARD not in str(wrong)


def test_an_amount_may_begin_or_end_with_its_point_as_xml_schema_lets_it() -> None:
    whole = read(document(statement(entry(".5"), entry("7.", ref="X"), closing="107.5")))
    assert column(whole, "amount_minor") == [50, 700]


def test_text_that_stands_between_elements_is_refused_and_not_dropped() -> None:
    assert refusal(of("<RltdPties>stray<Dbtr><Nm>Payer</Nm></Dbtr></RltdPties>")).code == "structure"


def test_white_space_for_the_eye_changes_nothing() -> None:
    more = "<RltdPties><Dbtr><Nm>Payer</Nm></Dbtr></RltdPties>"
    plain, spaced = one(of(more)), one(of(more).replace("><", ">\n\t  <"))
    for line in (plain, spaced):
        del line["byte_offset"], line["byte_length"]
    assert plain == spaced


def test_the_entry_of_a_line_can_be_found_in_the_file_again() -> None:
    content = document(statement(entry(ref="A"), entry(ref="Ä"), closing="150.00")).encode()
    whole = read(content, OPTIONS)
    for line, reference in zip(whole.lines.to_pylist(), ("A", "Ä"), strict=True):
        raw = content[line["byte_offset"] :][: line["byte_length"]]
        assert raw.startswith(b"<Ntry>")
        assert raw.endswith(b"</Ntry>")
        assert f"<AcctSvcrRef>{reference}<".encode() in raw
