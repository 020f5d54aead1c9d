"""Everything a clearing line keeps beside its amount: fees, rates, reasons, dates, and where it stands in the file."""

import json
import struct
from datetime import date
from io import BytesIO

import pyarrow as pa
import pytest

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats import mastercard_ipm
from reconciliation.formats.canonical import LINES_PER_BATCH
from tests.reconciliation.formats.mastercard_builder import (
    EUR,
    FILE_ID,
    OPTIONS,
    USD,
    as_type,
    encoded,
    fee,
    file_of,
    lines_of,
    logical_file,
    parsed,
    sale,
    whole,
)

SETTLEMENT = "00000999999" + " " * 28 + "1" + "US00000001" + "N" + "261116" + "01" + "261117" + "01"


@pytest.mark.parametrize("function", ["450", "451", "453", "454"])
def test_a_chargeback_keeps_its_reason_and_the_reference_of_its_dispute(function: str) -> None:
    message = as_type(sale(5_000), "1442", de24=function, de25="4853", de95="CB00012345")
    (line,) = lines_of(file_of(logical_file(message)))
    assert (line["kind"], line["amount_minor"], line["reason_code"]) == ("chargeback", -5_000, "4853")
    assert json.loads(line["other_refs"])["dispute"] == "CB00012345"
    assert line["type_code"] == f"1442-{function}-00"


@pytest.mark.parametrize("function", ["205", "282"])
def test_a_second_presentment_claims_again_what_was_charged_back(function: str) -> None:
    (line,) = lines_of(file_of(logical_file(sale(5_000, de24=function, de25="2700"))))
    assert (line["kind"], line["amount_minor"], line["reason_code"]) == ("presentment", 5_000, "2700")
    assert line["type_code"] == f"1240-{function}-00"


def test_terminal_merchant_and_network_references_are_kept() -> None:
    (line,) = lines_of(file_of(logical_file(sale(de41="TERM0001", de42="MERIDIAN0000001"))))
    assert json.loads(line["other_refs"]) == {
        "merchant_id": "MERIDIAN0000001",
        "scheme_transaction": "MCC1A2B3C1115",
        "terminal_id": "TERM0001",
    }


def test_each_fee_is_kept_with_its_type_and_side() -> None:
    fees = fee("29", 120) + "01" + fee("29", 30)[2:] + fee("19", 15)
    (line,) = lines_of(file_of(logical_file(sale(10_000, fields={"p0146": fees}))))
    assert json.loads(line["fees"]) == [
        {"amount_minor": 120, "asset": "EUR", "included": True, "type": "interchange"},
        {"amount_minor": 30, "asset": "EUR", "included": True, "type": "other"},
        {"amount_minor": -15, "asset": "EUR", "included": True, "type": "interchange"},
    ]
    assert line["fee_minor"] == sum(one["amount_minor"] for one in json.loads(line["fees"])) == 135


@pytest.mark.parametrize(
    ("rate", "text", "fraction"),
    [
        ("69216590", "9.216590", None),  # joins the two amounts neither way
        ("70921659", "0.0921659", None),
        ("79216590", "0.9216590", (921_659, 1_000_000)),
        ("61085000", "1.085000", (1_000, 1_085)),  # stated the other way round
        ("00000000", "0", None),
    ],
)
def test_a_rate_is_a_fraction_only_where_it_makes_one_amount_of_the_other(
    rate: str, text: str, fraction: tuple[int, int] | None
) -> None:
    foreign = sale(10_850, currency=USD, de5=f"{10_000:012d}", de50=EUR, de9=rate)
    (line,) = lines_of(file_of(logical_file(foreign)))
    assert line["fx_rate"] == text
    assert (line["fx_numerator"], line["fx_denominator"]) == (fraction or (None, None))


def test_a_rate_between_currencies_of_unlike_decimals_is_in_major_units() -> None:
    yen = sale(16_000, currency="392", de5=f"{10_000:012d}", de50=EUR, de9="96250000")
    (line,) = lines_of(file_of(logical_file(yen)))
    assert (line["fx_rate"], line["fx_numerator"], line["fx_denominator"]) == ("0.006250000", 625, 100_000)
    assert 16_000 * line["fx_numerator"] * 100 == 10_000 * line["fx_denominator"]


