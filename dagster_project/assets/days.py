"""Partitions: one for each business date, the same for all assets.

A partition is named by a business date, not by an instant: what a date means in a zone is the source's affair, and its
schedule's. So one definition serves every source, and one run may take a day of all of them. Closed days have
partitions too; schedules leave them out, and the checks of a closed day pass.
"""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import dagster as dg

from reconciliation.sources import Sources

DAYS_AHEAD_OF_A_FUTURE_START = 30  # an invented world may lie ahead of the clock; its days must exist to be run


if TYPE_CHECKING:
    Result = dg.MaterializeResult[Any]
else:
    Result = dg.MaterializeResult  # Dagster looks for the bare class in an asset's annotation


def business_days(sources: Sources, today: date) -> dg.DailyPartitionsDefinition:
    """Dates from the earliest start of any source up to ``today``, today included."""
    start = min(source.start_date for source in sources.sources)
    last = max(today, start + timedelta(days=DAYS_AHEAD_OF_A_FUTURE_START) if start > today else today)
    return dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=1 + (last - today).days)


def day_of(context: dg.AssetExecutionContext) -> date:
    """The business date that is run."""
    return date.fromisoformat(context.partition_key)
