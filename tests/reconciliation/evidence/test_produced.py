"""What leaves the house can be proved by whoever has the file, and no text in it is ever run."""

import csv
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import openpyxl
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciliation.evidence import independent
from reconciliation.evidence.produced import (
    CANONICAL_FORM,
    Production,
    canonical_bytes,
    flat,
    proved,
    write_csv,
    write_json,
)
from reconciliation.evidence.produced_sheets import UnfitForWorkbook, write_xlsx
from reconciliation.evidence.spreadsheet_text import marked, shown, unmarked

PRODUCTION = Production(
    what="exceptions",
    query="status=open&q=,=1+1\n;@SUM(1)",
    parameters={"status": "open", "q": ",=1+1\n;@SUM(1)", "limit": 5},
    produced_by="ada",
    produced_at=datetime(2026, 11, 20, 9, 30, 1, 5, tzinfo=UTC),
    system="tieout 0.1.0",
    source="bank",
    first_date=date(2026, 11, 9),
)
COLUMNS: dict[str, Any] = (
    {
        "exception_id": pa.int64(), "asset": pa.string(), "amount_minor": pa.int64(), "difference_minor": pa.int64(),
        "counterparty": pa.string(), "due_on": pa.date32(), "evidence_bits": pa.decimal128(18, 3), "live": pa.bool_(),
        "at": pa.timestamp("us", tz="UTC"),
    }
)  # fmt: skip
SCHEMA = pa.schema(COLUMNS)
NASTY = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "＋1", "－1", "＠A", "﹦1", "  =1", "'=1", '"=1',
    "“ =1", "\u200b=1", "'", "''", "'s-Hertogenbosch", "=cmd|' /C calc'!A0", "http://example.com", "<r>=1</r>",
    "_x0041_", "_x005F_", "a\x01b", "\ufffe", "#",
    "# footer: \"tieout 1\"", "x\n# rows: 0", "", " ", "NaN", "1e5", "00012",
    "a,b\"c\nd", "ÅÄ🙂",
]  # fmt: skip
BIG = 2**63 - 1
texts = st.none() | st.sampled_from(NASTY) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
rows = st.lists(
    st.fixed_dictionaries(
        {
            "exception_id": st.integers(1, BIG),
            "asset": st.sampled_from(["EUR", "JPY", None]),
            "amount_minor": st.none() | st.integers(-BIG, BIG),
            "difference_minor": st.integers(-(10**6), 10**6),
            "counterparty": texts,
            "due_on": st.none() | st.dates(),
            "evidence_bits": st.none() | st.decimals(-(10**14), 10**14, places=3, allow_nan=False),
            "live": st.none() | st.booleans(),
            "at": st.none()
            | st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        }
    ),
    max_size=6,
)


def test_a_footer_says_what_was_asked_and_adds_up() -> None:
    table = pa.table(
        {"asset": ["EUR", "EUR", "JPY"], "amount_minor": [BIG, BIG, -5], "counterparty": ["=1", "b", None]}
    )
    out = io.BytesIO()
    produced = write_csv(out, table, PRODUCTION)
    text = out.getvalue().decode()
    assert text.splitlines()[:4] == [
        '"asset","amount_minor","counterparty"',
        f'"EUR",{BIG},"\'=1"',
        f'"EUR",{BIG},"b"',
        '"JPY",-5,',
    ]
    assert produced.control_totals == {
        ("amount_minor", "EUR"): 18_446_744_073_709_551_614,
        ("amount_minor", "JPY"): -5,
    }
    assert canonical_bytes(table).startswith(b"3:EUR,19:9223372036854775807,2:=1,\n3:EUR,")
    assert text.splitlines()[4:] == [
        '# footer: "tieout 1"',
        '# what: "exceptions"',
        '# query: "status=open&q=\\u002c=1+1\\n\\u003b@SUM(1)"',
        "# parameter limit: 5",
        '# parameter q: "\\u002c=1+1\\n\\u003b@SUM(1)"',
        '# parameter status: "open"',
        '# source: "bank"',
        '# from: "2026-11-09"',
        "# to: null",
        "# rows: 3",
        "# control_total amount_minor EUR: 18446744073709551614",
        "# control_total amount_minor JPY: -5",
        f'# sha256: "{produced.sha256}"',
        f"# sha256_is: {flat(CANONICAL_FORM)}",
        '# produced_by: "ada"',
        '# produced_at: "2026-11-20T09:30:01.000005Z"',
        '# system: "tieout 0.1.0"',
        "# read_rows: \"leave out the lines that begin with #\\u002c as with comment='#'\"",
    ]  # fmt: skip


