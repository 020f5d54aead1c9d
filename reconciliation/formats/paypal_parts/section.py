"""One section of a PayPal report: an account and a period, its rows summed by currency, and what its footers state.

Law: each currency of a section is one statement; one with rows and no footer proves nothing and says so.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Final

from reconciliation.formats.canonical import Statement
from reconciliation.formats.paypal_parts.amounts import within_bounds
from reconciliation.formats.paypal_parts.totals import (
    Demand,
    Footer,
    Part,
    Proved,
    prove_count,
    prove_part,
    read_count,
)
from reconciliation.formats.values import refused

_WHOLE_REPORT: Final = (
    "Fetch the whole report, from RH to FF, by SFTP; an export without footers proves nothing."
)


class Section:
    """What is known of the section in hand."""

    def __init__(self, place: str, account: str | None) -> None:
        self.place = place
        self.account = account
        self.period: tuple[date, date] | None = None
        self.parts: dict[str, Part] = {}
        self.footers: dict[str, Footer] = {}
        self.row_count = 0
        self._counted: Proved | None = None  # of all currencies together

    def count(self, text: str, place: str, demand: Demand) -> None:
        """Prove a count of the section's rows. Codes ``structure``, ``control_total``."""
        proved = prove_count((self.row_count,), read_count(text, place), place, demand)
        if self._counted is None:
            self._counted = Proved()
        self._counted.add(proved)

    def statements(
        self, *, series: str, file_no: int, balance: str, demand: Demand, notes: list[str]
    ) -> Iterator[tuple[int, Statement]]:
        """Number and statement of each currency. Codes ``control_total``, ``balance``, ``amount``, ``structure``."""
        common = self._counted or Proved()
        if self._counted is None and not self.footers and self.row_count:
            found = f"none after {self.row_count} rows"
            refusal = refused(
                "control_total", self.place, "footers of the section (SF, SC)", found, _WHOLE_REPORT
            )
            common.flags.append(demand(refusal))
        for asset, part in self.parts.items():
            proved = Proved(list(common.proofs), list(common.flags))
            footer = self.footers.get(asset)
            if footer is not None:
                proved.add(
                    prove_part(
                        part,
                        rows_of_all=self.row_count,
                        footer=footer,
                        asset=asset,
                        balance=balance,
                        demand=demand,
                    )
                )
            elif self.footers:
                notes.append(f"{self.place}: {asset} has {part.row_count} rows and no footer of its own")
            first, last = self.period or (part.first_date, part.last_date)
            if first is None or last is None:
                raise refused("structure", self.place, "a section header or rows", "neither", _WHOLE_REPORT)
            span = f"{last:%Y%m%d}" if first == last else f"{first:%Y%m%d}-{last:%Y%m%d}"
            reference = f"{series} {span} {self.account or ''} {asset}".replace("  ", " ")
            statement = Statement(
                statement_ref=f"{reference} file {file_no}" if file_no > 1 else reference,
                account=self.account,
                asset=asset,
                sequence_no=None,
                from_date=first,
                to_date=last,
                opening_minor=None,
                closing_minor=None,
                movement_minor=within_bounds(part.movement_minor, f"{self.place}, {asset}"),
                line_count=part.line_count,
                pending_count=part.row_count - part.line_count,
            )
            yield part.statement_no, with_proved(statement, proved, balances=True)


def with_proved(statement: Statement, proved: Proved, *, balances: bool) -> Statement:
    """The statement with what was proved of it, and with the balances if they are its own."""
    return replace(
        statement,
        opening_minor=proved.opening_minor if balances else statement.opening_minor,
        closing_minor=proved.closing_minor if balances else statement.closing_minor,
        proofs=(*statement.proofs, *proved.proofs),
        flags=(*statement.flags, *proved.flags),
    )
