-- The checks live in the database, where they may read every row.

-- name: verify
SELECT v.offences, v.first_offence FROM ledger.verify(%(check)s) AS v;
