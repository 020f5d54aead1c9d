-- The ledger's doors: the functions through which anything is written. Each runs as the owner with a fixed search_path;
-- nobody else can write a row. Who may call them is said at the end of views.sql.

-- Adds assets; the same definition again changes nothing, another exponent for a known code is refused.
CREATE FUNCTION ledger.define_assets(p_code text[], p_exponent integer[])
RETURNS TABLE (code text, outcome text)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  offence record;
  added text[];
BEGIN
  WITH sent AS (
    SELECT s.code, s.exponent FROM unnest(p_code, p_exponent) AS s (code, exponent)
  ), added_row AS (
    INSERT INTO ledger.asset (code, exponent)
    SELECT DISTINCT s.code, s.exponent FROM sent AS s ORDER BY s.code
    ON CONFLICT ON CONSTRAINT asset_code_key DO NOTHING
    RETURNING code
  )
  SELECT array_agg(a.code) INTO added FROM added_row AS a;

  SELECT s.code, a.exponent AS held, s.exponent AS sent INTO offence
  FROM unnest(p_code, p_exponent) AS s (code, exponent)
  JOIN ledger.asset AS a ON a.code = s.code
  WHERE a.exponent <> s.exponent
  ORDER BY s.code
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'asset %: the ledger holds exponent %, found %', offence.code, offence.held, offence.sent
      USING ERRCODE = 'TL009', HINT = 'an exponent never changes; define another asset code';
  END IF;
  RETURN QUERY
    SELECT DISTINCT s.code, CASE WHEN s.code = ANY (added) THEN 'defined' ELSE 'unchanged' END
    FROM unnest(p_code) AS s (code)
    ORDER BY 1;
END;
$$;

-- Adds accounts; the same definition again changes nothing, any other one for a known code is refused by name.
CREATE FUNCTION ledger.open_accounts(p_code text[], p_name text[], p_type text[], p_asset text[], p_may_overdraw boolean[])
RETURNS TABLE (code text, outcome text)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  offence record;
  opened text[];
BEGIN
  SELECT s.code, s.asset, count(*) OVER (PARTITION BY s.code) AS times INTO offence
  FROM unnest(p_code, p_asset) AS s (code, asset)
  ORDER BY (SELECT a.asset_id FROM ledger.asset AS a WHERE a.code = s.asset) IS NULL DESC, times DESC, s.code
  LIMIT 1;
  IF offence.times > 1 THEN
    RAISE EXCEPTION 'account %: expected one definition, found %', offence.code, offence.times USING ERRCODE = 'TL009';
  ELSIF FOUND AND NOT EXISTS (SELECT FROM ledger.asset AS a WHERE a.code = offence.asset) THEN
    RAISE EXCEPTION 'account %: expected a defined asset, found %', offence.code, coalesce(quote_literal(offence.asset), 'none')
      USING ERRCODE = 'TL009', HINT = 'define the asset with its exponent first';
  END IF;

  WITH added_row AS (
    INSERT INTO ledger.account (code, name, type, asset_id, may_overdraw)
    SELECT s.code, s.name, s.type, (SELECT a.asset_id FROM ledger.asset AS a WHERE a.code = s.asset), s.may_overdraw
    FROM unnest(p_code, p_name, p_type, p_asset, p_may_overdraw) AS s (code, name, type, asset, may_overdraw)
    ORDER BY s.code
    ON CONFLICT ON CONSTRAINT account_code_key DO NOTHING
    RETURNING code
  )
  SELECT array_agg(a.code) INTO opened FROM added_row AS a;

  SELECT s.code,
         concat_ws(', ',
           CASE WHEN a.name <> s.name THEN 'name' END,
           CASE WHEN a.type <> s.type THEN format('type %s instead of %s', s.type, a.type) END,
           CASE WHEN x.code <> s.asset THEN format('asset %s instead of %s', s.asset, x.code) END,
           CASE WHEN a.may_overdraw <> s.may_overdraw
                THEN format('may_overdraw %s instead of %s', s.may_overdraw, a.may_overdraw) END) AS changed
  INTO offence
  FROM unnest(p_code, p_name, p_type, p_asset, p_may_overdraw) AS s (code, name, type, asset, may_overdraw)
  JOIN ledger.account AS a ON a.code = s.code
  JOIN ledger.asset AS x ON x.asset_id = a.asset_id
  WHERE (a.name, a.type, x.code, a.may_overdraw) IS DISTINCT FROM (s.name, s.type, s.asset, s.may_overdraw)
  ORDER BY s.code
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'account %: the ledger holds another definition, found a change of %', offence.code, offence.changed
      USING ERRCODE = 'TL009', HINT = 'a definition never changes; open a new account';
  END IF;
  RETURN QUERY
    SELECT s.code, CASE WHEN s.code = ANY (opened) THEN 'opened' ELSE 'unchanged' END
    FROM unnest(p_code) WITH ORDINALITY AS s (code, ordinal)
    ORDER BY s.ordinal;
