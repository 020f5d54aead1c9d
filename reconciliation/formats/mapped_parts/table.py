"""Reads a table by a mapping, whatever kind of file it came in: the part that ``mapped.csv``, ``mapped.parquet``,
``mapped.xlsx`` and ``mapped.json`` share.

Law: the mapping is required, its columns are all there, and every row is a line, is left out by the mapping's own
filter, or refuses the file. Memory holds one batch and the sums.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from reconciliation.errors import RefusedFile, SourcesError
from reconciliation.formats.canonical import Emit, ParsedDelivery, ReadOptions
from reconciliation.formats.mapped_parts.cells import Cells
from reconciliation.formats.mapped_parts.dates import Dates
from reconciliation.formats.mapped_parts.layout import Layout, Surroundings, names_used
from reconciliation.formats.mapped_parts.lines import LineColumns, record_batch
from reconciliation.formats.mapped_parts.numbers import Numbers
from reconciliation.formats.mapped_parts.proofs import Closing
from reconciliation.formats.mapped_parts.statements import StatementSums
from reconciliation.formats.values import asset_of, refused
from reconciliation.mapping import MappingRules, Value


class Table(Protocol):
    """What a kind of file offers: the header first, then the rows, then what stands below them."""

    typed_dates: bool  # whether it knows dates as such, and gives them as ISO 8601
    typed_numbers: bool  # whether it knows numbers as such, and gives them with a minus before them

    def header(self) -> tuple[Sequence[str | None], Mapping[int, Sequence[str | None]], str]:
        """Names of the columns, the rows above them by number, and where the names stand."""
        ...

    def batches(self) -> Iterator[Cells]:
        """The rows."""
        ...

    def footer(self) -> Sequence[Sequence[str | None]]:
        """The rows below, once all rows are read."""
        ...

    def notes(self) -> tuple[str, ...]:
        """What was tolerated."""
        ...


def rules_of(options: ReadOptions, name: str) -> MappingRules:
    """The mapping, which these formats cannot do without. ``SourcesError`` if there is none, or settings."""
    if options.settings:
        raise SourcesError(
            tuple(f"settings of {name}: {key} is not known" for key in sorted(options.settings))
        )
    if options.mapping is None:
        raise SourcesError((f"format {name}: needs a mapping, which says what the columns mean; found none",))
    return options.mapping


def no_cells_around(rules: MappingRules, name: str) -> None:
    """``SourcesError`` for a mapping with values beside the rows, where a kind of file has nothing there."""
    if rules.table.footer_rows or rules.header_rows_used:
        raise SourcesError(
            (f"format {name}: its files have rows only; found cells or footer rows in the mapping",)
        )


def read_table(
    table: Table, rules: MappingRules, options: ReadOptions, emit: Emit, *, name: str
) -> ParsedDelivery:
    """Read and prove a table, or raise ``RefusedFile``."""
    try:
        return _read(table, rules, options, emit, name)
    except RefusedFile as refusal:
        masked = options.card_tokens.masked
        place, expected, found = map(masked, (refusal.place, refusal.expected, refusal.found))
        raise refused(refusal.code, place, expected, found, refusal.remedy) from None


def _read(table: Table, rules: MappingRules, options: ReadOptions, emit: Emit, name: str) -> ParsedDelivery:
    names, above, place = table.header()
    layout = Layout(names, names_used(rules), place)
    around = Surroundings(above)
    fixed_asset = _fixed_asset(rules, around)
    account, reference = (
        _value(value, around, footer=False, options=options)
        for value in (rules.statement.account, rules.statement.reference)
    )
    dates = Dates(rules.dates, typed=table.typed_dates)
    numbers = Numbers(rules.numbers, unit=rules.amount.unit, typed=table.typed_numbers)
    lines = LineColumns(rules, layout, options, dates=dates, numbers=numbers, fixed_asset=fixed_asset)
    sums = StatementSums(rules, options, account=account, reference=reference)
    left_out = 0
    for cells in table.batches():
        batch = lines.read(cells)
        kept = 0 if batch is None else len(batch.rows)
        left_out += len(cells.row_nos) - kept
        if batch is not None:
            emit(record_batch(batch, sums.add(batch)))
    around.footer = table.footer()
    if account is None:
        account = _value(rules.statement.account, around, footer=True, options=options)
    closing = Closing(rules, options, around, dates=dates, numbers=numbers)
    statements = closing.statements(sums, fixed_asset=fixed_asset, account=account)
    notes = table.notes()
    if left_out:
        notes += (f"{left_out} rows left out by the mapping's row filter",)
    if "none" in rules.proof:
        notes += ("nothing proves this file; its mapping says proof: none",)
    return ParsedDelivery(
        format_name=name,
        format_version="mapping",
        file_reference=None,
        test_mode=False,
        statements=statements,
        notes=notes,
    )


def _fixed_asset(rules: MappingRules, around: Surroundings) -> str | None:
    if rules.asset.column is not None:
        return None
    if rules.asset.cell is None:
        return asset_of(rules.asset.fixed, "the mapping, asset")
    text = around.text(rules.asset.cell)
    place = f"header row {rules.asset.cell.row}, cell {rules.asset.cell.column}"
    return asset_of(rules.asset.values.get(text, text), place)


def _value(value: Value | None, around: Surroundings, *, footer: bool, options: ReadOptions) -> str | None:
    """A value that is the same for all rows, as far as it is known yet."""
    if value is None:
        return None
    if value.cell is not None and (value.cell.part == "footer") == footer:
        return options.card_tokens.masked(around.text(value.cell))
    return value.fixed
