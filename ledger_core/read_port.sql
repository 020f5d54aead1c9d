-- Everything reconciliation may ask of the ledger. Reads ledger.*_v1 only.

-- name: ledger_lines
SELECT l.entry_id, l.entry_key, l.line_no, l.account, l.asset, l.amount_minor, l.effective_at, l.kind, l.description,
       l.counterparty, l.batch_ref, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout,
       l.ref_arn, l.ref_rrn, l.ref_auth_code, l.fx_rate, l.fx_asset, l.fx_amount_minor, l.reverses_entry_key
FROM ledger.journal_line_v1 AS l
WHERE l.layer = 'posted'
  AND l.account = ANY (%(accounts)s)
  AND l.effective_at >= coalesce(%(effective_from)s::timestamptz, '-infinity')
  AND l.effective_at < coalesce(%(effective_before)s::timestamptz, 'infinity')
ORDER BY l.entry_id, l.line_no;

-- name: unknown_accounts
SELECT s.account
FROM unnest(%(accounts)s::text[]) AS s (account)
WHERE NOT EXISTS (SELECT FROM ledger.account_v1 AS a WHERE a.account = s.account)
ORDER BY s.account;

-- name: current_snapshot
SELECT pg_current_snapshot()::text;

-- name: lines_posted_since
SELECT min(l.effective_at)
FROM ledger.journal_line_v1 AS l
WHERE l.layer = 'posted'
  AND l.account = ANY (%(accounts)s)
  AND l.xid >= pg_snapshot_xmin(%(snapshot)s::pg_snapshot)
  AND NOT pg_visible_in_snapshot(l.xid, %(snapshot)s::pg_snapshot);

-- name: balances_before
SELECT a.account, a.asset, i.instant, coalesce(sum(l.amount_minor), 0) AS balance_minor
FROM ledger.account_v1 AS a
CROSS JOIN unnest(%(instants)s::timestamptz[]) AS i (instant)
LEFT JOIN ledger.journal_line_v1 AS l ON l.account = a.account AND l.layer = 'posted'
  AND l.effective_at < i.instant
  AND (%(seen_by)s::pg_snapshot IS NULL OR pg_visible_in_snapshot(l.xid, %(seen_by)s::pg_snapshot))
WHERE a.account = ANY (%(accounts)s)
GROUP BY a.account, a.asset, i.instant
ORDER BY a.account, i.instant;
