-- What the ledger's benchmarks ask of a scratch database: a chart and a long history, the loads that pgbench runs
-- (with its own variables, as :name), and the calls that are timed.

-- name: open_accounts
-- Guarded wallets, one of them shared by all; a bank to fund them, and an account with a long history.
SELECT count(*)
FROM (
  SELECT array_agg(s.code) AS codes, array_agg(s.type) AS types, array_agg('EUR'::text) AS assets, array_agg(s.may_overdraw) AS may_overdraw
  FROM (
    SELECT 'wallet:' || n AS code, 'liability' AS type, false AS may_overdraw FROM generate_series(0, 1023) AS n
    UNION ALL VALUES ('hot', 'liability', false), ('bank', 'asset', true), ('long', 'asset', true)
  ) AS s
) AS c
CROSS JOIN LATERAL ledger.open_accounts(c.codes, c.codes, c.types, c.assets, c.may_overdraw)

-- name: define_asset
SELECT ledger.define_assets(ARRAY['EUR'], ARRAY[2])

-- name: fund_wallets
SELECT count(*) FILTER (WHERE p.outcome = 'posted')
FROM (
  SELECT array_agg(s.key) AS keys, array_agg('2026-01-01Z'::timestamptz) AS times, array_agg(s.account) AS accounts,
         array_agg(s.amount) AS amounts, array_agg('EUR'::text) AS assets
  FROM (
    SELECT 'fund-' || n AS key, v.account, v.amount
    FROM generate_series(0, 1023) AS n
    CROSS JOIN LATERAL (VALUES ('wallet:' || n, -1000000000000), ('bank', 1000000000000)) AS v (account, amount)
  ) AS s
) AS c
CROSS JOIN LATERAL ledger.post_entries(c.keys, c.times, c.accounts, c.amounts, c.assets) AS p

-- name: make_bare_commits
CREATE TABLE bare_commit (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, account_id bigint, amount_minor bigint, entry_key text)

-- name: load_bare
INSERT INTO bare_commit (account_id, amount_minor, entry_key) VALUES (1, 5, 'x'), (2, -5, 'x')

-- name: load_disjoint
\set payer :client_id * 64
\set payee :client_id * 64 + 32
\set n :n + 1
SELECT p.outcome FROM ledger.post_entries(
  ARRAY['r' || :run || '-' || :client_id || '-' || :n, 'r' || :run || '-' || :client_id || '-' || :n],
  ARRAY['2026-11-01Z'::timestamptz, '2026-11-01Z'], ARRAY['wallet:' || :payer, 'wallet:' || :payee],
  ARRAY[5, -5]::bigint[], ARRAY['EUR', 'EUR']) AS p

-- name: load_hot
\set payer :client_id * 64
\set n :n + 1
SELECT p.outcome FROM ledger.post_entries(
  ARRAY['r' || :run || '-' || :client_id || '-' || :n, 'r' || :run || '-' || :client_id || '-' || :n],
  ARRAY['2026-11-01Z'::timestamptz, '2026-11-01Z'], ARRAY['wallet:' || :payer, 'hot'],
  ARRAY[5, -5]::bigint[], ARRAY['EUR', 'EUR']) AS p

-- name: post_batch
SELECT count(*) FILTER (WHERE p.outcome = 'posted')
FROM ledger.post_entries(%(entry_key)b, %(effective_at)b::timestamptz[], %(account)b, %(amount_minor)b::bigint[], %(asset)b) AS p

-- name: fold
SELECT ledger.fold(%(lines)s)

-- name: relay
SELECT ledger.relay()

-- name: post_history
-- Many entries at once by the owner's hand; the laws hold for it, too. Over a hundred days, so that each takes part in all.
WITH header AS (
  INSERT INTO ledger.journal_entry (entry_key, request_hash, effective_at, line_count)
  SELECT 'history-' || n, sha256(convert_to(n::text, 'UTF8')),
         '2026-08-01Z'::timestamptz + make_interval(secs => (n * 7919) %% 8640000), 2
  FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
  RETURNING entry_id, effective_at
)
INSERT INTO ledger.journal_line (entry_id, line_no, account_id, amount_minor, effective_at)
SELECT h.entry_id, v.line_no, v.account_id, v.amount_minor, h.effective_at
FROM header AS h
CROSS JOIN LATERAL (VALUES
  (1, (SELECT a.account_id FROM ledger.account_v1 AS a WHERE a.account = 'long'), 1 + h.entry_id %% 1000),
  (2, (SELECT a.account_id FROM ledger.account_v1 AS a WHERE a.account = 'wallet:512') + h.entry_id %% 512, -1 - h.entry_id %% 1000)
) AS v (line_no, account_id, amount_minor)

-- name: analyze
ANALYZE

-- name: balance_now
SELECT b.posted FROM ledger.balances('long') AS b

-- name: balance_at
SELECT b.posted FROM ledger.balances('long', %(instant)s) AS b

-- name: count_entries
SELECT count(*) FROM ledger.journal_entry AS e

-- name: count_refusals
SELECT count(*) FROM ledger.refusal_v1 AS r
