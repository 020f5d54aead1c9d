"""The statements of a mapped file: one per account and currency, and per day or reference where the mapping says so;
and the proofs that it demands.

Law: running balance: each row's balance is the one before it plus the row's amount. Closing balance: opening + all
booked rows = closing. Control total: count and sums as the file states them. Memory holds sums, never rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np

from ledger_core.money import exponent_of, format_minor
from reconciliation.formats.canonical import ReadOptions, Statement
from reconciliation.formats.mapped_parts.lines import Batch, exact_sum, fits
from reconciliation.formats.mapped_parts.numbers import Integers
from reconciliation.formats.values import difference_in_words, refused
from reconciliation.mapping import MappingRules

_STATEMENTS_MAX: Final = 20_000
_REMEDY: Final = "Ask the sender for the file again; if the layout is another one, change the mapping."

_Key = tuple[str | None, str, date | None, str | None]  # account, asset, day, reference


@dataclass(slots=True)
class Part:
    """What one statement adds up to."""

    key: _Key
    statement_no: int
    first_day: date
    last_day: date
    movement_minor: int = 0
    line_count: int = 0
    row_count: int = 0
    credit_minor: int = 0
    debit_minor: int = 0
    first: tuple[int, int] | None = None  # balance and amount of the first booked row of the file's order
    last: tuple[int, int] | None = None


@dataclass(slots=True)
class _Chain:
    """The last booked row of an account and currency; what broke, if a person waived it."""

    balance: int
    amount: int
    flag: str | None = None


class StatementSums:
    """Sums while the batches go by."""

    def __init__(
        self, rules: MappingRules, options: ReadOptions, *, account: str | None, reference: str | None
    ) -> None:
        self.parts: dict[_Key, Part] = {}
        self.chains: dict[tuple[str | None, str], _Chain] = {}
        self._per_day = rules.statement.per == "day"
        self._balance = rules.running_balance
        self._demand = options.demand
        self._account = account
        self._reference = reference

    def add(self, batch: Batch) -> Integers | int:
        """Number of the statement of each row, or of all of them. Codes ``balance``, ``limit``."""
        if batch.balances is not None:
            for key, places in self._groups(batch, chains=True):
                self._follow(batch, (key[0], key[1]), places)
        numbers: Integers | None = None
        number = 0
        for key, places in self._groups(batch, chains=False):
            number = self._count(batch, key, places)
            if places is not None:
                if numbers is None:
                    numbers = np.zeros(len(batch.rows), dtype=np.int64)
                numbers[places] = number
        return number if numbers is None else numbers

    def _groups(self, batch: Batch, *, chains: bool) -> Iterator[tuple[_Key, Integers | None]]:
        """Each key in order of appearance with the places of its rows; no places where all rows have the one key."""
        one: list[Any] = [self._account, batch.assets, None, self._reference]
        many: list[tuple[int, list[Any]]] = []
        if batch.accounts is not None:
            many.append((0, batch.accounts.to_pylist()))
        if not isinstance(batch.assets, str):
            many.append((1, batch.assets))
        if self._per_day and not chains:
            many.append((2, batch.days))
        if batch.statement_refs is not None and not chains:
            many.append((3, batch.statement_refs.to_pylist()))
        varied = [(index, values) for index, values in many if values.count(values[0]) != len(values)]
        for index, values in many:
            one[index] = values[0]
        if not varied:
            yield (one[0], one[1], one[2], one[3]), None
            return
        groups: dict[tuple[Any, ...], list[int]] = {}
        for place, parts in enumerate(zip(*(values for _, values in varied), strict=True)):
            groups.setdefault(parts, []).append(place)
        for parts, places in groups.items():
            key = list(one)
            for (index, _), part in zip(varied, parts, strict=True):
                key[index] = part
            yield (key[0], key[1], key[2], key[3]), np.array(places, dtype=np.int64)

    def _follow(self, batch: Batch, key: tuple[str | None, str], places: Integers | None) -> None:
        """Check the running balance of the booked rows of an account and currency against the row before each."""
        if batch.balances is None or self._balance is None:
            return
        places = _booked(batch, places)
        if not len(places):
            return
        balances, amounts = batch.balances[places], batch.amounts[places]
        chain = self.chains.get(key)
        rows = batch.rows.row_nos[places]
        if chain is not None:
            if chain.flag is not None:
                return
            balances, amounts = np.append(chain.balance, balances), np.append(chain.amount, amounts)
            rows = np.append(rows[0], rows)
        steps = np.diff(balances)
        ascending = self._balance.order == "ascending"
        wrong = steps != amounts[1:] if ascending else -steps != amounts[:-1]
        self.chains[key] = _Chain(int(balances[-1]), int(amounts[-1]))
        if wrong.any():
            at = int(np.argmax(wrong)) + 1
            before, found = int(balances[at - 1]), int(balances[at])
            expected = before + int(amounts[at]) if ascending else before - int(amounts[at - 1])
            exponent = exponent_of(key[1])
            refusal = refused(
                "balance",
                f"row {rows[at]}, column {self._balance.column!r}",
                f"{format_minor(expected, exponent)} {key[1]} after {format_minor(before, exponent)} before it",
                f"{format_minor(found, exponent)}, {difference_in_words(expected, found, key[1])}",
                _REMEDY,
            )
            self.chains[key].flag = self._demand(refusal)

    def _count(self, batch: Batch, key: _Key, places: Integers | None) -> int:
        days = batch.days if places is None else [batch.days[place] for place in places.tolist()]
        part = self.parts.get(key)
        count = len(days)
        if part is None:
            if len(self.parts) >= _STATEMENTS_MAX:
                raise refused("limit", "statements", f"at most {_STATEMENTS_MAX} in a file", "more", _REMEDY)
            part = self.parts[key] = Part(key, len(self.parts), days[0], days[0])
        days = [*days, part.first_day, part.last_day]
        part.first_day, part.last_day = min(days), max(days)
        part.row_count += count
        booked = _booked(batch, places)
        amounts = batch.amounts if places is None and batch.booked is None else batch.amounts[booked]
        part.line_count += len(amounts)
        part.movement_minor += exact_sum(amounts)
        part.credit_minor += exact_sum(amounts[amounts > 0])
        part.debit_minor -= exact_sum(amounts[amounts < 0])
        if batch.balances is not None and len(booked):
            first, last = booked[0], booked[-1]
            if part.first is None:
                part.first = int(batch.balances[first]), int(batch.amounts[first])
            part.last = int(batch.balances[last]), int(batch.amounts[last])
        return part.statement_no


def _booked(batch: Batch, places: Integers | None) -> Integers:
    """Places of the booked rows among these."""
    if places is None:
        return np.arange(len(batch.rows)) if batch.booked is None else np.flatnonzero(batch.booked)
    return places if batch.booked is None else places[batch.booked[places]]


def statement_of(
    part: Part, rules: MappingRules, account: str | None, period: tuple[date, date]
) -> Statement:
    """The statement of a part, without proofs and balances yet."""
    _, asset, day, reference = part.key
    first, last = period
    if reference is None:
        span = f"{first:%Y%m%d}" if first == last else f"{first:%Y%m%d}-{last:%Y%m%d}"
        reference = " ".join(word for word in (account, asset, span) if word)
    else:
        reference += f" {asset}" if rules.asset.column is not None else ""
        reference += f" {day:%Y%m%d}" if day is not None else ""
    return Statement(
        statement_ref=reference,
        account=account,
        asset=asset,
        sequence_no=None,
        from_date=first,
        to_date=last,
        opening_minor=None,
        closing_minor=None,
        movement_minor=fits(part.movement_minor, f"all rows in {asset}"),
        line_count=part.line_count,
        pending_count=part.row_count - part.line_count,
    )
