"""How a file that follows no standard is read: what each column means, how its numbers and dates are written, and what
proves the file. Part of ``sources.yaml`` (``mapping`` of a source), read by ``formats.mapped_*``.

Law: nothing is guessed. Decimal mark, sign, date pattern, zone, currency and the proof are said here, or the file is
refused; ``proof: none`` has to be said as well. Opens no file and knows nothing of sources.

A column is named by its header, or by its place from 1 with a number sign before it (``"#3"``). Worked example: with
``decimal_mark: ","``, ``grouping_mark: "."`` and ``negative: [trailing]`` the text 1.234,56- is -123456 minor units.
"""

import re
from typing import Annotated, Final, Literal

from pydantic import Field, model_validator

from reconciliation.mapping_types import (
    AssetCode,
    Block,
    ColumnName,
    ColumnNames,
    DatePattern,
    Delimiter,
    Encoding,
    FeeType,
    KindName,
    OneOrMore,
    StatusName,
    Words,
    Zone,
    near,
)
from reconciliation.vocabulary import OTHER_REFERENCES, REFERENCE_COLUMNS

TEXT_COLUMNS: Final = (
    "native_id",
    "batch_ref",
    "text",
    "counterparty",
    "counterparty_account",
    "counterparty_bic",
    "type_code",
    "reason_code",
    *REFERENCE_COLUMNS,
)
DATE_COLUMNS: Final = ("booking_date", "value_date", "settlement_date", "event_at")
COLUMNS: Final = (*DATE_COLUMNS, *TEXT_COLUMNS, "card_number")
"""Names that ``columns`` may map; amount, asset, kind, status and fees have blocks of their own."""

PROOFS: Final = ("none", "running_balance", "closing_balance", "control_total")


class TableRules(Block):
    """Where the table stands in the file and how its cells are parted."""

    encoding: Encoding = "utf-8"
    delimiter: Delimiter = ","
    quote: Literal['"', "'", "none"] = '"'
    header_row: int | None = Field(
        default=None, ge=0, le=1000
    )  # 0: none; left out: the first with all columns
    skip_rows: int = Field(default=0, ge=0, le=1000)  # rows above a table that has no header
    footer_rows: int = Field(default=0, ge=0, le=1000)  # rows at the end that are no lines
    open_end: bool = False  # the sender does not end the last line, so that a cut file may look whole
    ragged_rows: Literal["refuse", "skip"] = "refuse"  # rows of another width than the header
    list_name: str | None = None  # in JSON: the member of the outer object that holds the rows
    sheet: str | None = None  # of a workbook that has several
    formulas: Literal["refuse", "cached"] = "refuse"  # in a workbook: cells that were calculated
    digits: Literal["exact", "fifteen"] = "exact"  # in a workbook: numbers as stored, or as Excel shows them

    @model_validator(mode="after")
    def _skips(self) -> "TableRules":
        if self.skip_rows and self.header_row != 0:
            raise ValueError("skip_rows goes with header_row: 0; a header says itself where the table begins")
        return self


class Cell(Block):
    """One value outside the rows: in the rows above the table (``header``) or below it (``footer``), both from 1."""

    part: Literal["header", "footer"]
    row: int = Field(ge=1, le=1000)  # row of the file; for a footer, row of the footer
    column: int = Field(ge=1, le=1000)
    after: str = ""  # what stands before the value in the cell
    before: str = ""  # what stands behind it


class Value(Block):
    """One value for every row: from a column, from a cell, or fixed here. Exactly one of the three."""

    column: ColumnNames | None = None
    cell: Cell | None = None
    fixed: str | None = Field(default=None, min_length=1, max_length=200)

    @model_validator(mode="after")
    def _one(self) -> "Value":
        if sum(part is not None for part in (self.column, self.cell, self.fixed)) != 1:
            raise ValueError("needs exactly one of column, cell and fixed")
        return self


class AssetRules(Value):
    """The currency; ``values`` translates what the file writes (``"€": EUR``)."""

    values: dict[str, AssetCode] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _code(self) -> "AssetRules":
        if self.fixed is not None and not re.fullmatch(r"[A-Z]{3}", self.fixed):
            raise ValueError("a fixed currency is an ISO 4217 code such as EUR")
        return self


class KindRules(Block):
    """What kind of line a row is: by the words of a column, else the default."""

    column: ColumnName | None = None
    values: dict[str, KindName] = Field(default_factory=dict)
    default: KindName | None = None

    @model_validator(mode="after")
    def _some(self) -> "KindRules":
        if (self.column is None) != (not self.values) or (self.column is None and self.default is None):
            raise ValueError("needs a column with values, or a default, or both")
        return self


class StatusRules(Block):
    """Whether a row is booked: by the words of a column, else the default. Other words refuse the file."""

    column: ColumnName
    values: dict[str, StatusName] = Field(min_length=1)
    default: StatusName | None = None


