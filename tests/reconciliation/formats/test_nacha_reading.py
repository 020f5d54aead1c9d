"""What a NACHA file says arrives whole: direction on our side, returns that turn it round, dates, references, text."""

import dataclasses
import json
from datetime import date
from io import BytesIO
from typing import Any

import pytest

from reconciliation.errors import SourcesError
from reconciliation.formats import nacha
from reconciliation.formats.canonical import LINE_SCHEMA, LINES_PER_BATCH
from tests.reconciliation.formats.camt_builder import OPTIONS
from tests.reconciliation.formats.nacha_builder import (
    GOOD,
    NINES,
    batch,
    delivery,
    entry,
    fitted,
    header,
    read,
    refusal,
    remittance,
    returned,
)

ORIGINATOR = dataclasses.replace(OPTIONS, settings={"side": "originator"})
REFERENCE = "1234567890:091000019:261116:0600:A"


def lines_of(*records: str, head: str | None = None, options: Any = OPTIONS) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read(delivery(batch(*records, head=head)), options).lines.to_pylist()
    return rows


def line_of(*records: str, head: str | None = None, options: Any = OPTIONS) -> dict[str, Any]:
    (line,) = lines_of(*records, head=head, options=options)
    return line


def test_a_file_is_one_statement_in_dollars_without_balances_and_says_what_was_proved() -> None:
    parsed = read(GOOD).parsed
    (statement,) = parsed.statements
    assert (parsed.format_name, parsed.format_version, parsed.file_reference) == ("nacha", "094", REFERENCE)
    assert (statement.statement_ref, statement.account, statement.asset) == (REFERENCE, "1234567890", "USD")
    assert statement.from_date == statement.to_date == date(2026, 11, 16)
    assert (statement.opening_minor, statement.closing_minor, statement.sequence_no) == (None, None, None)
    assert (statement.movement_minor, statement.line_count, statement.pending_count) == (-1810, 3, 0)
    (proof,) = statement.proofs
    assert proof == (
        "file control 9: 2 batches, 4 entries and addenda, hash 6300006, debits 25.10 and credits 7.00 USD, "
        "as every batch control 8 adds up to"
    )
    assert (statement.flags, parsed.notes, parsed.test_mode) == ((), (), False)


def test_each_field_of_an_entry_is_told_and_its_bytes_are_found_again() -> None:
    lines = read(GOOD).lines.to_pylist()
    given = {name: value for name, value in lines[1].items() if value is not None}
    assert given == {
        "statement_no": 0,
        "record_no": 4,
        "native_id": f"{REFERENCE}/0000001/091000010000002",
        "status": "booked",
        "booking_date": date(2026, 11, 17),
        "value_date": date(2026, 11, 17),
        "amount_minor": 700,
        "asset": "USD",
        "fee_minor": 0,
        "ref_end_to_end": "INV-7",
        "ref_servicer": "091000010000002",
        "other_refs": '{"trace":"091000010000002"}',
        "batch_ref": f"{REFERENCE}/0000001",
        "counterparty": "SHOP",
        "text": "ORDERS\nANN BUYER\nREFUND OF INV-6",
        "kind": "transfer",
        "type_code": "PPD/22",
        "reversal": False,
        "byte_offset": 3 * 95,
        "byte_length": 2 * 95 - 1,
    }
    assert json.loads(lines[0]["other_refs"]) == {"creditor_id": "1234567890", "trace": "091000010000001"}


def test_the_originator_sees_the_other_sign_and_the_receiver_as_counterparty() -> None:
    line = line_of(entry(), options=ORIGINATOR)
    assert (line["amount_minor"], line["counterparty"], line["counterparty_account"]) == (
        2500,
        "ANN BUYER",
        "123456789",
    )
    assert line["text"] == "ORDERS"
    assert [
        one["amount_minor"] for one in lines_of(entry("22"), entry("32", number=2), options=ORIGINATOR)
    ] == [
        -2500,
        -2500,
    ]


