-- The life of business transactions, through the ledger's functions and views only.

-- name: move
SELECT m.outcome, m.state, m.event_no, m.entry_id, m.code, m.detail
FROM ledger.move_transaction(
  %(transaction_key)s, %(event_key)s, %(state)s, %(authoriser)s, %(effective_at)s::timestamptz,
  %(account)s::text[], %(amount_minor)s::bigint[], %(asset)s::text[],
  CASE WHEN %(detail)s::jsonb[] IS NOT NULL THEN ARRAY(
    SELECT CASE WHEN d.value IS NOT NULL THEN jsonb_populate_record(NULL::ledger.line_detail, d.value) END
    FROM unnest(%(detail)s::jsonb[]) WITH ORDINALITY AS d (value, ordinal) ORDER BY d.ordinal) END,
  %(reason)s, %(expires_at)s::timestamptz, %(quote_key)s, %(kind)s, %(metadata)s::jsonb
) AS m;

-- name: expire_holds
SELECT ledger.expire_holds(%(limit)s);

-- name: record_quote
SELECT ledger.record_quote(
  %(quote_key)s, %(from_asset)s, %(to_asset)s, %(rate)s, %(purpose)s, %(origin)s, %(quoted_at)s::timestamptz,
  coalesce(%(expires_at)s::timestamptz, 'infinity'));

-- name: history
SELECT v.event_no, v.state, v.event_key, v.authoriser, v.reason, v.entry_key, v.quote_key, nullif(v.expires_at, 'infinity') AS expires_at,
       v.recorded_at, v.recorded_by
FROM ledger.transaction_event_v1 AS v WHERE v.transaction_key = %(transaction_key)s ORDER BY v.event_no;

-- name: lines
-- The entry of each step and, where a settlement gave back the rest of its hold, that entry too.
SELECT v.event_no, l.entry_key, l.line_no, l.effective_at, l.account, l.layer, l.amount_minor, l.asset, s.exponent, l.kind
FROM ledger.transaction_event_v1 AS v
JOIN ledger.journal_line_v1 AS l
  ON l.entry_key IN (v.entry_key, CASE WHEN v.state = 'settled' AND v.previous_state <> 'initiated' THEN v.event_key || ':release' END)
JOIN ledger.asset_v1 AS s ON s.asset = l.asset
WHERE v.transaction_key = %(transaction_key)s ORDER BY v.event_no, l.entry_key, l.line_no;