class DirectionRules(Block):
    """A column whose words say which way an unsigned amount goes."""

    column: ColumnName
    credit: Words  # raises our balance
    debit: Words

    @model_validator(mode="after")
    def _apart(self) -> "DirectionRules":
        if both := set(self.credit) & set(self.debit):
            raise ValueError(f"{min(both)!r} is both a credit and a debit")
        return self


class AmountRules(Block):
    """One signed column; or one column and a direction; or a column for credits and one for debits."""

    column: ColumnName | None = None
    direction: DirectionRules | None = None
    credit: ColumnName | None = None
    debit: ColumnName | None = None
    debit_signed: bool = False  # the debit column writes its amounts negative
    unit: Literal["major", "minor"] = "major"
    flip_sign: bool = False  # the file speaks from the other side
    is_gross: bool = False  # the fees named here are still to be taken off

    @model_validator(mode="after")
    def _shape(self) -> "AmountRules":
        split = self.credit is not None or self.debit is not None
        if split == (self.column is not None) or (split and (self.credit is None or self.debit is None)):
            raise ValueError("needs column, or both credit and debit")
        if split and self.direction is not None:
            raise ValueError("direction goes with column; credit and debit say it themselves")
        if self.debit_signed and not split:
            raise ValueError("debit_signed goes with credit and debit")
        return self


class NumberRules(Block):
    """How amounts are written. What is not said here is refused."""

    decimal_mark: Literal[".", ","] = "."
    grouping_mark: Literal["", ".", ",", "'", " ", "\u00a0", "\u202f", "\u2019"] = ""
    negative: Annotated[tuple[Literal["leading", "trailing", "parentheses"], ...], OneOrMore] = ("leading",)
    plus: bool = False  # a positive amount may have a plus where a negative one has a minus
    affixes: Annotated[tuple[str, ...], OneOrMore] = ()  # such as "$" or "EUR", taken off

    @model_validator(mode="after")
    def _marks(self) -> "NumberRules":
        if self.decimal_mark == self.grouping_mark:
            raise ValueError("decimal mark and grouping mark are the same")
        if "leading" in self.negative and "trailing" in self.negative and self.plus:
            raise ValueError("plus with minus both before and behind is ambiguous")
        for affix in self.affixes:
            if not affix.strip() or re.search(r"[0-9.,+()\-]", affix):
                raise ValueError(f"{affix!r} could be a part of the number itself")
        return self


class DateRules(Block):
    """How dates and times are written; each value has one meaning by them. ``event_patterns``: of event_at."""

    patterns: Annotated[tuple[DatePattern, ...], OneOrMore, Field(min_length=1, max_length=8)]
    event_patterns: Annotated[tuple[DatePattern, ...], OneOrMore, Field(max_length=8)] = ()
    time_zone: Zone | None = None  # of times without an offset, and of days by local_day
    local_day: bool = False  # days of instants are those of time_zone, not as written

    @model_validator(mode="after")
    def _zone(self) -> "DateRules":
        if self.local_day and self.time_zone is None:
            raise ValueError("local_day needs a time_zone")
        return self


class FeeRules(Block):
    """A column of fees in the currency of the amount."""

    column: ColumnName
    type: FeeType = "processing"
    paid_is: Literal["positive", "negative"] = "positive"  # sign of a fee that we paid


class OriginalRules(Block):
    """What the customer paid, in another currency; its sign follows the amount."""

    column: ColumnName
    asset: AssetRules
    rate: ColumnName | None = None
    rate_is: Literal["amount_per_original", "original_per_amount"] | None = None


class RunningBalance(Block):
    """A column with the balance after each row, the oldest row first (ascending) or last (descending)."""

    column: ColumnName
    order: Literal["ascending", "descending"]


class TotalRules(Block):
    """Totals that the file states of its rows."""

    count: Cell | None = None
    net: Cell | None = None
    credits: Cell | None = None
    debits: Cell | None = None
    debits_signed: bool = False  # the total of debits is written negative


class StatementRules(Block):
    """What makes one statement, besides account and currency, and what it is called."""

    per: Literal["file", "day"] = "file"
    reference: Value | None = None  # left out: account, currency and days
    account: Value | None = None
    from_date: Cell | None = None
    to_date: Cell | None = None


class RowFilter(Block):
    """Rows that are lines: those whose column is (or is not) one of these words, or is empty (or not)."""

    column: ColumnName
    equals: Words | None = None
    not_equals: Words | None = None
    empty: bool | None = None

    @model_validator(mode="after")
    def _one(self) -> "RowFilter":
        if sum(part is not None for part in (self.equals, self.not_equals, self.empty)) != 1:
            raise ValueError("needs exactly one of equals, not_equals and empty")
        return self


