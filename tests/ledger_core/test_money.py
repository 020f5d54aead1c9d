"""Amounts are exact integers or errors."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger_core.errors import AmountError, UnknownAssetError
from ledger_core.money import (
    ISO_4217_EXPONENTS,
    MAX_AMOUNT_MINOR,
    MIN_AMOUNT_MINOR,
    exponent_of,
    format_minor,
    parse_amount_minor,
)

AMOUNTS = st.integers(MIN_AMOUNT_MINOR, MAX_AMOUNT_MINOR)
EXPONENTS = st.integers(0, 18)


@pytest.mark.parametrize(
    ("asset", "exponent"),
    [("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("ISK", 0), ("TND", 3), ("HRK", 2), ("UGX", 0)],
)
def test_each_currency_has_its_own_number_of_digits(asset: str, exponent: int) -> None:
    assert exponent_of(asset) == exponent


@pytest.mark.parametrize("asset", ["XAU", "XXX", "eur", "", "EURO", "DOGE"])
def test_an_asset_without_minor_digits_has_no_default(asset: str) -> None:
    with pytest.raises(UnknownAssetError):
        exponent_of(asset)


def test_no_currency_is_listed_with_two_exponents() -> None:
    assert len(ISO_4217_EXPONENTS) == 191
    assert {len(code) for code in ISO_4217_EXPONENTS} == {3}


@pytest.mark.parametrize(
    ("text", "exponent", "amount_minor"),
    [
        ("12.34", 2, 1234),
        ("-12.34", 2, -1234),
        ("12", 2, 1200),
        ("12.3", 2, 1230),
        ("12.340", 2, 1234),
        ("12.00", 0, 12),
        ("0.001", 3, 1),
        ("-0.00", 2, 0),
        ("0000012.34", 2, 1234),
        ("92233720368547758.07", 2, 2**63 - 1),
        ("-92233720368547758.07", 2, -(2**63) + 1),
    ],
)
def test_a_plain_decimal_is_read_exactly(text: str, exponent: int, amount_minor: int) -> None:
    assert parse_amount_minor(text, exponent) == amount_minor
    assert parse_amount_minor(text.replace(".", ","), exponent, decimal_mark=",") == amount_minor


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        ".5",
        "5.",
        "+5",
        " 5",
        "5 ",
        "5\n",
        "1,000.00",
        "1e3",
        "0x10",
        "1_000",
        "--5",
        "5-",
        "NaN",
        "inf",
        "٣",
        "12.345",
        "1.2.3",
        "92233720368547758.08",
        "-92233720368547758.08",
        "1" * 41,
        "9" * 400_000,
    ],
)
def test_anything_else_is_refused_and_never_rounded(text: str) -> None:
    with pytest.raises(AmountError):
        parse_amount_minor(text, 2)


@pytest.mark.parametrize("exponent", [-1, 19])
def test_an_exponent_outside_the_ledgers_range_is_refused(exponent: int) -> None:
    with pytest.raises(AmountError):
        parse_amount_minor("1", exponent)
    with pytest.raises(AmountError):
        format_minor(1, exponent)


def test_only_point_and_comma_are_decimal_marks() -> None:
    with pytest.raises(AmountError):
        parse_amount_minor("1;5", 2, decimal_mark=";")


@given(amount_minor=AMOUNTS, exponent=EXPONENTS)
def test_what_is_written_is_read_back_the_same(amount_minor: int, exponent: int) -> None:
    text = format_minor(amount_minor, exponent)
    assert parse_amount_minor(text, exponent) == amount_minor
    assert Decimal(text) == Decimal(amount_minor).scaleb(-exponent)


@given(text=st.text(alphabet="0123456789.,-+ e", max_size=45), exponent=EXPONENTS)
def test_a_text_is_either_the_decimal_it_says_or_an_error(text: str, exponent: int) -> None:
    try:
        amount_minor = parse_amount_minor(text, exponent)
    except AmountError:
        return
    assert Decimal(amount_minor).scaleb(-exponent) == Decimal(text)
