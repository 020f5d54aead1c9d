-- Balances, derived by the ledger's functions.

-- name: balance
SELECT b.entity, b.asset, b.exponent, b.posted, b.pending, b.available, b.projected
FROM ledger.balances(%(account)s, %(effective_before)s::timestamptz, %(known_at)s::timestamptz, %(seen_by)s::text::pg_snapshot) AS b;

-- name: trial_balance
SELECT t.account, t.name, t.type, t.asset, s.exponent, t.debit_minor, t.credit_minor
FROM ledger.trial_balance(%(effective_before)s::timestamptz, %(seen_by)s::text::pg_snapshot) AS t
JOIN ledger.asset_v1 AS s ON s.asset = t.asset
ORDER BY t.account;

-- name: fold
SELECT ledger.fold(%(lines)s);

-- name: rebuild
SELECT ledger.rebuild_balances();

-- name: rebase
SELECT ledger.rebase();
