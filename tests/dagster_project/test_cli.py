"""The command line as people and scripts meet it: the contract's names, columns and exit codes, and errors as
sentences.
"""

import json
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path

import click
import pyarrow.csv
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from dagster_project.cli.main import root
from dagster_project.exports import KINDS
from fixtures.world import simulate

DAYS = [date(2026, 11, day) for day in (9, 10, 11, 12, 13)]
CONTRACT = {
    "lines": "source line_key file_name file_sha256 record_no statement_ref booking_date value_date amount_minor asset "
    "fee_minor ref_end_to_end ref_uetr ref_servicer ref_psp ref_merchant ref_payout ref_arn ref_rrn ref_auth_code "
    "batch_ref counterparty text kind version status",
    "matches": "group_id source as_of match_pass state side line_key entry_key line_no allocated_minor asset role "
    "evidence_bits margin_bits solutions",
    "exceptions": "exception_id source opened_on as_of class kind severity status side line_key entry_key line_no "
    "amount_minor difference_minor asset due_on expected_clear_on age_business_days assignee cleared_by_group",
}

Tieout = Callable[..., Result]


@pytest.fixture
def home(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of its own on a database of its own."""
    monkeypatch.setenv("TIEOUT_HOME", str(tmp_path / "a home"))
    monkeypatch.setenv("TIEOUT_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "a home"


@pytest.fixture
def tieout(home: Path) -> Tieout:
    """Run a command in this process; a traceback fails the test."""
    runner = CliRunner()

    def run(*words: str, expect: int = 0) -> Result:
        result = runner.invoke(root, words, prog_name="tieout")
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == expect, result.output
        return result

    run("init")
    return run


@pytest.fixture
def world(tmp_path: Path) -> Path:
    """Five small invented days with every fault."""
    simulate(3, DAYS[0], days=5, lines=10, faults="all").write(tmp_path / "world")
    return tmp_path / "world"


def live_through(tieout: Tieout, world: Path, days: list[date]) -> None:
    tieout("ledger", "accounts", str(world / "ledger" / "accounts.csv"))
    for day in days:
        folder = world / "days" / day.isoformat()
        tieout("ledger", "post", str(folder / "ledger" / "entries.csv"))
        for source in ("bank", "stripe", "mastercard"):
            for path in sorted((folder / source).glob("*")):
                refused = source == "mastercard" and day == DAYS[2]
                tieout("ingest", str(path), "--source", source, expect=1 if refused else 0)
        tieout("reconcile", "--as-of", day.isoformat())


def commands(group: click.Group, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    found: dict[tuple[str, ...], click.Command] = {}
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found[*path, name] = command
        if isinstance(command, click.Group):
            found |= commands(command, (*path, name))
    return found


@pytest.mark.parametrize("path", sorted(commands(root)))
def test_every_command_helps_with_an_example(path: tuple[str, ...]) -> None:
    result = CliRunner().invoke(root, [*path, "--help"], prog_name="tieout")
    assert result.exit_code == 0
    if not isinstance(commands(root)[path], click.Group):
        assert "Example: tieout " + " ".join(path) in result.output.replace("\n", " ").replace("  ", " ")


def test_the_commands_of_the_contract_are_there() -> None:
    names = {" ".join(path) for path in commands(root)}
    assert names >= {
        "init", "demo", "up", "down", "simulate", "sources check", "ingest", "deliveries", "reconcile", "statement",
        "ledger accounts", "ledger post", "ledger reverse", "ledger balance", "ledger trial-balance", "ledger verify",
        "ledger seal", "ledger close-period", "ledger rebuild", "ledger rebase", "ledger find", "ledger export",
        "ledger transaction", "ledger feed", "ledger work", "ledger publish",
        "exceptions list", "exceptions show", "exceptions take", "exceptions comment", "exceptions reopen",
        "exceptions timing", "exceptions propose", "exceptions approve", "exceptions reject", "exceptions proposals",
        "exceptions give-back", "exceptions assign", "exceptions attach", "exceptions snooze", "exceptions wake",
        "exceptions carry", "exceptions turn-down", "exceptions feedback", "exceptions verify",
        "export",
    }  # fmt: skip


def test_starting_twice_is_safe(tieout: Tieout, home: Path) -> None:
    written = (home / ".tieout" / "sources.yaml").read_text()
    again = tieout("init", "--json")
    assert json.loads(again.output)["sources"] == ["bank", "stripe", "mastercard"]
    assert (home / ".tieout" / "sources.yaml").read_text() == written


def test_five_days_by_hand_end_as_the_contract_says(tieout: Tieout, world: Path, tmp_path: Path) -> None:
    live_through(tieout, world, DAYS)

    listed = json.loads(tieout("exceptions", "list", "--json").output)
    assert set(CONTRACT["exceptions"].split()) == set(listed[0])
    assert {"genuine", "review", "source_gap", "timing"} == {row["class"] for row in listed}
    assert listed[0]["severity"] == "critical"

    timing = json.loads(tieout("exceptions", "timing", "--source", "bank", "--json").output)
    assert timing["timing_count"] == timing["judged_count"] + timing["not_due_count"] + timing["waiting_count"] > 0
    assert timing["recall_ppm"] == 1_000_000
    assert "recall     100.0000 %" in tieout("exceptions", "timing", "--source", "bank").output

    for kind, schema in KINDS.items():
        for ending in ("csv", "parquet"):
            out = tmp_path / f"{kind}.{ending}"
            told = json.loads(tieout("export", kind, "--out", str(out), "--json").output)
            read = pyarrow.csv.read_csv(out) if ending == "csv" else pyarrow.parquet.read_table(out)
            assert told["rows"] == read.num_rows > 0
            assert read.column_names == schema.names
            if kind in CONTRACT:
                assert " ".join(read.column_names) == CONTRACT[kind]

    deliveries = json.loads(tieout("deliveries", "--json").output)
    outcomes = {row["outcome"] for row in deliveries}
    assert outcomes == {"accepted", "corrected", "redelivered", "rejected", "missing_file", "sequence_gap"}
    statement = json.loads(
        tieout("statement", "--source", "bank", "--date", "2026-11-12", "--format", "json").output
    )
    assert statement["tied_out"] is True
    assert (
        "<h1>Reconciliation statement: bank"
        in tieout("statement", "--source", "bank", "--date", "2026-11-12", "--format", "html").output
    )
    assert "ok" in tieout("ledger", "verify").output
    assert "assets:bank:main-kwd" in tieout("ledger", "trial-balance", "--at", "2026-11-13").output

    quiet = json.loads(tieout("reconcile", "--as-of", "2026-11-13", "--json").output)
    assert [day["run_id"] for day in quiet] == [None, None, None]


def test_a_report_asked_again_by_its_snapshot_gives_the_same_rows(tieout: Tieout, world: Path) -> None:
    live_through(tieout, world, DAYS[:1])
    trial = json.loads(tieout("ledger", "trial-balance", "--json").output)
    below = json.loads(tieout("ledger", "balance", "assets", "--json").output)
    live_through(tieout, world, DAYS[1:2])
    tieout("ledger", "work", "--once")
    assert json.loads(tieout("ledger", "trial-balance", "--json").output) != trial
    by_trial = ("--known-at", trial[0]["snapshot"], "--json")
    assert json.loads(tieout("ledger", "trial-balance", *by_trial).output) == trial
    assert (
        json.loads(tieout("ledger", "balance", "assets", "--known-at", below["snapshot"], "--json").output)
        == below
    )
    assert "found a time" in tieout("ledger", "trial-balance", "--known-at", "2026-11-09", expect=2).output


def test_an_exception_is_taken_talked_about_and_reopened_with_its_age(tieout: Tieout, world: Path) -> None:
    live_through(tieout, world, DAYS[:2])
    everything = json.loads(tieout("exceptions", "list", "--all", "--json").output)
    cleared = next(row for row in everything if row["cleared_by_group"] is not None)
    number = str(cleared["exception_id"])
    tieout("exceptions", "reopen", number, "--reason", "another customer paid", "--by", "ada")
    tieout("reconcile", "--as-of", "2026-11-10")
    back = json.loads(tieout("exceptions", "show", number, "--json").output)
    assert (back["status"], back["opened_on"]) == ("open", cleared["opened_on"])
    assert [event["event"] for event in back["events"]][:2] == ["opened", "cleared"]
    assert "reopened" in [event["event"] for event in back["events"]]
    tieout("exceptions", "take", number, "--by", "ada")
    tieout("exceptions", "comment", number, "asked the bank", "--by", "ada")
    shown = tieout("exceptions", "show", number).output
    assert "ada" in shown
    assert "asked the bank" in shown
    tieout("exceptions", "reopen", number, "--reason", "again", "--by", "ada", expect=1)


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("ingest", "absent.xml", "--source", "bank"), 2, "does not exist"),
        (
            ("ingest", "{bad}", "--source", "banks"),
            2,
            "no source 'banks'; sources.yaml has: bank, stripe, mastercard",
        ),
        (("ingest", "{bad}", "--source", "bank"), 1, "rejected"),
        (("ledger", "post", "{bad}"), 1, "bad.csv"),
        (("ledger", "accounts", "{bad}"), 1, "bad.csv"),
        (("ledger", "balance", "assets:nowhere"), 1, "assets:nowhere"),
        (("ledger", "balance", "assets:nowhere", "--at", "yesterday"), 2, "ISO 8601"),
        (("ledger", "balance", "assets:nowhere", "--at", "2026-11-20T10:00:00"), 2, "zone"),
        (("ledger", "reverse", "no-such", "--reason", "r", "--authoriser", "a"), 1, "no-such"),
        (("reconcile", "--as-of", "2026-02-30"), 2, "YYYY-MM-DD"),
        (("exceptions", "show", "999999"), 1, "999999"),
        (("exceptions", "take", "999999", "--by", "ada"), 1, "expected one that exists"),
        (("exceptions", "comment", "999999", "note", "--by", "ada"), 1, "999999"),
        (("export", "lines", "--out", "lines.txt"), 2, ".csv or .parquet"),
        (("export", "lines", "--out", "no/such/folder/lines.csv"), 2, "can be written"),
        (("statement", "--source", "nobody", "--date", "2026-11-10"), 2, "nobody"),
        (("sources", "check", "{bad}"), 2, "bad.csv"),
        (("simulate", "--out", "w", "--faults", "gremlins"), 2, "gremlins"),
    ],
)
def test_bad_input_is_answered_with_a_sentence_and_its_exit_code(
    tieout: Tieout, tmp_path: Path, words: tuple[str, ...], code: int, sentence: str
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_bytes(b"what,is\nthis,\xff\xfe?\n")
    result = tieout(*(word.replace("{bad}", str(bad)) for word in words), expect=code)
    assert sentence in result.output.replace("\n", " ")
    assert "Traceback" not in result.output


def test_a_rejected_file_is_listed_with_its_reason_and_loads_nothing(tieout: Tieout, tmp_path: Path) -> None:
    (tmp_path / "bad.xml").write_text("<!DOCTYPE a><Document/>")
    rejected = tieout("ingest", "bad.xml", "--source", "bank", expect=1)
    assert "rejected" in rejected.output
    (row,) = json.loads(tieout("deliveries", "--source", "bank", "--json").output)
    assert (row["outcome"], row["refusal_code"], row["line_count"]) == ("rejected", "unsafe", 0)


def test_a_sources_file_with_problems_names_each_with_its_place(
    tieout: Tieout, home: Path, tmp_path: Path
) -> None:
    text = (home / ".tieout" / "sources.yaml").read_text()
    broken = tmp_path / "sources.yaml"
    broken.write_text(text.replace("time_zone: UTC", "time_zon: UTC").replace("kind: bank ", "kind: banc "))
    result = tieout("sources", "check", str(broken), expect=2)
    assert (
        "sources.stripe.time_zon: unknown key 'time_zon'; the nearest known one is 'time_zone'"
        in result.output
    )
    assert "sources.bank.kind" in result.output


def test_a_failed_export_leaves_the_old_file(tieout: Tieout, tmp_path: Path) -> None:
    (tmp_path / "lines.csv").write_text("what was there")
    shutil.copy(tmp_path / "lines.csv", tmp_path / "lines.txt")
    tieout("export", "lines", "--out", "lines.txt", expect=2)
    assert (tmp_path / "lines.txt").read_text() == "what was there"
    tieout("export", "lines", "--out", "lines.csv")
    assert (tmp_path / "lines.csv").read_text().startswith('"source","line_key"')
