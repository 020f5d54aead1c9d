"""What people made of suggestions, by source, pass and rule; what that says about the rules, and a trial of it.

Laws: a change of rules is shown and never applied: whoever agrees writes it into sources.yaml. A trial is asked for by
itself, for it takes time; it is rolled back. The import rule keeps the engine out of this package, so the shell lends
the trial by ``ReviewConfig.try_rules``.

Example: /feedback/trial?source=bank&setting=confirm_bits
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from starlette.responses import Response

from ledger_core.sql import queries
from reconciliation.errors import UnknownItem
from reconciliation.exceptions.feedback import (
    SETTINGS,
    RuleChange,
    SuggestionCount,
    proposed_changes,
    read_feedback,
    share_ppm,
)
from reconciliation.review.statement_pages import source_of
from reconciliation.review.web import BadInput, Page, Visit
from reconciliation.sources import Source

SQL: Final = queries(Path(__file__).with_suffix(".sql"))
TRIAL_DAYS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFeedback:
    """One source's suggestions, and the changes that they speak for."""

    source: Source
    counts: Sequence[SuggestionCount]
    changes: Sequence[RuleChange]


def feedback(visit: Visit) -> Response:
    """The table of every source that ever suggested anything."""
    found = [_of_source(visit, source) for source in visit.config.sources.sources]
    counts = [one for of_source in found for one in of_source.counts]
    totals = {
        name: sum(getattr(one, name) for one in counts)
        for name in ("accepted", "altered", "turned_down", "waiting", "gone")
    }
    judged = totals["accepted"] + totals["altered"] + totals["turned_down"]
    return visit.page(
        "feedback.html",
        found=[of_source for of_source in found if of_source.counts],
        totals=totals,
        first_time_right=percent(share_ppm(totals["accepted"], judged)),
        percent=percent,
        can_try=visit.config.try_rules is not None and visit.may("export"),
        trial_days=TRIAL_DAYS,
    )


def trial(visit: Visit) -> Response:
    """What a proposed change would do to the latest days, held against what was confirmed."""
    query = visit.request.query_params
    source = source_of(visit, query.get("source", ""))
    setting = query.get("setting", "")
    if setting not in SETTINGS:
        raise BadInput(f"setting: expected {' or '.join(SETTINGS)}, found {setting[:40]!r}")
    change = next((one for one in _of_source(visit, source).changes if one.setting == setting), None)
    if change is None or visit.config.try_rules is None:
        raise UnknownItem(f"{source.id}: expected a proposed change of {setting}, found none")
    days = _days(visit, source)
    if not days:
        raise UnknownItem(f"{source.id}: expected days that were reconciled, found none")
    tried = visit.config.try_rules(change.applied_to(source), days[0], days[-1])
    return visit.page("feedback_trial.html", source=source, change=change, trial=tried)


def percent(ppm: int | None) -> str:
    """A share in parts per million as percent with one decimal; a dash of nothing."""
    if ppm is None:
        return "–"
    whole, tenth = divmod(ppm // 1000, 10)
    return f"{whole}.{tenth} %"


def _of_source(visit: Visit, source: Source) -> SourceFeedback:
    counts = read_feedback(visit.connection, source.id)
    return SourceFeedback(source=source, counts=counts, changes=proposed_changes(counts, source.match))


def _days(visit: Visit, source: Source) -> list[date]:
    """The latest days with a proof, the oldest first."""
    wanted = {"source": source.id, "limit": TRIAL_DAYS}
    return sorted(day for (day,) in visit.connection.execute(SQL["latest_days"], wanted))


PAGES: Final = (
    Page(path="/feedback", handler=feedback, deed="look", steady=True),
    Page(path="/feedback/trial", handler=trial, deed="export", seconds=120),
)