@pytest.mark.parametrize(
    ("code", "amount", "status"),
    [
        ("22", 2500, "booked"),
        ("27", -2500, "booked"),
        ("32", 2500, "booked"),
        ("37", -2500, "booked"),
        ("42", 2500, "booked"),
        ("47", -2500, "booked"),
        ("52", 2500, "booked"),
        ("55", -2500, "booked"),  # takes a loan credit back
        ("23", 0, "info"),  # prenotes
        ("28", 0, "info"),
        ("33", 0, "info"),
        ("38", 0, "info"),
        ("53", 0, "info"),
        ("24", 0, "info"),  # zero-dollar, with remittance
        ("29", 0, "info"),
    ],
)
def test_the_transaction_code_says_direction_and_whether_money_moves(
    code: str, amount: int, status: str
) -> None:
    whole = read(delivery(batch(entry(code, abs(amount)))))
    (line,) = whole.lines.to_pylist()
    (statement,) = whole.parsed.statements
    assert (line["amount_minor"], line["status"], line["reversal"]) == (amount, status, False)
    assert (statement.line_count, statement.pending_count) == ((1, 0) if status == "booked" else (0, 1))
    assert statement.movement_minor == amount


def test_prenotes_with_money_are_refused() -> None:
    wrong = refusal(delivery(batch(entry("23", 1))))
    assert (wrong.code, wrong.place) == ("amount", "record 3 (entry 6), amount")


@pytest.mark.parametrize(
    ("code", "reason", "receiver_minor"),
    [
        ("27", None, -2500),
        ("26", "R01", 2500),  # the debit comes back: the receiver has the money again
        ("26", "R61", -2500),  # the return is dishonoured
        ("26", "R68", -2500),
        ("26", "R73", 2500),  # and that is contested
        ("21", "R03", -2500),  # a credit comes back
        ("21", "R69", 2500),
        ("21", "R76", -2500),
        ("26", "R85", 2500),  # gateway's return of an international entry
        ("27", "R68", -2500),  # dishonoured, under the forward code
    ],
)
def test_each_step_of_a_return_turns_the_money_round_on_both_sides(
    code: str, reason: str | None, receiver_minor: int
) -> None:
    records = (
        [entry(code)] if reason is None else [entry(code, addenda="1"), returned(reason, "091000010000099")]
    )
    line = line_of(*records)
    assert (line["amount_minor"], line["reason_code"], line["reversal"]) == (
        receiver_minor,
        reason,
        reason is not None,
    )
    assert line_of(*records, options=ORIGINATOR)["amount_minor"] == -receiver_minor
    if reason is not None:
        assert json.loads(line["other_refs"])["original"] == "091000010000099"


def test_a_return_tells_its_reason_in_words_and_a_death_by_its_date() -> None:
    record = returned("R14", "091000010000099", rest="PAYEE IS NO MORE")
    record = record[:21] + "261103" + record[27:]
    line = line_of(entry("26", addenda="1"), record)
    assert line["text"] == "ORDERS\nANN BUYER\ndate of death 261103\nPAYEE IS NO MORE"


def test_dishonoured_and_contested_returns_name_the_returns_before_them() -> None:
    dishonoured = returned("R68", "091000010000099", rest="   02100002000001732001UNTIMELY")
    line = line_of(entry("26", addenda="1"), dishonoured)
    assert json.loads(line["other_refs"]) == {
        "creditor_id": "1234567890",
        "original": "091000010000099",
        "trace": "091000010000001",
        "transaction": "021000020000017",
    }
    assert line["text"] == "ORDERS\nANN BUYER\nreturned as R01\nUNTIMELY"
    contested = returned("R73", "091000010000099", rest="320021000020000017322010910000100000783256 8"[:44])
    line = line_of(entry("26", addenda="1"), contested)
    assert json.loads(line["other_refs"])["transaction"] == "021000020000017"
    assert "returned as R01" in line["text"]
    assert "by 091000010000078" in line["text"]


