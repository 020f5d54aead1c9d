"""A batch of rows of a mapped file as canonical lines, column by column.

Law: a row is a line or refuses the file; only the mapping's own row filter leaves rows out. The sign is settled here:
split columns, direction words and a file that speaks from the other side all end as one signed amount.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute

from ledger_core.money import MAX_AMOUNT_MINOR
from reconciliation.formats.canonical import LINE_SCHEMA, ReadOptions
from reconciliation.formats.card_numbers import truncated
from reconciliation.formats.mapped_parts.amounts import AmountColumns
from reconciliation.formats.mapped_parts.cells import (
    Booleans,
    Cells,
    Rows,
    Texts,
    each,
    joined,
    references,
    translated,
)
from reconciliation.formats.mapped_parts.dates import Dates
from reconciliation.formats.mapped_parts.layout import Layout
from reconciliation.formats.mapped_parts.numbers import Integers, Numbers
from reconciliation.formats.masked_columns import masked_column
from reconciliation.formats.report_columns import fees_included, other_references
from reconciliation.formats.values import asset_of, exact_rate, refused, shown
from reconciliation.mapping import MappingRules
from reconciliation.vocabulary import REFERENCE_COLUMNS

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values

_PLAIN_TEXTS: Final = (
    "text",
    "counterparty",
    "counterparty_account",
    "counterparty_bic",
    "type_code",
    "reason_code",
)
_FIELDS: Final = {column.name: column for column in LINE_SCHEMA}


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Lines of a batch as columns by name, without those that are null throughout, and what statements need of them."""

    rows: Rows
    columns: dict[str, Any]
    amounts: Integers
    booked: Booleans | None  # None: all
    assets: list[str] | str
    days: list[Any]
    accounts: Texts | None
    statement_refs: Texts | None
    balances: Integers | None


