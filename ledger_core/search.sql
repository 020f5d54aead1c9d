-- The search for entries. Reads ledger.*_v1 only.

-- name: find
-- All matches are found before the newest are taken: with the limit inside, the planner may walk the whole journal backwards
-- in the hope of meeting them soon. The references are those with an index.
WITH matched AS MATERIALIZED (
  SELECT l.entry_id
  FROM ledger.journal_line_v1 AS l
  WHERE (%(entry_key)s::text IS NULL OR l.entry_key = %(entry_key)s)
    AND (%(reference)s::text IS NULL OR l.batch_ref = %(reference)s OR l.ref_end_to_end = %(reference)s OR l.ref_uetr = %(reference)s
         OR l.ref_servicer = %(reference)s OR l.ref_psp = %(reference)s OR l.ref_merchant = %(reference)s
         OR l.ref_payout = %(reference)s OR l.ref_arn = %(reference)s OR l.ref_rrn = %(reference)s)
    AND (%(metadata)s::jsonb IS NULL OR l.metadata @> %(metadata)s::jsonb)
    AND (%(codes)s::text[] IS NULL OR l.account = ANY (%(codes)s::text[]))
    AND (%(from_day)s::date IS NULL OR l.effective_at >= %(from_day)s::date::timestamp AT TIME ZONE 'UTC')
    AND (%(to_day)s::date IS NULL OR l.effective_at < (%(to_day)s::date + 1)::timestamp AT TIME ZONE 'UTC')
), newest AS MATERIALIZED (
  SELECT DISTINCT m.entry_id FROM matched AS m ORDER BY m.entry_id DESC LIMIT %(limit)s
)
SELECT l.entry_key, l.line_no, l.layer::text AS layer, l.effective_at, l.recorded_at, l.account, l.entity, l.asset, l.amount_minor, a.exponent,
       l.kind, l.description, l.counterparty, l.batch_ref, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant,
       l.ref_payout, l.ref_arn, l.ref_rrn, l.ref_auth_code, l.fx_rate, l.fx_asset, l.fx_amount_minor, l.metadata,
       l.reverses_entry_key, l.corrects_entry_key, l.reason, l.authoriser, l.posted_by
FROM newest AS n
JOIN ledger.journal_line_v1 AS l ON l.entry_id = n.entry_id
JOIN ledger.asset_v1 AS a ON a.asset = l.asset
ORDER BY n.entry_id DESC, l.line_no;

-- name: refusal
SELECT r.entry_key, r.code, r.detail, r.recorded_at, r.posted_by FROM ledger.refusal_v1 AS r WHERE r.entry_key = %(entry_key)s;

-- name: leaves
SELECT a.account FROM ledger.account_v1 AS a
WHERE a.is_leaf AND (a.account = %(account)s OR starts_with(a.account, %(account)s || ':'))
ORDER BY a.account COLLATE "C";
