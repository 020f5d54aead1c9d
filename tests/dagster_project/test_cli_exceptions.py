"""What people do about exceptions at the command line: each item has its own outcome, and history tells all of it."""

from pathlib import Path

import psycopg
import pytest

from dagster_project.cli.exception_feedback import tried_change
from dagster_project.cli.output import Context
from reconciliation.exceptions.feedback import RuleChange
from tests.dagster_project.exceptions_desk import BANK, FEES, LOSSES, CommandDesk, lived, open_desk
from tests.reconciliation.daily.desk import MONDAY, TUESDAY, WEDNESDAY

CARD = "4111111111111111"


@pytest.fixture
def desk(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch) -> CommandDesk:
    """A project with Monday's open items."""
    monkeypatch.setenv("TIEOUT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TIEOUT_DATABASE_URL", database_url)
    monkeypatch.setenv("TIEOUT_SOURCES", str(tmp_path / "sources.yaml"))
    monkeypatch.chdir(tmp_path)
    return open_desk(tmp_path)


def test_the_work_on_exceptions_from_taking_to_carrying(desk: CommandDesk, tmp_path: Path) -> None:
    paid, fee, ghost = (desk.number(key) for key in ("N-PAID", "N-FEE", "ghost"))
    work = "exceptions"
    told = desk(work, "take", paid, fee, 999, "--by", "ada", expect=1)
    assert (
        f"Exception {paid} is ada's.\nException {fee} is ada's.\nnot done: exception 999: expected one"
        in told
    )
    assert desk.read(work, "take", ghost, "--by", "bob") == [
        {"exception_id": ghost, "outcome": "done", "said": None}
    ]
    assert "expected it to be yours, found ada's" in desk(work, "give-back", paid, "--by", "bob", expect=1)
    desk(work, "assign", paid, "--to", "bob", "--by", "ada")
    assert "to: expected an active person" in desk(
        work, "assign", paid, "--to", "nobody", "--by", "ada", expect=1
    )
    desk(work, "give-back", paid, "--to-previous", "--by", "bob")
    assert desk.read(work, "show", paid)["assignee"] == "ada"
    desk(work, "assign", paid, fee, "--team", "disputes", "--by", "ada")
    desk(work, "give-back", fee, "--by", "ada")
    desk(work, "comment", paid, fee, f"asked about card {CARD}", "--by", "ada")
    desk(work, "snooze", fee, "--until", "2026-11-20", "--note", "on the 20th", "--by", "ada")
    desk(work, "wake", fee, "--by", "ada")
    desk(work, "carry", ghost, "--until", "2026-12-01", "--reason", "timing", "--by", "bob")
    assert "a note where it is" in desk(
        work, "carry", fee, "--until", "2026-12-01", "--reason", "other", "--by", "bob", expect=1
    )

    assert desk.events(paid) == ["opened", "taken", "assigned", "assigned", "assigned", "commented"]
    assert desk.events(fee)[-4:] == ["given_back", "commented", "snoozed", "woken"]
    shown = desk.read(work, "show", paid)
    assert shown["events"][-1]["note"] == "asked about card 411111******1111"
    assert (shown["team"], shown["status"]) == ("disputes", "taken")

    def listed(*words: str) -> list[int]:
        return sorted(row["exception_id"] for row in desk.read(work, "list", *words))

    assert listed("--owner", "ada") == [paid]
    assert listed("--owner", "none", "--team", "disputes") == [fee]
    assert listed("--status", "carried", "--status", "taken") == sorted([paid, ghost])
    assert listed("--kind", "missing_at_source", "--source", "bank") == sorted([ghost, desk.number("sale")])
    assert listed("--team", "nobody") == []
    assert not set(listed("--late")) & set(listed("--class", "timing"))  # these have no deadline
    assert "ghost" in desk(work, "list", "--owner", "bob")

    for day in (TUESDAY, WEDNESDAY):
        lived(desk, tmp_path, day)
    assert desk.read(work, "show", ghost)["status"] == "carried"
    late = desk.read(work, "show", paid)
    assert (late["class"], late["severity"], late["sla_due_on"]) == ("genuine", "low", "2026-11-25")


def test_enclosures_candidates_and_a_history_that_notices_a_change(
    desk: CommandDesk, tmp_path: Path, database_url: str
) -> None:
    paid = desk.number("N-PAID")
    (tmp_path / "letter.pdf").write_bytes(b"%PDF-1.7 the bank writes")
    (tmp_path / "card.txt").write_text(f"paid by {CARD}")
    told = desk.read("exceptions", "attach", paid, tmp_path / "letter.pdf", "--by", "ada")
    refused = desk("exceptions", "attach", paid, tmp_path / "card.txt", "--by", "ada", expect=1)
    assert "expected no card data, found a card number" in refused
    shown = desk.read("exceptions", "show", paid)
    (enclosed,) = shown["attachments"]
    assert (enclosed["attachment_id"], enclosed["file_name"], enclosed["uploaded_by"]) == (
        told["attachment_id"],
        "letter.pdf",
        "ada",
    )
    assert enclosed["sha256"] in shown["events"][-1]["note"]
    assert "ledger:sale/1" in shown["candidates"][0]["lines"]
    assert shown["candidates"][0]["why_not_automatic"]
    text = desk("exceptions", "show", paid)
    for word in ("Candidates", "why_not_automatic", "letter.pdf", "attached", "cycle"):
        assert word in text

    assert "The history is as it was written." in desk("exceptions", "verify")
    with psycopg.connect(database_url) as connection:
        connection.execute("SET session_replication_role = replica")  # as somebody who owns the server could
        connection.execute("UPDATE recon.exception_event SET actor = 'eve' WHERE event = 'attached'")
    told = desk.read("exceptions", "verify", expect=1)
    (problem,) = told["problems"]
    assert problem["problem"] == "its event is not what was linked, or a link before it was changed"
    assert f"event {problem['event_id']}" in desk("exceptions", "verify", expect=1)


