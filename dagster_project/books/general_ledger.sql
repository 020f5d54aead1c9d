-- The general ledger as files. Reads ledger.*_v1 and ledger.balances only.
-- Times leave as JSON writes them, the same under every DateStyle. What grows with the journal leaves by COPY, which streams.

-- name: snapshot
SELECT s.seen_by::text, pg_snapshot_xmax(s.seen_by) > pg_snapshot_xmax(pg_current_snapshot())
FROM (SELECT coalesce(%(seen_by)s::pg_snapshot, pg_current_snapshot()) AS seen_by) AS s;

-- name: accounts
SELECT a.account, a.name, a.type, a.entity, a.asset, a.exponent, o.posted, c.posted
FROM ledger.account_v1 AS a
CROSS JOIN LATERAL ledger.balances(
  a.account, coalesce(%(from_day)s::date::timestamp AT TIME ZONE 'UTC', '-infinity'), NULL, %(seen_by)s::pg_snapshot) AS o
CROSS JOIN LATERAL ledger.balances(
  a.account, (%(to_day)s::date + 1)::timestamp AT TIME ZONE 'UTC', NULL, %(seen_by)s::pg_snapshot) AS c
WHERE a.is_leaf
  AND (%(account)s::text IS NULL OR a.account = %(account)s OR starts_with(a.account, %(account)s || ':'))
  AND (%(entity)s::text IS NULL OR a.entity = %(entity)s)
ORDER BY a.account COLLATE "C";

-- name: lines
COPY (
  SELECT l.entry_id, l.account, l.amount_minor, to_json(l.effective_at AT TIME ZONE 'UTC') #>> '{}', l.entry_key, l.line_no,
         l.reverses_entry_key, l.corrects_entry_key, l.kind, l.description, l.counterparty, l.batch_ref, l.ref_end_to_end, l.ref_uetr,
         l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout, l.ref_arn, l.ref_rrn, l.ref_auth_code, l.fx_rate, l.fx_asset,
         l.fx_amount_minor, l.metadata
  FROM ledger.journal_line_v1 AS l
  WHERE l.layer = 'posted' AND pg_visible_in_snapshot(l.xid, %(seen_by)s::pg_snapshot)
    AND (%(codes)s::text[] IS NULL OR l.account = ANY (%(codes)s::text[]))
    AND l.effective_at >= coalesce(%(from_day)s::date::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND l.effective_at < coalesce((%(to_day)s::date + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
  ORDER BY CASE WHEN %(by_account)s THEN l.account END COLLATE "C", l.effective_at, l.entry_id, l.line_no
) TO STDOUT;

-- name: days
COPY (
  SELECT l.account, to_json((l.effective_at AT TIME ZONE 'UTC')::date) #>> '{}', coalesce(sum(l.debit_minor), 0), coalesce(sum(l.credit_minor), 0)
  FROM ledger.journal_line_v1 AS l
  WHERE l.layer = 'posted' AND pg_visible_in_snapshot(l.xid, %(seen_by)s::pg_snapshot)
    AND (%(codes)s::text[] IS NULL OR l.account = ANY (%(codes)s::text[]))
    AND l.effective_at >= coalesce(%(from_day)s::date::timestamp AT TIME ZONE 'UTC', '-infinity')
    AND l.effective_at < coalesce((%(to_day)s::date + 1)::timestamp AT TIME ZONE 'UTC', 'infinity')
  GROUP BY l.account, (l.effective_at AT TIME ZONE 'UTC')::date
  ORDER BY l.account COLLATE "C", (l.effective_at AT TIME ZONE 'UTC')::date
) TO STDOUT;
