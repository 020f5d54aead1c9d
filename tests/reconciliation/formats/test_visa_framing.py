"""A Visa file reads the same however its records lie in it."""

from io import BytesIO

import pytest

from reconciliation.formats import visa_base2
from reconciliation.formats.canonical import read_whole
from tests.reconciliation.formats.visa_builder import (
    OPTIONS,
    encoded,
    file_of,
    lines_of,
    logical_file,
    sale,
    whole,
)

MERCHANT = ("000000", "SECOND ATTEMPT", "MERIDIAN0000001", "TERM0001")
PAYMENT = ("123456789012345", f"{1_200_000:015d}", "D", "0" * 8, "0" * 8)
FRAMINGS = [
    ("latin-1", b"", False),
    ("latin-1", b"\n", False),
    ("latin-1", b"\r\n", False),
    ("latin-1", b"\r", False),
    ("cp500", b"", False),
    ("cp500", b"\x25", False),
    ("cp500", b"\x15", False),
    ("cp500", b"\x0d\x25", False),
    ("latin-1", b"\n", True),
    ("latin-1", b"", True),
    ("cp500", b"", True),
]


@pytest.mark.parametrize(("codec", "end", "itf"), FRAMINGS)
@pytest.mark.parametrize("last", [True, False])
def test_framing_and_encoding_make_no_difference_and_every_line_is_found_again(
    codec: str, end: bytes, itf: bool, last: bool
) -> None:
    transactions = [sale(number, merchant=MERCHANT, payment=PAYMENT) for number in range(1, 30)]
    records = logical_file(transactions)
    data = encoded(records, codec, end=end, itf=itf, last=last)
    assert visa_base2.sniff(data[:1000])
    delivery = whole(data)
    apart = ["byte_offset", "byte_length"]
    plain = whole(encoded(records))
    assert delivery.lines.drop_columns(apart).equals(plain.lines.drop_columns(apart))
    assert delivery.parsed.statements == plain.parsed.statements
    assert delivery.parsed.format_version == ("itf" if itf else "ctf")
    for row in delivery.lines.to_pylist():
        found = data[row["byte_offset"] : row["byte_offset"] + row["byte_length"]]
        at = row["record_no"] - 1
        assert found == encoded(records[at : at + 3], codec, end=end, itf=itf, last=False)


def test_the_other_ebcdic_code_page_is_read_when_the_source_says_so() -> None:
    data = encoded(logical_file([sale(name="CAFÉ [X]!")]), "cp037", end=b"")
    assert lines_of(data, settings={"ebcdic": "cp037"})[0]["counterparty"] == "CAFÉ [X]!"


def test_a_file_is_read_from_a_stream_that_gives_little_at_a_time() -> None:
    class Slow(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 1, 700))

    data = file_of(*(sale(number) for number in range(1, 30)))
    assert read_whole(visa_base2, Slow(data), OPTIONS).lines.equals(whole(data).lines)


def test_the_first_bytes_tell_base_ii_from_others() -> None:
    for head in (
        b"",
        b"90",
        b"<?xml version='1.0'?>" * 20,
        b"id,created\n" * 60,
        bytes(400),
        b"9" * 400,
    ):
        assert not visa_base2.sniff(head)
