"""Exchanges are exact to the minor unit: the customer at the locked rate, differences on lines of their own."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import Any

import psycopg
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ledger_core.balance import balances
from ledger_core.errors import OutOfRangeError, RequestError, TransactionError, UnbalancedEntryError
from ledger_core.exchange import Asset, Charge, Exchange, Legs, amount_needed, minor_rate
from ledger_core.posting import EntryLine, EntryRequest, post
from ledger_core.transactions import Mover, Quote, history, hold, initiate, record_quote, reverse, settle
from tests.ledger_core.books import NOON

EXPONENTS = st.integers(0, 18)
RATES = st.builds(
    lambda digits, scale: Decimal(digits).scaleb(-scale), st.integers(1, 10**24), st.integers(0, 18)
).filter(lambda rate: rate < 10**20)
LIMIT = 2**63 - 1


def exchange(amount_minor: int, locked: Decimal, sold: int = 2, bought: int = 2, **more: Any) -> Exchange:
    return Exchange(
        source="customer:sold",
        target="customer:bought",
        sold=Asset(code="AAA", exponent=sold, position="position:sold"),
        bought=Asset(code="BBB", exponent=bought, position="position:bought"),
        amount_minor=amount_minor,
        locked_rate=locked,
        gain="gain",
        rounding="rounding",
        **more,
    )


def amounts(legs: Legs) -> Counter[str]:
    """What each account gets: credits positive, as the customer and the house see it."""
    found: Counter[str] = Counter()
    for line in legs.lines:
        found[line.account] -= line.amount_minor
    return found


@st.composite
def exchanges(draw: st.DrawFn) -> tuple[Exchange, Decimal]:
    """An exchange that fits 64 bits, and another rate to settle it at."""
    sold, bought, locked = draw(EXPONENTS), draw(EXPONENTS), draw(RATES)
    per_minor = Fraction(locked) * Fraction(10) ** (bought - sold)
    least, most = -(-1 // per_minor), min(LIMIT // 4, floor(LIMIT / per_minor))
    assume(least <= most)
    settled = draw(st.one_of(RATES, st.just(locked)))
    amount_minor = draw(st.integers(int(least), int(most)))
    assume(amount_minor * Fraction(settled) * Fraction(10) ** (bought - sold) <= LIMIT)
    kinds = draw(st.lists(st.sampled_from(["spread", "fee"]), unique=True))
    charges = tuple(
        Charge(kind=kind, account=kind, amount_minor=draw(st.integers(1, 10**12))) for kind in kinds
    )
    return exchange(amount_minor, locked, sold, bought, charges=charges), settled


@given(exchanges())
def test_each_asset_sums_to_zero_and_the_customer_gets_the_floor_of_the_locked_value(
    drawn: tuple[Exchange, Decimal],
) -> None:
    deal, rate = drawn
    scale = Fraction(10) ** (deal.bought.exponent - deal.sold.exponent)
    locked, settled = (deal.amount_minor * Fraction(r) * scale for r in (deal.locked_rate, rate))
    for legs in (deal.hold(), deal.settlement(rate)):
        totals: Counter[str] = Counter()
        for line in legs.lines:
            totals[line.asset] += line.amount_minor
        assert not any(totals.values())
        got = amounts(legs)
        assert got["customer:bought"] == floor(locked)
        assert got["customer:sold"] == -deal.amount_minor - sum(c.amount_minor for c in deal.charges)
        assert got["position:sold"] == deal.amount_minor
        assert all(got[c.account] == c.amount_minor for c in deal.charges)
    # The position gives no fraction away, the gain claims none, and what fractions add up to is the rounding.
    assert got["position:bought"] == -floor(settled)
    assert got["gain"] == floor(settled - locked)
    assert got["rounding"] in {0, 1}
    assert got["gain"] + got["rounding"] == floor(settled) - floor(locked)


@given(exchanges())
def test_equal_rates_give_neither_gain_nor_rounding(drawn: tuple[Exchange, Decimal]) -> None:
    deal, _ = drawn
    got = amounts(deal.settlement(deal.locked_rate))
    assert (got["gain"], got["rounding"]) == (0, 0)
    assert got == amounts(deal.hold())


@given(wanted=st.integers(1, LIMIT), rate=RATES, sold=EXPONENTS, bought=EXPONENTS)
def test_what_is_needed_gives_at_least_what_is_wanted_and_one_less_does_not(
    wanted: int, rate: Decimal, sold: int, bought: int
) -> None:
    needed, per_minor = amount_needed(wanted, rate, sold, bought), minor_rate(rate, sold, bought)
    assert floor(needed * per_minor) >= wanted > floor((needed - 1) * per_minor)
    assert amount_needed(floor(needed * per_minor), rate, sold, bought) == needed


def test_every_small_case_agrees_with_fractions() -> None:
    rates = [Decimal(n) / d for n in (1, 2, 3, 7, 10) for d in (1, 2, 4, 8)]
    seen_gain, seen_loss, seen_rounding = 0, 0, 0
    for amount_minor in range(1, 13):
        for locked in rates:
            if amount_minor * Fraction(locked) < 1:
                continue
            for rate in rates:
                got = amounts(exchange(amount_minor, locked).settlement(rate))
                value, promised = amount_minor * Fraction(rate), amount_minor * Fraction(locked)
                assert got["gain"] <= value - promised < got["gain"] + 1
                assert got["customer:bought"] + got["gain"] + got["rounding"] == -got["position:bought"]
                assert -got["position:bought"] <= value < 1 - got["position:bought"]
                seen_gain += got["gain"] > 0
                seen_loss += got["gain"] < 0
                seen_rounding += got["rounding"]
    assert min(seen_gain, seen_loss, seen_rounding) > 100


def test_points_and_exponents_far_apart_are_exact() -> None:
    # 1 EUR buys 200 points of 0 digits; a wei-like token has 18.
    assert exchange(1234, Decimal(200), 2, 0).target_minor == 2468
    assert exchange(1, Decimal("0.000000000000000001"), 0, 18).target_minor == 1
    assert exchange(9 * 10**18, Decimal("0.5"), 18, 0).target_minor == 4


@pytest.mark.parametrize(
    ("amount_minor", "rate", "sold", "bought"),
    [(LIMIT, "1.0000000000000000001", 2, 2), (LIMIT, "2", 2, 2), (10, "1", 0, 18), (LIMIT + 1, "0.1", 2, 2)],
)
def test_what_does_not_fit_64_bits_is_refused(amount_minor: int, rate: str, sold: int, bought: int) -> None:
    with pytest.raises((OutOfRangeError, RequestError), match=r"64 bits|at most 18 decimals"):
        exchange(amount_minor, Decimal(rate), sold, bought)


def test_a_charge_that_makes_the_sum_too_large_and_a_settlement_too_large_are_refused() -> None:
    with pytest.raises(OutOfRangeError, match="AAA"):
        exchange(LIMIT, Decimal("0.1"), charges=(Charge(kind="fee", account="fee", amount_minor=1),))
    deal = exchange(LIMIT, Decimal(1))
    with pytest.raises(OutOfRangeError, match="BBB"):
        deal.settlement(Decimal("1.5"))


@pytest.mark.parametrize(
    "rate",
    [
        Decimal(0),
        Decimal(-1),
        Decimal("NaN"),
        Decimal("Infinity"),
        Decimal("1e20"),
        Decimal("1e-19"),
        1.5,
        True,
    ],
)
def test_a_rate_that_is_not_exact_and_positive_is_refused(rate: Any) -> None:
    with pytest.raises(RequestError, match="rate"):
        minor_rate(rate, 2, 2)
    with pytest.raises(RequestError, match="exponent"):
        minor_rate(Decimal(1), 2, 19)


def test_amounts_that_make_no_exchange_are_refused() -> None:
    for amount_minor in (0, -5):
        with pytest.raises(RequestError, match="positive"):
            exchange(amount_minor, Decimal(1))
    with pytest.raises(RequestError, match="worth less than one"):
        exchange(1, Decimal("0.99"))
    deal = exchange(100, Decimal(1))
    with pytest.raises(RequestError, match="twice"):
        replace(deal, bought=deal.sold)
    with pytest.raises(UnbalancedEntryError):
        Legs((EntryLine(account="a", amount_minor=1, asset="AAA"),))


ACCOUNTS = {
    "fx:customer:eur": ("liability", "EUR", False),
    "fx:customer:jpy": ("liability", "JPY", False),
    "fx:position:eur": ("equity", "EUR", True),
    "fx:position:jpy": ("equity", "JPY", True),
    "fx:spread": ("income", "EUR", True),
    "fx:fee": ("income", "EUR", True),
    "fx:gain": ("income", "JPY", True),
    "fx:rounding": ("income", "JPY", True),
    "fx:bank": ("asset", "EUR", True),
}


def test_a_deal_locked_held_and_settled_at_another_rate_leaves_what_was_worked_out_by_hand(
    book: psycopg.Connection[Any],
) -> None:
    columns = zip(*((code, code, *said) for code, said in ACCOUNTS.items()), strict=True)
    book.execute("SELECT ledger.open_accounts(%s, %s, %s, %s, %s)", [list(column) for column in columns])
    paid_in = [
        EntryLine(account="fx:bank", amount_minor=100_000, asset="EUR"),
        EntryLine(account="fx:customer:eur", amount_minor=-100_000, asset="EUR"),
    ]
    post(book, [EntryRequest(entry_key="fx-in", effective_at=NOON, lines=paid_in)])
    for key, rate, purpose in (("fx-lock", "161.37", "locked"), ("fx-spot", "160.01", "settlement")):
        quote = Quote(
            quote_key=key,
            from_asset="EUR",
            to_asset="JPY",
            rate=Decimal(rate),
            purpose=purpose,
            origin="desk",
            quoted_at=NOON,
            expires_at=NOON + timedelta(minutes=1) if purpose == "locked" else None,
        )
        assert record_quote(book, quote)
        assert not record_quote(book, quote)
    # 123.45 EUR are worth 19,921.1265 JPY at the locked rate and 19,753.2345 at the settlement rate: a loss of 167.892.
    deal = Exchange(
        source="fx:customer:eur",
        target="fx:customer:jpy",
        sold=Asset(code="EUR", exponent=2, position="fx:position:eur"),
        bought=Asset(code="JPY", exponent=0, position="fx:position:jpy"),
        amount_minor=12_345,
        locked_rate=Decimal("161.37"),
        gain="fx:gain",
        rounding="fx:rounding",
        charges=(
            Charge(kind="spread", account="fx:spread", amount_minor=62),
            Charge(kind="fee", account="fx:fee", amount_minor=150),
        ),
    )
    ada, settling = (
        Mover(authoriser="Ada", effective_at=NOON),
        Mover(authoriser="Bob", effective_at=NOON + timedelta(hours=1)),
    )
    initiate(book, "fx-1", "fx-1:i", ada, kind="exchange")
    late = Mover(authoriser="Ada", effective_at=NOON + timedelta(minutes=1))
    with pytest.raises(TransactionError, match="quote"):
        hold(book, "fx-1", "fx-1:late", late, deal.hold().lines, quote_key="fx-lock")
    assert hold(book, "fx-1", "fx-1:h", ada, deal.hold().lines, quote_key="fx-lock").outcome == "posted"
    assert seen(book, "fx:customer:eur") == (-100_000, -87_443)  # 1,000.00 less 123.45, 0.62 and 1.50
    assert seen(book, "fx:customer:jpy") == (0, 0)  # what comes in is not available yet

    settled = deal.settlement(Decimal("160.01")).lines
    for quote_key in (None, "fx-lock"):
        with pytest.raises(TransactionError, match="settlement quote"):
            settle(book, "fx-1", "fx-1:s", settling, settled, quote_key=quote_key)
    assert settle(book, "fx-1", "fx-1:s", settling, settled, quote_key="fx-spot").outcome == "posted"
    assert {code: seen(book, code)[0] for code in ACCOUNTS if code != "fx:bank"} == {
        "fx:customer:eur": -87_443,
        "fx:position:eur": -12_345,
        "fx:spread": -62,
        "fx:fee": -150,
        "fx:customer:jpy": -19_921,
        "fx:position:jpy": 19_753,
        "fx:gain": 168,  # the loss of 167.892, rounded against us
        "fx:rounding": 0,
    }
    assert [event.quote_key for event in history(book, "fx-1")] == [None, "fx-lock", "fx-spot"]
    spoken = book.execute(
        "SELECT account, kind, fx_rate, fx_asset, fx_amount_minor FROM ledger.journal_line_v1"
        " WHERE entry_key = 'fx-1:s' AND fx_rate IS NOT NULL ORDER BY account"
    ).fetchall()
    assert spoken == [
        ("fx:position:eur", "fx_position", Decimal("160.01"), "JPY", 19_753),
        ("fx:position:jpy", "fx_position", Decimal("160.01"), "EUR", -12_345),
    ]
    reverse(book, "fx-1", "fx-1:r", replace(settling, reason="wrong customer"))
    assert all(seen(book, code) == (0, 0) for code in ACCOUNTS if code not in {"fx:bank", "fx:customer:eur"})
    assert seen(book, "fx:customer:eur") == (-100_000, -100_000)


def seen(connection: psycopg.Connection[Any], account: str) -> tuple[int, int]:
    """Posted and available, debit positive."""
    (found,) = balances(connection, account)
    return found.balance_minor, found.available_minor
