"""`tieout ledger export` and `tieout ledger find` as people type them: files, sentences, exit codes."""

import csv
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import click
import psycopg
import pytest
from click.testing import CliRunner, Result

from dagster_project.books.general_ledger import DAY_COLUMNS, LINE_COLUMNS
from dagster_project.cli.ledger_export import export, find
from dagster_project.cli.main import SentenceGroup
from dagster_project.cli.output import Context
from dagster_project.project import Project
from ledger_core.posting import EntryLine, post
from ledger_core.reversal import reverse
from tests.ledger_core.books import BANK, NOON, SALES, WALLET, fund, open_chart, request

Tieout = Callable[..., Result]


@pytest.fixture
def tieout(tmp_path: Path, project: Project, monkeypatch: pytest.MonkeyPatch) -> Tieout:
    """Runs one of the two commands on a small book; a traceback fails the test."""
    with psycopg.connect(project.database.url) as connection:
        open_chart(connection)
        fund(connection, 10_000)
        said = {"ref_psp": "ch_1", "counterparty": "Ж & Co", "metadata": {"rail": "sepa", "count": 5}}
        line = EntryLine(account=BANK, amount_minor=250, asset="EUR", detail=said)
        post(connection, [request("sale-1", line, (SALES, -250), at=NOON + timedelta(days=1))])
        post(connection, [request("too-much", (WALLET, 99_999), (BANK, -99_999))])
        reverse(connection, "sale-1", reason="twice", authoriser="Ada", effective_at=NOON + timedelta(days=2))
    monkeypatch.chdir(tmp_path)
    root = SentenceGroup("tieout", commands={"ledger": click.Group("ledger", commands=[export, find])})

    def run(*words: str, expect: int = 0) -> Result:
        result = CliRunner().invoke(
            root, ["ledger", *words], obj=Context(project.settings, project), prog_name="tieout"
        )
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == expect, result.output
        return result

    return run


def test_the_general_ledger_is_written_in_every_form_and_says_how_to_have_it_again(
    tieout: Tieout, tmp_path: Path
) -> None:
    for form in ("csv", "beancount", "hledger"):
        out = tmp_path / f"book.{form}"
        told = json.loads(tieout("export", "--format", form, "--out", str(out), "--json").output)
        assert told == {"file": str(out), "accounts": 5, "rows": 6, "seen_by": told["seen_by"]}
        again = tmp_path / "again"
        tieout("export", "--format", form, "--out", str(again), "--seen-by", told["seen_by"])
        assert again.read_bytes() == out.read_bytes()
    assert (tmp_path / "book.csv").read_text().startswith(",".join(LINE_COLUMNS))
    sentence = tieout(
        "export", "--format", "csv", "--by", "day", "--out", "days.csv", "--account", "assets"
    ).output
    assert sentence.startswith("days.csv: 3 days of 3 accounts; the same again with --seen-by ")
    with open(tmp_path / "days.csv", newline="", encoding="utf-8") as file:
        assert next(csv.reader(file)) == [*DAY_COLUMNS]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "home") == [
        "again", "book.beancount", "book.csv", "book.hledger", "days.csv",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ["--account", "assets:nowhere"],
            1,
            "'assets:nowhere': expected an account of the chart, found none",
        ),
        (["--entity", "nobody"], 1, "of entity 'nobody': expected an account of the chart, found none"),
        (["--seen-by", "77777777777777:77777777777777:"], 1, "found one ahead of it"),
        (["--seen-by", "yesterday"], 2, "such as 812:815:813"),
        (["--seen-by", "9:5:"], 2, "such as 812:815:813"),
        (["--from", "2026-02-01", "--to", "2026-01-01"], 2, "expected no later than --to 2026-01-01"),
        (["--from", "tomorrow"], 2, "expected YYYY-MM-DD, found tomorrow"),
        (["--by", "day"], 2, "expected with --format csv"),
        (["--to", "9999-12-31"], 1, "expected one from 0001-01-01 to 9999-12-30"),
    ],
)
def test_what_cannot_be_exported_is_said_and_an_older_file_stays(
    tieout: Tieout, tmp_path: Path, words: list[str], code: int, sentence: str
) -> None:
    (tmp_path / "old").write_text("of last month")
    result = tieout("export", "--format", "hledger", "--out", "old", *words, expect=code)
    assert sentence in " ".join(result.output.split())
    assert (tmp_path / "old").read_text() == "of last month"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".old")]


def test_a_place_that_cannot_be_written_is_said(tieout: Tieout) -> None:
    for out in ("no/such/folder/book.csv", "/dev/null", "x" * 255):
        assert "expected a" in tieout("export", "--format", "csv", "--out", out, expect=2).output


def test_entries_are_found_and_shown_whole(tieout: Tieout) -> None:
    assert tieout(
        "find", "--reference", "ch_1", "--metadata", "rail=sepa", "--metadata", "count:=5"
    ).output == (
        "reversal:sale-1  2026-01-17T12:00:00+00:00  reverses sale-1  reason twice  authoriser Ada\n"
        f'  {BANK}  -2.50 EUR  counterparty="Ж & Co"  ref_psp="ch_1"  metadata={{"rail": "sepa", "count": 5}}\n'
        f"  {SALES}  2.50 EUR\n"
        "sale-1  2026-01-16T12:00:00+00:00\n"
        f'  {BANK}  2.50 EUR  counterparty="Ж & Co"  ref_psp="ch_1"  metadata={{"rail": "sepa", "count": 5}}\n'
        f"  {SALES}  -2.50 EUR\n"
    )
    told = json.loads(tieout("find", "--account", "income", "--to", "2026-01-16", "--json").output)
    assert [(row["entry_key"], row["account"], row["amount_minor"]) for row in told["lines"]] == [
        ("sale-1", BANK, 250), ("sale-1", SALES, -250),
    ]  # fmt: skip
    assert told["refusal"] is None
    assert tieout("find", "--account", BANK, "--limit", "1").output.endswith("these are the newest 1.\n")


def test_a_refused_key_says_why(tieout: Tieout) -> None:
    told = tieout("find", "--key", "too-much").output
    assert told.startswith("too-much  refused 20")
    assert ": overdrawn, account liabilities:wallet" in told
    assert json.loads(tieout("find", "--key", "too-much", "--json").output)["refusal"]["code"] == "overdrawn"
    assert tieout("find", "--key", "never-sent").output == "No entry.\n"


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        ([], 2, "expected something to look for"),
        (["--metadata", "rail"], 2, "expected key=text or key:=JSON, found rail"),
        (["--metadata", "count:=five"], 2, "expected JSON behind :="),
        (["--account", "assets:nowhere"], 1, "expected an account of the chart, found none"),
        (["--key", "x", "--limit", "0"], 2, "x>=1"),
    ],
)
def test_a_search_that_means_nothing_is_said(
    tieout: Tieout, words: list[str], code: int, sentence: str
) -> None:
    assert sentence in " ".join(tieout("find", *words, expect=code).output.split())
