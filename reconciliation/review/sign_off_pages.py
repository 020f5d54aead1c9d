"""Signing a day: what stands against it and what to do, the digest, who prepares, who reviews, what changed since.

Laws: the page only tells; the command layer and the database decide, and their sentence is shown as it is. Whoever
prepares says which books they saw: if those changed meanwhile, nothing is signed and the change is told.

Example: POST /sign-off/bank/2026-11-13 with the digest that the page showed puts the day before a second person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType
from typing import Final, cast

from starlette.responses import Response

from reconciliation.errors import StaleView
from reconciliation.evidence.sign_off import (
    Obstacle,
    Verdict,
    changes_since,
    find_sign_off,
    obstacles_of,
    prepare,
    review,
    sign_offs,
)
from reconciliation.evidence.statement import day_statement
from reconciliation.people.permissions import permits
from reconciliation.review.dagster_links import asset_address
from reconciliation.review.filters import Filter
from reconciliation.review.statement_pages import source_of
from reconciliation.review.web import BadInput, Page, Visit
from reconciliation.sources import Source

VERDICTS: Final = ("signed", "refused", "withdrawn")
_TO_DO: Final[Mapping[str, str]] = MappingProxyType(
    {
        "not_reconciled": "Reconcile the source up to this day: it runs by its schedule, or in Dagster.",
        "not_proved": "Reconcile the day again, so that its balance is proved.",
        "unexplained": "Find what the balances differ by: a line or an entry that is in neither book.",
        "missing_file": "Deliver the file, or ask the source for it.",
        "not_carried_out": "Reconcile the source again: people decided something since its last run.",
        "unaccounted": "Reconcile the source again: lines came after its last run.",
        "statement": "Look at the check in the statement.",
        "told": "Nothing has to be done: it is told so that the signers know.",
        "proposals": "Judge them before or after; what is approved later changes the day's books.",
    }
)
"""What to do about an obstacle, by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObstacleRow:
    """An obstacle with what to do about it and where."""

    obstacle: Obstacle
    to_do: str
    path: str
    where: str


def sign_off(visit: Visit) -> Response:
    """The state of a day's signature, and the forms for who may go on with it."""
    source, day = source_of(visit, str(visit.request.path_params["source"])), visit.day("date")
    return _page(visit, source, day)


def put_forward(visit: Visit) -> Response:
    """Prepare the day, if its books are still those that were shown."""
    source, day = source_of(visit, str(visit.request.path_params["source"])), visit.day("date")
    seen = visit.text("books_sha256", longest=64)
    made = prepare(visit.connection, source, day, visit.text("note") or None)
    if seen != made.books_sha256:
        raise StaleView(
            f"the books of {source.id} {day} changed since you looked: expected the digest {seen[:16]}, found"
            f" {made.books_sha256[:16]}; look at the statement again"
        )
    return visit.see(_path(source, day), said=f"{source.id} {day} is prepared; another person reviews it.")


def give_verdict(visit: Visit) -> Response:
    """Sign, refuse or withdraw what was prepared."""
    waiting = find_sign_off(visit.connection, visit.id("id"))
    verdict = visit.text("verdict")
    if verdict not in VERDICTS:
        raise BadInput(f"verdict: expected {' or '.join(VERDICTS)}, found {verdict[:40]!r}")
    note = visit.text("note") or None
    if verdict != "signed" and note is None:
        raise BadInput("note: expected a reason why it is refused or withdrawn, found none")
    source = source_of(visit, waiting.source_id)
    given = review(visit.connection, source, waiting.sign_off_id, cast(Verdict, verdict), note)
    return visit.see(_path(source, given.day), said=f"{source.id} {given.day} is {given.state}.")