END;
$$;

-- Closes an account whose balance is zero, for ever; returns 'closed' or, when it was before, 'unchanged'.
CREATE FUNCTION ledger.close_account(p_account text, p_reason text, p_authoriser text)
RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  closing bigint;
  total numeric;
BEGIN
  SELECT a.account_id INTO closing FROM ledger.account AS a WHERE a.code = p_account;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'account %: expected an account of the chart, found none', quote_nullable(p_account) USING ERRCODE = 'TL003';
  END IF;
  -- Waits for running postings and holds new ones back until this commits; otherwise one that checked "open" before the
  -- closure could commit after it. Closing is rare, posting must not pay for it.
  LOCK TABLE ledger.journal_line IN SHARE MODE;
  SELECT coalesce(sum(l.amount_minor), 0) INTO total FROM ledger.journal_line AS l WHERE l.account_id = closing;
  IF total <> 0 THEN
    RAISE EXCEPTION 'account %: expected a balance of 0 to close it, found % minor units', p_account, total USING ERRCODE = 'TL003';
  END IF;
  INSERT INTO ledger.account_closure (account_id, reason, authoriser) VALUES (closing, p_reason, p_authoriser)
  ON CONFLICT ON CONSTRAINT account_closure_pkey DO NOTHING;
  RETURN CASE WHEN FOUND THEN 'closed' ELSE 'unchanged' END;
END;
$$;

