"""Builds small BASE II files for the reader's tests, character by character; shares no table or code with it."""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from typing import Any

from reconciliation.formats import visa_base2
from reconciliation.formats.canonical import ParsedDelivery, ReadOptions, WholeDelivery, read_whole
from reconciliation.formats.card_numbers import KeyedCardTokens

CARD = "4111111111111111"  # test numbers that schemes and processors publish; no account has them
OTHER_CARD = "4012888888881881"
CARDS = (CARD, OTHER_CARD)
TOKENS = KeyedCardTokens(bytes(range(32)))
OPTIONS = ReadOptions(card_tokens=TOKENS)
ARN = "24000006320000000000015"
EUR, JPY, KWD, USD = "978", "392", "414", "840"

Transaction = list[str]
"""The records of one transaction, each of 168 characters."""


def record(*parts: tuple[int, str]) -> str:
    """168 blanks with texts at positions that count from 1."""
    characters = [" "] * 168
    for start, text in parts:
        assert start - 1 + len(text) <= 168, text
        characters[start - 1 : start - 1 + len(text)] = text
    return "".join(characters)


def header(
    *, day: str = "26320", test: str = "", file_id: str = "001", processing_bin: str = "400000"
) -> str:
    return record((1, "90"), (3, processing_bin), (9, day), (30, test), (77, file_id))


def sale(
    source_minor: int = 10_000,
    *,
    code: str = "05",
    qualifier: str = "0",
    card: str = CARD,
    source_currency: str = EUR,
    destination_minor: int = 0,
    destination_currency: str = "   ",
    purchased: str = "1115",
    processed: str = "6320",
    reason: str = "00",
    usage: str = "1",
    name: str = "BERG & TAL",
    merchant: tuple[str, str, str, str] | None = None,
    payment: tuple[str, str, str, str, str] | None = None,
    more: Sequence[str] = (),
) -> Transaction:
    """TCR 0; with ``merchant`` (dispute reference, message, merchant, terminal) TCR 1; with ``payment`` (identifier,
    interchange with six decimals, its side, both rates) TCR 5; then components of the kinds in ``more``.
    """
    start = code + qualifier
    number, extension = card[:16], card[16:].rjust(3, "0")
    records = [
        record(
            (1, start + "0"),
            (5, number.ljust(16)),
            (21, extension),
            (27, ARN),
            (58, purchased),
            (62, f"{destination_minor:012d}"),
            (74, destination_currency),
            (77, f"{source_minor:012d}"),
            (89, source_currency),
            (92, name[:25]),
            (117, "BASEL"),
            (130, "CH "),
            (133, "5411"),
            (147, usage),
            (148, reason),
            (152, "A1B2C3"),
            (164, processed),
        )
    ]
    if merchant is not None:
        dispute, message, acceptor, terminal = merchant
        records.append(record((1, start + "1"), (17, dispute), (24, message), (81, acceptor), (96, terminal)))
    if payment is not None:
        identifier, interchange, side, first, second = payment
        records.append(
            record(
                *((1, start + "5"), (5, identifier), (92, interchange), (107, side)),
                (108, first),
                (116, second),
            )
        )
    records += [record((1, start + kind), (5, "X")) for kind in more]
    return records


def fee_collection(
    source_minor: int,
    *,
    code: str = "10",
    source_bin: str = "400001",
    card: str = "0" * 16,
    currency: str = EUR,
    reason: str = "0240",
    text: str = "SERVICE FEE",
) -> Transaction:
    return [
        record(
            (1, code + "00"),
            (5, "400000"),
            (11, source_bin),
            (17, reason),
            (24, "1114"),
            (28, card),
            (44, "000"),
            (47, "0" * 12),
            (62, f"{source_minor:012d}"),
            (74, currency),
            (77, text),
            (148, "000000000000000"),
            (164, "6320"),
        )
    ]


MONETARY = ("05", "06", "07", "10", "15", "16", "17", "20", "25", "26", "27", "35", "36", "37")


