-- The ledger's windows, and who may do what.

CREATE OR REPLACE VIEW ledger.asset_v1 AS
SELECT s.code::text AS asset, s.exponent FROM ledger.asset AS s;

CREATE OR REPLACE VIEW ledger.account_v1 AS
SELECT a.account_id, a.code::text AS account, a.name::text AS name, a.type, a.asset::text AS asset, s.exponent, a.may_overdraw, a.normal_sign,
       a.recorded_at AS opened_at, a.opened_by, c.recorded_at AS closed_at, c.closed_by, a.entity::text AS entity, a.is_leaf
FROM ledger.account AS a
JOIN ledger.asset AS s ON s.code = a.asset
LEFT JOIN ledger.account_closure AS c ON c.account_id = a.account_id;

-- Lines of every layer; what happened is `layer = 'posted'`.
CREATE OR REPLACE VIEW ledger.journal_line_v1 AS
SELECT l.entry_id, e.entry_key::text AS entry_key, l.line_no, l.layer, l.effective_at, e.recorded_at, l.xid, a.code::text AS account, a.asset::text AS asset,
       a.entity::text AS entity, l.amount_minor::bigint AS amount_minor,
       CASE WHEN l.amount_minor > 0 THEN l.amount_minor::bigint END AS debit_minor, CASE WHEN l.amount_minor < 0 THEN -l.amount_minor::bigint END AS credit_minor,
       d.kind::text AS kind, d.description::text AS description, d.counterparty::text AS counterparty, d.batch_ref::text AS batch_ref,
       d.ref_end_to_end::text AS ref_end_to_end, d.ref_uetr::text AS ref_uetr, d.ref_servicer::text AS ref_servicer, d.ref_psp::text AS ref_psp,
       d.ref_merchant::text AS ref_merchant, d.ref_payout::text AS ref_payout, d.ref_arn::text AS ref_arn, d.ref_rrn::text AS ref_rrn,
       d.ref_auth_code::text AS ref_auth_code, d.fx_rate::numeric AS fx_rate, d.fx_asset::text AS fx_asset, d.fx_amount_minor, d.metadata::jsonb AS metadata,
       e.line_count::integer AS line_count, e.reverses_entry_id,
       (SELECT r.entry_key::text FROM ledger.journal_entry AS r WHERE r.entry_id = e.reverses_entry_id) AS reverses_entry_key,
       (SELECT r.entry_key::text FROM ledger.journal_entry AS r WHERE r.entry_id = e.corrects_entry_id) AS corrects_entry_key,
       e.reason::text AS reason, e.authoriser::text AS authoriser, e.posted_by
FROM ledger.journal_line AS l
JOIN ledger.journal_entry AS e ON e.entry_id = l.entry_id
JOIN ledger.account AS a ON a.account_id = l.account_id
LEFT JOIN ledger.journal_line_detail AS d ON d.entry_id = l.entry_id AND d.line_no = l.line_no;

CREATE OR REPLACE VIEW ledger.refusal_v1 AS
SELECT e.entry_key::text AS entry_key, x.code::text AS code, x.detail::text AS detail, e.recorded_at, e.posted_by
FROM ledger.refusal AS x JOIN ledger.journal_entry AS e ON e.entry_id = x.entry_id;

CREATE OR REPLACE VIEW ledger.period_v1 AS
SELECT p.starts_at, p.ends_at::timestamptz AS ends_at, p.reason::text AS reason, p.authoriser::text AS authoriser, p.recorded_at, p.closed_by,
       s.format_version, s.entry_count, s.root::bytea AS root, s.seal::bytea AS seal
FROM ledger.period AS p LEFT JOIN ledger.period_seal AS s ON s.ends_at = p.ends_at;

CREATE OR REPLACE VIEW ledger.fx_quote_v1 AS
SELECT q.quote_key::text AS quote_key, q.from_asset::text AS from_asset, q.to_asset::text AS to_asset, q.rate::numeric AS rate, q.purpose, q.origin::text AS origin,
       q.quoted_at::timestamptz AS quoted_at, q.expires_at, q.recorded_at
FROM ledger.fx_quote AS q;

CREATE OR REPLACE VIEW ledger.transaction_event_v1 AS
SELECT t.transaction_key::text AS transaction_key, t.kind::text AS kind, v.event_no, v.previous_state, v.state, v.event_key::text AS event_key, v.authoriser::text AS authoriser,
       v.reason::text AS reason, (SELECT e.entry_key::text FROM ledger.journal_entry AS e WHERE e.entry_id = v.entry_id) AS entry_key,
       v.quote_key::text AS quote_key, v.expires_at, v.recorded_at, v.recorded_by
FROM ledger.transaction_event AS v JOIN ledger.business_transaction AS t ON t.transaction_id = v.transaction_id;

-- No role but the owner has any right on a table. The poster writes through functions, and cannot say who, when or in which transaction.
DO $$
DECLARE
  door regprocedure;
BEGIN
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC, tieout_poster, tieout_ledger_reader;
  GRANT USAGE ON SCHEMA ledger TO tieout_poster, tieout_ledger_reader;
  GRANT SELECT ON ledger.asset_v1, ledger.account_v1, ledger.journal_line_v1, ledger.refusal_v1, ledger.period_v1, ledger.fx_quote_v1, ledger.transaction_event_v1
    TO tieout_poster, tieout_ledger_reader;
  FOR door IN SELECT p.oid FROM pg_proc AS p WHERE p.pronamespace = 'ledger'::regnamespace AND p.proname IN ('balances', 'trial_balance', 'verify', 'read_feed', 'feed_position') LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO tieout_poster, tieout_ledger_reader', door);
  END LOOP;
  FOR door IN SELECT p.oid FROM pg_proc AS p WHERE p.pronamespace = 'ledger'::regnamespace AND p.proname IN (
    'define_assets', 'open_accounts', 'close_account', 'close_period', 'post_entries', 'reverse_entry', 'record_quote', 'move_transaction', 'expire_holds',
    'fold', 'rebuild_balances', 'relay', 'acknowledge_feed', 'seal_period') LOOP
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO tieout_poster', door);
  END LOOP;
END;
$$;
