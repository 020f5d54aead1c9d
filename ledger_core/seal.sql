-- name: close_period
SELECT ledger.close_period(%(ends_at)s, %(reason)s, %(authoriser)s)

-- name: seal_period
SELECT s.ends_at
FROM ledger.seal_period(%(ends_at)s) AS s

-- name: seals
SELECT p.ends_at, p.format_version, p.entry_count, encode(p.root, 'hex'), encode(p.seal, 'hex')
FROM ledger.period_v1 AS p
WHERE p.seal IS NOT NULL
ORDER BY p.ends_at
