"""The readers against mt-940, with all of its options: every amount, date and bank reference in order."""

import csv
import datetime as dt
import logging
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import mt940 as oracle
import pytest

from ledger_core.money import exponent_of
from reconciliation.formats.registry import FORMATS, HEAD_BYTES, recognise
from tests.reconciliation.formats.mt_builder import ALL_WAIVED, interim, message, read
from tests.reconciliation.formats.test_corpora_mt import REFUSED_CONSENSUS

CANNOT_READ = (
    # numbers longer than five digits
    "StatementParserTests.cs.L1849.txt",
    "StatementParserTests.cs.L1880.txt",
    "StatementParserTests.cs.L1911.txt",
    "StatementParserTests.cs.L1942.txt",
    "StatementParserTests.cs.L1973.txt",
    "StatementParserTests.cs.L2004.txt",
    "StatementParserTests.cs.L934.txt",
    "StatementParserTests.cs.L965.txt",
    "Zetb/sample",
    # references longer than sixteen
    "ASNB/0708271685_09022020_164516.940.txt",
    "Asn/sample",
    "samples/mt940_ASN.txt",
    "Samples/sns_transactions.txt",
    "TabInFieldValueTest.java.L34.txt",
    "TabInFieldValueTest.java.L45.txt",
    "sns/sns.txt",
)
OTHERWISE = (
    "Rabo/sample",  # it finds 10 of 39 entries
    "fixtures/pending.sta",  # none of 1: lines joined by @@
    "self-provided/sparkassen.sta",  # a :61: that is broken in two, refused here
)


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """It logs what it reads."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def theirs(content: bytes) -> list[tuple[int, dt.date]]:
    statements = oracle.parse_statements(BytesIO(content), options=oracle.Options.all())
    found = [one.data for statement in statements for one in statement.transactions if "amount" in one.data]
    return [(minor_of(data["amount"]), plain(data["date"])) for data in found]


def ours(content: bytes) -> list[tuple[int, dt.date]]:
    reader = FORMATS[recognise(content[:HEAD_BYTES]) or "mt940"]
    lines = read(content, reader, ALL_WAIVED).lines
    return list(zip(lines["amount_minor"].to_pylist(), lines["value_date"].to_pylist(), strict=True))


def minor_of(amount: oracle.models.Amount) -> int:
    return int(amount.amount.scaleb(exponent_of(amount.currency)))


def plain(day: dt.date) -> dt.date:
    return dt.date(day.year, day.month, day.day)


def test_invented_files_are_read_alike() -> None:
    entries = [
        f":61:2611{day:02d}11{day:02d}{mark}{day},{day:02d}NTRFE{day}//B{day}"
        for day in range(1, 29)
        for mark in ("C", "D", "RC", "RD", "CR", "DR")
    ]
    zero = ":62F:C261116EUR100,00"
    assert ours(message(*entries, closing=zero).encode()) == theirs(message(*entries, closing=zero).encode())
    two = message(entries[0], closing=zero) + "-\n" + message(entries[1], number="8/1", closing=zero) + "-\n"
    assert ours(two.encode()) == theirs(two.encode())
    report = interim(*entries[:2]).encode()
    assert ours(report) == theirs(report)


def test_real_files_are_read_alike(corpora: Path) -> None:
    with (corpora / "EXPECTED.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["format"] == "mt94x"]
    compared = 0
    for path in [
        row["path"] for row in rows if row["confidence"] in {"consensus", "conflict", "needs-review"}
    ]:
        content = (corpora / path).read_bytes()
        if path.endswith((*REFUSED_CONSENSUS, *OTHERWISE)):
            continue
        if path.endswith(CANNOT_READ):
            with pytest.raises(RuntimeError):
                theirs(content)
            continue
        assert ours(content) == theirs(content), path
        compared += 1
    assert compared > 220
