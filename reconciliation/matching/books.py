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
from reconciliation.matching.columns import BoolArray, Column, IntArray, kernel
from reconciliation.matching.references import is_well_formed, normalised, present, shared_codes
from reconciliation.sources import EXTERNAL_REFERENCE_COLUMNS, ReferencePair

_Kept = TypeVar("_Kept")

# What makes two items of a side interchangeable beside account, asset, amount and references.
_EXTERNAL_CONTENT: Final = ("kind", "counterparty", "fee_minor", "original_amount_minor", "original_asset")
_LEDGER_CONTENT: Final = ("kind", "counterparty", "fx_asset", "fx_amount_minor")


@dataclass(frozen=True, slots=True)
class Side:
    """Items of one side in canonical order; columns are fetched when asked for and kept."""

    name: str  # external, ledger
    table: pa.Table
    content: tuple[str, ...]
    amount_minor: IntArray
    business_date: IntArray  # days since 1970-01-01
    _cache: dict[str, Column] = field(default_factory=dict)

    @classmethod
    def external(cls, items: pa.Table, *, mirrored: bool = False) -> Self:
        """Lines of a source; ``mirrored`` turns the sign, for the account the money leaves or reaches."""
        table = _canonical(items, EXTERNAL_ITEM_SCHEMA, ("business_date", "line_key", "version", "line_id"))
        amounts = _integers(table["amount_minor"])
        return cls("external", table, _EXTERNAL_CONTENT, -amounts if mirrored else amounts, _days(table))

    @classmethod
    def ledger(cls, items: pa.Table) -> Self:
        """Journal lines on the reconciled accounts."""
        table = _canonical(items, LEDGER_ITEM_SCHEMA, ("business_date", "entry_key", "line_no", "entry_id"))
        return cls("ledger", table, _LEDGER_CONTENT, _integers(table["amount_minor"]), _days(table))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def column(self, name: str) -> Column:
        """One column in canonical order."""
        if name not in self._cache:
            self._cache[name] = self.table[name].combine_chunks()
        return self._cache[name]

    def reference(self, name: str) -> Column:
        """A reference column, null where there is none to compare."""
        key = f"reference {name}"
        if key not in self._cache:
            self._cache[key] = present(self.column(name))
        return self._cache[key]

    def normalised(self, name: str) -> Column:
        """A reference column in comparable form."""
        key = f"normalised {name}"
        if key not in self._cache:
            values = self.reference(name)
            self._cache[key] = values if values.null_count == len(values) else normalised(values)
        return self._cache[key]

    def is_well_formed(self, name: str) -> BoolArray:
        """Where a reference column holds a value long enough to contradict another."""
        key = f"well formed {name}"
        if key not in self._cache:
            self._cache[key] = is_well_formed(self.normalised(name))
        return np.asarray(self._cache[key], dtype=np.bool_)

    def integers(self, name: str) -> IntArray:
        """An integer column without nulls."""
        return _integers(self.column(name))

    def content_codes(self, name: str, rows: IntArray) -> IntArray:
        """Codes of a column on these rows: equal values equal codes, null 0."""
        values = self.reference(name) if name in EXTERNAL_REFERENCE_COLUMNS else self.column(name)
        if values.null_count == len(values):
            return np.zeros(len(rows), dtype=np.int64)
        codes = values.take(rows).dictionary_encode().indices
        return np.asarray(kernel.fill_null(codes, -1).to_numpy(), dtype=np.int64) + 1

    def identities(self, rows: IntArray) -> Column:
        """The item's own name, free of surrogate ids; the length keeps any key unambiguous."""
        key, number = ("line_key", "version") if self.name == "external" else ("entry_key", "line_no")
        at = pa.array(rows)
        keys = self.column(key).take(at)
        lengths = kernel.cast(kernel.utf8_length(keys), pa.string())
        numbers = kernel.cast(self.column(number).take(at), pa.string())
        return kernel.binary_join_element_wise(self.name, lengths, keys, numbers, ":")


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
    ) -> Self:
        """Both sides with their purses coded alike; ``by_account`` False compares assets only."""
        purses = [_purse(external, by_account=by_account), _purse(ledger, by_account=by_account)]
        codes = shared_codes(purses[0], purses[1])
        return cls(leg, external, ledger, references, window_days, *codes)

    def agreement(self, pair: ReferencePair, *, as_written: bool) -> Agreement:
        """Codes of the references as they are written, or normalised."""
        if (pair, as_written) not in self._agreements:
            values = (self.external.reference(pair.external), self.ledger.reference(pair.ledger))
            if any(column.null_count == len(column) for column in values):
                values = (pa.nulls(len(self.external), pa.string()), pa.nulls(len(self.ledger), pa.string()))
            elif not as_written:
                values = (self.external.normalised(pair.external), self.ledger.normalised(pair.ledger))
            self._agreements[pair, as_written] = Agreement(*shared_codes(*values))
        return self._agreements[pair, as_written]

    def contradicts(self, external_rows: IntArray, ledger_rows: IntArray) -> BoolArray:
        """Which pairs of rows carry two well-formed, different values where both sides should carry one."""
        found = np.zeros(len(external_rows), dtype=np.bool_)
        for column in self.own_name_columns():
            agreement, sound_external, sound_ledger = self.well_formed(column)
            both = sound_external[external_rows] & sound_ledger[ledger_rows]
            found |= both & (agreement.external[external_rows] != agreement.ledger[ledger_rows])
        return found

    def own_name_columns(self) -> tuple[str, ...]:
        """Columns that identify under the same name on both sides: there, a difference is evidence against."""
        return tuple(pair.external for pair in self.references if pair.external == pair.ledger)

    def well_formed(self, column: str) -> tuple[Agreement, BoolArray, BoolArray]:
        """Normalised codes of a column that identifies on both sides, and where either side is well formed."""
        agreement = self.agreement(ReferencePair(external=column, ledger=column), as_written=False)
        return agreement, self.external.is_well_formed(column), self.ledger.is_well_formed(column)


def _canonical(items: pa.Table, schema: pa.Schema, order: tuple[str, ...]) -> pa.Table:
    table = items.select(schema.names).cast(schema)
    return table.take(kernel.sort_indices(table, sort_keys=[(name, "ascending") for name in order]))


def _integers(column: Column) -> IntArray:
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _days(table: pa.Table) -> IntArray:
    return _integers(table["business_date"].cast(pa.int32()))


def _purse(side: Side, *, by_account: bool) -> Column:
    """Text of (account, asset). Blanks separate: an asset code has none."""
    if not by_account:
        return side.column("asset")
    return kernel.binary_join_element_wise(side.column("asset"), side.column("account"), " ")