@settings(max_examples=60)
@given(rows)
@example([dict.fromkeys(SCHEMA.names) | {"exception_id": 1, "counterparty": text} for text in NASTY])
def test_whoever_has_a_file_can_prove_it_and_all_three_files_prove_the_same(
    told: list[dict[str, Any]],
) -> None:
    table = pa.Table.from_pylist(told, SCHEMA)
    made = {}
    for name, write in (("csv", write_csv), ("json", write_json), ("xlsx", write_xlsx)):
        out = io.BytesIO()
        made[name] = (write(out, table.to_reader(2), PRODUCTION), out)
    assert independent.check_csv(made["csv"][1].getvalue().decode()) == []
    assert independent.check_json(made["json"][1].getvalue().decode()) == []
    assert independent.check_xlsx(made["xlsx"][1]) == []
    assert len({(produced.sha256, produced.rows) for produced, _ in made.values()}) == 1

    body = made["csv"][1].getvalue().decode().rpartition("# footer: ")[0]
    _, *lines = csv.reader(io.StringIO(body, newline=""))
    assert [line[4] for line in lines] == [marked(shown(row["counterparty"] or "")) for row in told]
    assert not any(cell[:1] in "=+@＝＋＠\t\r\n" for line in lines for cell in line if cell)
    assert [int(line[0]) for line in lines] == [row["exception_id"] for row in told]
    book = openpyxl.load_workbook(made["xlsx"][1])
    for cells, row in zip(book["rows"].iter_rows(min_row=2), told, strict=True):
        assert {cell.data_type for cell in cells} <= {"n", "s", "d"}, "no formula, no error"
        assert all(cell.hyperlink is None for cell in cells)
        assert cells[3].value == row["difference_minor"]
        assert cells[3].data_type == "n"
        wide = row["amount_minor"] is not None and abs(row["amount_minor"]) >= 10**15
        assert cells[2].data_type == ("s" if wide else "n")
    told_again = json.loads(made["json"][1].getvalue())["rows"]
    assert [row["amount_minor"] for row in told_again] == [row["amount_minor"] for row in told]


@given(st.sampled_from(NASTY) | st.text())
def test_the_mark_comes_off_again_whatever_the_text(text: str) -> None:
    assert unmarked(marked(text)) == text
    assert independent.plain(marked(text)) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (',100,"a"', ',101,"a"'),
        (',100,"a"', ',100,"b"'),
        ('"EUR",100,"a"\n', ""),
        ('"EUR",100,"a"\n"JPY",7,"c"\n', '"JPY",7,"c"\n"EUR",100,"a"\n'),
        ("# rows: 2", "# rows: 3"),
        ("control_total amount_minor JPY: 7", "control_total amount_minor JPY: 8"),
        ("# footer: ", "# foot: "),
        ("# control_total amount_minor JPY: 7\n", ""),
    ],
)
def test_a_changed_file_is_noticed(before: str, after: str) -> None:
    table = pa.table({"asset": ["EUR", "JPY"], "amount_minor": [100, 7], "counterparty": ["a", "c"]})
    out = io.BytesIO()
    write_csv(out, table, PRODUCTION)
    text = out.getvalue().decode()
    assert before in text
    assert independent.check_csv(text) == []
    assert independent.check_csv(text.replace(before, after)) != []


def test_a_workbook_refuses_what_it_would_cut() -> None:
    long = pa.table({"text": ["🙂" * 16_384]})
    with pytest.raises(UnfitForWorkbook, match="row 2 column 1: expected a text of at most 32,767"):
        write_xlsx(io.BytesIO(), long, PRODUCTION)
    write_csv(io.BytesIO(), long, PRODUCTION)


def test_the_same_rows_make_the_same_bytes_and_a_table_is_proved_without_a_file() -> None:
    table = pa.table({"asset": ["EUR"], "amount_minor": [1], "evidence_bits": pa.array([Decimal("1.500")])})
    for write in (write_csv, write_json, write_xlsx):
        first, second = io.BytesIO(), io.BytesIO()
        produced = write(first, table, PRODUCTION)
        write(second, table, PRODUCTION)
        assert first.getvalue() == second.getvalue()
        assert proved(table, PRODUCTION) == produced
