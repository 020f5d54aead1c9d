"""Every line is in exactly one bucket and every bridge adds up, by a reckoning of our own."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from psycopg.rows import dict_row

from fixtures.world import simulate
from reconciliation.classification import Classified
from reconciliation.classification.shapes import EXCEPTION_SCHEMA, MEMBER_SCHEMA
from reconciliation.daily.reckoning import buckets
from reconciliation.items import EXTERNAL_ITEM_SCHEMA, LEDGER_ITEM_SCHEMA
from reconciliation.sources import Source
from tests.reconciliation.daily.office import FIRST_DAY, SOURCES, Office


@dataclass(frozen=True, slots=True)
class Item:
    """A line of either side with the day on which a live match took it, if one did."""

    key: tuple[Any, ...]
    account: str
    day: date
    amount_minor: int
    taken_on: date | None

    def open_on(self, day: date) -> bool:
        return self.day <= day and (self.taken_on is None or self.taken_on > day)


def test_every_line_is_in_one_bucket_and_every_bridge_adds_up(finished_office: Office) -> None:
    reckon(finished_office.url)


@pytest.mark.parametrize("seed", [11, 12])
def test_the_same_holds_in_other_worlds_with_days_done_two_at_a_time(
    seed: int, database_url: str, tmp_path: Path
) -> None:
    world = simulate(seed, FIRST_DAY, days=5, lines=6)
    world.write(tmp_path / "world")
    office = Office.open(database_url, tmp_path / "home", tmp_path / "world")
    for number, day in enumerate(world.days):
        office.post(day)
        for source in SOURCES.sources:
            for path in office.files(day, source.id):
                office.ingest(source.id, path)
        if number % 2 == 0:
            office.reconcile_all(day)
    reckon(database_url)


def reckon(url: str) -> None:
    """Compare every proof with sums over the raw tables, and the open exceptions with what is open."""
    with psycopg.connect(url, row_factory=dict_row) as connection:
        connection.execute("SET TimeZone TO 'UTC'")
        for source in SOURCES.sources:
            external, ledger = external_items(connection, source), ledger_items(connection, source)
            proofs = ask(
                connection, "SELECT p.* FROM recon.balance_proof_v1 AS p WHERE p.source = %s", source.id
            )
            assert len(proofs) == 5 * 3
            for proof in proofs:
                check_proof(connection, source, proof, external, ledger)
            last_day = max(proof["business_date"] for proof in proofs)
            members = ask(
                connection,
                """
                SELECT m.line_id, m.entry_id, m.line_no, e.status FROM recon.exception_member AS m
                JOIN recon.exception AS e ON e.exception_id = m.exception_id WHERE e.source_id = %s
                """,
                source.id,
            )
            assert all(row["status"] != "cleared" for row in members)
            explained = sorted(
                ("external", row["line_id"])
                if row["line_id"]
                else ("ledger", row["entry_id"], row["line_no"])
                for row in members
            )
            assert explained == sorted(item.key for item in (*external, *ledger) if item.open_on(last_day))


def check_proof(
    connection: psycopg.Connection[Any],
    source: Source,
    proof: dict[str, Any],
    external: list[Item],
    ledger: list[Item],
) -> None:
    account, day = proof["account"], proof["business_date"]
    ours = [item for item in ledger if item.account == account]
    theirs = [item for item in external if item.account == account]
    (whole,) = ask(
        connection,
        "SELECT sum(j.amount_minor)::bigint AS minor FROM ledger.journal_line_v1 AS j WHERE j.account = %s",
        account,
    )
    start_minor = (whole["minor"] or 0) - sum(item.amount_minor for item in ours)
    held = start_minor + sum(item.amount_minor for item in ours if item.day <= day)
    stated = ask(
        connection,
        """
        SELECT s.closing_minor FROM recon.statement_v1 AS s
        WHERE s.account = %s AND s.to_date <= %s AND s.closing_minor IS NOT NULL
        ORDER BY s.to_date DESC LIMIT 1
        """,
        account,
        day,
    )
    said = (
        stated[0]["closing_minor"]
        if stated
        else start_minor + sum(item.amount_minor for item in theirs if item.day <= day)
    )
    (explained,) = ask(
        connection,
        """
        SELECT coalesce(sum(g.difference_minor), 0)::bigint AS minor FROM recon.match_group AS g
        WHERE g.leg = 'ledger' AND g.as_of <= %s AND EXISTS (
            SELECT FROM recon.match_member AS m WHERE m.group_id = g.group_id AND m.live AND m.account = %s)
        """,
        day,
        account,
    )
    open_external = [item for item in theirs if item.open_on(day)]
    open_ledger = [item for item in ours if item.open_on(day)]
    external_minor = sum(item.amount_minor for item in open_external)
    ledger_minor = sum(item.amount_minor for item in open_ledger)
    assert (proof["closing_minor"], proof["ledger_minor"]) == (said, held)
    assert proof["timing_external_minor"] + proof["genuine_external_minor"] == external_minor
    assert proof["timing_ledger_minor"] + proof["genuine_ledger_minor"] == ledger_minor
    assert proof["allocation_difference_minor"] == explained["minor"]
    assert proof["unexplained_minor"] == said - held - external_minor + ledger_minor - explained["minor"]
    assert proof["timing_count"] + proof["genuine_count"] == len(open_external) + len(open_ledger)
    taken = [item for item in (*theirs, *ours) if item.taken_on == day]
    assert proof["matched_count"] == len(taken)
    assert proof["line_count"] == len(taken) + len(open_external) + len(open_ledger)


def external_items(connection: psycopg.Connection[Any], source: Source) -> list[Item]:
    rows = ask(
        connection,
        """
        SELECT l.line_id, l.account, l.booking_date, l.amount_minor,
            (SELECT g.as_of FROM recon.match_member AS m JOIN recon.match_group AS g ON g.group_id = m.group_id
             WHERE m.line_id = l.line_id AND m.live AND m.leg = 'ledger') AS taken_on
        FROM recon.line AS l
        WHERE l.source_id = %s AND l.line_id NOT IN (SELECT c.line_id FROM recon.line_closure AS c)
        """,
        source.id,
    )
    return [
        Item(
            ("external", row["line_id"]),
            row["account"],
            row["booking_date"],
            row["amount_minor"],
            row["taken_on"],
        )
        for row in rows
    ]


def ledger_items(connection: psycopg.Connection[Any], source: Source) -> list[Item]:
    rows = ask(
        connection,
        """
        SELECT j.entry_id, j.line_no, j.account, j.effective_at, j.amount_minor,
            (SELECT g.as_of FROM recon.match_member AS m JOIN recon.match_group AS g ON g.group_id = m.group_id
             WHERE m.entry_id = j.entry_id AND m.line_no = j.line_no AND m.live AND m.leg = 'ledger') AS taken_on
        FROM ledger.journal_line_v1 AS j WHERE j.account = ANY (%s)
        """,
        list(source.ledger_accounts),
    )
    items = [
        Item(
            ("ledger", row["entry_id"], row["line_no"]),
            row["account"],
            day_of(row["effective_at"], source),
            row["amount_minor"],
            row["taken_on"],
        )
        for row in rows
    ]
    return [item for item in items if item.day >= source.start_date]


def day_of(instant: datetime, source: Source) -> date:
    """By the clock of the source; after its cut-off, and on weekends, the next business day."""
    local = instant.astimezone(source.zone)
    day = local.date() + timedelta(days=int(local.time() > source.cut_off))
    return next(day for day in following(day) if day.weekday() < 5)


def following(day: date) -> Iterator[date]:
    while True:
        yield day
        day += timedelta(days=1)


def ask(connection: psycopg.Connection[Any], query: str, *params: object) -> list[Any]:
    return connection.execute(query, params).fetchall()


@pytest.mark.parametrize("told", [0, 2])
def test_a_fold_that_loses_or_doubles_a_line_stops(told: int) -> None:
    line = {
        "line_id": 1, "line_key": "N1", "version": 1, "business_date": FIRST_DAY, "account": "assets:bank:eur",
        "amount_minor": 500, "asset": "EUR", "fee_minor": 0, "kind": "transfer",
    }  # fmt: skip
    exception = dict.fromkeys(EXCEPTION_SCHEMA.names) | {
        "exception_key": "a" * 64, "class": "genuine", "kind": "missing_in_ledger", "severity": "low",
        "side": "external", "amount_minor": 500, "difference_minor": 500, "item_date": FIRST_DAY, "due_on": FIRST_DAY,
        "age_business_days": 0, "factors": "{}",
    }  # fmt: skip
    member = {"exception_key": "a" * 64, "side": "external", "line_id": 1, "entry_id": None, "line_no": None}
    found = Classified(
        exceptions=pa.Table.from_pylist([exception], schema=EXCEPTION_SCHEMA),
        members=pa.Table.from_pylist([member] * told, schema=MEMBER_SCHEMA),
    )
    external = pa.Table.from_pylist([line], schema=EXTERNAL_ITEM_SCHEMA)

    with pytest.raises(ValueError, match="classification lost or doubled a line"):
        buckets(external, LEDGER_ITEM_SCHEMA.empty_table(), found)
