"""Whether the rate booked on a line makes its amount of the original one: exact integers, to one minor unit.

Law: the rate is the one that the statement itself names, never one from anywhere else, and never our own. As a fraction
it has a direction; as mere text it may be meant either way round. A line without a rate, or of an asset whose minor
digits nobody knows, is explained by nothing.

    -200.00 USD at 0.9272450, booked at -185.45 EUR: 185.449 rounds to 185.45      12 000 JPY at 160.5: 74.77 EUR
"""

import re
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ledger_core.money import ISO_4217_EXPONENTS
from reconciliation.matching.books import Side
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel

_RATE: Final = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,18}))?", re.ASCII)

Whole = npt.NDArray[Any]
"""Python integers: products of amounts, rates and powers of ten leave 64 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """Per row: what the booked rate makes of the original amount, rounded half up, and whether the line agrees."""

    expected_minor: IntArray
    explains: BoolArray


def converted(side: Side, rows: IntArray, booked_minor: IntArray) -> Converted:
    """The original amounts of these external rows at their own rates, compared with what was booked for them.

    ``booked_minor``: what was converted, before any fee; its sign is not looked at.
    """
    at = _fetching(side, rows)
    own, other = _steps(at("asset")), _steps(at("original_asset"))
    known = (own > 0) & (other > 0)
    booked = np.abs(booked_minor).astype(object)
    original = np.abs(_whole(at("original_amount_minor")))
    top, bottom, either_way = _rates(at)
    known &= (top > 0) & (bottom > 0)
    explains = np.zeros(len(rows), dtype=np.bool_)
    expected = np.zeros(len(rows), dtype=np.int64)
    for above, below, wanted in ((top, bottom, known), (bottom, top, known & either_way)):
        chosen = np.flatnonzero(wanted & ~explains)
        gives = original[chosen] * above[chosen] * own[chosen]
        unit = below[chosen] * other[chosen]
        near = np.asarray(np.abs(booked[chosen] * unit - gives) <= unit, dtype=np.bool_)
        explains[chosen[near]] = True
        expected[chosen[near]] = ((2 * gives + unit) // (2 * unit))[near].astype(np.int64)
    return Converted(expected_minor=expected, explains=explains)


def _fetching(side: Side, rows: IntArray) -> Any:
    """A function that fetches a column on these rows."""
    return lambda name: side.column(name).take(rows)


def _steps(assets: Column) -> Whole:
    """Minor units in a unit of each asset; 0 where nobody knows."""
    exponents = [ISO_4217_EXPONENTS.get(asset or "") for asset in assets.to_pylist()]
    return np.array([0 if digits is None else 10**digits for digits in exponents], dtype=object)


def _whole(column: Column) -> Whole:
    return np.array(kernel.fill_null(column, 0).to_pylist(), dtype=object)


def _rates(at: Any) -> tuple[Whole, Whole, BoolArray]:
    """Numerators and denominators, 0 where there is no rate, and where the direction is not said."""
    top, bottom = _whole(at("fx_numerator")), _whole(at("fx_denominator"))
    texts = at("fx_rate")
    fractions = {text: _fraction(text) for text in kernel.unique(texts.drop_null()).to_pylist()}
    missing = np.flatnonzero(np.asarray((top == 0) | (bottom == 0), dtype=np.bool_))
    written = texts.take(missing).to_pylist()
    read = [fractions[text] if text is not None else (0, 0) for text in written]
    top[missing] = np.array([fraction[0] for fraction in read], dtype=object)
    bottom[missing] = np.array([fraction[1] for fraction in read], dtype=object)
    either_way = np.zeros(len(top), dtype=np.bool_)
    either_way[missing] = True
    return top, bottom, either_way


def _fraction(text: str) -> tuple[int, int]:
    """A decimal text as a fraction; 0 over 0 for anything else."""
    matched = _RATE.fullmatch(text)
    if matched is None:
        return 0, 0
    decimals = matched.group(2) or ""
    return int(matched.group(1) + decimals), 10 ** len(decimals)
