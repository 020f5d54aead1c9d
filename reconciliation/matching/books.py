"""The two sides of one step, in canonical order, with the integer codes that every pass compares.

Rows are sorted by business date and then by the item's own key before anything else happens, so a row number is a
place in the canonical order and no pass can depend on the order in which items came. Decides nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeVar

import numpy as np
import pyarrow as pa

from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA
from reconciliation.matching.canonical_order import canonical_order
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.matching.references import ABSENT, is_well_formed, normalised, present
from reconciliation.matching.words import Words, shared_row_codes
from reconciliation.sources import EXTERNAL_REFERENCE_COLUMNS, ReferencePair

_Kept = TypeVar("_Kept")

# Key and number name an item; the surrogate id parts what should not be there, two items of one name.
_NAMES: Final = {
    "external": ("line_key", "version", "line_id"),
    "ledger": ("entry_key", "line_no", "entry_id"),
}
_FEW: Final = 4  # from so many in one on, a whole column is as quickly put in order
# What makes two items of a side interchangeable beside account, asset, amount and references.
_EXTERNAL_CONTENT: Final = ("kind", "counterparty", "fee_minor", "original_amount_minor", "original_asset")
_LEDGER_CONTENT: Final = ("kind", "counterparty", "fx_asset", "fx_amount_minor")


@dataclass(frozen=True, slots=True)
class Side:
    """Items of one side in canonical order; columns are put in that order when asked for, and kept."""

    name: str  # external, ledger
    items: pa.Table  # as they came
    order: Column | None  # their canonical order; None: they came in it
    content: tuple[str, ...]
    amount_minor: IntArray
    business_date: IntArray  # days since 1970-01-01
    cached: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def external(cls, items: pa.Table, *, mirrored: bool = False) -> Self:
        """Lines of a source; ``mirrored`` turns the sign, for the account the money leaves or reaches."""
        return cls._opened("external", items, EXTERNAL_ITEM_SCHEMA, mirrored=mirrored)

    @classmethod
    def ledger(cls, items: pa.Table) -> Self:
        """Journal lines on the reconciled accounts."""
        return cls._opened("ledger", items, LEDGER_ITEM_SCHEMA)

    @classmethod
    def _opened(cls, name: str, items: pa.Table, schema: pa.Schema, *, mirrored: bool = False) -> Self:
        table = items.select(schema.names).cast(schema)
        key, number, surrogate = _NAMES[name]
        days = _integers(table["business_date"].cast(pa.int32()))
        numbers = _integers(table[number]), _integers(table[surrogate])
        order = canonical_order(days, _whole(table[key]), *numbers)
        amounts = _integers(table["amount_minor"])[order]
        in_order = np.array_equal(order, np.arange(len(order)))
        return cls(
            name=name,
            items=table,
            order=None if in_order else pa.array(order),
            content=_EXTERNAL_CONTENT if name == "external" else _LEDGER_CONTENT,
            amount_minor=-amounts if mirrored else amounts,
            business_date=days[order],
        )

    def __len__(self) -> int:
        return len(self.amount_minor)

    @property
    def table(self) -> pa.Table:
        """All columns in canonical order; for a few columns of many items, ``column`` is the cheaper way."""
        if "table" not in self.cached:
            columns = [self.column(name) for name in self.items.column_names]
            self.cached["table"] = pa.table(columns, schema=self.items.schema)
        found: pa.Table = self.cached["table"]
        return found

    def column(self, name: str) -> Column:
        """One column in canonical order."""
        if name not in self.cached:
            values = self.items[name]
            if values.null_count == len(values):
                self.cached[name] = _whole(values)  # nothing to put in order
            else:
                whole = _whole(values)
                self.cached[name] = whole if self.order is None else whole.take(self.order)
        return self.cached[name]

    def ordered(self, values: IntArray) -> IntArray:
        """Numbers by item as they came, in canonical order."""
        return values if self.order is None else values[self.order.to_numpy()]

    def coded(self, name: str) -> tuple[IntArray, Column]:
        """A column without nulls as places in its distinct values: for columns of few."""
        if f"coded {name}" not in self.cached:
            encoded = _whole(self.items[name]).dictionary_encode()
            places = np.asarray(encoded.indices.to_numpy(), dtype=np.int64)
            self.cached[f"coded {name}"] = (self.ordered(places), encoded.dictionary)
        found: tuple[IntArray, Column] = self.cached[f"coded {name}"]
        return found

    def at(self, name: str, rows: IntArray) -> Column:
        """One column of these rows; few rows do not put the whole column in order."""
        if name in self.cached or self.order is None or len(rows) * _FEW > len(self):
            return self.column(name).take(pa.array(rows))
        return _whole(self.items[name]).take(self.order.take(pa.array(rows)))

    def reference(self, name: str) -> Column:
        """A reference column, null where there is none to compare."""
        key = f"reference {name}"
        if key not in self.cached:
            self.cached[key] = present(self.column(name))
        return self.cached[key]

    def normalised(self, name: str) -> Column:
        """A reference column in comparable form."""
        key = f"normalised {name}"
        if key not in self.cached:
            values = self.reference(name)
            self.cached[key] = values if values.null_count == len(values) else normalised(values)
        return self.cached[key]

    def normalised_at(self, name: str, rows: IntArray) -> Column:
        """A reference column of these rows in comparable form."""
        if f"normalised {name}" in self.cached:
            return self.cached[f"normalised {name}"].take(pa.array(rows))
        return normalised(present(self.at(name, rows)))

    def is_well_formed(self, name: str) -> BoolArray:
        """Where a reference column holds a value long enough to contradict another."""
        key = f"well formed {name}"
        if key not in self.cached:
            self.cached[key] = is_well_formed(self.reference(name))
        found: BoolArray = self.cached[key]
        return found

    def integers(self, name: str) -> IntArray:
        """An integer column without nulls."""
        return _integers(self.column(name))

    def content_codes(self, name: str, rows: IntArray) -> IntArray:
        """Codes of a column on these rows: equal values equal codes, null 0."""
        values = self.at(name, rows)
        if name in EXTERNAL_REFERENCE_COLUMNS:
            values = present(values)
        if values.null_count == len(values):
            return np.zeros(len(rows), dtype=np.int64)
        codes = values.dictionary_encode().indices
        return np.asarray(kernel.fill_null(codes, -1).to_numpy(), dtype=np.int64) + 1

    def identities(self, rows: IntArray) -> Column:
        """The item's own name, free of surrogate ids; the length keeps any key unambiguous."""
        return kernel.binary_join_element_wise(*self.identity_parts(rows), "")

    def identity_parts(self, rows: IntArray) -> "list[Column | str]":
        """What, joined, is the item's own name; what is the same for all rows is one text."""
        key, number, _ = _NAMES[self.name]
        keys = self.at(key, rows)
        parts: list[Column | str] = [f"{self.name}:", _text(kernel.utf8_length(keys)), ":", keys, ":"]
        return [*parts, _text(self.at(number, rows))]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Codes of one reference pair over all rows of both sides: equal and not ``ABSENT`` means the references agree."""

    external: IntArray
    ledger: IntArray


@dataclass(frozen=True, slots=True)
class Books:
    """Both sides and what is compared between them. ``window_days`` None: dates are not compared."""

    leg: str
    external: Side
    ledger: Side  # the other side; in a leg between two sources, the other source's lines
    references: tuple[ReferencePair, ...]
    window_days: int | None
    external_purse: IntArray  # codes of (account, asset); between two sources of the asset
    ledger_purse: IntArray
    explains: bool = True  # False: groups are told without their evidence, for those who only count them
    _agreements: dict[tuple[ReferencePair, bool], Agreement] = field(default_factory=dict)
    _kept: dict[str, Any] = field(default_factory=dict)

    def kept(self, name: str, make: Callable[[], _Kept]) -> _Kept:
        """What ``make`` gives, made once for these books: it must follow from them alone."""
        if name not in self._kept:
            self._kept[name] = make()
        found: _Kept = self._kept[name]
        return found

    @classmethod
    def open(
        cls,
        external: Side,
        ledger: Side,
        *,
        leg: str,
        references: tuple[ReferencePair, ...],
        window_days: int | None,
        by_account: bool,
        explains: bool = True,
    ) -> Self:
        """Both sides with their purses coded alike; ``by_account`` False compares assets only."""
        names = ("asset", "account") if by_account else ("asset",)
        sides = (external, ledger)
        purses = shared_row_codes(*([_whole(side.items[name]) for name in names] for side in sides))
        codes = [side.ordered(code) for side, code in zip(sides, purses, strict=True)]
        return cls(leg, external, ledger, references, window_days, codes[0], codes[1], explains=explains)

    def agreement(self, pair: ReferencePair, *, as_written: bool) -> Agreement:
        """Codes of the references as they are written, or normalised."""
        if (pair, as_written) not in self._agreements:
            values = (self.external.reference(pair.external), self.ledger.reference(pair.ledger))
            if any(column.null_count == len(column) for column in values):
                sides = (np.zeros(len(self.external), np.int64), np.zeros(len(self.ledger), np.int64))
            else:
                words = self.kept("words", self._all_words)
                names = f"external {pair.external}", f"ledger {pair.ledger}"
                if not all(name in words for name in names):
                    words = Words.of(dict(zip(names, values, strict=True)))
                sides = words.shared_codes(*names, as_written=as_written)
            self._agreements[pair, as_written] = Agreement(*sides)
        return self._agreements[pair, as_written]

    def _all_words(self) -> Words:
        """The references that the rules compare, every distinct one known by a number."""
        columns: dict[str, Column] = {}
        for pair in self.references:
            values = {
                f"external {pair.external}": self.external.reference(pair.external),
                f"ledger {pair.ledger}": self.ledger.reference(pair.ledger),
            }
            if all(column.null_count < len(column) for column in values.values()):
                columns |= values
        return Words.of(columns)

    def contradicts(self, external_rows: IntArray, ledger_rows: IntArray) -> BoolArray:
        """Which pairs of rows carry two well-formed, different values where both sides should carry one."""
        found = np.zeros(len(external_rows), dtype=np.bool_)
        for column in self.own_name_columns():
            pair = ReferencePair(external=column, ledger=column)
            written = self.agreement(pair, as_written=True)
            differs = written.external[external_rows] != written.ledger[ledger_rows]
            at = np.flatnonzero(differs & (written.external[external_rows] != ABSENT))
            if not len(at):  # most pairs share the very text, and its normal form need not be known
                continue
            agreement, sound_external, sound_ledger = self.well_formed(column)
            rows = external_rows[at], ledger_rows[at]
            both = sound_external[rows[0]] & sound_ledger[rows[1]]
            found[at] |= both & (agreement.external[rows[0]] != agreement.ledger[rows[1]])
        return found

    def forget(self) -> None:
        """Gives back the memory of what was kept; all of it can be made again."""
        for kept in (self.external.cached, self.ledger.cached, self._agreements, self._kept):
            kept.clear()

    def own_name_columns(self) -> tuple[str, ...]:
        """Columns that identify under the same name on both sides: there, a difference is evidence against."""
        return tuple(pair.external for pair in self.references if pair.external == pair.ledger)

    def well_formed(self, column: str) -> tuple[Agreement, BoolArray, BoolArray]:
        """Normalised codes of a column that identifies on both sides, and where either side is well formed."""
        agreement = self.agreement(ReferencePair(external=column, ledger=column), as_written=False)
        return agreement, *self.kept(f"well formed {column}", lambda: self._well_formed(column))

    def _well_formed(self, column: str) -> tuple[BoolArray, BoolArray]:
        words = self.kept("words", self._all_words)
        external, ledger = f"external {column}", f"ledger {column}"
        if external in words and ledger in words:
            return words.is_well_formed(external), words.is_well_formed(ledger)
        return self.external.is_well_formed(column), self.ledger.is_well_formed(column)


def _whole(column: Column) -> Column:
    """A column of a table as one array."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _integers(column: Column) -> IntArray:
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _text(numbers: Column) -> "Column | str":
    """Whole numbers as text; one text where all are equal, and there are several."""
    ends = kernel.min_max(numbers).as_py()
    if len(numbers) > 1 and ends["min"] == ends["max"]:
        return str(ends["min"])
    return kernel.cast(numbers, pa.string())
