-- Balances, derived by the ledger's functions.

-- name: balance
SELECT a.asset, a.exponent, ledger.balance(a.account, %(effective_before)s::timestamptz, %(known_at)s::timestamptz)
FROM ledger.account_v1 AS a
WHERE a.account = %(account)s;

-- name: trial_balance
SELECT t.account, t.name, t.type, t.asset, s.exponent, t.debit_minor, t.credit_minor
FROM ledger.trial_balance(%(effective_before)s::timestamptz) AS t
JOIN ledger.asset_v1 AS s ON s.asset = t.asset
ORDER BY t.account;
