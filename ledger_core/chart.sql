-- Assets and accounts. Writing goes through the ledger's functions only.

-- name: assets
SELECT s.asset, s.exponent FROM ledger.asset_v1 AS s;

-- name: define_assets
SELECT d.code FROM ledger.define_assets(%(codes)s::text[], %(exponents)s::integer[]) AS d;

-- name: open_accounts
SELECT o.code, o.outcome
FROM ledger.open_accounts(
  %(code)s::text[], %(name)s::text[], %(type)s::text[], %(asset)s::text[], %(may_overdraw)s::boolean[],
  %(entity)s::text[], %(leaf)s::boolean[]
) AS o;

-- name: close_account
SELECT ledger.close_account(%(account)s, %(reason)s, %(authoriser)s);

-- name: close_period
SELECT ledger.close_period(%(ends_at)s, %(reason)s, %(authoriser)s);