def trailer(code: str, number: int, records: Sequence[str], transactions: int, /, **changes: int) -> str:
    """A trailer that proves the records; itself is counted beside them."""
    first = [line for line in records if line[:2] in MONETARY and line[3] == "0"]
    source = sum(int(line[61:73] if line[:2] in ("10", "20") else line[76:88]) for line in first)
    destination = sum(int(line[46:58] if line[:2] in ("10", "20") else line[61:73]) for line in first)
    figures = {
        "destination": destination,
        "monetary": len(first),
        "number": number,
        "tcr": len(records) + 1,
        "transactions": transactions + 1,
        "source": source,
    } | changes
    return record(
        (1, code + "00"),
        (16, f"{figures['destination']:015d}"),
        (31, f"{figures['monetary']:012d}"),
        (43, f"{figures['number']:06d}"),
        (49, f"{figures['tcr']:012d}"),
        (75, f"{figures['transactions']:09d}"),
        (102, f"{figures['source']:015d}"),
    )


def logical_file(*batches: Sequence[Transaction], head: str | None = None, **changes: int) -> list[str]:
    """Header, batches each with its trailer, file trailer; ``changes`` falsify the last batch's trailer."""
    records = [header() if head is None else head]
    transactions = 0
    for number, batch in enumerate(batches, start=1):
        lines = [line for transaction in batch for line in transaction]
        last = changes if number == len(batches) else {}
        records += [*lines, trailer("91", number, lines, len(batch), **last)]
        transactions += len(batch) + 1
    return [*records, trailer("92", len(batches), records[1:], transactions)]


def encoded(
    records: Sequence[str],
    codec: str = "latin-1",
    *,
    end: bytes = b"\n",
    itf: bool = False,
    last: bool = True,
) -> bytes:
    """The file; ``last`` says whether the last record is ended too."""
    lines = [line[:2] + "99" + line[2:] if itf else line for line in records]
    return end.join(line.encode(codec) for line in lines) + (end if last else b"")


def file_of(*transactions: Transaction, **changes: int) -> bytes:
    return encoded(logical_file(transactions, **changes))


def whole(data: bytes, **options: Any) -> WholeDelivery:
    return read_whole(visa_base2, BytesIO(data), replace(OPTIONS, **options))


def parsed(data: bytes, **options: Any) -> ParsedDelivery:
    return whole(data, **options).parsed


def lines_of(data: bytes, **options: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = whole(data, **options).lines.to_pylist()
    return rows


def summary(
    kind: str,
    mode: str,
    credit: int,
    debit: int,
    *,
    net: int | None = None,
    side: str | None = None,
    count: int = 1,
    currency: str = EUR,
    entities: tuple[str, str, str] = ("1000000001", "1000000001", "1000000001"),
    day: str = "2026320",
    funds_day: str = "2026321",
    service: str = "001",
    no_data: str = " ",
) -> Transaction:
    """One row of VSS-110; ``entities`` are reporting, rolled up to, transferring the funds."""
    net_minor = credit - debit if net is None else net
    return [
        record(
            (1, "4600"),
            (5, "400000"),
            (11, "000000"),
            (17, entities[0]),
            (27, entities[1]),
            (37, entities[2]),
            (47, service),
            (50, currency),
            (53, no_data),
            (59, "V"),
            (60, "2"),
            (61, "110"),
            (66, day),
            (73, day),
            (80, day),
            (87, day),
            (94, kind),
            (95, mode),
            (96, f"{count:015d}"),
            (111, f"{credit:015d}"),
            (126, f"{debit:015d}"),
            (141, f"{abs(net_minor):015d}"),
            (156, side if side is not None else "CR" if net_minor > 0 else "DB" if net_minor < 0 else "  "),
            (158, funds_day),
        )
    ]


def detail(
    report: str,
    credit: int,
    debit: int,
    *,
    level: str = "01",
    indicator: str = " ",
    currency: str = EUR,
    entities: tuple[str, str, str] = ("1000000001", "1000000001", "1000000001"),
    day: str = "2026320",
    sides: tuple[str, str] = ("CR", "DB"),
    no_data: str = " ",
) -> Transaction:
    """One row of VSS-120, 130 or 140."""
    return [
        record(
            (1, "4600"),
            (5, "400000"),
            (17, entities[0]),
            (27, entities[1]),
            (37, entities[2]),
            (47, "001"),
            (50, currency),
            (57, no_data),
            (59, "V"),
            (60, "4"),
            (61, report),
            (66, day),
            (80, day),
            (132, indicator),
            (133, level),
        ),
        record(
            (1, "4601"),
            (12, f"{1:015d}"),
            (59, f"{credit:015d}"),
            (74, sides[0]),
            (76, f"{debit:015d}"),
            (91, sides[1]),
        ),
    ]