class LineColumns:
    """Reads batches of one file by its mapping and its header."""

    def __init__(
        self,
        rules: MappingRules,
        layout: Layout,
        options: ReadOptions,
        *,
        dates: Dates,
        numbers: Numbers,
        fixed_asset: str | None,
    ) -> None:
        self._rules = rules
        self._layout = layout
        self._mask = options.card_tokens.masked
        self._card_token = options.card_tokens.token
        self._dates = dates
        self._numbers = numbers
        self._amounts = AmountColumns(rules, layout, self._numbers)
        self._fixed_asset = fixed_asset
        self._texts = {
            name: [layout[column] for column in columns]
            for name, columns in rules.columns.items()
            if name in _PLAIN_TEXTS or name in REFERENCE_COLUMNS or name in {"native_id", "batch_ref"}
        }
        self._other_refs = {
            name: [layout[column] for column in columns] for name, columns in rules.other_refs.items()
        }
        self._filters = [_filter(row_filter, layout) for row_filter in rules.rows]

    def read(self, cells: Cells) -> Batch | None:
        """The lines of these rows; None if the mapping's row filter leaves none."""
        rows = Rows(cells, self._layout.names)
        for keeps in self._filters:
            rows.keep(keeps(rows))
            if not len(rows):
                return None
        assets = self._assets(rows)
        amounts = self._amounts.read(rows, assets)
        columns: dict[str, Any] = {
            "record_no": rows.row_nos,
            "byte_offset": rows.kept(cells.byte_offsets),
            "byte_length": rows.kept(cells.byte_lengths),
            "amount_minor": amounts.net,
            "asset": assets,
            "kind": self._kinds(rows),
        }
        if amounts.fee_total is not None:
            columns["fee_minor"] = amounts.fee_total
            names = [assets] * len(rows) if isinstance(assets, str) else assets
            columns["fees"] = fees_included(names, **amounts.fees)
        days = self._add_dates(columns, rows)
        self._add_texts(columns, rows)
        self._add_card(columns, rows)
        self._add_original(columns, rows, amounts.net)
        booked = self._add_status(columns, rows)
        balance = self._rules.running_balance
        return Batch(
            rows=rows,
            columns=columns,
            amounts=amounts.net,
            booked=booked,
            assets=assets,
            days=days,
            accounts=self._value(rows, self._rules.statement.account),
            statement_refs=self._value(rows, self._rules.statement.reference),
            balances=None if balance is None else self._amounts.balances(rows, assets, booked),
        )

    def _assets(self, rows: Rows) -> list[str] | str:
        """The currency of every row, or of all."""
        names = self._rules.asset.column
        if self._fixed_asset is not None or names is None:
            return self._fixed_asset or ""
        values = self._rules.asset.values
        index = self._layout[names[0]]
        found = each(
            rows, index, rows.column(index), lambda text, place: asset_of(values.get(text, text), place)
        )
        if None in found:
            place = rows.place(found.index(None), index)
            raise refused("currency", place, "a currency", "nothing")
        assets = [asset for asset in found if asset is not None]
        return assets[0] if assets.count(assets[0]) == len(assets) else assets

    def _kinds(self, rows: Rows) -> list[str] | str:
        kind = self._rules.kind
        if kind.column is None:
            return kind.default or ""
        return translated(rows, self._layout[kind.column], dict(kind.values), kind.default, "kind")

    def _add_status(self, columns: dict[str, Any], rows: Rows) -> Booleans | None:
        status = self._rules.status
        if status is None:
            columns["status"] = "booked"
            return None
        words = translated(rows, self._layout[status.column], dict(status.values), status.default, "status")
        columns["status"] = words
        return np.array([word == "booked" for word in words])

    def _add_dates(self, columns: dict[str, Any], rows: Rows) -> list[Any]:
        names = self._rules.columns
        for name in ("booking_date", "value_date", "settlement_date"):
            if name in names:
                index = self._layout[names[name][0]]
                columns[name] = each(rows, index, rows.column(index), self._dates.day)
        days: list[Any] = columns["booking_date"]
        if None in days:
            index = self._layout[names["booking_date"][0]]
            raise refused("date", rows.place(days.index(None), index), "a day", "nothing")
        if "event_at" in names:
            indexes = [self._layout[name] for name in names["event_at"]]
            texts = kernel.fill_null(joined(rows, indexes, " "), "")
            columns["event_at"] = each(rows, indexes[0], texts, self._dates.instant)
        return days

    def _add_texts(self, columns: dict[str, Any], rows: Rows) -> None:
        for name, indexes in self._texts.items():
            separator = "\n" if name == "text" else "/" if name == "native_id" else " "
            texts = joined(rows, indexes, separator)
            if name not in _PLAIN_TEXTS:
                texts = references(texts)
            columns[name] = masked_column(texts, self._mask)
        if self._other_refs:
            parts = {
                name: masked_column(references(joined(rows, indexes, " ")), self._mask).to_pylist()
                for name, indexes in self._other_refs.items()
            }
            columns["other_refs"] = other_references(**parts)

    def _add_card(self, columns: dict[str, Any], rows: Rows) -> None:
        names = self._rules.columns.get("card_number")
        if names is None:
            return
        index = self._layout[names[0]]
        tokens: list[str | None] = []
        shorts: list[str | None] = []
        for row, text in enumerate(rows.column(index).to_pylist()):
            digits = (text or "").replace(" ", "").replace("-", "")
            if digits and not (digits.isascii() and digits.isdecimal() and 12 <= len(digits) <= 19):
                found = f"{len(digits)} characters that are not that"
                raise refused("structure", rows.place(row, index), "a card number of 12 to 19 digits", found)
            tokens.append(self._card_token(digits) if digits else None)
            shorts.append(truncated(digits) if digits else None)
        columns["card_token"], columns["card_truncated"] = tokens, shorts

    def _add_original(self, columns: dict[str, Any], rows: Rows, net: Integers) -> None:
        original = self._rules.original
        if original is None:
            return
        index = self._layout[original.column]
        texts = rows.column(index).to_pylist()
        assets = self._original_assets(rows)
        signs = np.sign(net).tolist()
        amounts: list[int | None] = []
        for row, (text, asset) in enumerate(zip(texts, assets, strict=True)):
            if not text or asset is None:
                amounts.append(None)
                continue
            minor = abs(self._numbers.minor(text, asset, rows.place(row, index)))
            amounts.append(-minor if signs[row] < 0 else minor)
        columns["original_amount_minor"] = amounts
        columns["original_asset"] = [
            None if amount is None else asset for amount, asset in zip(amounts, assets, strict=True)
        ]
        if original.rate is not None:
            self._add_rate(columns, rows, self._layout[original.rate], original.rate_is)

    def _original_assets(self, rows: Rows) -> list[str | None]:
        original = self._rules.original
        if original is None or original.asset.column is None:
            fixed = original.asset.fixed if original is not None else None
            return [fixed] * len(rows)
        values = original.asset.values
        index = self._layout[original.asset.column[0]]
        return each(
            rows, index, rows.column(index), lambda text, place: asset_of(values.get(text, text), place)
        )

    def _add_rate(self, columns: dict[str, Any], rows: Rows, index: int, direction: str | None) -> None:
        texts: list[str | None] = []
        numerators: list[int | None] = []
        denominators: list[int | None] = []
        for row, text in enumerate(rows.column(index).to_pylist()):
            rate = exact_rate(text)
            if text and rate is None:
                raise refused("amount", rows.place(row, index), "a plain decimal rate", shown(text))
            one, other = rate if rate is not None and direction is not None else (None, None)
            if direction == "original_per_amount":
                one, other = other, one
            texts.append(text or None)
            numerators.append(one)
            denominators.append(other)
        columns["fx_rate"], columns["fx_numerator"], columns["fx_denominator"] = (
            texts,
            numerators,
            denominators,
        )

    def _value(self, rows: Rows, value: Any) -> Texts | None:
        if value is None or value.column is None:
            return None
        return masked_column(joined(rows, [self._layout[name] for name in value.column], " "), self._mask)


