"""Explains every difference between the ledger and the outside world. Never posts to the ledger.

Laws kept by the rooms of this package:

- every external line and every ledger line on a reconciled account is in exactly one bucket:
  matched, timing, genuine, or excluded with a reason; counts and sums prove it;
- live allocations of a line never exceed it, in each leg (held by the database);
- no match without an explanation;
- the result depends on the data alone: not on the order of rows, files or arrival, and running again changes nothing;
- a file is taken in whole or not at all; a redelivered file changes nothing; a corrected file changes only what it
  touches;
- amounts are integers of minor units from the first byte read;
- no full card number passes the edge of a parser.

Rooms, in the order of the work: ``formats`` (bytes to canonical lines), ``intake`` (a delivery), ``matching`` (pure
functions over frames), ``classification`` (calendars, timing or genuine, severity), ``exceptions`` (their life),
``evidence`` (the balance proof), ``alerts`` (outbox and delivery).
"""