def test_the_last_word_of_a_disputed_return_counts_wherever_it_stands() -> None:
    chain = [returned(reason, "091000010000099") for reason in ("R07", "R73", "R68")]
    assert line_of(entry("26", addenda="1"), *chain)["reason_code"] == "R73"


def test_a_notification_of_change_moves_nothing_and_says_what_would_be_right() -> None:
    change = returned("C01", "091000010000099", rest="987654321")
    whole = read(delivery(batch(entry("26", 0, addenda="1"), change, head=header(entry_class="COR"))))
    (line,) = whole.lines.to_pylist()
    assert (line["status"], line["kind"], line["reason_code"], line["reversal"]) == (
        "info",
        "adjustment",
        "C01",
        False,
    )
    assert json.loads(line["other_refs"])["original"] == "091000010000099"
    assert line["text"].endswith("987654321")
    assert (whole.parsed.statements[0].line_count, whole.parsed.statements[0].pending_count) == (0, 1)


def test_a_return_of_nothing_is_information() -> None:
    assert line_of(entry("21", 0, addenda="1"), returned("R03", "091000010000099"))["status"] == "info"


def test_a_reversing_batch_and_a_fee_for_a_return_are_marked() -> None:
    assert line_of(entry("22"), head=header(description="REVERSAL"))["reversal"] is True
    assert line_of(entry("27"), head=header(description="RETURN FEE"))["kind"] == "fee"


@pytest.mark.parametrize(
    ("effective", "settled", "booked", "valued", "settlement"),
    [
        ("261117", "322", "2026-11-18", "2026-11-18", "2026-11-18"),
        ("261231", "002", "2027-01-02", "2027-01-02", "2027-01-02"),
        ("270101", "365", "2026-12-31", "2026-12-31", "2026-12-31"),
        ("280301", "366", None, None, None),  # 2027 has no day 366; the nearest that has is 2028
        ("261117", "   ", "2026-11-17", "2026-11-17", None),
        ("261117", "000", "2026-11-17", "2026-11-17", None),
        ("000000", "   ", "2026-11-16", "2026-11-16", None),
        ("", "321", "2026-11-17", "2026-11-17", "2026-11-17"),
    ],
)
def test_the_settlement_day_decides_then_the_effective_day_then_the_files(
    effective: str, settled: str, booked: str | None, valued: str | None, settlement: str | None
) -> None:
    line = line_of(entry(), head=header(effective=effective, settled=settled))
    if booked is None:
        assert line["settlement_date"] == date(2028, 12, 31)
        return
    told = [
        line[name] and line[name].isoformat() for name in ("booking_date", "value_date", "settlement_date")
    ]
    assert told == [booked, valued, settlement]


def test_a_batch_without_any_date_is_noted() -> None:
    parsed = read(delivery(batch(entry(), head=header(effective="000000")))).parsed
    assert parsed.notes == (
        "batches without effective and settlement date, dated by their file: at record 2 (batch header 5)",
    )


@pytest.mark.parametrize(
    ("entry_class", "identification", "name", "told"),
    [
        ("CCD", "INV-7", "ANN BUYER", ("INV-7", None, "ANN BUYER")),
        ("WEB", "INV-7", "ANN BUYER", ("INV-7", None, "ANN BUYER")),
        ("TEL", "INV-7", "ANN BUYER", ("INV-7", None, "ANN BUYER")),
        ("CIE", "INV-7", "ANN BUYER", ("INV-7", None, "ANN BUYER")),
        ("CTX", "INV-7", "0002BUYER INC", ("INV-7", None, "BUYER INC")),
        ("TRX", "INV-7", "0002BUYER INC", ("INV-7", None, "BUYER INC")),
        ("ARC", "1001", "ANN BUYER", (None, "1001", "ANN BUYER")),
        ("BOC", "1001", "ANN BUYER", (None, "1001", "ANN BUYER")),
        ("RCK", "1001", "ANN BUYER", (None, "1001", "ANN BUYER")),
        ("XCK", "1001", "ANN BUYER", (None, "1001", "ANN BUYER")),
        ("POP", "1001     PHILPA", "ANN BUYER", (None, "1001", "ANN BUYER")),
        ("TRC", "1001", "PROC01ITEM 9", (None, "1001", None)),
        ("ZZZ", "INV-7", "ANN BUYER", ("INV-7", None, "ANN BUYER")),
    ],
)
def test_each_entry_class_lays_out_name_and_identification_its_own_way(
    entry_class: str, identification: str, name: str, told: tuple[str | None, str | None, str | None]
) -> None:
    record = entry(identification=identification, name=name)
    line = line_of(record, head=header(entry_class=entry_class), options=ORIGINATOR)
    check = json.loads(line["other_refs"]).get("check")
    assert (line["ref_end_to_end"], check, line["counterparty"]) == told
    assert line["type_code"] == f"{entry_class}/27"