def test_an_issuer_may_reconcile_what_cardholders_are_billed() -> None:
    billed = sale(
        10_850,
        currency=USD,
        fields={"p0146": fee("29", 120)},
        de5=f"{10_000:012d}",
        de50=EUR,
        de6=f"{9_500:012d}",
        de51="756",
        de10="78755760",
    )
    (line,) = lines_of(file_of(logical_file(billed)), acquirer_view=False, settings={"amounts": "billing"})
    assert (line["amount_minor"], line["asset"], line["fee_minor"]) == (-9_500, "CHF", 0)
    assert (line["original_amount_minor"], line["original_asset"]) == (-10_850, "USD")
    assert (line["fx_rate"], line["fx_numerator"]) == ("0.8755760", 875_576)
    assert json.loads(line["fees"]) == [
        {"amount_minor": -120, "asset": "EUR", "included": False, "type": "interchange"}
    ]


def test_the_date_of_settlement_goes_to_the_line_and_to_what_the_bank_will_answer() -> None:
    lines = whole(file_of(logical_file(sale(fields={"p0159": SETTLEMENT})))).lines
    assert lines["settlement_date"].to_pylist() == [date(2026, 11, 17), date(2026, 11, 17)]
    two_days = sale(fields={"p0159": SETTLEMENT.replace("261117", "261118")})
    lines = whole(file_of(logical_file(sale(fields={"p0159": SETTLEMENT}), two_days))).lines
    assert lines["settlement_date"].to_pylist()[2] is None
    for nothing in (SETTLEMENT.replace("261117", "000000"), SETTLEMENT[:40]):
        (line,) = lines_of(file_of(logical_file(sale(fields={"p0159": nothing}))))
        assert line["settlement_date"] is None
    with pytest.raises(RefusedFile) as caught:
        parsed(file_of(logical_file(sale(fields={"p0159": SETTLEMENT.replace("261117", "261332")}))))
    assert (caught.value.code, caught.value.place) == ("date", "record 2, PDS 0159")


def test_what_the_scheme_rejected_or_does_not_settle_moves_nothing() -> None:
    messages = [
        sale(1_000, fields={"p0165": "M"}),
        sale(2_000, fields={"p0165": "B" + " " * 29}),
        sale(3_000, fields={"p0165": "C"}),
        sale(4_000, fields={"p0005": "D0004 0001"}),
    ]
    delivery = whole(file_of(logical_file(*messages)))
    assert delivery.lines["status"].to_pylist() == ["booked", "info", "info", "info", "booked"]
    assert delivery.lines["amount_minor"].to_pylist() == [1_000, 2_000, 3_000, 4_000, -1_000]
    (statement,) = delivery.parsed.statements
    assert (statement.line_count, statement.pending_count, statement.movement_minor) == (2, 3, 0)
    assert delivery.parsed.notes == (
        "1 messages collection only (PDS 0165 C): they move nothing",
        "1 messages settled between the banks (PDS 0165 B): they move nothing",
        "1 messages that the scheme rejected (PDS 0005): they move nothing",
    )
    with pytest.raises(RefusedFile) as caught:
        parsed(file_of(logical_file(sale(fields={"p0165": "X"}))))
    assert (caught.value.code, caught.value.place) == ("amount", "record 2, PDS 0165")


def test_track_data_in_a_text_refuses_the_file_and_names_the_record() -> None:
    with pytest.raises(RefusedFile) as caught:
        parsed(file_of(logical_file(sale(), sale(de72="read ;5555555555554444=29121010000012300000?"))))
    assert (caught.value.code, caught.value.place) == ("sensitive_data", "record 3, a text of the file")


@pytest.mark.parametrize("codec", ["latin-1", "cp500"])
def test_every_line_can_be_found_in_the_file_again(codec: str) -> None:
    messages = logical_file(*(sale(number, de72=" " * (number % 97)) for number in range(1, 60)))
    records = [encoded(message, codec) for message in messages]
    for blocked in (False, True):
        data = file_of(messages, codec, blocked=blocked)
        rows = whole(data).lines.to_pylist()
        for row in rows:
            start, length = row["byte_offset"], row["byte_length"]
            found = data[start : start + length]
            if blocked:
                pads = [at for at in range(length) if (start + at) % 1014 >= 1012]
                found = bytes(byte for at, byte in enumerate(found) if at not in pads)
            record = records[row["record_no"] - 1]
            assert found == struct.pack(">I", len(record)) + record


