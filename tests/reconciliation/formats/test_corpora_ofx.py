"""Real OFX files by other people, compared with what independent readers agree on and with ofxparse itself."""

import csv
import warnings
from collections import Counter
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ofxparse import OfxParser

from reconciliation.errors import RefusedFile
from reconciliation.formats.canonical import WholeDelivery
from tests.reconciliation.formats.ofx_builder import bank, card, document, read, transaction

# Refusals of files that some reader reads, each for what is in the file.
TRUE_REASONS = {
    "test_ofx_wrong.ofx": "structure",  # account, date, amount and id are commented out
    "ira_v202.ofx": "amount",  # 3730.7633832701704 USD
    "moneymrkt1_v103.ofx": "amount",  # -995.4190396554627 USD
    "moneymrkt1_v103_TYPE1.ofx": "amount",
    "investment_buy_sell_income.ofx": "amount",  # -8.4850 USD
    "date_missing.ofx": "date",  # no DTPOSTED, an empty one, and 31 February
    "SgmlParserTest.php.L232.ofx": "structure",  # a transaction without a statement
    "SgmlParserTest.php.L267.ofx": "structure",
    "Request.coffee": "structure",  # program text
}


class Outcome(NamedTuple):
    path: str
    expected: dict[str, str]
    whole: WholeDelivery | None
    code: str


@pytest.fixture(scope="module")
def outcomes(corpora: Path) -> list[Outcome]:
    found = []
    with (corpora / "EXPECTED.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["format"] == "ofx"]
    for row in rows:
        try:
            found.append(Outcome(row["path"], row, read((corpora / row["path"]).read_bytes()), ""))
        except RefusedFile as refusal:
            found.append(Outcome(row["path"], row, None, refusal.code))
    assert len(found) > 150
    return found


def totals(whole: WholeDelivery) -> tuple[str, str]:
    told = whole.parsed.statements
    return str(sum(one.line_count for one in told)), str(sum(one.movement_minor for one in told))


def test_every_file_is_read_or_refused_for_a_known_reason(outcomes: list[Outcome]) -> None:
    shares = Counter(one.code or "read" for one in outcomes)
    assert shares["read"] >= 69
    assert set(shares) <= {"read", "not_this_format", "structure", "amount", "date", "truncated"}


def test_what_independent_readers_agree_on_is_read_and_agrees(outcomes: list[Outcome]) -> None:
    agreed = [one for one in outcomes if one.expected["confidence"] == "consensus"]
    assert len(agreed) >= 50
    for one in agreed:
        assert one.whole is not None, (one.path, one.code)
        assert totals(one.whole) == (one.expected["lines"], one.expected["signed_minor"]), one.path


def test_what_is_read_beyond_that_agrees_with_the_single_reader(outcomes: list[Outcome]) -> None:
    for one in outcomes:
        if one.whole is not None and one.expected["confidence"] == "single":
            assert totals(one.whole) == (one.expected["lines"], one.expected["signed_minor"]), one.path


def test_what_all_readers_reject_is_refused(outcomes: list[Outcome]) -> None:
    rejected = [one for one in outcomes if one.expected["confidence"] == "rejected-by-all"]
    assert rejected
    assert {one.code for one in rejected} == {"amount"}


def test_files_with_transactions_are_refused_for_what_is_in_them(outcomes: list[Outcome]) -> None:
    refused = {
        one.path: one.code
        for one in outcomes
        if one.whole is None
        and one.expected["confidence"] != "rejected-by-all"
        and one.expected["lines"] not in {"", "0"}
    }
    known = {path: next(code for end, code in TRUE_REASONS.items() if path.endswith(end)) for path in refused}
    assert refused == known


def test_files_without_transactions_are_no_statement_or_damaged(outcomes: list[Outcome]) -> None:
    empty = [one for one in outcomes if one.expected["lines"] == "0"]
    assert {one.code for one in empty} <= {"", "not_this_format", "structure", "truncated"}
    for one in empty:
        if one.whole is not None:
            assert totals(one.whole) == ("0", "0"), one.path


def oracle_totals(content: bytes) -> tuple[int, Decimal]:
    """Count and sum by ofxparse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it uses its parser in a way that the parser warns of
        parsed: Any = OfxParser.parse(BytesIO(content))
    accounts = [account for account in parsed.accounts if account.statement is not None]
    moved = [
        one.amount for account in accounts for one in account.statement.transactions if hasattr(one, "amount")
    ]
    return len(moved), sum(moved, Decimal(0))


def test_the_oracle_agrees_on_real_files(outcomes: list[Outcome], corpora: Path) -> None:
    compared = 0
    for one in outcomes:
        if one.whole is None or not one.expected["readers_agree"].count("ofxparse"):
            continue
        found = oracle_totals((corpora / one.path).read_bytes())
        exponents = {told.asset for told in one.whole.parsed.statements}
        assert exponents <= {"EUR", "USD", "CAD", "BRL", "AUD", "GBP", "LTL"}, one.path  # all of two decimals
        assert (str(found[0]), str(int(found[1] * 100))) == totals(one.whole), one.path
        compared += 1
    assert compared >= 45


@pytest.mark.parametrize("xml", [False, True])
def test_the_oracle_agrees_on_invented_files(xml: bool) -> None:
    content = document(
        bank(transaction("-1250.07"), transaction("12.50", fitid="T2")),
        cards=(card(transaction("80.00")),),
        xml=xml,
    )
    found = oracle_totals(content.encode())
    assert found == (3, Decimal("-1157.57"))
    assert totals(read(content)) == ("3", "-115757")
