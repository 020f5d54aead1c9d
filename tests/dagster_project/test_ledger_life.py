"""`tieout ledger transaction` tells the life of a transaction to people and to scripts."""

import json
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner

from dagster_project.cli.ledger_life import transaction
from dagster_project.cli.main import root
from dagster_project.cli.output import Context
from ledger_core.errors import TransactionError
from ledger_core.transactions import hold, initiate, settle
from tests.ledger_core.books import NOON, fund, open_chart
from tests.ledger_core.payments import ADA, BOB, HOUR, now, pay


def test_a_transaction_is_shown_step_by_step_with_its_lines(
    tmp_path: Path, connection: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIEOUT_HOME", str(tmp_path))
    monkeypatch.setenv("TIEOUT_DATABASE_URL", database_url)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(root, ["init"]).exit_code == 0
    open_chart(connection)
    fund(connection, 1000)
    due = now(connection) + HOUR
    initiate(connection, "payment-17", "p:i", ADA, kind="payment")
    hold(connection, "payment-17", "p:h", ADA, pay(600), expires_at=due)
    settle(connection, "payment-17", "p:s", BOB, pay(500))
    connection.commit()

    def shown(*words: str) -> str:
        answer = CliRunner().invoke(
            transaction, words, obj=Context.from_environment(), catch_exceptions=False
        )
        assert answer.exit_code == 0, answer.output
        return answer.output

    told = shown("payment-17").splitlines()
    assert [line.split()[:2] for line in told if not line.startswith(" ")] == [
        ["1", "initiated"],
        ["2", "held"],
        ["3", "settled"],
    ]
    assert f"until {due:%Y-%m-%d %H:%M:%S}Z" in told[1]
    assert told[3].split() == ["income:sales", "incoming", "-6.00", "EUR"]
    assert told[4].endswith("by Bob  because: asked for")
    result = json.loads(shown("payment-17", "--json"))
    assert [event["state"] for event in result["events"]] == ["initiated", "held", "settled"]
    assert {line["entry_key"] for line in result["lines"]} == {"p:h", "p:s", "p:s:release"}
    assert {line["effective_at"] for line in result["lines"]} == {
        moment.isoformat() for moment in (NOON, NOON + HOUR)
    }
    unknown = CliRunner().invoke(transaction, ["payment-18"], obj=Context.from_environment())
    assert isinstance(unknown.exception, TransactionError)
    assert "'payment-18': expected one that was initiated" in str(unknown.exception)
