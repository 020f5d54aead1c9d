"""What no bridge explains, and since when. Pure.

Law: a rest is told of once, under the day that first showed it, and that day follows from the data alone, not from
what earlier runs made of it. What an absent file must have held is that file's exception, and no rest.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute

from reconciliation.classification import (
    AcceptedStatement,
    BusinessCalendar,
    RefusedDelivery,
    UnexplainedRest,
    source_gaps,
)
from reconciliation.daily.universe import Universe
from reconciliation.evidence.bridge import Proof
from reconciliation.sources import Source

kernel: Any = pyarrow.compute  # its stubs do not know that kernels take plain values


def deliveries_until(
    universe: Universe, day: date
) -> tuple[tuple[AcceptedStatement, ...], tuple[RefusedDelivery, ...]]:
    """What was accepted and what was refused for the days up to this one."""
    rows = universe.statements.filter(kernel.less_equal(universe.statements["to_date"], day)).to_pylist()
    accepted = tuple(
        AcceptedStatement(
            account=row["account"],
            from_date=row["from_date"],
            to_date=row["to_date"],
            sequence_no=row["sequence_no"],
        )
        for row in rows
    )
    refused = tuple(
        RefusedDelivery(for_date=refusal.for_date, code=refusal.code)
        for refusal in universe.refusals
        if refusal.for_date is not None and refusal.for_date <= day
    )
    return accepted, refused


def rests_of(
    proofs: tuple[Proof, ...], gaps: pa.Table, universe: Universe, known: Mapping[tuple[str, int], date]
) -> list[UnexplainedRest]:
    """The rests of a day; one that the day before had too (``known``) keeps its date."""
    rests = []
    for proof in proofs:
        rest = proof.unexplained_minor - _held_by_absent_files(
            universe, proof.account, proof.business_date, gaps
        )
        if rest:
            rests.append(
                UnexplainedRest(
                    account=proof.account,
                    asset=proof.asset,
                    business_date=known.get((proof.account, rest), proof.business_date),
                    unexplained_minor=rest,
                )
            )
    return rests


def rests_before(
    universe: Universe, first: date, *, source: Source, calendar: BusinessCalendar
) -> dict[tuple[str, int], date]:
    """Rests of the last business day before ``first``, by account and amount, with the day that first showed each."""
    found: dict[str, tuple[int, date]] = {}
    going_on = set(source.ledger_accounts)
    for day in reversed(calendar.business_days(source.start_date, first - timedelta(days=1))):
        accepted, refused = deliveries_until(universe, day)
        gaps = source_gaps(
            accepted=accepted, refused=refused, as_of=day, source=source, calendar=calendar
        ).exceptions
        for account in tuple(going_on):
            unexplained_minor = universe.unexplained_before.get((account, day), 0)
            rest = unexplained_minor - _held_by_absent_files(universe, account, day, gaps)
            if rest and found.get(account, (rest, day))[0] == rest:
                found[account] = rest, day
            else:
                going_on.discard(account)
        if not going_on:
            break
    return {(account, rest): since for account, (rest, since) in found.items()}


def _held_by_absent_files(universe: Universe, account: str, day: date, gaps: pa.Table) -> int:
    """Movement of the files that are absent: each jump from a closing to the next opening with an absent day
    between; before the first statement, from what the ledger held at the start.
    """
    absent = [
        row["item_date"]
        for row in gaps.select(["account", "item_date"]).to_pylist()
        if row["account"] in (None, account)
    ]
    if not absent:
        return 0
    statements = universe.statements.filter(kernel.equal(universe.statements["account"], account))
    chain = [
        row
        for row in statements.sort_by([("to_date", "ascending"), ("sequence_no", "ascending")]).to_pylist()
        if row["to_date"] <= day and row["opening_minor"] is not None and row["closing_minor"] is not None
    ]
    start = {"to_date": date.min, "closing_minor": universe.ledger_start.get(account, 0)}
    return sum(
        later["opening_minor"] - earlier["closing_minor"]
        for earlier, later in pairwise([start, *chain])
        if any(earlier["to_date"] < gone < later["to_date"] for gone in absent)
    )
