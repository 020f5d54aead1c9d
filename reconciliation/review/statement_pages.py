"""Statements in the app: a calendar of the days of all sources; one day's statement to read, print and take away.

Laws: what the page shows is the evidence's own statement and nothing else; the same address with ``known_at`` shows the
same books for ever; the files of a day are the evidence's, to the byte. Reads only.

Example: /statements/bank/2026-11-13?known_at=sign-off:7&format=json
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

from starlette.responses import Response

from ledger_core.sql import queries
from reconciliation.errors import NotAllowed, SourcesError, UnknownItem
from reconciliation.evidence.sign_off import changes_since, sign_offs
from reconciliation.evidence.statement import DayStatement, day_statement, in_words
from reconciliation.evidence.statement_page import statement_html
from reconciliation.evidence.statement_parts import BRIDGE_LINES, GENUINE, TIMING, UNJUDGED
from reconciliation.evidence.statement_sheets import WRITERS
from reconciliation.people.permissions import roles_that_may
from reconciliation.review.dagster_links import asset_address
from reconciliation.review.days import (
    GROUPS,
    STATES,
    WINDOW_DAYS,
    DayState,
    Window,
    default_window,
    last_days,
    read_days,
)
from reconciliation.review.web import BadInput, Page, Visit
from reconciliation.sources import Source

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
ITEMS_SHOWN: Final = 1_000
"""Open lines that the page shows of one account and bucket; the files have every one."""
DEEDS_SHOWN: Final = 500
FORMATS: Final = {
    "html": "text/html; charset=utf-8",
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "json": "application/json",
}
"""The files of a statement, by the ending of their names."""
_BUCKETS: Final = (
    (TIMING, "Timing differences", "expected to clear by themselves"),
    (GENUINE, "Genuine differences", "to be worked"),
    (UNJUDGED, "Not judged yet", "came after the last run"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Open lines of one bucket: those that are shown, how many there are, and what they add to our balance."""

    title: str
    what: str
    items: Sequence[Mapping[str, Any]]
    count: int
    effect_minor: int  # external less ledger: what leads from our balance to theirs


def calendar(visit: Visit) -> Response:
    """Five weeks of every source, a mark for each day; with a source or a state, the days as a list."""
    query = visit.request.query_params
    sources = visit.config.sources.sources
    source_id, state = query.get("source", ""), query.get("state", "")
    if source_id:
        sources = (source_of(visit, source_id),)
    if state and state not in {*GROUPS, *STATES}:
        raise BadInput(f"state: expected one of {', '.join({**GROUPS, **STATES})}, found {state[:40]!r}")
    window = _window(visit, query.get("to", ""), sources)
    days = read_days(visit.connection, sources, window, today=visit.today)
    usual = tuple(STATES) if source_id else tuple(name for name in STATES if name != "signed")
    wanted = GROUPS.get(state, (state,)) if state else usual
    listed = [day for of_source in days.values() for day in of_source.values() if day.state in wanted]
    return visit.page(
        "days.html",
        window=window,
        before=window.from_date - timedelta(days=1),
        after=window.to_date + timedelta(days=WINDOW_DAYS) if window.to_date < visit.today else None,
        rows=[(source, [days[source.id].get(day) for day in window.dates]) for source in sources],
        listed=listed,
        states=STATES,
        groups=[(name, name.replace("_", " ")) for name in GROUPS] + list(STATES.items())[2:],
        source_id=source_id,
        state=state,
        source_ids=[(source.id, source.id) for source in visit.config.sources.sources],
        told=_told,
    )


def statement(visit: Visit) -> Response:
    """The statement of a source's day: as a page, or as a file where the address names a format."""
    source = source_of(visit, str(visit.request.path_params["source"]))
    day = visit.day("date")
    query = visit.request.query_params
    known_at = query.get("known_at") or None
    wanted = query.get("format", "")
    if wanted and wanted not in FORMATS:
        raise BadInput(f"format: expected {', '.join(FORMATS)}, found {wanted[:40]!r}")
    made = day_statement(visit.connection, source, day, known_at=known_at)
    if wanted:
        return statement_file(visit, made, wanted)
    history = sign_offs(visit.connection, source_id=source.id, day=day)
    standing = next((found for found in reversed(history) if found.state == "signed"), None)
    return visit.page(
        "statement.html",
        made=made,
        source=source,
        known_at=known_at,
        accounts=[(account, bridge_rows(account), buckets_of(account)) for account in made.accounts],
        ids=_exception_ids(visit, made),
        deeds=made.record["deeds"][:DEEDS_SHOWN],
        items_shown=ITEMS_SHOWN,
        checks=checks_of(made),
        in_words=in_words,
        signed=standing,
        waiting=next((found for found in reversed(history) if found.state == "prepared"), None),
        changed=changes_since(visit.connection, source, standing) if standing and not known_at else (),
        formats=FORMATS,
        dagster=_dagster(visit, source, day),
        neighbours=_neighbours(visit, source, day),
    )


