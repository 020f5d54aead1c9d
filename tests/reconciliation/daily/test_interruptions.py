"""Killed at any moment and done again: the same as if nothing had happened."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ledger_core.errors import StoreError
from tests.reconciliation.daily.desk import MONDAY, Desk, movement
from tests.reconciliation.daily.doomed import at_work
from tests.reconciliation.daily.stored import assert_same, every_row, history

REPOSITORY = Path(__file__).resolve().parents[3]


def prepare(desk: Desk) -> None:
    """Both works have something of every kind to do: matches to make and to revoke, exceptions, alerts, proofs."""
    desk.post("sale", MONDAY, 500, ref_end_to_end="INV-1")
    desk.post("other", MONDAY, 700_000_000, ref_end_to_end="INV-2")
    desk.statement(MONDAY, movement("INV-1", 500), movement("INV-3", 30), movement("INV-2", 800_000_000))


def do(desk: Desk, work: str) -> int:
    """The work, undisturbed; how many exchanges with the server it takes."""
    return at_work(desk.url, work, 0, lambda _: None)


@pytest.mark.parametrize("work", ["run", "intake"])
def test_work_cut_off_by_the_server_at_any_step_did_not_happen_and_is_simply_done_again(
    desk: Desk, twin: Desk, work: str
) -> None:
    for one in (desk, twin):
        prepare(one)
        if work == "intake":
            do(one, "run")
    steps = do(twin, work)
    assert steps > 10
    before = rows(desk)

    for step in range(1, steps + 1):
        with psycopg.connect(desk.url, autocommit=True) as killer:

            def cut(connection: psycopg.Connection[Any], killer: psycopg.Connection[Any] = killer) -> None:
                killer.execute("SELECT pg_terminate_backend(%s, 10000)", (connection.info.backend_pid,))

            with pytest.raises((psycopg.OperationalError, StoreError)):
                at_work(desk.url, work, step, cut)
    assert_same(before, rows(desk))

    do(desk, work)
    for one in (desk, twin):
        do(one, "run")
    assert_same(told(twin), told(desk))


@pytest.mark.parametrize(("work", "step"), [("run", 15), ("run", 40), ("intake", 12)])
def test_a_killed_process_leaves_nothing_and_its_work_is_simply_done_again(
    desk: Desk, twin: Desk, work: str, step: int
) -> None:
    prepare(desk)
    prepare(twin)
    before = rows(desk)

    killed = subprocess.run(
        [sys.executable, "-m", "tests.reconciliation.daily.doomed", desk.url, work, str(step)],
        check=False,
        cwd=REPOSITORY,
    )

    assert killed.returncode == -signal.SIGKILL
    desk.run(MONDAY)  # waits until the server has noticed, if it has not yet
    twin.run(MONDAY)
    assert_same(told(twin), told(desk))
    assert before != rows(desk)


def rows(desk: Desk) -> dict[str, list[str]]:
    with psycopg.connect(desk.url) as connection:
        return every_row(connection)


def told(desk: Desk) -> dict[str, list[str]]:
    with psycopg.connect(desk.url) as connection:
        return history(connection)
