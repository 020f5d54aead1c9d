"""Closes the statements of a mapped file with the proofs that its mapping demands, and with their balances.

Law: what the mapping names is demanded of every file; a failed proof refuses the file, or, waived by a person, leaves
its figures as a flag and takes the balances away.
"""

from dataclasses import replace
from datetime import date
from typing import Final

from ledger_core.money import exponent_of, format_minor
from reconciliation.formats.canonical import ReadOptions, Statement
from reconciliation.formats.mapped_parts.dates import Dates
from reconciliation.formats.mapped_parts.layout import Surroundings
from reconciliation.formats.mapped_parts.numbers import BLANKS, Numbers
from reconciliation.formats.mapped_parts.statements import Part, StatementSums, statement_of
from reconciliation.formats.values import difference_in_words, refused, shown
from reconciliation.mapping import Cell, MappingRules

_REMEDY: Final = "Ask the sender for the file again; if the layout is another one, change the mapping."
_COUNT_LENGTH_MAX: Final = 12


class Closing:
    """Proves statements once all rows are read."""

    def __init__(
        self,
        rules: MappingRules,
        options: ReadOptions,
        around: Surroundings,
        *,
        dates: Dates,
        numbers: Numbers,
    ) -> None:
        self._rules = rules
        self._demand = options.demand
        self._around = around
        self._dates = dates
        self._numbers = numbers

    def statements(
        self, sums: StatementSums, *, fixed_asset: str | None, account: str | None
    ) -> tuple[Statement, ...]:
        """Every statement in the order of its first row. Codes ``balance``, ``control_total``, ``sequence``, ..."""
        period = self._period()
        parts = list(sums.parts.values())
        if not parts and fixed_asset is not None and period is not None:
            parts = [Part((account, fixed_asset, None, None), 0, *period)]
        if len(parts) > 1 and (self._rules.opening or self._rules.closing or self._rules.totals):
            expected = "rows of one account and one currency beside balances or totals of the file"
            raise refused("structure", "statements", expected, f"{len(parts)} of them", _REMEDY)
        return tuple(self._closed(part, sums, period, account) for part in parts)

    def _closed(
        self, part: Part, sums: StatementSums, period: tuple[date, date] | None, account: str | None
    ) -> Statement:
        of_file = period if part.key[2] is None else None
        own = part.key[0] if part.key[0] is not None else account
        statement = statement_of(part, self._rules, own, of_file or (part.first_day, part.last_day))
        if self._rules.running_balance is not None:
            statement = self._with_running_balance(statement, part, sums)
        if self._rules.opening is not None or self._rules.closing is not None:
            statement = self._with_balances(statement)
        if self._rules.totals is not None:
            statement = self._with_totals(statement, part)
        return statement

    def _period(self) -> tuple[date, date] | None:
        begin, end = self._rules.statement.from_date, self._rules.statement.to_date
        if begin is None and end is None:
            return None
        days = [self._day(cell) for cell in (begin, end) if cell is not None]
        if days[0] > days[-1]:
            place = "the period of the file"
            raise refused("date", place, f"an end after {days[0]}", f"{days[-1]}", _REMEDY)
        return days[0], days[-1]

    def _day(self, cell: Cell) -> date:
        return self._dates.day(self._around.text(cell), _place(cell))

    def _minor(self, cell: Cell, asset: str) -> int:
        minor = self._numbers.minor(self._around.text(cell), asset, _place(cell))
        return -minor if self._rules.amount.flip_sign else minor

    def _with_running_balance(self, statement: Statement, part: Part, sums: StatementSums) -> Statement:
        chain = sums.chains.get((part.key[0], part.key[1]))
        if chain is None or part.first is None or part.last is None:
            return statement
        if chain.flag is not None:
            return replace(statement, flags=(*statement.flags, chain.flag))
        ascending = (
            self._rules.running_balance is not None and self._rules.running_balance.order == "ascending"
        )
        oldest, newest = (part.first, part.last) if ascending else (part.last, part.first)
        opening, closing = oldest[0] - oldest[1], newest[0]
        exponent, asset = exponent_of(statement.asset), statement.asset
        figures = [format_minor(minor, exponent) for minor in (opening, statement.movement_minor, closing)]
        words = f"{figures[0]} + {figures[1]} = {figures[2]} {asset}"
        if opening + statement.movement_minor != closing:
            refusal = refused(
                "sequence",
                f"statement {statement.statement_ref}",
                "its rows one after the other, so that they lead from its first balance to its last",
                f"{figures[0]} + {figures[1]} beside {figures[2]} {asset}",
                _REMEDY,
            )
            return replace(statement, flags=(*statement.flags, self._demand(refusal)))
        proof = f"running balance of {part.line_count} rows: {words}"
        return replace(
            statement, opening_minor=opening, closing_minor=closing, proofs=(*statement.proofs, proof)
        )

    def _with_balances(self, statement: Statement) -> Statement:
        rules, asset = self._rules, statement.asset
        opening = None if rules.opening is None else self._minor(rules.opening, asset)
        closing = None if rules.closing is None else self._minor(rules.closing, asset)
        if opening is None or closing is None:
            return self._with_one_balance(statement, opening, closing)
        exponent = exponent_of(asset)
        reached = opening + statement.movement_minor
        told = (statement.opening_minor, statement.closing_minor)
        if reached == closing and told in {(None, None), (opening, closing)}:
            figures = [
                format_minor(minor, exponent) for minor in (opening, statement.movement_minor, closing)
            ]
            proof = f"opening {figures[0]} + rows {figures[1]} = closing {figures[2]} {asset}"
            return replace(
                statement, opening_minor=opening, closing_minor=closing, proofs=(*statement.proofs, proof)
            )
        refusal = refused(
            "balance",
            _place(rules.closing) if rules.closing is not None else "closing balance",
            f"{format_minor(closing, exponent)} {asset}",
            f"{format_minor(reached, exponent)} by the rows, {difference_in_words(closing, reached, asset)}",
            _REMEDY,
        )
        flag = self._demand(refusal)
        return replace(statement, opening_minor=None, closing_minor=None, flags=(*statement.flags, flag))

    def _with_one_balance(self, statement: Statement, opening: int | None, closing: int | None) -> Statement:
        """One balance proves nothing alone; beside a running balance it must be the same."""
        exponent, asset = exponent_of(statement.asset), statement.asset
        for told, running, cell in (
            (opening, statement.opening_minor, self._rules.opening),
            (closing, statement.closing_minor, self._rules.closing),
        ):
            if told is None or running is None or cell is None or told == running:
                continue
            expected = f"{format_minor(running, exponent)} {asset} by the running balance"
            refusal = refused("balance", _place(cell), expected, format_minor(told, exponent), _REMEDY)
            flags = (*statement.flags, self._demand(refusal))
            return replace(statement, opening_minor=None, closing_minor=None, flags=flags)
        return replace(
            statement,
            opening_minor=statement.opening_minor if opening is None else opening,
            closing_minor=statement.closing_minor if closing is None else closing,
        )

    def _with_totals(self, statement: Statement, part: Part) -> Statement:
        totals = self._rules.totals
        if totals is None:
            return statement
        if totals.count is not None:
            statement = self._with_count(statement, totals.count, part.row_count)
        credit_minor, debit_minor = part.credit_minor, part.debit_minor
        if self._rules.amount.flip_sign:
            credit_minor, debit_minor = debit_minor, credit_minor
        for name, cell, found in (
            ("net", totals.net, statement.movement_minor),
            ("credits", totals.credits, credit_minor),
            ("debits", totals.debits, -debit_minor if totals.debits_signed else debit_minor),
        ):
            if cell is not None:
                statement = self._with_sum(statement, name, cell, found)
        return statement

    def _with_sum(self, statement: Statement, name: str, cell: Cell, found: int) -> Statement:
        asset, exponent = statement.asset, exponent_of(statement.asset)
        expected = self._numbers.minor(self._around.text(cell), asset, _place(cell))
        if self._rules.amount.flip_sign and name == "net":
            expected = -expected
        if expected == found:
            proof = f"{name} {format_minor(found, exponent)} {asset} as the file states"
            return replace(statement, proofs=(*statement.proofs, proof))
        refusal = refused(
            "control_total",
            f"{_place(cell)} ({name})",
            f"{format_minor(expected, exponent)} {asset}",
            f"{format_minor(found, exponent)} in the rows, {difference_in_words(expected, found, asset)}",
            _REMEDY,
        )
        return replace(statement, flags=(*statement.flags, self._demand(refusal)))

    def _with_count(self, statement: Statement, cell: Cell, found: int) -> Statement:
        text = self._around.text(cell).strip(BLANKS)
        if not (text.isascii() and text.isdecimal() and len(text) <= _COUNT_LENGTH_MAX):
            raise refused("structure", _place(cell), "a number of rows", shown(text), _REMEDY)
        if int(text) == found:
            return replace(statement, proofs=(*statement.proofs, f"{found} rows as the file states"))
        refusal = refused("control_total", f"{_place(cell)} (count)", f"{text} rows", f"{found}", _REMEDY)
        return replace(statement, flags=(*statement.flags, self._demand(refusal)))


def _place(cell: Cell) -> str:
    return f"{cell.part} row {cell.row}, cell {cell.column}"
