"""Verification: clean on a busy healthy ledger, one named alarm for each fault planted past the triggers.

Every fault is planted by somebody who may switch the triggers off, looked at in the same transaction, and rolled back.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from ledger_core.feed import relay
from ledger_core.posting import EntryLine, post, post_lines
from ledger_core.sql import execute_script
from ledger_core.verify import CHECKS, PASSES, CheckOutcome, verify
from tests.ledger_core.books import BANK, WALLET, fund, lines, open_chart, request, sale, together

Connection = psycopg.Connection

FOLDER = Path(__file__).parent
# What the files of faults call `@name`.
PLACES = {
    "@typo": "(SELECT entry_id FROM ledger.journal_entry WHERE entry_key = 'typo')",
    "@late": "(SELECT entry_id FROM ledger.journal_entry WHERE entry_key = 'late')",
    "@said": "(SELECT entry_id FROM ledger.journal_entry WHERE entry_key = 'said')",
    "@wallet": "(SELECT account_id FROM ledger.account WHERE code = 'liabilities:wallet')",
}
# Writes a whole, balanced entry behind the door's back.
PLANT = """
CREATE FUNCTION public.plant_entry(p_key text, p_account text, p_other text, p_amount bigint, p_at timestamptz)
RETURNS void LANGUAGE sql AS $$
  WITH e AS (
    INSERT INTO ledger.journal_entry (entry_key, request_hash, effective_at, line_count)
    VALUES (p_key, sha256(''), p_at, 2) RETURNING entry_id
  )
  INSERT INTO ledger.journal_line (entry_id, account_id, amount_minor, effective_at, line_no)
  SELECT e.entry_id, a.account_id, CASE a.code WHEN p_account THEN p_amount ELSE -p_amount END, p_at,
         CASE a.code WHEN p_account THEN 1 ELSE 2 END
  FROM e, ledger.account AS a WHERE a.code IN (p_account, p_other)
