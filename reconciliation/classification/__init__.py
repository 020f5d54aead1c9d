"""Timing or genuine: what every open item of a day is, how bad it is, and when it is due.

Laws kept here:

- every open item is a member of exactly one exception, fee lines of a fee variance and candidates of an ambiguous case
  too; nothing is dropped, nothing is said twice;
- per asset, the differences of the exceptions add up to open external less open ledger lines (a currency mismatch,
  whose two amounts do not add up, counts its external line only);
- timing is decided by a due window in business days, never by age: on the due date an item is timing, on the day after
  it is genuine, and while a file in which it may stand is missing it waits for that file;
- an exception keeps its key while its cause stays in the same family, so an item that turns from timing to missing is
  one story; another cause is another exception;
- of several explanations the first in a fixed order holds; a likeness that is not unique at both ends explains nothing;
- what was learned of lags moves what is expected of a timing item, never whether it is one, nor when it is due;
- severity is a function of stored factors (``severity_of``); age alone never makes a trifle critical;
- a line that people found to be no duplicate is never called one;
- one missing or unproved file is one exception, and the jump in numbers it leaves is not a second;
- a file that is owed is missing from its deadline on; which deadlines have passed is told by the caller's ``now``;
- the result depends on the items, the settings, the calendar, ``as_of`` and that ``now`` alone: not on order, clock or
  store.

``calendars`` counts business days and places instants on them; ``open_items`` holds the order of precedence;
``references``, ``pairs``, ``mismatches``, ``duplicates`` and ``ambiguity`` find what belongs together;
``variances`` says what a fee or a conversion should have been;
``windows`` says when an item is due and ``lags`` when it will probably clear; ``expected_files`` says which files are
owed and when they are due, ``gaps`` judges files and balances, ``limits`` tells of bounds that matching met;
``severity`` weighs; ``finishing`` makes of ``drafts`` the tables that ``shapes`` describes. ``quality`` asks afterwards
whether what was called timing cleared.
"""

from reconciliation.classification.calendars import BusinessCalendar, business_date_of
from reconciliation.classification.expected_files import FileCalendar
from reconciliation.classification.gaps import balance_breaks, missing_days, source_gaps
from reconciliation.classification.limits import limit_exceptions
from reconciliation.classification.open_items import classify
from reconciliation.classification.quality import TIMING_ITEM_SCHEMA, TimingQuality, timing_quality
from reconciliation.classification.severity import severity_of
from reconciliation.classification.shapes import (
    EXCEPTION_SCHEMA,
    MEMBER_SCHEMA,
    AcceptedStatement,
    AmbiguousCase,
    Classified,
    LimitNote,
    RefusedDelivery,
    UnexplainedRest,
)

__all__ = [
    "EXCEPTION_SCHEMA",
    "MEMBER_SCHEMA",
    "TIMING_ITEM_SCHEMA",
    "AcceptedStatement",
    "AmbiguousCase",
    "BusinessCalendar",
    "Classified",
    "FileCalendar",
    "LimitNote",
    "RefusedDelivery",
    "TimingQuality",
    "UnexplainedRest",
    "balance_breaks",
    "business_date_of",
    "classify",
    "limit_exceptions",
    "missing_days",
    "severity_of",
    "source_gaps",
    "timing_quality",
]
