-- What a database of the first revision holds, set aside; then everything of that revision is dropped. Nothing outside the schema
-- is touched: where somebody else's view depends on it, this stops and the database stays as it was.
CREATE TEMPORARY TABLE kept_asset ON COMMIT DROP AS SELECT a.asset_id, a.code, a.exponent, a.recorded_at FROM ledger.asset AS a;
CREATE TEMPORARY TABLE kept_account ON COMMIT DROP AS
  SELECT a.account_id, a.code, a.name, a.type, a.asset_id, a.may_overdraw, a.recorded_at, a.opened_by FROM ledger.account AS a;
CREATE TEMPORARY TABLE kept_account_closure ON COMMIT DROP AS
  SELECT c.account_id, c.reason, c.authoriser, c.recorded_at, c.closed_by FROM ledger.account_closure AS c;
CREATE TEMPORARY TABLE kept_journal_entry ON COMMIT DROP AS
  SELECT e.entry_id, e.entry_key, e.request_hash, e.hash_version, e.effective_at, e.recorded_at, e.xid, e.line_count, e.reverses_entry_id,
         e.reason, e.authoriser, e.posted_by
  FROM ledger.journal_entry AS e;
CREATE TEMPORARY TABLE kept_journal_line ON COMMIT DROP AS
  SELECT l.entry_id, l.line_no, l.account_id, l.amount_minor, l.effective_at, l.xid, l.kind, l.description, l.counterparty, l.batch_ref,
         l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout, l.ref_arn, l.ref_rrn, l.ref_auth_code,
         l.fx_rate, l.fx_asset, l.fx_amount_minor, l.metadata
  FROM ledger.journal_line AS l;

DO $$
DECLARE
  made text;
BEGIN
  FOR made IN SELECT format('VIEW %I.%I', v.schemaname, v.viewname) FROM pg_views AS v WHERE v.schemaname = 'ledger' LOOP
    EXECUTE 'DROP ' || made;
  END LOOP;
  DROP TABLE ledger.journal_line, ledger.journal_entry, ledger.account_closure, ledger.account, ledger.asset;
  FOR made IN SELECT 'FUNCTION ' || p.oid::regprocedure FROM pg_proc AS p WHERE p.pronamespace = 'ledger'::regnamespace LOOP
    EXECUTE 'DROP ' || made;
  END LOOP;
  -- The domain last: the tables set aside use it in its plain form.
  ALTER TABLE kept_journal_line
    ALTER batch_ref TYPE text, ALTER ref_end_to_end TYPE text, ALTER ref_uetr TYPE text, ALTER ref_servicer TYPE text, ALTER ref_psp TYPE text,
    ALTER ref_merchant TYPE text, ALTER ref_payout TYPE text, ALTER ref_arn TYPE text, ALTER ref_rrn TYPE text, ALTER ref_auth_code TYPE text;
  DROP DOMAIN ledger.reference;
END;
$$;
