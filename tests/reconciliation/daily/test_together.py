"""Two at once: one works, the other waits or says so, and nothing is done twice."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic, sleep

import psycopg
import pytest

from reconciliation.daily.reconcile import RunOutcome
from reconciliation.errors import AlreadyRunning
from tests.reconciliation.daily.desk import MONDAY, OPENING_MINOR, TUESDAY, Desk, movement
from tests.reconciliation.daily.stored import assert_same, history


def prepared(desk: Desk) -> None:
    desk.post("sale", MONDAY, 500, ref_end_to_end="INV-1")
    desk.statement(MONDAY, movement("INV-1", 500))


def waits_for_a_lock(desk: Desk) -> bool:
    with psycopg.connect(desk.url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks AS l WHERE l.locktype = 'advisory' AND NOT l.granted"
        ).fetchone()
    return row is not None and row[0] > 0


def until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + 20
    while not condition():
        assert monotonic() < deadline, "waited 20 seconds in vain"
        sleep(0.02)


def test_a_second_run_that_does_not_wait_says_that_one_is_at_work(desk: Desk) -> None:
    prepared(desk)
    with desk.session("tieout_matcher") as first:
        desk.run_on(first, MONDAY)
        with pytest.raises(AlreadyRunning, match="source bank: expected to be alone"):
            desk.run(MONDAY, wait=False)
        assert desk.run(MONDAY, "stripe", wait=False).run_id is not None  # another source is another matter

    assert desk.run(MONDAY, wait=False).unchanged


def test_a_second_run_whose_patience_ends_says_that_one_is_at_work(desk: Desk) -> None:
    prepared(desk)

    def impatient() -> None:
        with desk.session("tieout_matcher") as second:
            second.execute("SET LOCAL lock_timeout = '50ms'")
            desk.run_on(second, MONDAY)

    with desk.session("tieout_matcher") as first:
        desk.run_on(first, MONDAY)
        with pytest.raises(AlreadyRunning):
            impatient()


def test_a_second_run_that_waits_finds_everything_done(desk: Desk, twin: Desk) -> None:
    prepared(desk)
    prepared(twin)
    twin.run(MONDAY)
    with ThreadPoolExecutor(1) as pool:
        with desk.session("tieout_matcher") as first:
            made = desk.run_on(first, MONDAY)
            second: Future[RunOutcome] = pool.submit(desk.run, MONDAY)
            until(lambda: waits_for_a_lock(desk))
        assert made.groups_made == 1
        assert second.result(timeout=20).unchanged

    with psycopg.connect(desk.url) as one, psycopg.connect(twin.url) as other:
        assert_same(history(other), history(one))


def test_many_runs_at_once_do_the_work_once(desk: Desk, twin: Desk) -> None:
    prepared(desk)
    prepared(twin)
    twin.run(MONDAY)
    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(lambda _: desk.run(MONDAY), range(6)))

    assert sorted(outcome.unchanged for outcome in outcomes) == [False, True, True, True, True, True]
    with psycopg.connect(desk.url) as one, psycopg.connect(twin.url) as other:
        assert_same(history(other), history(one))


def test_intake_waits_for_a_run_and_its_lines_are_the_next_runs(desk: Desk) -> None:
    prepared(desk)
    with ThreadPoolExecutor(1) as pool:
        with desk.session("tieout_matcher") as run:
            desk.run_on(run, MONDAY)
            arriving = pool.submit(
                desk.statement, TUESDAY, movement("INV-2", 70), opening_minor=OPENING_MINOR + 500
            )
            until(lambda: waits_for_a_lock(desk))
            assert not arriving.done()
        assert arriving.result(timeout=20).outcome == "accepted"

    desk.run(TUESDAY)
    assert desk.kinds() == ["timing missing_in_ledger"]


def test_a_bank_file_that_arrives_while_a_payout_is_matched_is_found_by_the_next_run(desk: Desk) -> None:
    desk.payout(MONDAY, "po_1", ("ch_1", 500))
    with desk.session("tieout_matcher") as run:
        assert desk.run_on(run, TUESDAY, "stripe").waiting_in_legs == 1
        desk.statement(TUESDAY, movement("po_1", 500))

    assert desk.run(TUESDAY, "stripe").legs_made == 1
    assert desk.run(TUESDAY, "stripe").unchanged