class MappingRules(Block):
    """One layout. The proofs named in ``proof`` are demanded of every file."""

    proof: Annotated[
        tuple[Literal["none", "running_balance", "closing_balance", "control_total"], ...],
        OneOrMore,
        Field(min_length=1),
    ]
    table: TableRules = TableRules()
    columns: dict[str, ColumnNames]
    other_refs: dict[str, ColumnNames] = Field(default_factory=dict)
    amount: AmountRules
    numbers: NumberRules = NumberRules()
    dates: DateRules
    asset: AssetRules
    kind: KindRules = KindRules(default="transfer")
    status: StatusRules | None = None
    fees: tuple[FeeRules, ...] = Field(default=(), max_length=20)
    original: OriginalRules | None = None
    running_balance: RunningBalance | None = None
    opening: Cell | None = None
    closing: Cell | None = None
    totals: TotalRules | None = None
    statement: StatementRules = StatementRules()
    rows: tuple[RowFilter, ...] = ()

    @model_validator(mode="after")
    def _known_columns(self) -> "MappingRules":
        for name in self.columns:
            if name not in COLUMNS:
                raise ValueError(f"columns: {name!r} is no column of a line{near(name, COLUMNS)}")
        for name in self.other_refs:
            if name not in OTHER_REFERENCES:
                raise ValueError(f"other_refs: {name!r} is no reference{near(name, OTHER_REFERENCES)}")
        if "booking_date" not in self.columns:
            raise ValueError("columns: booking_date is required and missing")
        for name in (*DATE_COLUMNS, "card_number"):
            if len(self.columns.get(name, ())) > 1 and name != "event_at":
                raise ValueError(f"columns: {name} comes from one column")
        if self.amount.is_gross and not self.fees:
            raise ValueError("amount: is_gross needs fees")
        return self

    @model_validator(mode="after")
    def _provable(self) -> "MappingRules":
        if "none" in self.proof and len(self.proof) > 1:
            raise ValueError("proof: none stands alone")
        if len(set(self.proof)) < len(self.proof):
            raise ValueError("proof: each once")
        if "running_balance" in self.proof and self.running_balance is None:
            raise ValueError("proof: running_balance needs the running_balance block")
        if "closing_balance" in self.proof and (self.opening is None or self.closing is None):
            raise ValueError("proof: closing_balance needs opening and closing")
        if "control_total" in self.proof and (self.totals is None or self.totals == TotalRules()):
            raise ValueError("proof: control_total needs totals")
        for name, block in (("running_balance", self.running_balance), ("control_total", self.totals)):
            if block is not None and name not in self.proof:
                raise ValueError(
                    f"proof: {name} is described, and not demanded; name it or drop the description"
                )
        both = self.opening is not None and self.closing is not None
        if both and "closing_balance" not in self.proof:
            raise ValueError("proof: opening and closing are described, and closing_balance is not demanded")
        if self.asset.cell is not None and self.asset.cell.part == "footer":
            raise ValueError("asset: the currency has to stand above the rows, not below")
        one = (self.opening, self.closing, self.totals)
        if any(part is not None for part in one) and self.statement.per != "file":
            raise ValueError("statement: balances and totals of the file go with per: file")
        footers = [cell.row for cell in self._cells() if cell.part == "footer"]
        if footers and max(footers) > self.table.footer_rows:
            raise ValueError(
                f"table: footer_rows is {self.table.footer_rows}, and row {max(footers)} of it is used"
            )
        return self

    def _cells(self) -> list[Cell]:
        totals = self.totals or TotalRules()
        statement = self.statement
        values = (statement.reference, statement.account, self.asset)
        cells = (
            self.opening,
            self.closing,
            totals.count,
            totals.net,
            totals.credits,
            totals.debits,
            statement.from_date,
            statement.to_date,
            *(value.cell for value in values if value is not None),
        )
        return [cell for cell in cells if cell is not None]

    @model_validator(mode="after")
    def _findable(self) -> "MappingRules":
        booking = self.columns.get("booking_date", ("",))[0]
        if booking.startswith("#") and self.table.header_row is None:
            raise ValueError(
                "table: columns named by their place need header_row (0 for a table without header)"
            )
        return self

    @property
    def header_rows_used(self) -> int:
        """The last row above the table that a value comes from."""
        return max((cell.row for cell in self._cells() if cell.part == "header"), default=0)


MAPPING_MODELS: Final = (
    MappingRules,
    TableRules,
    Cell,
    AssetRules,
    KindRules,
    StatusRules,
    DirectionRules,
    AmountRules,
    NumberRules,
    DateRules,
    FeeRules,
    OriginalRules,
    RunningBalance,
    TotalRules,
    StatementRules,
    RowFilter,
)
"""Every block of a mapping: for whoever names the nearest known key."""
