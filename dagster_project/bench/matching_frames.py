"""Set E, the easy world that matching is measured on: both sides of N payments, filled as real ones are, with the
answer.

References are random; 90 of 100 lines carry theirs unharmed, 5 mangled (two characters swapped, the end cut off, one
character wrong, the beginning lost and blanks inside, words before and after it), 3 arrive net of a fee (which every
other of them tells), 2 have no counterpart, and as many ledger lines have none. Two in five amounts are one of 50
prices. A line comes 0 to 3 days after the ledger's, over a month. Everything follows from the size and the seed.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.sources import FeeSchedule

FIRST_DAY: Final = date(2026, 11, 2)
DAYS: Final = 30
ACCOUNT: Final = "assets:bank:main-eur"
SCHEDULE: Final = FeeSchedule(asset="EUR", kind="charge", rate_ppm=14_000, fixed_minor=20)

KINDS: Final = (
    "exact",
    "swapped",
    "cut",
    "one character",
    "prefix lost",
    "words around",
    "net told",
    "net",
    "absent",
)
"""What became of a line; the first five after ``exact`` are the mangled ones."""

_PER_MILLE: Final = (900, 10, 10, 10, 10, 10, 15, 15, 20)
_LETTERS: Final = np.frombuffer(b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789", dtype=np.uint8)
_LENGTH: Final = 12
_CUT: Final = 3
_GIVEN: Final = (
    "Ada", "Bela", "Carl", "Dana", "Emil", "Fatma", "Greta", "Hugo", "Ines", "Jan", "Kira", "Lars",
)  # fmt: skip
_FAMILY: Final = (
    "Abel", "Berg", "Conrad", "Dietz", "Ernst", "Falk", "Gross", "Horn", "Issler", "Jung", "Kern", "Lang", "Moser",
    "Noll",
    "Ott", "Pohl", "Quast", "Roth", "Sauer", "Thiel", "Ulmer", "Vogt", "Wirth", "Zorn",
)  # fmt: skip
_CUSTOMERS: Final = 50_000  # of whom several carry one name

Letters = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frames:
    """Both sides, shuffled. ``kind[line_id]`` is a place in ``KINDS``; line and entry of one payment share their id."""

    external: pa.Table
    ledger: pa.Table
    kind: IntArray


def frames(lines: int, seed: int) -> Frames:
    """Set E of ``lines`` lines on either side."""
    draw = np.random.default_rng(seed)
    kind = draw.choice(len(KINDS), lines, p=np.array(_PER_MILLE) / 1000)
    gross = _amounts(draw, lines)
    booked = draw.integers(0, DAYS, lines)
    fee = np.where(
        np.isin(kind, (6, 7)), (gross * SCHEDULE.rate_ppm + 500_000) // 1_000_000 + SCHEDULE.fixed_minor, 0
    )
    letters = _drawn(draw, lines)
    absent = kind == len(KINDS) - 1
    ours = letters.copy()
    ours[absent] = _drawn(draw, int(absent.sum()))
    customer = draw.integers(0, _CUSTOMERS, lines)
    other = np.where(absent, draw.integers(0, _CUSTOMERS, lines), customer)
    told: dict[str, Any] = {
        "gross": gross,
        "fee": fee,
        "arrived": booked + draw.integers(0, 4, lines),
        "is_card": (fee > 0) | (draw.random(lines) < 0.2),
    }
    external = _external(kind, _mangled(draw, letters, kind), customer, told)
    amounts = np.where(absent, _amounts(draw, lines), gross)
    ledger = _ledger(_text(ours), other, booked, amounts, told["is_card"])
    return Frames(
        external=external.take(draw.permutation(lines)),
        ledger=ledger.take(draw.permutation(lines)),
        kind=kind,
    )


def _amounts(draw: np.random.Generator, lines: int) -> IntArray:
    """Minor units: two in five are prices, the rest spread as payments are."""
    free = np.maximum(np.exp(draw.normal(8.5, 1.2, lines)).astype(np.int64), 100)
    prices = (np.arange(1, 51) * 7 % 120 + 4) * 100 + 99
    return np.where(draw.random(lines) < 0.4, draw.choice(prices, lines), free)


def _mangled(draw: np.random.Generator, letters: Letters, kind: IntArray) -> Column:
    """References as the source writes them."""
    lines = len(letters)
    written = letters.copy()
    at = np.flatnonzero(kind == 1)
    place = draw.integers(0, _LENGTH - 1, len(at))
    written[at, place], written[at, place + 1] = letters[at, place + 1], letters[at, place]
    at = np.flatnonzero(kind == 3)
    place = draw.integers(0, _LENGTH, len(at))
    written[at, place] = (letters[at, place] + draw.integers(1, len(_LETTERS), len(at))) % len(_LETTERS)
    texts = _text(written)
    parts = [kernel.utf8_slice_codeunits(texts, start, start + _CUT) for start in range(0, _LENGTH, _CUT)]
    cut = kernel.utf8_slice_codeunits(texts, 0, _LENGTH - _CUT)
    lost = kernel.binary_join_element_wise(*parts[1:], " ")
    around = kernel.binary_join_element_wise("REF ", texts, " THANKS", "")
    return kernel.choose(
        pa.array(np.select([kind == 2, kind == 4, kind == 5], [1, 2, 3], 0)), texts, cut, lost, around
    ).slice(0, lines)


def _drawn(draw: np.random.Generator, lines: int) -> Letters:
    """References as places in the alphabet."""
    return draw.integers(0, len(_LETTERS), (lines, _LENGTH), dtype=np.uint8)


def _text(letters: Letters) -> Column:
    """One string for each row of letters."""
    return pa.array(_LETTERS[letters].view(f"S{letters.shape[1]}").ravel()).cast(pa.string())


def _external(kind: IntArray, references: Column, customer: IntArray, told: dict[str, Any]) -> pa.Table:
    lines = len(kind)
    number = np.arange(lines)
    name = _names(customer)
    columns = {
        "line_id": number,
        "line_key": _numbered("ST", number),
        "version": np.ones(lines, np.int32),
        "business_date": _dates(told["arrived"]),
        "account": pa.repeat(ACCOUNT, lines),
        "amount_minor": told["gross"] - told["fee"],
        "asset": pa.repeat("EUR", lines),
        "fee_minor": np.where(kind == KINDS.index("net told"), told["fee"], 0),
        "ref_end_to_end": references,
        "ref_servicer": _numbered("SRV", number * 7 + 11),
        "batch_ref": _numbered("STMT", told["arrived"]),
        "counterparty": name,
        "kind": _kinds(told["is_card"]),
        "counterparty_account": _accounts(customer),
        "text": kernel.binary_join_element_wise(
            "SEPA credit transfer from", name, "value date", _dates(told["arrived"]).cast(pa.string()), " "
        ),
    }
    return _table(columns, EXTERNAL_ITEM_SCHEMA, lines)


def _ledger(
    references: Column,
    customer: IntArray,
    booked: IntArray,
    amounts: IntArray,
    is_card: BoolArray,
) -> pa.Table:
    lines = len(booked)
    number = np.arange(lines)
    moments = (_days(booked) * 86_400 + 36_000 + number % 28_800) * 1_000_000
    columns = {
        "entry_id": number,
        "line_no": np.ones(lines, np.int32),
        "entry_key": _numbered("receipt:", number),
        "business_date": _dates(booked),
        "account": pa.repeat(ACCOUNT, lines),
        "amount_minor": amounts,
        "asset": pa.repeat("EUR", lines),
        "kind": _kinds(is_card),
        "ref_end_to_end": references,
        "ref_merchant": _numbered("ORDER-", number * 3 + 5),
        "batch_ref": _numbered("RUN", booked),
        "counterparty": _names(customer),
        "effective_at": pa.array(moments).cast(pa.timestamp("us", tz="UTC")),
        "description": kernel.binary_join_element_wise(
            "receipt for order", _numbered("ORDER-", number * 3 + 5), " "
        ),
    }
    return _table(columns, LEDGER_ITEM_SCHEMA, lines)


def _names(customer: IntArray) -> Column:
    given = pa.array([_GIVEN[at % len(_GIVEN)] for at in range(_CUSTOMERS)])
    family = pa.array(
        [
            f"{_FAMILY[at // 12 % 24]}{'' if at < 288 else f'-{_FAMILY[at // 288 % 24]}'}"
            for at in range(_CUSTOMERS)
        ]
    )
    return kernel.binary_join_element_wise(given, family, " ").take(pa.array(customer))


def _accounts(customer: IntArray) -> Column:
    return kernel.binary_join_element_wise(
        "DE", kernel.cast(pa.array(10**19 // 11 + customer), pa.string()), ""
    )


def _kinds(is_card: BoolArray) -> Column:
    return kernel.if_else(pa.array(is_card), "charge", "transfer")


def _numbered(prefix: str, numbers: IntArray) -> Column:
    digits = kernel.utf8_lpad(kernel.cast(pa.array(numbers), pa.string()), 10, padding="0")
    return kernel.binary_join_element_wise(prefix, digits, "")


def _days(day: IntArray) -> IntArray:
    return day + (FIRST_DAY - date(1970, 1, 1)).days


def _dates(day: IntArray) -> Column:
    return pa.array(_days(day).astype(np.int32)).cast(pa.date32())


def _table(columns: dict[str, Any], schema: pa.Schema, lines: int) -> pa.Table:
    return pa.table(
        [
            kernel.cast(pa.array(columns[field.name]), field.type)
            if field.name in columns
            else pa.nulls(lines, field.type)
            for field in schema
        ],
        schema=schema,
    )
