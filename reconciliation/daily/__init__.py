"""The day's work on one source: what must be computed again, the fold over business days, and the difference it makes.

Laws of this room:

- the outcome is a fold over business days of the data alone: open items of the day before plus the day's own lines are
  matched, classified and proved. The order in which files or entries arrived leaves no trace in it;
- what changed since the last run, late commits included, is found by transaction snapshot, not by time; the days from
  the earliest change on are folded again and only the difference is written;
- one run is one transaction under the source's lock: a run that is killed did not happen, a second one waits or says
  so;
- every run names the versions of rules, calendar and code that decided it.

``window`` decides which days, ``universe`` reads the open items, ``fold`` and ``rests`` are pure, ``legs`` folds what
two sources share, ``book`` writes the difference, ``reconcile`` is the door.
"""