$$
"""


@pytest.fixture(scope="module")
def history_url(
    make_database: Callable[..., contextlib.AbstractContextManager[str]], template: str
) -> Iterator[str]:
    """A ledger in which everything has happened once, folded, relayed, and posted to again."""
    with make_database(template) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            open_chart(connection)
            fund(connection, 1000)
            post_lines(connection, sale("typo", 9))
            post(connection, [request("refused", (WALLET, 99_999), (BANK, -99_999))])
            execute_script(connection, FOLDER / "history.sql")
            connection.execute(PLANT)
            connection.execute("SELECT ledger.fold(1)")
            relay(connection)
            post_lines(connection, sale("late", 3))
        yield url


@pytest.fixture
def history(history_url: str) -> Iterator[Connection]:
    """A connection to it; whatever the test does is rolled back."""
    with contextlib.closing(psycopg.connect(history_url)) as opened:
        yield opened
        opened.rollback()


def alarms(connection: Connection) -> set[str]:
    found = verify(connection)
    assert [check.code for check in found] == list(CHECKS)
    assert not [check for check in found if check.outcome is CheckOutcome.NOT_RUN]
    return {check.code for check in found if check.outcome is CheckOutcome.FAILED}


def past_the_triggers(connection: Connection, statement: str) -> None:
    for name, place in PLACES.items():
        statement = statement.replace(name, place)
    connection.execute("SET LOCAL session_replication_role = replica")
    connection.execute(statement)
    connection.execute("SET LOCAL session_replication_role = origin")


@dataclass(frozen=True)
class Fault:
    """What somebody does past the triggers, and all the alarms it raises."""

    name: str
    statement: str
    alarms: set[str]


def faults(path: Path) -> list[Fault]:
    """The faults of a file: `-- fault: name`, a statement, `-- alarms: codes`."""
    found = re.findall(r"-- fault: (.+)\n(.+;)\n-- alarms: (.+)", path.read_text(encoding="utf-8"))
    return [Fault(name, statement, set(codes.split())) for name, statement, codes in found]


FAULTS = faults(FOLDER / "faults.sql")


def test_a_ledger_in_which_everything_happened_is_clean(history: Connection) -> None:
    assert not alarms(history)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_planted_past_the_triggers_raises_its_alarms_and_no_others(
    history: Connection, fault: Fault
) -> None:
    past_the_triggers(history, fault.statement)
    assert alarms(history) == fault.alarms


def test_every_alarm_can_be_raised() -> None:
    assert set().union(*(fault.alarms for fault in FAULTS)) | {"period_seals"} == set(
        CHECKS
    )  # seals: test_seal.py


def test_an_alarm_says_how_often_and_where_first(history: Connection) -> None:
    past_the_triggers(history, "UPDATE ledger.open_hold SET held_minor = held_minor + 1")
    (found,) = [check for check in verify(history) if check.outcome is CheckOutcome.FAILED]
    assert (found.code, found.offences) == ("open_hold", 2)
    assert found.detail.startswith("transaction id 1, account id ")


def test_entries_in_several_classes_are_looked_at_one_by_one(own_book: Connection) -> None:
    mixed = [
        EntryLine(account=BANK, amount_minor=5, asset="EUR"),
        EntryLine(account="income:sales", amount_minor=-5, asset="EUR"),
        EntryLine(account=BANK, amount_minor=5, asset="EUR", layer="planned"),
        EntryLine(account="income:sales", amount_minor=-5, asset="EUR", layer="planned"),
    ]
    post(own_book, [request("mixed", *mixed)])
    assert not alarms(own_book)
    past_the_triggers(own_book, "UPDATE ledger.journal_line SET layer = 'incoming' WHERE line_no = 3")
    assert alarms(own_book) == {"entry_zero_sum", "asset_zero_sum"}


def test_what_could_not_run_is_not_clean(history: Connection) -> None:
    history.execute("ALTER FUNCTION ledger.structure_faults() RENAME TO structure_faults_away")
    found = {check.code: check for check in verify(history)}
    assert list(found) == list(CHECKS)
    assert {code for code, check in found.items() if check.outcome is CheckOutcome.NOT_RUN} == set(
        PASSES["structure"]
    )
    assert all(check.detail for check in found.values() if check.outcome is CheckOutcome.NOT_RUN)
    assert {check.outcome for code, check in found.items() if code not in PASSES["structure"]} == {
        CheckOutcome.OK
    }


def test_a_check_the_database_does_not_answer_for_was_not_run(history: Connection) -> None:
    history.execute("ALTER FUNCTION ledger.verify(text) RENAME TO verify_away")
    history.execute(
        "CREATE FUNCTION ledger.verify(text) RETURNS TABLE (code text, offences bigint, first_offence text) "
        "LANGUAGE sql AS $$ SELECT 'fold_mark', 0::bigint, NULL $$"
    )
    clean = [check.code for check in verify(history) if check.outcome is not CheckOutcome.NOT_RUN]
    assert clean == ["fold_mark"]


def test_it_is_clean_while_others_post_take_back_fold_relay_and_hold(
    own_book: Connection, database_url: str
) -> None:
    fund(own_book, 100_000)
    own_book.commit()
    ended = threading.Event()
    busy = 5

    def work(connection: Connection, number: int) -> int:
        connection.autocommit = True
        if number == busy:
            rounds = 0
            while not ended.is_set() or rounds < 3:
                assert not alarms(connection), f"round {rounds}"
                rounds += 1
            return rounds
        try:
            for turn in range(40):
                key = f"{number}-{turn}"
                if number == 0:
                    connection.execute("SELECT ledger.fold(%s)", (turn % 3 + 1,))
                    relay(connection)
                elif number == 1:
                    for step in HOLD.split(";"):
                        connection.execute(step, {"key": key})
                else:
                    with contextlib.suppress(ZeroDivisionError), connection.transaction():
                        post_lines(connection, lines((key, WALLET, 3), (key, BANK, -3)))
                        post(connection, [request(f"{key}-refused", (WALLET, 10**9), (BANK, -(10**9)))])
                        _ = 1 // (turn % 4)
        finally:
            if number == 2:
                ended.set()
        return 0

    answers = together(database_url, busy + 1, work)
    assert not [answer for answer in answers if isinstance(answer, Exception)], answers
    assert answers[busy] >= 3
    assert not alarms(own_book)


HOLD = """
SELECT ledger.move_transaction(%(key)s, %(key)s || ':i', 'initiated', 'Ada', '2026-01-15Z');
SELECT ledger.move_transaction(%(key)s, %(key)s || ':h', 'held', 'Ada', '2026-01-15Z',
  ARRAY['liabilities:wallet', 'assets:bank'], ARRAY[20, -20], ARRAY['EUR', 'EUR']);
SELECT ledger.move_transaction(%(key)s, %(key)s || ':s', 'settled', 'Ada', '2026-01-15Z',
  ARRAY['liabilities:wallet', 'assets:bank'], ARRAY[20, -20], ARRAY['EUR', 'EUR'])
"""