-- What is wrong with what was sent to post_entries, first problem only; raises, or returns nothing.
CREATE FUNCTION ledger.check_request(
  p_entry_key text[], p_effective_at timestamptz[], p_account text[], p_amount_minor bigint[], p_asset text[]
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  offence record;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'transaction: posting needs READ COMMITTED, found %', upper(current_setting('transaction_isolation'))
      USING ERRCODE = 'TL007', HINT = 'an older snapshot would not see who has just used the same key';
  END IF;

  SELECT s.line, s.entry_key, s.problem INTO offence
  FROM (
    SELECT u.line, u.entry_key,
           CASE
             WHEN u.entry_key IS NULL THEN 'entry_key is missing'
             WHEN length(u.entry_key) NOT BETWEEN 1 AND 255 THEN 'entry_key must have 1 to 255 characters'
             WHEN starts_with(u.entry_key, 'reversal:') THEN 'keys starting with reversal: belong to reverse_entry'
             WHEN u.effective_at IS NULL OR NOT isfinite(u.effective_at) THEN 'effective_at is missing or infinite'
             WHEN u.account IS NULL THEN 'account is missing'
             WHEN u.asset IS NULL THEN 'asset is missing'
             WHEN u.amount_minor IS NULL THEN 'amount_minor is missing'
             WHEN u.amount_minor = 0 THEN 'amount_minor must not be 0'
             WHEN u.amount_minor = -9223372036854775808 THEN 'amount_minor has no 64-bit negative and could never be reversed'
           END AS problem
    FROM unnest(p_entry_key, p_effective_at, p_account, p_amount_minor, p_asset)
      WITH ORDINALITY AS u (entry_key, effective_at, account, amount_minor, asset, line)
  ) AS s
  WHERE s.problem IS NOT NULL
  ORDER BY s.line
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'line % of the call, entry %: %', offence.line, quote_nullable(offence.entry_key), offence.problem USING ERRCODE = 'TL007';
  END IF;

  SELECT s.account, s.asset, s.account_known INTO offence
  FROM (
    SELECT d.account, d.asset,
           (SELECT a.account_id FROM ledger.account AS a WHERE a.code = d.account) IS NOT NULL AS account_known,
           (SELECT a.asset_id FROM ledger.asset AS a WHERE a.code = d.asset) IS NOT NULL AS asset_known
    FROM (SELECT DISTINCT u.account, u.asset FROM unnest(p_account, p_asset) AS u (account, asset)) AS d
  ) AS s
  WHERE NOT (s.account_known AND s.asset_known)
  ORDER BY s.account, s.asset
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION '%: expected % of the ledger, found none of that code',
      CASE WHEN offence.account_known THEN 'asset ' || quote_literal(offence.asset) ELSE 'account ' || quote_literal(offence.account) END,
      CASE WHEN offence.account_known THEN 'an asset' ELSE 'an account' END
      USING ERRCODE = 'TL003';
  END IF;

  SELECT u.entry_key, count(*) AS line_total INTO offence
  FROM unnest(p_entry_key, p_effective_at) AS u (entry_key, effective_at)
  GROUP BY u.entry_key
  HAVING count(*) < 2 OR min(u.effective_at) <> max(u.effective_at)
  ORDER BY u.entry_key
  LIMIT 1;
  IF FOUND AND offence.line_total < 2 THEN
    RAISE EXCEPTION 'entry %: expected at least 2 lines, found 1', quote_literal(offence.entry_key) USING ERRCODE = 'TL001';
  ELSIF FOUND THEN
    RAISE EXCEPTION 'entry %: expected one effective_at on all its lines, found several', quote_literal(offence.entry_key) USING ERRCODE = 'TL007';
  END IF;
END;
$$;

-- The only door for entries. One array element per line; lines of one key form one entry, numbered in the order sent.
-- Answers per key, in the order of first appearance: posted, replayed (same key, same content in any line order) or
-- conflict (same key, other content; entry_id is the one that holds the key). Everything else refuses the whole call.
CREATE FUNCTION ledger.post_entries(
  p_entry_key       text[],
  p_effective_at    timestamptz[],
  p_account         text[],
  p_amount_minor    bigint[],
  p_asset           text[],
  p_kind            text[]    DEFAULT NULL,
  p_description     text[]    DEFAULT NULL,
  p_counterparty    text[]    DEFAULT NULL,
  p_batch_ref       text[]    DEFAULT NULL,
  p_ref_end_to_end  text[]    DEFAULT NULL,
  p_ref_uetr        text[]    DEFAULT NULL,
  p_ref_servicer    text[]    DEFAULT NULL,
  p_ref_psp         text[]    DEFAULT NULL,
  p_ref_merchant    text[]    DEFAULT NULL,
  p_ref_payout      text[]    DEFAULT NULL,
  p_ref_arn         text[]    DEFAULT NULL,
  p_ref_rrn         text[]    DEFAULT NULL,
  p_ref_auth_code   text[]    DEFAULT NULL,
  p_fx_rate         numeric[] DEFAULT NULL,
  p_fx_asset        text[]    DEFAULT NULL,
  p_fx_amount_minor bigint[]  DEFAULT NULL,
  p_metadata        jsonb[]   DEFAULT NULL
) RETURNS TABLE (entry_key text, outcome text, entry_id bigint)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- The joins below are between sets of this call; a cached plan that thinks them small must not loop over them.
SET enable_nestloop = off
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
  lines_sent integer := cardinality(p_entry_key);
  keys text[];
  hashes bytea[];
  new_ids bigint[];
  posting_at timestamptz := clock_timestamp();
BEGIN
  IF EXISTS (
    SELECT FROM unnest(ARRAY[
      cardinality(p_effective_at), cardinality(p_account), cardinality(p_amount_minor), cardinality(p_asset)
    ]) AS required (size) WHERE required.size IS DISTINCT FROM lines_sent
  ) OR EXISTS (
    SELECT FROM unnest(ARRAY[
      cardinality(p_kind), cardinality(p_description), cardinality(p_counterparty), cardinality(p_batch_ref),
      cardinality(p_ref_end_to_end), cardinality(p_ref_uetr), cardinality(p_ref_servicer), cardinality(p_ref_psp),
      cardinality(p_ref_merchant), cardinality(p_ref_payout), cardinality(p_ref_arn), cardinality(p_ref_rrn),
      cardinality(p_ref_auth_code), cardinality(p_fx_rate), cardinality(p_fx_asset), cardinality(p_fx_amount_minor),
      cardinality(p_metadata)
    ]) AS optional (size) WHERE optional.size <> lines_sent
  ) THEN
    RAISE EXCEPTION 'post_entries: expected arrays of one length, one element per line, found different lengths' USING ERRCODE = 'TL007';
  END IF;
  PERFORM ledger.check_request(p_entry_key, p_effective_at, p_account, p_amount_minor, p_asset);

  -- Headers and lines go in by one statement, so that the laws see both. Keys are claimed in order: two batches that
  -- share keys wait for each other one way round only.
  WITH sent AS MATERIALIZED (
    SELECT u.*,
           row_number() OVER (PARTITION BY u.entry_key ORDER BY u.ordinal) AS line_no,
           jsonb_build_array(
             (extract(epoch FROM u.effective_at) * 1000000)::bigint, u.account, u.amount_minor, u.asset, u.kind,
             u.description, u.counterparty, u.batch_ref, u.ref_end_to_end, u.ref_uetr, u.ref_servicer, u.ref_psp,
             u.ref_merchant, u.ref_payout, u.ref_arn, u.ref_rrn, u.ref_auth_code, u.fx_rate, u.fx_asset,
             u.fx_amount_minor, u.metadata)::text AS canonical
    FROM unnest(
      p_entry_key, p_effective_at, p_account, p_amount_minor, p_asset, p_kind, p_description, p_counterparty, p_batch_ref,
      p_ref_end_to_end, p_ref_uetr, p_ref_servicer, p_ref_psp, p_ref_merchant, p_ref_payout, p_ref_arn, p_ref_rrn,
      p_ref_auth_code, p_fx_rate, p_fx_asset, p_fx_amount_minor, p_metadata
    ) WITH ORDINALITY AS u (
      entry_key, effective_at, account, amount_minor, asset, kind, description, counterparty, batch_ref, ref_end_to_end,
      ref_uetr, ref_servicer, ref_psp, ref_merchant, ref_payout, ref_arn, ref_rrn, ref_auth_code, fx_rate, fx_asset,
      fx_amount_minor, metadata, ordinal)
  ), header AS MATERIALIZED (
    SELECT s.entry_key, min(s.effective_at) AS effective_at, count(*) AS line_count, min(s.ordinal) AS first_ordinal,
           sha256(convert_to('tieout-entry-1' || E'\n' || string_agg(s.canonical, E'\n' ORDER BY s.canonical COLLATE "C"), 'UTF8')) AS request_hash
    FROM sent AS s
    GROUP BY s.entry_key
  ), claimed AS (
    INSERT INTO ledger.journal_entry (entry_key, request_hash, effective_at, recorded_at, line_count)
    SELECT h.entry_key, h.request_hash, h.effective_at, posting_at, h.line_count
    FROM header AS h
    ORDER BY h.entry_key COLLATE "C"
    ON CONFLICT ON CONSTRAINT journal_entry_key_key DO NOTHING
    RETURNING entry_id, entry_key
  ), written AS (
    INSERT INTO ledger.journal_line (
      entry_id, line_no, account_id, asset_id, amount_minor, effective_at, kind, description, counterparty, batch_ref,
      ref_end_to_end, ref_uetr, ref_servicer, ref_psp, ref_merchant, ref_payout, ref_arn, ref_rrn, ref_auth_code, fx_rate,
      fx_asset, fx_amount_minor, metadata)
    SELECT c.entry_id, s.line_no,
           (SELECT a.account_id FROM ledger.account AS a WHERE a.code = s.account),
           (SELECT a.asset_id FROM ledger.asset AS a WHERE a.code = s.asset),
           s.amount_minor, s.effective_at, s.kind, s.description, s.counterparty, s.batch_ref,
           s.ref_end_to_end, s.ref_uetr, s.ref_servicer, s.ref_psp, s.ref_merchant, s.ref_payout, s.ref_arn, s.ref_rrn,
           s.ref_auth_code, s.fx_rate, s.fx_asset, s.fx_amount_minor, s.metadata
    FROM sent AS s
    JOIN claimed AS c ON c.entry_key = s.entry_key
  )
  SELECT array_agg(h.entry_key ORDER BY h.first_ordinal), array_agg(h.request_hash ORDER BY h.first_ordinal),
         array_agg(c.entry_id ORDER BY h.first_ordinal)
  INTO keys, hashes, new_ids
  FROM header AS h
  LEFT JOIN claimed AS c ON c.entry_key = h.entry_key;

  -- A later statement: it sees the entry of whoever held the key when the claim above waited for it.
  RETURN QUERY
    SELECT k.entry_key,
           CASE
             WHEN k.new_id IS NOT NULL THEN 'posted'
             WHEN (SELECT e.request_hash FROM ledger.journal_entry AS e WHERE e.entry_key = k.entry_key) = k.request_hash THEN 'replayed'
             ELSE 'conflict'
           END,
           coalesce(k.new_id, (SELECT e.entry_id FROM ledger.journal_entry AS e WHERE e.entry_key = k.entry_key))
    FROM unnest(keys, hashes, new_ids) WITH ORDINALITY AS k (entry_key, request_hash, new_id, ordinal)
    ORDER BY k.ordinal;
END;
$$;

-- Posts the exact mirror of an entry, linked to it, once; its key is 'reversal:' and the key of the reversed entry.
-- Without p_effective_at it takes effect now. Answers like post_entries.
CREATE FUNCTION ledger.reverse_entry(
  p_entry_key text, p_reason text, p_authoriser text, p_effective_at timestamptz DEFAULT NULL
) RETURNS TABLE (entry_key text, outcome text, entry_id bigint)
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  reversed record;
  reversal_key text := 'reversal:' || p_entry_key;
  -- Only what the caller sent: without a time of theirs, a repeated call is the same request.
  sent_hash bytea := sha256(convert_to(jsonb_build_array(
    'tieout-reversal-1', p_entry_key, p_reason, p_authoriser, (extract(epoch FROM p_effective_at) * 1000000)::bigint)::text, 'UTF8'));
  reversing_at timestamptz := coalesce(p_effective_at, clock_timestamp());
  new_id bigint;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'transaction: posting needs READ COMMITTED, found %', upper(current_setting('transaction_isolation')) USING ERRCODE = 'TL007';
  ELSIF coalesce(btrim(p_reason), '') = '' OR coalesce(btrim(p_authoriser), '') = '' THEN
    RAISE EXCEPTION 'entry %: a reversal needs a reason and an authoriser', quote_nullable(p_entry_key) USING ERRCODE = 'TL006';
  END IF;
  SELECT e.entry_id, e.line_count INTO reversed FROM ledger.journal_entry AS e WHERE e.entry_key = p_entry_key;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'entry %: expected a posted entry to reverse, found none', quote_nullable(p_entry_key) USING ERRCODE = 'TL006';
  END IF;

  WITH claimed AS (
    INSERT INTO ledger.journal_entry (entry_key, request_hash, effective_at, line_count, reverses_entry_id, reason, authoriser)
    VALUES (reversal_key, sent_hash, reversing_at, reversed.line_count, reversed.entry_id, p_reason, p_authoriser)
    ON CONFLICT ON CONSTRAINT journal_entry_key_key DO NOTHING
    RETURNING entry_id
  ), written AS (
    INSERT INTO ledger.journal_line (
      entry_id, line_no, account_id, asset_id, amount_minor, effective_at, kind, description, counterparty, batch_ref,
      ref_end_to_end, ref_uetr, ref_servicer, ref_psp, ref_merchant, ref_payout, ref_arn, ref_rrn, ref_auth_code, fx_rate,
      fx_asset, fx_amount_minor, metadata)
    SELECT c.entry_id, l.line_no, l.account_id, l.asset_id, -l.amount_minor, reversing_at, l.kind, l.description,
           l.counterparty, l.batch_ref, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant,
           l.ref_payout, l.ref_arn, l.ref_rrn, l.ref_auth_code, l.fx_rate, l.fx_asset, -l.fx_amount_minor, l.metadata
    FROM claimed AS c
    JOIN ledger.journal_line AS l ON l.entry_id = reversed.entry_id
  )
  SELECT c.entry_id INTO new_id FROM claimed AS c;

  RETURN QUERY
    SELECT e.entry_key,
           CASE WHEN new_id IS NOT NULL THEN 'posted' WHEN e.request_hash = sent_hash THEN 'replayed' ELSE 'conflict' END,
           e.entry_id
    FROM ledger.journal_entry AS e
    WHERE e.entry_key = reversal_key;
END;
$$;
