-- Lines travel by COPY into a private table, then as arrays through the ledger's only door.

-- name: accounts
SELECT a.account, a.asset, a.closed_at IS NOT NULL AS is_closed FROM ledger.account_v1 AS a;

-- name: create_staging
CREATE TEMPORARY TABLE tieout_posting (
  ordinal         bigint,
  entry_key       text,
  effective_at    timestamptz,
  account         text,
  amount_minor    bigint,
  asset           text,
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
SELECT p.entry_key, p.outcome, p.entry_id
FROM (
  SELECT array_agg(s.entry_key) AS entry_key, array_agg(s.effective_at) AS effective_at, array_agg(s.account) AS account,
         array_agg(s.amount_minor) AS amount_minor, array_agg(s.asset) AS asset, array_agg(s.kind) AS kind,
         array_agg(s.description) AS description, array_agg(s.counterparty) AS counterparty,
         array_agg(s.batch_ref) AS batch_ref, array_agg(s.ref_end_to_end) AS ref_end_to_end,
         array_agg(s.ref_uetr) AS ref_uetr, array_agg(s.ref_servicer) AS ref_servicer, array_agg(s.ref_psp) AS ref_psp,
         array_agg(s.ref_merchant) AS ref_merchant, array_agg(s.ref_payout) AS ref_payout, array_agg(s.ref_arn) AS ref_arn,
         array_agg(s.ref_rrn) AS ref_rrn, array_agg(s.ref_auth_code) AS ref_auth_code, array_agg(s.fx_rate) AS fx_rate,
         array_agg(s.fx_asset) AS fx_asset, array_agg(s.fx_amount_minor) AS fx_amount_minor,
         array_agg(s.metadata) AS metadata
  FROM (
    SELECT t.entry_key, t.effective_at, t.account, t.amount_minor, t.asset, t.kind, t.description, t.counterparty,
           t.batch_ref, t.ref_end_to_end, t.ref_uetr, t.ref_servicer, t.ref_psp, t.ref_merchant, t.ref_payout, t.ref_arn,
           t.ref_rrn, t.ref_auth_code, t.fx_rate, t.fx_asset, t.fx_amount_minor, t.metadata
    FROM pg_temp.tieout_posting AS t
    ORDER BY t.ordinal
  ) AS s
) AS a
CROSS JOIN LATERAL ledger.post_entries(
  a.entry_key, a.effective_at, a.account, a.amount_minor, a.asset, a.kind, a.description, a.counterparty, a.batch_ref,
  a.ref_end_to_end, a.ref_uetr, a.ref_servicer, a.ref_psp, a.ref_merchant, a.ref_payout, a.ref_arn, a.ref_rrn,
  a.ref_auth_code, a.fx_rate, a.fx_asset, a.fx_amount_minor, a.metadata
) AS p;

-- name: drop_staging
DROP TABLE pg_temp.tieout_posting;
