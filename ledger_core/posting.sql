-- Entries go through the ledger's only door: single requests as arrays, tables by COPY into a private table and then as arrays.

-- name: accounts
SELECT a.account, a.asset, a.closed_at IS NOT NULL AS is_closed, a.is_leaf FROM ledger.account_v1 AS a;

-- name: post
SELECT p.entry_key, p.outcome, p.entry_id, p.code, p.detail, p.balances
FROM ledger.post_entries(
  %(entry_key)b, %(effective_at)b::timestamptz[], %(account)b, %(amount_minor)b::bigint[], %(asset)b, %(layer)s::ledger.layer[],
  CASE WHEN %(detail)s::jsonb[] IS NOT NULL THEN ARRAY(
    SELECT CASE WHEN d.value IS NOT NULL THEN jsonb_populate_record(NULL::ledger.line_detail, d.value) END
    FROM unnest(%(detail)s::jsonb[]) WITH ORDINALITY AS d (value, ordinal) ORDER BY d.ordinal) END,
  %(corrects)s::text[], %(group)s::integer[], %(with_balances)s
) AS p;

-- name: create_staging
CREATE TEMPORARY TABLE tieout_posting (
  ordinal         bigint,
  entry_key       text,
  effective_at    timestamptz,
  account         text,
  amount_minor    bigint,
  asset           text,
  layer           ledger.layer,
  corrects        text,
  kind            text,
  description     text,
  counterparty    text,
  batch_ref       text,
  ref_end_to_end  text,
  ref_uetr        text,
  ref_servicer    text,
  ref_psp         text,
  ref_merchant    text,
  ref_payout      text,
  ref_arn         text,
  ref_rrn         text,
  ref_auth_code   text,
  fx_rate         numeric,
  fx_asset        text,
  fx_amount_minor bigint,
  metadata        jsonb
) ON COMMIT DROP;

-- name: post_staged
SELECT p.entry_key, p.outcome, p.entry_id, p.code, p.detail
FROM (
  SELECT array_agg(t.entry_key ORDER BY t.ordinal) AS entry_key, array_agg(t.effective_at ORDER BY t.ordinal) AS effective_at,
         array_agg(t.account ORDER BY t.ordinal) AS account, array_agg(t.amount_minor ORDER BY t.ordinal) AS amount_minor,
         array_agg(t.asset ORDER BY t.ordinal) AS asset,
         CASE WHEN %(has_layer)s THEN array_agg(t.layer ORDER BY t.ordinal) END AS layer,
         CASE WHEN %(has_corrects)s THEN array_agg(t.corrects ORDER BY t.ordinal) END AS corrects,
         CASE WHEN %(has_detail)s THEN array_agg(ROW (
           t.kind, t.description, t.counterparty, t.batch_ref, t.ref_end_to_end, t.ref_uetr, t.ref_servicer, t.ref_psp, t.ref_merchant,
           t.ref_payout, t.ref_arn, t.ref_rrn, t.ref_auth_code, t.fx_rate, t.fx_asset, t.fx_amount_minor, t.metadata
         )::ledger.line_detail ORDER BY t.ordinal) END AS detail
  FROM pg_temp.tieout_posting AS t
) AS a
CROSS JOIN LATERAL ledger.post_entries(a.entry_key, a.effective_at, a.account, a.amount_minor, a.asset, a.layer, a.detail, a.corrects) AS p;

-- name: drop_staging
DROP TABLE pg_temp.tieout_posting;
