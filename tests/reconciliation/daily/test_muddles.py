"""Small muddles drawn at random: few references, few amounts, corrections, payouts; told in two orders, one outcome."""

from collections.abc import Callable
from random import Random

import psycopg
import pytest

from tests.reconciliation.daily.desk import (
    FRIDAY,
    MONDAY,
    NEXT_MONDAY,
    OPENING_MINOR,
    PROCESSOR_ACCOUNT,
    SATURDAY,
    THURSDAY,
    TUESDAY,
    WEDNESDAY,
    Desk,
    movement,
)
from tests.reconciliation.daily.stored import assert_same, state

BUSINESS_DAYS = (MONDAY, TUESDAY, WEDNESDAY, THURSDAY, FRIDAY, NEXT_MONDAY)
DAYS = (*BUSINESS_DAYS[:-1], SATURDAY, NEXT_MONDAY)
REFERENCES = ("INV-1", "INV1", "INV 1", "INV-2", "po_1", "PO-1", "po_2")
AMOUNTS = (500, 500, 700, -500)

Deed = Callable[[Desk], object]


@pytest.mark.parametrize("seed", range(4))
def test_a_muddle_ends_the_same_in_whatever_order_it_is_told(seed: int, desk: Desk, twin: Desk) -> None:
    rng = Random(seed)
    posts, files = drawn(rng)
    told: list[Deed] = [deed for chain in files for deed in chain]
    for deed in (*posts, *told):
        deed(twin)
    finish(twin)

    shuffled: list[Deed] = [*posts, *told]
    rng.shuffle(shuffled)
    for chain in files:  # versions of one statement keep their order: what comes later is what holds
        places = sorted(shuffled.index(deed) for deed in chain)
        for place, deed in zip(places, chain, strict=True):
            shuffled[place] = deed
    for deed in shuffled:
        deed(desk)
        if rng.random() < 0.3:
            desk.run(rng.choice(DAYS), rng.choice(("bank", "stripe")))
    finish(desk)

    assert_same(said(twin), said(desk))


def drawn(rng: Random) -> tuple[list[Deed], list[list[Deed]]]:
    """What our book says, and for each file its versions in their order."""
    posts = [posting(rng, number) for number in range(12)]
    files = [
        [statement(rng, day, version) for version in ("", "b", "c")[: rng.choice((1, 1, 2, 3))]]
        for day in DAYS
    ]
    files += [[payout(rng, payout_id)] for payout_id in ("po_1", "po_2")]
    return posts, files


def posting(rng: Random, number: int) -> Deed:
    day, amount, reference = rng.choice(BUSINESS_DAYS), rng.choice(AMOUNTS), rng.choice(REFERENCES)
    party, at_processor = rng.choice("AB"), rng.random() < 0.25
    if at_processor:
        return lambda desk: desk.post(
            f"e{number}", day, amount, account=PROCESSOR_ACCOUNT, ref_psp=f"ch_{number % 3}"
        )
    return lambda desk: desk.post(f"e{number}", day, amount, ref_end_to_end=reference, counterparty=party)


def statement(rng: Random, day: object, version: str) -> Deed:
    lines = [
        movement(rng.choice(REFERENCES), rng.choice(AMOUNTS), native_id=f"{day}-{number}")
        for number in range(rng.choice((0, 1, 2, 3)))
    ]
    opening_minor = OPENING_MINOR + rng.choice((0, 0, 500))
    return lambda desk: desk.statement(day, *lines, opening_minor=opening_minor, version=version)  # type: ignore[arg-type]


def payout(rng: Random, payout_id: str) -> Deed:
    day = rng.choice(BUSINESS_DAYS)
    charges = [(f"ch_{number}", 500) for number in range(1)] if payout_id == "po_1" else [("ch_1", 700)]
    return lambda desk: desk.payout(day, payout_id, *charges)


def finish(desk: Desk) -> None:
    for source_id in ("bank", "stripe"):
        desk.run(NEXT_MONDAY, source_id)


def said(desk: Desk) -> dict[str, list[str]]:
    with psycopg.connect(desk.url) as connection:
        return state(connection)
