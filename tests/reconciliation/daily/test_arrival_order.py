"""What the books say depends on the data alone: on no order of days, files and sources, nor on how often one runs."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from tests.reconciliation.daily.office import SOURCE_IDS, Finished, Office
from tests.reconciliation.daily.stored import assert_same, state

Step = tuple[str, Any]


def test_what_the_books_say_does_not_depend_on_the_order_of_arrival(
    finished: Finished, finished_office: Office, order: str, database_url: str, tmp_path: Path
) -> None:
    last_day = finished.world.days[-1]
    office = Office.open(database_url, tmp_path / "other home", finished.folder)
    for what, of in steps(office, order, finished.world.days):
        if what == "post":
            office.post(of)
        elif what == "file":
            office.ingest(*of)
        else:
            office.reconcile(*of)
    office.reconcile_all(last_day)

    assert_same(_said(finished_office), _said(office))


ORDERS = (
    "all at the end",
    "the ledger last",
    "the days backwards",
    "the sources one after the other",
    "shuffled, run after now and then",
    "shuffled again, run after now and then",
)


@pytest.fixture(params=ORDERS)
def order(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def steps(office: Office, order: str, days: Sequence[date]) -> list[Step]:
    """The deeds of an order; a run is for the last day of what has come."""
    posts: list[Step] = [("post", day) for day in days]
    files: list[Step] = [("file", arrival) for arrival in office.arrivals()]
    if order == "all at the end":
        return [*posts, *files]
    if order == "the ledger last":
        runs = [("run", (day, source_id)) for day in days for source_id in SOURCE_IDS]
        return [*files, *runs, *posts]
    if order == "the days backwards":
        found = list(posts)
        for day in reversed(days):
            found += [("file", (source, path)) for source in SOURCE_IDS for path in office.files(day, source)]
            found += [("run", (days[-1], source)) for source in SOURCE_IDS]
        return in_their_versions(found)
    if order == "the sources one after the other":
        found = list(posts)
        for source in reversed(SOURCE_IDS):
            for day in days:
                found += [("file", (source, path)) for path in office.files(day, source)]
                found.append(("run", (day, source)))
        return found
    rng = Random(order)
    found = [*posts, *files]
    rng.shuffle(found)
    places = [place for place, (what, _) in enumerate(found) if what == "post"]
    for place, step in zip(
        places, posts, strict=True
    ):  # the ledger's own law: money is there before it is spent
        found[place] = step
    for place in range(len(found) - len(found) % 8, 0, -8):
        found.insert(place, ("run", (rng.choice(days), rng.choice(SOURCE_IDS))))
    return in_their_versions(found)


def in_their_versions(found: list[Step]) -> list[Step]:
    """A correction comes after what it corrects: what came later is what holds, so here order is content."""
    places = {of[1].name: place for place, (what, of) in enumerate(found) if what == "file"}
    for name, place in places.items():
        for suffix in ("_corrected", "_resent"):
            first = places.get(name.replace(suffix, "")) if suffix in name else None
            if first is not None and first > place:
                found[place], found[first] = found[first], found[place]
    return found


def _said(office: Office) -> dict[str, list[str]]:
    with psycopg.connect(office.url) as connection:
        return state(connection)
