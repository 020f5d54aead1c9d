"""Old knowledge gives old bytes, whatever comes later; and right after a run everything in a statement agrees."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from fixtures.model import BankLine
from ledger_core.sql import translated_errors
from reconciliation.errors import ReconciliationError, UnknownItem
from reconciliation.evidence.knowledge import Snapshot, after_run
from reconciliation.evidence.sign_off import check, prepare, review, sign_offs
from reconciliation.evidence.statement import DayStatement, day_statement
from tests.reconciliation.daily.desk import (
    MONDAY,
    OPENING_MINOR,
    SOURCES,
    TUESDAY,
    WEDNESDAY,
    Desk,
    movement,
    statement_bytes,
)

BANK = SOURCES["bank"]
DAYS = (MONDAY, TUESDAY, WEDNESDAY)
DEEDS: list[tuple[str, dict[str, str]]] = [
    ("take", {}),
    ("comment", {"note": "=1+1"}),
    ("carry", {"until": "2026-12-01", "reason": "timing"}),
]


def test_a_snapshot_shows_what_was_over_and_what_its_own_run_wrote() -> None:
    seen = Snapshot.parse("12:15:13")

    assert seen is not None
    assert [seen.shows(number) for number in (11, 12, 13, 14, 15)] == [True, True, False, True, False]
    assert str(after_run("12:15:13", "17")) == "13:18:13,15,16"
    assert str(after_run("12:15:13", "13")) == "15:15:"
    assert str(after_run("12:12:", "12")) == "13:13:"
    assert not Snapshot.nothing().shows(1)


@given(
    running=st.sets(st.integers(10, 30), max_size=5),
    own=st.integers(10, 40),
    end=st.integers(31, 33),
)
def test_a_run_adds_itself_to_what_it_saw_and_nobody_else(running: set[int], own: int, end: int) -> None:
    before = Snapshot(start=min([*running, end]), end=end, running=tuple(sorted(running)))

    after = before.with_own(own)

    assert Snapshot.parse(str(after)) == after
    assert [n for n in range(1, 50) if after.shows(n) != before.shows(n)] == [own] * (not before.shows(own))


@pytest.mark.parametrize(
    "text", ["", "1:2", "2:1:", "0:4:", "3:9:2", "3:9:5,4", "3:9:9", "3:9:x", "٣:٩:", "3:9:4,4"]
)
def test_what_is_no_snapshot_is_none(text: str) -> None:
    assert Snapshot.parse(text) is None


@dataclass
class Memory:
    """A desk that remembers what was said of each day, and when."""

    desk: Desk
    chance: random.Random
    said: dict[tuple[date, str], bytes] = field(default_factory=dict)
    lines: dict[date, list[BankLine]] = field(default_factory=dict)
    count: int = 0

    def look(self) -> list[DayStatement]:
        """Remember every day as it is now."""
        with self.desk.session("tieout_auditor") as connection:
            found = [day_statement(connection, BANK, day) for day in DAYS]
        for statement in found:
            self.said[statement.day, statement.known_at] = statement.canonical_bytes()
        return found

    def says_the_same(self) -> None:
        """Everything that was ever said is said again."""
        with self.desk.session("tieout_auditor") as connection:
            for (day, known_at), content in self.said.items():
                assert day_statement(connection, BANK, day, known_at=known_at).canonical_bytes() == content
            for signed in sign_offs(connection):
                assert check(connection, BANK, signed).problems == ()

    def name(self) -> str:
        self.count += 1
        return f"R{self.count}"

    def deliver(self, day: date) -> None:
        """A day's statement, or a corrected one that moves money between its lines and adds some."""
        amounts = [self.chance.randint(-900, 900) or 7 for _ in range(self.chance.randint(1, 4))]
        known = self.lines.setdefault(day, [])
        if known and self.chance.random() < 0.5:
            known.pop(self.chance.randrange(len(known)))
        known += [movement(self.name(), amount) for amount in amounts]
        earlier = [line for before in DAYS if before < day for line in self.lines.get(before, [])]
        opening_minor = OPENING_MINOR + sum(line.amount_minor for line in earlier)
        content = statement_bytes(day, known, opening_minor, version=self.name())
        self.desk.deliver("bank", f"{self.name()}.xml", content)

    def post(self) -> None:
        """An entry on some day: of a line that is there, of one with another amount, or of none."""
        lines = [line for known in self.lines.values() for line in known]
        line = (
            self.chance.choice(lines) if lines and self.chance.random() < 0.7 else movement(self.name(), 250)
        )
        amount_minor = line.amount_minor + self.chance.choice([0, 0, 0, 5])
        self.desk.post(
            self.name(), self.chance.choice(DAYS), amount_minor or 1, ref_end_to_end=line.end_to_end or ""
        )

    def undo(self) -> None:
        groups = self.desk.live_groups()
        if groups:
            group_id, _ = self.chance.choice(sorted(groups.values()))
            with self.desk.acting("ada") as connection:
                connection.execute("SELECT recon.undo_match(%s, 'data_correction', 'not these')", (group_id,))

    def decide(self) -> None:
        """Two people leave an open line out of the reckoning."""
        rows = [row for row in self.desk.exceptions() if row["line_key"] or row["entry_key"]]
        if not rows:
            return
        row = self.chance.choice(rows)
        named = _named(self.desk, row)
        with suppress(ReconciliationError), translated_errors({"TR": ReconciliationError}):
            with self.desk.acting("ada") as connection:
                (proposal,) = connection.execute(
                    "SELECT recon.propose(%s, NULL, 'exclude', %s, 'other', 'a test of the bank')",
                    (row["exception_id"], Jsonb([named])),
                ).fetchone() or (None,)
            with self.desk.acting("ben") as connection:
                connection.execute("SELECT recon.judge_proposal(%s, 'approved')", (proposal,))

    def work(self) -> None:
        rows = self.desk.exceptions()
        if rows:
            deed, detail = self.chance.choice(DEEDS)
            with self.desk.acting("ada") as connection:
                chosen = self.chance.choice(rows)["exception_id"]
                connection.execute(
                    "SELECT recon.work(%s, %s, %s, %s)", ([chosen], [None], deed, Jsonb(detail))
                )

    def sign(self) -> None:
        day = self.chance.choice(DAYS)
        with suppress(ReconciliationError):
            with self.desk.acting("ada") as connection:
                prepared = prepare(connection, BANK, day, "seen")
            with self.desk.acting("ben") as connection:
                review(connection, BANK, prepared.sign_off_id, "signed")

    def run(self) -> None:
        """Reconcile; right after it all parts of every day's statement agree, but for what the balances leave."""
        self.desk.run(max(self.lines, default=MONDAY))
        for statement in self.look():
            if statement.record["decided_by"] is not None:
                wrong = [one for one in statement.failing if one["blocks"] and one["name"] != "tied out"]
                assert not wrong


