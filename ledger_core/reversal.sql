-- Reversals, through the ledger's function only.

-- name: reverse_entry
SELECT r.entry_key, r.outcome, r.entry_id
FROM ledger.reverse_entry(%(entry_key)s, %(reason)s, %(authoriser)s, %(effective_at)s::timestamptz) AS r;
