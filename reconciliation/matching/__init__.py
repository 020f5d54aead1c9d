"""Finds which external lines and which ledger lines are the same movement of money. Pure functions over Arrow tables.

Laws:

- The result depends on the items' content alone: not on the order of rows, on surrogate ids, on a clock or on chance.
  Both sides are sorted by business date and key before anything else, and a group is named by a digest of its
  members.
- Passes run in their order; each works on what the ones before left. A step ends when a whole round finds nothing. What
  the passes without weights left over, they find nothing in again; how rare an amount is follows from all that is in
  play, so a weight is told for that and no other set of lines.
- A pair is made only when it is the only explanation of both items, or by far the best: bits beyond its rivals, and a
  margin over the best choice without it. Several explanations that differ in nothing but which of equal twins they
  take are one explanation; all others are suggestions or ambiguous, are told, and are left to people.
- A present, well-formed and different identifying reference is evidence against, whatever else agrees.
- Every item is in at most one group; the sums of a group are the sums of its members; a difference other than zero is
  a fee that a schedule or the external line itself explains, or the rest of a conversion at the rate the statement
  names. A group of one side comes to nothing. Amounts are integers of minor units.
- No match without an explanation: canonical JSON with the references that agree, amounts, dates, lag and fee.
- What people undid is never proposed again.
- Nothing is cut silently: each bound that was met is named in ``MatchResult.limits``.

Does not read or write any store, does not know calendars, and does not say why an open item is open: that is
classification.
"""

from reconciliation.matching.context import ForcedGroup, ForcedMember, MatchContext
from reconciliation.matching.day import match_day, match_legs
from reconciliation.matching.processing_order import order_keys
from reconciliation.matching.result import (
    AMBIGUOUS_SCHEMA,
    GROUP_SCHEMA,
    MEMBER_SCHEMA,
    Limit,
    MatchResult,
    PassCount,
)

__all__ = [
    "AMBIGUOUS_SCHEMA",
    "GROUP_SCHEMA",
    "MEMBER_SCHEMA",
    "ForcedGroup",
    "ForcedMember",
    "Limit",
    "MatchContext",
    "MatchResult",
    "PassCount",
    "match_day",
    "match_legs",
    "order_keys",
]
