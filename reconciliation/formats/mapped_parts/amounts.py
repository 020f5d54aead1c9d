"""The signed amounts of a batch, whichever way the file writes them, its fees, and its running balances.

Law: credits and debits in two columns exclude each other; a direction word is one that the mapping knows; an amount is
never missing. Sums of what the file states stay within 64 bits.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute

from ledger_core.money import MAX_AMOUNT_MINOR
from reconciliation.formats.mapped_parts.cells import Booleans, Rows, Texts
from reconciliation.formats.mapped_parts.layout import Layout
from reconciliation.formats.mapped_parts.numbers import Integers, Numbers
from reconciliation.formats.values import refused, shown
from reconciliation.mapping import MappingRules

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

_SAFE: Final = MAX_AMOUNT_MINOR // 64  # so that an amount and a few fees are added within 64 bits


@dataclass(frozen=True, slots=True)
class Amounts:
    """Net amounts, and the fees with their total; fees are positive where we paid them."""

    net: Integers
    fee_total: Integers | None
    fees: dict[str, list[int]]  # by type


class AmountColumns:
    """Reads the amount columns of one layout."""

    def __init__(self, rules: MappingRules, layout: Layout, numbers: Numbers) -> None:
        self._rules = rules
        self._layout = layout
        self._numbers = numbers

    def read(self, rows: Rows, assets: list[str] | str) -> Amounts:
        """Signed amounts. Codes ``amount``, ``structure``."""
        amount = self._rules.amount
        if amount.column is not None:
            net = self._column(rows, amount.column, assets)
            if amount.direction is not None:
                net = self._directed(rows, net)
        else:
            net = self._split(rows, assets)
        by_type: dict[str, Integers] = {}
        total: Integers | None = None
        for fee in self._rules.fees:
            paid = self._column(rows, fee.column, assets, empty=0)
            self._bounded(rows, fee.column, paid)
            paid = -paid if fee.paid_is == "negative" else paid
            by_type[fee.type] = by_type[fee.type] + paid if fee.type in by_type else paid
            total = paid if total is None else total + paid
        if amount.flip_sign:
            net = -net
        if amount.is_gross and total is not None:
            self._bounded(rows, amount.column or amount.credit or "", net)
            net = net - total
        return Amounts(net, total, {name: values.tolist() for name, values in by_type.items()})

    def balances(self, rows: Rows, assets: list[str] | str, booked: Booleans | None) -> Integers:
        """The running balance of every row; what rows that are not booked say is not looked at."""
        rule = self._rules.running_balance
        column = rule.column if rule is not None else ""
        balances = self._column(rows, column, assets, ignored=None if booked is None else ~booked)
        self._bounded(rows, column, balances)
        return -balances if self._rules.amount.flip_sign else balances

    def _bounded(self, rows: Rows, column: str, values: Integers) -> None:
        if len(values) and int(np.abs(values).max()) > _SAFE:
            row = int(np.argmax(np.abs(values)))
            place = rows.place(row, self._layout[column])
            raise refused("amount", place, "an amount that can be added within 64 bits", "more")

    def _column(
        self,
        rows: Rows,
        name: str,
        assets: list[str] | str,
        *,
        empty: int | None = None,
        ignored: Booleans | None = None,
    ) -> Integers:
        """Integers of one column; an empty cell is ``empty``, or at fault if that is None."""
        index = self._layout[name]
        texts = rows.column(index)
        if ignored is not None:
            texts = kernel.if_else(pa.array(ignored), "0", texts)
        if empty is not None:
            texts = kernel.if_else(kernel.equal(texts, ""), str(empty), texts)
        if isinstance(assets, str):
            found = self._numbers.minors(texts, assets)
            return found if found is not None else self._one_by_one(rows, index, texts, assets)
        result = np.zeros(len(rows), dtype=np.int64)
        names = np.array(assets)
        for asset in dict.fromkeys(assets):
            places = np.flatnonzero(names == asset)
            part = self._numbers.minors(kernel.take(texts, places), asset)
            if part is None:
                return self._one_by_one(rows, index, texts, assets)
            result[places] = part
        return result

    def _one_by_one(self, rows: Rows, index: int, texts: Texts, assets: list[str] | str) -> Integers:
        minor = self._numbers.minor
        names = [assets] * len(rows) if isinstance(assets, str) else assets
        cells = zip(texts.to_pylist(), names, strict=True)
        return np.array(
            [minor(text or "", asset, rows.place(row, index)) for row, (text, asset) in enumerate(cells)],
            dtype=np.int64,
        )

    def _directed(self, rows: Rows, unsigned: Integers) -> Integers:
        direction = self._rules.amount.direction
        if direction is None:
            return unsigned
        index = self._layout[direction.column]
        words = rows.column(index)
        credit = _among(words, direction.credit)
        debit = _among(words, direction.debit)
        unknown = ~(credit | debit)
        if unknown.any():
            row = int(np.argmax(unknown))
            expected = f"one of {', '.join((*direction.credit, *direction.debit))}"[:120]
            raise refused("structure", rows.place(row, index), expected, shown(words[row].as_py()))
        negative = unsigned < 0
        if negative.any():
            row = int(np.argmax(negative))
            place = rows.place(row, self._layout[self._rules.amount.column or ""])
            raise refused("amount", place, "an amount without sign, beside its direction", "a negative one")
        return np.where(debit, -unsigned, unsigned)

    def _split(self, rows: Rows, assets: list[str] | str) -> Integers:
        amount = self._rules.amount
        credit_name, debit_name = amount.credit or "", amount.debit or ""
        credit = self._column(rows, credit_name, assets, empty=0)
        debit = self._column(rows, debit_name, assets, empty=0)
        if amount.debit_signed:
            debit = -debit
        for name, values in ((credit_name, credit), (debit_name, debit)):
            if (values < 0).any():
                row = int(np.argmax(values < 0))
                expected = (
                    "a debit with its minus" if name == debit_name and amount.debit_signed else "no sign"
                )
                raise refused("amount", rows.place(row, self._layout[name]), expected, "the other sign")
        indexes = self._layout[credit_name], self._layout[debit_name]
        both = (credit != 0) & (debit != 0)
        if both.any():
            place = rows.place(int(np.argmax(both)), indexes[1])
            raise refused("amount", place, "a credit or a debit", "both")
        neither = kernel.and_(
            kernel.equal(rows.column(indexes[0]), ""), kernel.equal(rows.column(indexes[1]), "")
        ).to_numpy(zero_copy_only=False)
        if neither.any():
            place = rows.place(int(np.argmax(neither)), indexes[0])
            raise refused("amount", place, "a credit or a debit", "neither")
        return credit - debit


def _among(texts: Texts, words: tuple[str, ...]) -> Booleans:
    found: Booleans = kernel.is_in(texts, value_set=pa.array(words, type=pa.string())).to_numpy(
        zero_copy_only=False
    )
    return found