def test_entries_are_proposed_within_the_rules_and_judged_one_by_one(desk: CommandDesk) -> None:
    fee, lost, paid = desk.number("N-FEE"), desk.number("N-LOST"), desk.number("N-PAID")
    because = ("--reason", "agreed", "--by", "ada")

    def refused(*words: object, code: int = 1) -> str:
        return desk("exceptions", "propose", *words, *because, expect=code).replace("\n", " ")

    assert "expected --account" in refused(fee, "book-entry", code=2)
    assert "posts nothing" in refused(fee, "exclude", "--account", FEES, code=2)
    assert "an --amount for each" in refused(
        fee, "book-entry", "--account", FEES, "--amount", 1, "--amount", 2, code=2
    )
    assert "account expenses:nowhere" in refused(fee, "book-entry", "--account", "expenses:nowhere")
    assert "another account than" in refused(fee, "book-entry", "--account", BANK)
    assert "review.entry_accounts" in refused(fee, "book-entry", "--account", "liabilities:customers")
    assert "come to -300 minor units" in refused(fee, "book-entry", "--account", FEES, "--amount", "3.00")
    assert "expected the write-off on" in refused(fee, "write-off", "--account", FEES)

    made = desk(
        "exceptions", "propose", fee, "book-entry", "--account", FEES, "--amount", "-2.50", "--account", LOSSES,
        "--reason-code", "fee-not-booked", *because,
    )  # fmt: skip
    booked = f"booking {BANK} -3.00 EUR, {FEES} 2.50 EUR, {LOSSES} 0.50 EUR on 2026-11-09"
    assert booked in made
    assert booked in desk("exceptions", "proposals")
    desk("exceptions", "propose", lost, "exclude", *because)
    desk("exceptions", "propose", paid, "exclude", *because)
    told = desk("exceptions", "approve", 1, 2, 77, "--by", "bob", expect=1)
    assert "Proposal 1 is approved and entry proposal:1 posted." in told
    assert "Proposal 2 is approved and holds from 2026-11-09 on." in told
    assert "not done: proposal 77: expected one that exists" in told
    outcomes = desk.read("exceptions", "reject", 2, 3, "--reason", "no", "--by", "bob", expect=1)
    assert [(one["proposal_id"], one["outcome"]) for one in outcomes] == [(2, "refused"), (3, "done")]
    assert "N-FEE" not in desk.open_keys()
    assert desk.read("exceptions", "show", fee)["reason"] == "fee_not_booked"


def test_feedback_changes_nothing_and_tries_what_it_proposes(desk: CommandDesk) -> None:
    assert desk("exceptions", "feedback", "--source", "bank") == "Nothing was suggested.\n"
    assert desk.read("exceptions", "feedback") == [{"source": "bank", "suggestions": [], "proposed_changes": []}]
    assert "expected --from" in desk("exceptions", "feedback", "--backtest", expect=2)
    context = Context.from_environment()
    change = RuleChange(setting="confirm_bits", now=10, proposed=9, why="tests")
    trial = tried_change(context, context.project.sources["bank"], change, MONDAY, MONDAY)
    assert (trial.is_safe, trial.rules_digest == trial.history_digest) == (True, False)


def test_a_limit_and_a_match_undone(desk: CommandDesk, tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("a long enough pass phrase\n")
    fee, paid = desk.number("N-FEE"), desk.number("N-PAID")
    for login, role in (("ada", "analyst"), ("cleo", "approver"), ("dora", "controller")):
        desk(
            "users",
            "add",
            login,
            "--role",
            role,
            "--name",
            login.title(),
            "--password-file",
            tmp_path / "pass",
        )
    desk("exceptions", "propose", fee, "write-off", "--reason", "small", "--by", "ada")
    assert "at most 100 minor units" in desk("exceptions", "approve", 1, "--by", "cleo", expect=1)
    assert "expected the login of a person" in desk("exceptions", "approve", 1, "--by", "zoe", expect=1)
    assert "ada may not do this" in desk("exceptions", "approve", 1, "--by", "ada", expect=1)
    desk("exceptions", "approve", 1, "--by", "dora")
    assert "N-FEE" not in desk.open_keys()

    assert "a match cleared" in desk("exceptions", "reopen", paid, "--reason", "r", "--by", "ada", expect=1)
    assert "match 999" in desk("exceptions", "turn-down", 999, "--reason", "r", "--by", "ada", expect=1)
    undone = desk("exceptions", "reopen", fee, "--reason", "wrong account", "--by", "ada")
    assert "is undone" in undone
    desk("reconcile", "--as-of", "2026-11-09")
    shown = desk.read("exceptions", "show", fee)
    assert (shown["status"], shown["cycle"]) == ("open", 2)
    assert [event["event"] for event in shown["events"]][-2:] == ["undone", "reopened"]