def statement_file(visit: Visit, made: DayStatement, ending: str) -> Response:
    """The statement as a file to keep. The page among them brings its own style, so browsers do not show it here."""
    if not visit.may("export"):
        raise NotAllowed(
            f"{visit.visitor.name} may not take lists away; it takes {' or '.join(roles_that_may('export'))}"
        )
    content = statement_html(made).encode() if ending == "html" else WRITERS[ending](made)
    name = f"statement_{made.source_id}_{made.day}.{ending}"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "X-Tieout-Sha256": hashlib.sha256(content).hexdigest(),
    }
    return Response(content, media_type=FORMATS[ending], headers=headers)


def source_of(visit: Visit, source_id: str) -> Source:
    """The source of an address. Raises UnknownItem for one that is not there."""
    try:
        return visit.config.sources[source_id]
    except SourcesError as error:
        raise UnknownItem(str(error)) from None


def bridge_rows(account: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """Words, amount as it is added, and how the row is told: the ends of the bridge, steps, and what is unexplained."""
    if not account["bridge"]:
        return []
    rows = []
    for name, said, sign in BRIDGE_LINES:
        amount_minor = sign * account["bridge"][name]
        ends = {"ledger_minor": "start", "closing_minor": "end"}
        tone = ends.get(name, "wrong" if name == "unexplained_minor" and amount_minor else "step")
        if tone != "step" or amount_minor or name.startswith(("timing", "genuine")):
            rows.append((said, amount_minor, tone))
    return rows


def buckets_of(account: Mapping[str, Any]) -> list[Bucket]:
    """The open lines of an account by bucket, empty ones left out."""
    found = []
    for name, title, what in _BUCKETS:
        items = [item for item in account["open_items"] if item["bucket"] == name]
        if items:
            effect = sum(
                item["amount_minor"] if item["side"] == "external" else -item["amount_minor"]
                for item in items
            )
            found.append(
                Bucket(
                    title=title, what=what, items=items[:ITEMS_SHOWN], count=len(items), effect_minor=effect
                )
            )
    return found


def checks_of(made: DayStatement) -> list[tuple[str, list[Mapping[str, Any] | None]]]:
    """The identities by name, each with one for every account; None where an account has it not."""
    found = {(check["name"], check["account"]): check for check in made.books["identities"]}
    names = dict.fromkeys(check["name"] for check in made.books["identities"])
    return [(name, [found.get((name, account["account"])) for account in made.accounts]) for name in names]


def _window(visit: Visit, to: str, sources: Sequence[Source]) -> Window:
    if not to:
        return default_window(last_days(visit.connection, sources).values(), today=visit.today)
    try:
        return Window.around(date.fromisoformat(to))
    except (ValueError, OverflowError):
        raise BadInput(f"to: expected a date such as 2026-11-30, found {to[:40]!r}") from None


def _told(day: DayState) -> str:
    """A day in words, for the mark's title."""
    parts = [f"{day.source_id} {day.day}: {STATES[day.state]}"]
    if day.missing_count:
        parts.append(f"{day.missing_count} file{'s' if day.missing_count > 1 else ''} missing")
    if day.changed:
        parts.append(", ".join(day.changed))
    if day.signature:
        parts.append(
            f"prepared by {day.prepared_by}" + (f", signed by {day.reviewed_by}" if day.reviewed_by else "")
        )
    return "; ".join(parts)


def _exception_ids(visit: Visit, made: DayStatement) -> dict[str, int]:
    """Numbers of the exceptions whose lines are shown, for links."""
    keys = {
        item["exception_key"]
        for account in made.accounts
        for bucket in buckets_of(account)
        for item in bucket.items
        if item["exception_key"]
    }
    keys |= {row["exception_key"] for row in made.books["exceptions_without_lines"]}
    keys |= {row["exception_key"] for row in made.record["deeds"][:DEEDS_SHOWN]}
    return dict(visit.connection.execute(SQL["exception_ids"], {"keys": sorted(keys)}).fetchall())


def _dagster(visit: Visit, source: Source, day: date) -> str | None:
    base = visit.config.dagster_url
    return asset_address(base, source.id, "statement", day) if base else None


def _neighbours(visit: Visit, source: Source, day: date) -> tuple[date | None, date | None]:
    """The reconciled days before and after."""
    row = visit.connection.execute(SQL["neighbours"], {"source": source.id, "day": day}).fetchone()
    return (row[0], row[1]) if row else (None, None)


PAGES: Final = (
    Page(path="/statements", handler=calendar, deed="look", steady=True),
    Page(path="/statements/{source}/{date}", handler=statement, deed="look", steady=True, seconds=60),
)