def test_a_card_number_is_a_token_from_the_start() -> None:
    card = "4111111111111111"
    for field in (card, card.rjust(22, "0")):
        record = entry(identification="072600000001234", name=field, addenda="1")
        terminal = (
            f"702REF0001A01TERM010001231117987654{'01 MAIN STREET':<27}{'SPRINGFIELD':<15}IL021000020000001"
        )
        line = line_of(record, terminal, head=header(entry_class="SHR"))
        assert (line["card_token"], line["card_truncated"]) == (
            OPTIONS.card_tokens.token(card),
            "411111******1111",
        )
        assert card not in str(line)
        assert line["ref_auth_code"] == "987654"
        references = json.loads(line["other_refs"])
        assert (references["terminal_id"], references["stan"]) == ("TERM01", "000123")
        assert line["text"] == "ORDERS\n01 MAIN STREET SPRINGFIELD IL"
    assert line_of(entry(name="NO CARD"), head=header(entry_class="SHR"))["card_token"] is None


def test_card_numbers_in_text_are_masked_across_addenda() -> None:
    left, right = "CARD" + " " * 68 + "41111111", "11111111 PAID"
    records = entry(addenda="1"), remittance(left), remittance(right, sequence=2)
    text = line_of(*records)["text"]
    assert text.endswith("411111**\n****1111 PAID")
    wrong = refusal("4111111111111111".ljust(94) + "\n" + GOOD)
    assert "4111111111111111" not in str(wrong)


def international(*addenda: str, code: str = "22") -> list[str]:
    count = len(addenda) + 7
    first = fitted(
        f"6{code}021000021{count:04d}{'':13}{2500:010d}{'DE89370400440532013000':<35}{'':4}1091000010000001"
    )
    return [
        first,
        fitted(f"710ANN{2300:018d}{'FX-77':<22}{'ANNA KUNDIN':<35}{'':6}0000001"),
        fitted(f"711{'SHOP EXPORT':<35}{'1 MAIN STREET':<35}{'':14}0000001"),
        fitted(f"712{'SPRINGFIELD*IL':<35}{'US*62701':<35}{'':14}0000001"),
        fitted(f"713{'FIRST BANK':<35}01{'091000019':<34}US {'':10}0000001"),
        fitted(f"714{'ZWEITE BANK':<35}02{'DEUTDEFF':<34}DE {'':10}0000001"),
        fitted(f"715{'KUNDE-5':<15}{'HAUPTSTRASSE 1':<35}{'':34}0000001"),
        fitted(f"716{'BERLIN*BE':<35}{'DE*10115':<35}{'':14}0000001"),
        *addenda,
    ]


