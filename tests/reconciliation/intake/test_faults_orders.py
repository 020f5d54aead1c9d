"""Deliveries of every kind, mixed: in whatever order and packaging, however often, the same counts in the end."""

import gzip
import random
from dataclasses import dataclass
from datetime import date
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import Connection

from reconciliation.intake.deliveries import list_provisional
from reconciliation.sources import Source
from tests.reconciliation.intake.builder import BANK, STRIPE, Charge, Entry, deliver_all, stripe_file
from tests.reconciliation.intake.fault_files import (
    FIRST_DAY,
    Told,
    file_of,
    new_source,
    source_of,
    unkept_statements,
    zipped,
)
from tests.reconciliation.intake.test_provisional import intraday, pending_entry, statement

DAYS = ("2026-11-16", "2026-11-17", "2026-11-18")

IN_ONE_DATABASE = settings(
    max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
lines = st.lists(
    st.tuples(
        st.sampled_from(("1", "2", "3", "")),
        st.sampled_from((100, 200, -50)),
        st.sampled_from(("rent", "tax")),
    ),
    max_size=4,
)
versions = st.lists(
    st.tuples(lines, st.lists(st.sampled_from((900, 901)), max_size=2)), min_size=1, max_size=3
)
reports = st.lists(
    st.tuples(
        st.sampled_from((*DAYS, "2026-11-19")),
        st.lists(
            st.tuples(st.sampled_from((100, 77)), st.sampled_from(("E1", "E2")), st.just("BOOK")), max_size=3
        ),
    ),
    max_size=4,
)


@dataclass(frozen=True)
class Chain:
    """Files whose order is content: versions of one statement."""

    contents: tuple[bytes, ...]


def statements_of(day: str, told: list[Any]) -> Chain:
    contents = []
    for number, (booked, pending) in enumerate(told):
        entries = [Entry(amount, reference, text) for reference, amount, text in booked]
        waiting = "".join(pending_entry(amount, "E9", day) for amount in pending)
        content = statement(*entries, day=day, pending=waiting)
        contents.append(content.replace(f"<MsgId>S{day}".encode(), f"<MsgId>S{day}v{number}".encode()))
    return Chain(tuple(contents))


def in_some_order(chains: list[Chain], chance: random.Random) -> list[bytes]:
    """Every file, each chain in its own order, some delivered again later."""
    waiting = [list(chain.contents) for chain in chains if chain.contents]
    order: list[bytes] = []
    while waiting:
        chain = chance.choice(waiting)
        order.append(chain.pop(0))
        if chance.random() < 0.3:
            order.append(chance.choice(order))
        waiting = [chain for chain in waiting if chain]
    return order


def deliver_packed(store: Connection, order: list[bytes], source: Source, chance: random.Random) -> None:
    """Alone, as gzip, or several in one archive, as chance has it."""
    rest = list(order)
    while rest:
        taken = [rest.pop(0) for _ in range(min(len(rest), chance.choice((1, 1, 2, 3))))]
        if len(taken) > 1:
            content = zipped(**{f"m{place}": member for place, member in enumerate(taken)})
        else:
            content = chance.choice((gzip.compress, bytes))(taken[0])
        for outcome in deliver_all(store, content, source=source):
            assert outcome.refusal is None, outcome.sentence


def said(store: Connection, source: Source) -> tuple[list[Any], list[Any]]:
    """What counts and what waits, without the names that the order of arrival gives."""
    current = store.execute(
        """
        SELECT l.account, l.booking_date, l.amount_minor, l.text FROM recon.line AS l
        WHERE l.source_id = %s AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
        ORDER BY 1, 2, 3, 4
        """,
        (source.id,),
    ).fetchall()
    rows = list_provisional(store, source_id=source.id)
    waits = sorted(
        (row["report_date"], row["amount_minor"], row["status"], row["ref_end_to_end"])
        for row in rows
        if row["live"]
    )
    return current, waits


def one_after_the_other(store: Connection, chains: list[Chain], source: Source) -> None:
    for chain in chains:
        for content in chain.contents:
            (outcome,) = deliver_all(store, content, source=source)
            assert outcome.refusal is None, outcome.sentence


@IN_ONE_DATABASE
@given(st.tuples(versions, versions, versions), reports, st.randoms(use_true_random=False))
def test_statements_corrections_and_reports_in_any_order_and_packaging_end_the_same(
    store: Connection, told: tuple[list[Any], ...], seen: list[Any], chance: random.Random
) -> None:
    plain, mixed = (new_source(BANK, intraday=("camt.052",)) for _ in range(2))
    chains = [statements_of(day, found) for day, found in zip(DAYS, told, strict=True)]
    chains += [
        Chain((intraday(*entries, day=day, number=number),))
        for number, (day, entries) in enumerate(seen, start=1)
    ]
    one_after_the_other(store, chains, plain)
    deliver_packed(store, in_some_order(chains, chance), mixed, chance)

    assert said(store, mixed) == said(store, plain)
    for source in (plain, mixed):
        assert unkept_statements(store, source) == []
    last = sorted(
        (day, amount) for day, found in zip(DAYS, told, strict=True) for _, amount, _ in found[-1][0]
    )
    assert [(str(day), amount) for _, day, amount, _ in said(store, plain)[0]] == last


@IN_ONE_DATABASE
@given(
    st.lists(
        st.lists(
            st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), max_size=3), min_size=1, max_size=2
        ),
        min_size=3,
        max_size=3,
    ),
    st.sampled_from(("ofx", "bai2", "mt940")),
    st.randoms(use_true_random=False),
)
def test_days_of_a_bank_that_uses_its_ids_again_end_the_same(
    store: Connection, days: list[list[list[tuple[int, int]]]], name: str, chance: random.Random
) -> None:
    plain, mixed = (new_source(source_of(name)) for _ in range(2))
    chains = []
    for day, told in enumerate(days):
        contents = []
        for number, booked in enumerate(told):
            content = file_of(
                name, *(Told(own, amount) for own, amount in booked), day=day, version=chr(ord("a") + number)
            )
            contents.append(
                content.replace(f"{date(2026, 11, 16 + day):%m%d}N".encode(), b"0000N") + b"\n" * number
            )
        chains.append(Chain(tuple(contents)))
    one_after_the_other(store, chains, plain)
    deliver_packed(store, in_some_order(chains, chance), mixed, chance)

    assert said(store, mixed) == said(store, plain)
    for source in (plain, mixed):
        assert unkept_statements(store, source) == []
    last = sorted((day, amount) for day, told in enumerate(days) for _, amount in told[-1])
    found = said(store, plain)[0]
    assert [((when - FIRST_DAY).days, amount) for _, when, amount, _ in found] == last


@IN_ONE_DATABASE
@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 9_999)), max_size=12),
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=5),
    st.randoms(use_true_random=False),
)
def test_overlapping_reports_of_a_processor_in_any_packaging_hold_each_line_once(
    store: Connection, told: list[tuple[int, int]], spans: list[tuple[int, int]], chance: random.Random
) -> None:
    source = new_source(STRIPE)
    charges = [
        (day, Charge(f"txn_{number}", amount, day=f"2026-11-{10 + day}"))
        for number, (day, amount) in enumerate(told)
    ]
    chains = []
    for first, last in (*spans, (0, 4)):
        within = [charge for day, charge in charges if min(first, last) <= day <= max(first, last)]
        chains.append(Chain((stripe_file(*within),) if within else ()))
    deliver_packed(store, in_some_order(chains, chance), source, chance)
    assert [amount for _, _, amount, _ in said(store, source)[0]] == [amount for _, amount in sorted(told)]