def _named(desk: Desk, row: dict[str, Any]) -> dict[str, Any]:
    if row["side"] == "external":
        (version,) = desk.ask("SELECT l.version FROM recon.line AS l WHERE l.line_id = %s", row["line_id"])
        return {"side": "external", "line_key": row["line_key"], "version": version}
    return {"side": "ledger", "entry_key": row["entry_key"], "line_no": row["line_no"]}


@settings(max_examples=2)
@given(seed=st.integers(0, 2**32))
def test_what_was_known_is_told_to_the_byte_whatever_comes_later(
    seed: int, make_database: Callable[..., AbstractContextManager[str]], template: str
) -> None:
    with make_database(template) as url:
        memory = Memory(Desk(url), random.Random(seed))
        memory.desk.enrol("ada", "controller")
        memory.desk.enrol("ben", "controller")
        memory.deliver(MONDAY)
        memory.post()
        memory.run()
        steps: list[Callable[[], None]] = [
            lambda: memory.deliver(memory.chance.choice(DAYS)),
            memory.post,
            memory.undo,
            memory.decide,
            memory.work,
            memory.sign,
            memory.run,
        ]
        for _ in range(10):
            memory.chance.choice(steps)()
            memory.look()
        memory.run()
        memory.says_the_same()


def test_a_moment_that_is_not_over_is_no_knowledge_time(desk: Desk) -> None:
    with desk.session("tieout_auditor") as other, desk.session("tieout_poster") as open_one:
        (number,) = open_one.execute("SELECT pg_current_xact_id()::text").fetchone() or ("",)
        with pytest.raises(UnknownItem, match="still running or to come"):
            day_statement(other, BANK, MONDAY, known_at=f"3:{int(number) + 1}:")
        assert day_statement(other, BANK, MONDAY, known_at=f"3:{number}:").known_at == f"3:{number}:"
