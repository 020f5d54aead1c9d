-- What people do with exceptions, by name. Everything is written through the doors of the schema.

-- name: work
SELECT w.exception_id, w.outcome, w.said
FROM recon.work(%(ids)s::bigint[], %(versions)s::integer[], %(deed)s, %(detail)s::jsonb) AS w

-- name: undo_match
SELECT recon.undo_match(%(group)s, %(reason)s, %(note)s)

-- name: cleared_by
SELECT e.cleared_by_group FROM recon.exception AS e WHERE e.exception_id = %(exception)s

-- name: chain_problems
SELECT v.source_id, v.origin, v.chain_no, v.event_id, v.problem
FROM recon.verify_chains() AS v
ORDER BY v.source_id, v.origin, v.chain_no, v.event_id