def test_an_international_entry_names_both_parties_and_the_other_currency() -> None:
    head = header(entry_class="IAT", start=f"{'':16}FV1{'0.92':<15}DE", description="TRADE     USDEUR"[:10])
    head = head[:63] + "USDEUR" + head[69:]
    seventeen = fitted(f"717{'INVOICE 7':<80}00010000001")
    line = line_of(*international(seventeen), head=head, options=ORIGINATOR)
    assert line["amount_minor"] == -2500
    assert (line["original_amount_minor"], line["original_asset"], line["fx_rate"]) == (-2300, "EUR", "0.92")
    assert (line["fx_numerator"], line["fx_denominator"]) == (
        None,
        None,
    )  # the standard leaves its direction open
    assert (line["counterparty"], line["counterparty_account"]) == ("ANNA KUNDIN", "DE89370400440532013000")
    assert line["ref_end_to_end"] == "KUNDE-5"
    assert json.loads(line["other_refs"])["transaction"] == "FX-77"
    assert "INVOICE 7" in line["text"]
    assert line_of(*international(seventeen), head=head)["counterparty"] == "SHOP EXPORT"
    unchanged = head.replace("FV1", "FF3")
    assert line_of(*international(seventeen), head=unchanged)["original_asset"] is None


def test_a_returned_international_entry_keeps_its_parties() -> None:
    head = header(entry_class="IAT", start=f"{'':16}FF3{'':15}US")
    records = international(returned("R80", "091000010000099", rest=f"{2500:010d}SANCTIONED"), code="21")
    line = line_of(*records, head=head)
    assert (line["amount_minor"], line["reason_code"], line["counterparty"]) == (-2500, "R80", "SHOP EXPORT")


def test_the_reason_of_a_returned_international_entry_is_told_without_the_amount_before_it() -> None:
    head = header(entry_class="IAT", start=f"{'':16}FF3{'':15}US")
    records = international(returned("R80", "091000010000099", rest=f"{2500:010d}SANCTIONED"), code="21")
    assert line_of(*records, head=head)["text"].endswith("\nSANCTIONED")


def test_a_change_of_an_international_entry_has_its_layout() -> None:
    head = header(entry_class="COR", start=f"{'IATCOR':<16}FF3{'':15}US")
    change = returned("C01", "091000010000099", rest="DE02120300000000202051")
    record = international(code="21")[0].replace(f"{2500:010d}", "0" * 10)
    line = line_of(record, change, head=head, options=ORIGINATOR)
    assert (line["status"], line["counterparty"]) == ("info", None)
    assert line["counterparty_account"] == "DE89370400440532013000"


@pytest.mark.parametrize("entry_class", ["ACK", "ATX"])
def test_an_acknowledgement_names_the_entry_it_acknowledges(entry_class: str) -> None:
    record = entry("24", 0, identification="091000010000099", name="0000BUYER INC")
    line = line_of(record, head=header(entry_class=entry_class))
    assert (line["status"], line["ref_end_to_end"]) == ("info", None)
    assert json.loads(line["other_refs"])["original"] == "091000010000099"


def test_advices_of_the_operator_are_settlements_of_our_account_on_either_side() -> None:
    def advice(code: str, number: int) -> str:
        institution = f"{'FIRST BANK':<22}"
        return fitted(
            f"6{code}021000021{'98765':<15}{2500:012d}021000021{'12345'}1{institution}  002100002320{number:04d}"
        )

    head = header(service="280", entry_class="ADV")
    content = delivery(batch(advice("81", 1), advice("84", 2), advice("83", 3), head=head), advice=True)
    for options in (OPTIONS, ORIGINATOR):
        whole = read(content, options)
        assert whole.lines["amount_minor"].to_pylist() == [2500, -2500, 2500]
        assert set(whole.lines["kind"].to_pylist()) == {"settlement"}
    assert refusal(delivery(batch(entry("81")))).code == "structure"


def test_deviations_that_prove_nothing_wrong_are_noted() -> None:
    parsed = read(
        delivery(
            batch(
                entry(number=5, addenda="1"),
                entry(number=4),
                remittance("OF ANOTHER", number=9),
                head=header(entry_class="ZZZ", service="201"),
            ),
            first="101 09100001912345678902611160600A094109BANK                   SHOP",
        )
    ).parsed
    assert [note.partition(":")[0] for note in parsed.notes] == [
        "blocking factor and format code '109', read as '101'",
        "service class '201', which the standard does not have",
        "entry class 'ZZZ', read like PPD",
        "entries whose addenda indicator says otherwise",
        "addenda that name another entry than the one before them",
        "trace numbers that do not ascend within their batch",
    ]