def _filter(row_filter: Any, layout: Layout) -> Callable[[Rows], Booleans]:
    index = layout[row_filter.column]
    words = pa.array(row_filter.equals or row_filter.not_equals or ("",), type=pa.string())
    wanted = row_filter.equals is not None or row_filter.empty is True

    def keeps(rows: Rows) -> Booleans:
        found: Booleans = kernel.is_in(rows.column(index), value_set=words).to_numpy(zero_copy_only=False)
        return found if wanted else ~found

    return keeps


def record_batch(batch: Batch, statement_nos: Integers | int) -> pa.RecordBatch:
    """The lines as Arrow knows them."""
    count = len(batch.rows)
    columns = batch.columns | {"statement_no": statement_nos}
    arrays: list[Any] = []
    for name, column in _FIELDS.items():
        values = columns.get(name)
        if values is None and name in {"fee_minor", "reversal"}:
            values = 0 if name == "fee_minor" else False
        if values is None:
            arrays.append(pa.nulls(count, column.type))
        elif isinstance(values, str | int):
            arrays.append(pa.repeat(pa.scalar(values, type=column.type), count))
        elif isinstance(values, pa.Array):
            arrays.append(values)
        else:
            arrays.append(pa.array(values, type=column.type))
    return pa.RecordBatch.from_arrays(arrays, schema=LINE_SCHEMA)


def exact_sum(values: Integers) -> int:
    """Sum of 64-bit integers, however large it gets."""
    high, low = int((values >> 32).sum()), int((values & 0xFFFFFFFF).sum())
    return (high << 32) + low


def fits(total: int, place: str) -> int:
    """A total within 64 bits. Code ``amount``."""
    if abs(total) > MAX_AMOUNT_MINOR:
        raise refused("amount", place, "a sum within 64 bits", "more")
    return total
