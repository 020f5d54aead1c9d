"""Mappings and small files for the tests of mapped sources; shares nothing with the readers but the public types."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest

from reconciliation.errors import RefusedFile
from reconciliation.formats import mapped_csv
from reconciliation.formats.canonical import Format, ReadOptions, WholeDelivery, read_whole
from reconciliation.mapping import MappingRules
from tests.reconciliation.formats.camt_builder import OPTIONS

WAIVE_ALL = frozenset({"balance", "control_total", "sequence"})

PLAIN: dict[str, Any] = {
    "proof": "none",
    "table": {"open_end": True},
    "columns": {"booking_date": "Day"},
    "amount": {"column": "Amount"},
    "dates": {"patterns": "%Y-%m-%d"},
    "asset": {"fixed": "EUR"},
}

FOOTED = (
    "Opening,100.00,,\nDay,Amount,,\n2026-11-16,25.00,,\n2026-11-16,-5.00,,\n"
    "Rows,2,net,20.00\nin 25.00,out 5.00,Closing,120.00\n"
)
FOOTED_RULES: dict[str, Any] = {
    "proof": ["closing_balance", "control_total"],
    "table": {"footer_rows": 2},
    "opening": {"part": "header", "row": 1, "column": 2},
    "closing": {"part": "footer", "row": 2, "column": 4},
    "totals": {
        "count": {"part": "footer", "row": 1, "column": 2},
        "net": {"part": "footer", "row": 1, "column": 4},
        "credits": {"part": "footer", "row": 2, "column": 1, "after": "in"},
        "debits": {"part": "footer", "row": 2, "column": 2, "after": "out"},
    },
}


def rules(*changes: Mapping[str, Any]) -> MappingRules:
    """The plain mapping with blocks put in place of its own; table and columns are merged."""
    merged: dict[str, Any] = dict(PLAIN)
    for change in changes:
        for key, value in change.items():
            merged[key] = {**merged.get(key, {}), **value} if key in {"table", "columns"} else value
    return MappingRules.model_validate(merged)


def options(mapping: MappingRules, waived: frozenset[str] = frozenset()) -> ReadOptions:
    return replace(OPTIONS, mapping=mapping, waived=waived)


def read(
    content: bytes | str,
    *changes: Mapping[str, Any],
    reader: Format = mapped_csv,
    waived: frozenset[str] = frozenset(),
) -> WholeDelivery:
    data = content.encode() if isinstance(content, str) else content
    return read_whole(reader, io.BytesIO(data), options(rules(*changes), waived))


def refusal(
    content: bytes | str,
    *changes: Mapping[str, Any],
    reader: Format = mapped_csv,
    waived: frozenset[str] = frozenset(),
) -> RefusedFile:
    with pytest.raises(RefusedFile) as caught:
        read(content, *changes, reader=reader, waived=waived)
    return caught.value


def dropped(batch: pa.RecordBatch) -> None:
    """Takes lines that no test looks at."""


def minors(whole: WholeDelivery) -> list[int]:
    """Amounts of the lines."""
    return whole.lines.column("amount_minor").to_pylist()


def parquet(columns: Mapping[str, Any], *, row_group_size: int | None = None) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pa.table(dict(columns)), sink, row_group_size=row_group_size)
    return sink.getvalue()


MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
RELATIONS = 'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"'


def cell(reference: str, value: str, *, kind: str = "n", style: int = 0) -> str:
    """A cell as a workbook writes it; ``inlineStr`` holds its own text."""
    if kind == "inlineStr":
        return f'<c r="{reference}" t="inlineStr"><is><t>{value}</t></is></c>'
    return f'<c r="{reference}" t="{kind}" s="{style}"><v>{value}</v></c>'


def sheet(*rows: Sequence[str], prolog: str = "") -> str:
    body = "".join(
        f'<row r="{number}">{"".join(cells)}</row>' for number, cells in enumerate(rows, 1) if cells
    )
    return f'<?xml version="1.0"?>{prolog}<worksheet {MAIN}><sheetData>{body}</sheetData></worksheet>'


def workbook(
    *sheets: str,
    texts: Sequence[str] = (),
    formats: Sequence[str] = (),
    workbook_settings: str = "",
    more: Mapping[str, bytes] | None = None,
) -> bytes:
    """A package with sheets Sheet1, Sheet2, ...; style n + 1 of a cell has the n-th of the number formats."""
    sink = io.BytesIO()
    listed = "".join(
        f'<sheet name="Sheet{number}" sheetId="{number}" r:id="rId{number}"/>'
        for number in range(1, len(sheets) + 1)
    )
    related = "".join(
        f'<Relationship Id="rId{number}" Target="worksheets/sheet{number}.xml"/>'
        for number in range(1, len(sheets) + 1)
    )
    codes = "".join(f'<numFmt numFmtId="{164 + at}" formatCode="{code}"/>' for at, code in enumerate(formats))
    styles = "".join(f'<xf numFmtId="{164 + at}"/>' for at in range(len(formats)))
    shared = "".join(f"<si><t>{text}</t></si>" for text in texts)
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr(
            "xl/workbook.xml",
            f"<workbook {MAIN} {RELATIONS}>{workbook_settings}<sheets>{listed}</sheets></workbook>",
        )
        package.writestr("xl/_rels/workbook.xml.rels", f"<Relationships>{related}</Relationships>")
        package.writestr(
            "xl/styles.xml",
            f'<styleSheet {MAIN}><numFmts>{codes}</numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
            f'<cellXfs><xf numFmtId="0"/>{styles}</cellXfs></styleSheet>',
        )
        package.writestr("xl/sharedStrings.xml", f"<sst {MAIN}>{shared}</sst>")
        for number, content in enumerate(sheets, 1):
            package.writestr(f"xl/worksheets/sheet{number}.xml", content)
        for name, data in (more or {}).items():
            package.writestr(name, data)
    return sink.getvalue()