def test_a_member_corrects_the_signs_by_a_table_of_its_own() -> None:
    unknown = sale(5_000, processing_code="330000", de24="299")
    data = file_of(logical_file(unknown))
    with pytest.raises(RefusedFile) as caught:
        parsed(data)
    assert (caught.value.code, caught.value.found) == ("amount", "'299' and '33'")
    table = "message_type,function_code,processing_code,sign,kind\n1240,299 298,*,-1,adjustment\n"
    (line,) = lines_of(data, tables={"signs": table})
    assert (line["amount_minor"], line["kind"]) == (-5_000, "adjustment")
    turned = (
        "message_type,function_code,processing_code,sign,kind\n1240,200,00,-1,refund\n0146,00,29,-1,scheme\n"
    )
    lines = lines_of(
        file_of(logical_file(sale(700, fields={"p0146": fee("29", 5)}), sale(900, processing_code="180000"))),
        tables={"signs": turned},
    )
    assert [line["amount_minor"] for line in lines] == [-705, 900]
    assert json.loads(lines[0]["fees"])[0]["type"] == "scheme"


def test_a_bad_table_of_signs_is_refused_with_every_problem_and_its_place() -> None:
    table = (
        "message_type,function_code,processing_code,sign,kind\n"
        "1240,200,00,1,presentment\n"
        "1644,200,00,1,presentment\n"
        "1240,,0?,2,sale\n"
        "0146,00,29,1,presentment\n"
        "1240,200\n"
    )
    with pytest.raises(SourcesError) as caught:
        parsed(b"", tables={"signs": table})
    assert caught.value.problems == (
        "table signs, line 6: expected 5 columns (message_type,function_code,processing_code,sign,kind), found 2",
    )
    with pytest.raises(SourcesError) as caught:
        parsed(b"", tables={"signs": table.removesuffix("1240,200\n")})
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "table signs, line 3, column message_type",
        "table signs, line 4, column function_code",
        "table signs, line 4, column processing_code",
        "table signs, line 4, column sign",
        "table signs, line 4, column kind",
        "table signs, line 5, column kind",
    ]
    for bad in ("", "a,b\n", '"', table[:53], "x" * (1 << 20) + "xx", "\0"):
        with pytest.raises(SourcesError):
            parsed(b"", tables={"signs": bad})
    with pytest.raises(SourcesError, match="sings is not known; did you mean signs"):
        parsed(b"", tables={"sings": table})


def test_a_person_may_waive_a_gap_or_a_wrong_total_and_it_is_flagged() -> None:
    gap = logical_file(sale(100), sale(200), sale(300))
    del gap[2]
    for codes, found in (({"sequence"}, "control_total"), ({"control_total"}, "sequence")):
        with pytest.raises(RefusedFile) as caught:
            parsed(file_of(gap), waived=frozenset(codes))
        assert caught.value.code == found
    delivery = whole(file_of(gap), waived=frozenset({"sequence", "control_total"}))
    assert delivery.lines["amount_minor"].to_pylist() == [100, 300, -400]
    (statement,) = delivery.parsed.statements
    assert [flag.partition(", ")[0] for flag in statement.flags] == [
        "waived: sequence: record 3",
        "waived: control_total: record 4",
        "waived: control_total: record 4",
    ]
    assert statement.proofs == ("net of 2 records 400, settled by -400",)


def test_a_large_file_leaves_in_batches_and_its_lines_come_back_in_order() -> None:
    data = file_of(logical_file(*(sale(number) for number in range(1, 20_501))), "cp500", blocked=True)
    batches: list[pa.RecordBatch] = []
    delivery = mastercard_ipm.read(BytesIO(data), OPTIONS, batches.append)
    sizes = [batch.num_rows for batch in batches]
    assert (max(sizes), sum(sizes)) == (LINES_PER_BATCH, 20_501)
    lines = pa.Table.from_batches(batches)
    assert lines["native_id"].to_pylist()[:20_500] == [f"{FILE_ID}/{number}" for number in range(2, 20_502)]
    assert delivery.ids_may_repeat is False
    assert sum(statement.line_count for statement in delivery.statements) == lines.num_rows