def _page(visit: Visit, source: Source, day: date) -> Response:
    made = day_statement(visit.connection, source, day)
    history = sign_offs(visit.connection, source_id=source.id, day=day)
    signed = next((found for found in reversed(history) if found.state == "signed"), None)
    waiting = next((found for found in reversed(history) if found.state == "prepared"), None)
    obstacles = obstacles_of(visit.connection, source, made)
    blocking = [obstacle for obstacle in obstacles if obstacle.blocks]
    changed = {
        found.sign_off_id: changes_since(visit.connection, source, found)
        for found in (signed, waiting)
        if found
    }
    standing = waiting or signed
    return visit.page(
        "sign_off.html",
        source=source,
        day=day,
        made=made,
        obstacles=[_row(visit, source, day, obstacle) for obstacle in _without_repeats(obstacles)],
        is_clear=not blocking,
        signed=signed,
        waiting=waiting,
        changed_signed=changed.get(signed.sign_off_id, ()) if signed else (),
        changed_waiting=changed.get(waiting.sign_off_id, ()) if waiting else (),
        same_books=standing is not None and standing.books_sha256 == made.books_sha256,
        may_prepare=_may_sign(visit, "prepare", source.sign_off.preparer),
        may_review=_may_sign(visit, "review", source.sign_off.reviewer),
        is_own=waiting is not None and _is_same_person(visit, waiting.prepared_by),
        history=list(reversed(history)),
    )


def _may_sign(visit: Visit, deed: str, wanted: str) -> bool:
    """Whether the visitor's roles let them sign in a place; for showing the form, the database decides."""
    roles = visit.visitor.roles
    return permits(roles, deed) and bool({"controller", wanted} & set(roles))


def _is_same_person(visit: Visit, login: str) -> bool:
    """Whether the visitor is who prepared it, by this or another login."""
    row = visit.connection.execute(
        "SELECT recon.human(%s) = recon.human(%s)", (visit.visitor.login, login)
    ).fetchone()
    return bool(row and row[0])


def _without_repeats(obstacles: tuple[Obstacle, ...]) -> list[Obstacle]:
    """Obstacles that block first; what the statement says again in other words left out where the database said it."""
    named = {obstacle.name for obstacle in obstacles}
    told = dict.fromkeys(
        obstacle
        for obstacle in obstacles
        if not (obstacle.name == "statement" and "missing_file" in named and "no file for" in obstacle.said)
        and not (
            obstacle.name == "statement" and "unexplained" in named and "nothing explains" in obstacle.said
        )
        and not (
            obstacle.name == "statement" and "not_proved" in named and "expected a proof" in obstacle.said
        )
    )
    return sorted(told, key=lambda obstacle: not obstacle.blocks)


def _row(visit: Visit, source: Source, day: date, obstacle: Obstacle) -> ObstacleRow:
    base = visit.config.dagster_url
    dagster = asset_address(base, source.id, "exceptions", day) if base else ""
    statement = f"/statements/{source.id}/{day}"
    of_source = Filter(source=(source.id,))
    paths = {
        "missing_file": (
            of_source.but(kind=("missing_file",), dated=day.isoformat()).path(),
            "the missing files",
        ),
        "unexplained": (of_source.but(kind=("balance_break",)).path(), "breaks of balances"),
        "not_reconciled": (dagster, "the source in Dagster"),
        "not_proved": (dagster, "the source in Dagster"),
        "not_carried_out": (dagster, "the source in Dagster"),
        "unaccounted": (dagster, "the source in Dagster"),
        "proposals": ("/proposals", "proposals"),
    }
    path, where = paths.get(obstacle.name, (statement, "the statement"))
    return ObstacleRow(obstacle=obstacle, to_do=_TO_DO.get(obstacle.name, ""), path=path, where=where)


def _path(source: Source, day: date) -> str:
    return f"/sign-off/{source.id}/{day}"


PAGES: Final = (
    Page(
        path="/sign-off/{id}/review",  # before the next one, which would take it for a source and a date
        handler=give_verdict,
        deed="prepare",
        methods=("POST",),
        reads_form=True,
        seconds=60,
    ),
    Page(path="/sign-off/{source}/{date}", handler=sign_off, deed="look", steady=True, seconds=60),
    Page(
        path="/sign-off/{source}/{date}",
        handler=put_forward,
        deed="prepare",
        methods=("POST",),
        reads_form=True,
        seconds=60,
    ),
)