def test_line_ends_blocks_and_lost_blanks_change_nothing() -> None:
    good = read(GOOD)
    records = GOOD.splitlines()
    blocks = ["".join(records[at : at + 10]) for at in range(0, len(records), 10)]
    for variant in (
        GOOD.replace("\n", "\r\n"),
        GOOD.replace("\n", "\r"),
        GOOD.replace("\n", ""),
        GOOD.replace("\n", "") + "\n",
        "\n".join(blocks) + "\n",
        "\n\n".join(records),
        "\ufeff" + GOOD,
        GOOD + "\x1a",
        "\n".join(record + "  " for record in records),
        "\n".join(record for record in records if record != NINES),
        GOOD + (NINES + "\n") * 10,
    ):
        again = read(variant)
        assert again.parsed == good.parsed, variant[:200]
        columns = [name for name in LINE_SCHEMA.names if not name.startswith("byte_")]
        assert again.lines.select(columns).equals(good.lines.select(columns))
    shortened = read("\n".join(record.rstrip() for record in records))
    assert shortened.lines["amount_minor"].equals(good.lines["amount_minor"])
    assert shortened.parsed.notes[0].startswith("records shorter than 94 characters")


def test_bytes_are_found_again_without_line_ends() -> None:
    content = GOOD.replace("\n", "").encode()
    for line in read(content).lines.to_pylist():
        record = content[line["byte_offset"] : line["byte_offset"] + line["byte_length"]]
        assert record[:1] == b"6"
        assert record[79:94].decode() == line["ref_servicer"]


def test_several_files_in_one_delivery_are_several_statements() -> None:
    second = delivery(
        batch(entry("22", 1)), first="101 09100001912345678902611160600B094101BANK                   SHOP"
    )
    parsed = read(GOOD + second).parsed
    assert [one.movement_minor for one in parsed.statements] == [-1810, 1]
    assert parsed.notes[0].startswith("further files in the same delivery")
    assert refusal(GOOD + GOOD).code == "conflict"


def test_a_file_that_says_test_is_marked() -> None:
    first = fitted("101 09100001912345678902611160600A094101BANK                   SHOP")[:86] + "TEST    "
    assert read(delivery(batch(entry()), first=first)).parsed.test_mode


def test_settings_are_checked() -> None:
    with pytest.raises(SourcesError) as caught:
        read(GOOD, dataclasses.replace(OPTIONS, settings={"sid": "x", "side": "sender"}))
    assert caught.value.problems == (
        "settings of nacha: sid is not known; did you mean side?",
        "settings of nacha: side must be one of receiver, originator, found 'sender'",
    )


def test_an_empty_file_is_a_statement_without_lines() -> None:
    (statement,) = read(delivery()).parsed.statements
    assert (statement.line_count, statement.movement_minor) == (0, 0)


def test_lines_leave_in_batches_while_the_file_is_read() -> None:
    count = 2 * LINES_PER_BATCH + 5
    content = delivery(batch(*[entry("22", 1, number=number + 1) for number in range(count)]))
    for variant in (content, content.replace("\n", "")):
        sizes: list[int] = []
        parsed = nacha.read(BytesIO(variant.encode()), OPTIONS, lambda one: sizes.append(one.num_rows))  # noqa: B023
        assert sizes == [LINES_PER_BATCH, LINES_PER_BATCH, 5]
        assert parsed.statements[0].movement_minor == count


def test_the_format_is_recognised_by_its_header() -> None:
    assert nacha.sniff(GOOD.encode())
    assert nacha.sniff(b"\xef\xbb\xbf" + GOOD.replace("\n", "").encode())
    for other in (b"", b"1", b"101", b"01,BANK,US,261116", b"5200SHOP", b"1" * 94):
        assert not nacha.sniff(other)
