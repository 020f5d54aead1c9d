-- What becomes of requests that cannot simply be written: known ones, wrong ones, and those that share a call with them.

-- The word for what refused a request, and a sentence; from the law, key or domain that did.
CREATE OR REPLACE FUNCTION ledger.refusal_of(p_sqlstate text, p_constraint text, p_column text, p_message text, p_account text[], p_asset text[])
RETURNS text[] LANGUAGE sql STABLE AS $$
  SELECT CASE
    WHEN p_sqlstate = '23502' AND p_column = 'account_id' THEN coalesce((
      SELECT CASE WHEN a.code IS NULL THEN ARRAY['account_unknown', format('expected an account of the chart, found %L', s.account)]
                  ELSE ARRAY['asset_mismatch', format('account %s holds %s, found %L', a.code, a.asset, s.asset)] END
      FROM unnest(p_account, p_asset) AS s (account, asset) LEFT JOIN ledger.account AS a ON a.code = s.account
      WHERE a.asset IS DISTINCT FROM s.asset LIMIT 1), ARRAY['account_unknown', p_message])
    WHEN p_constraint = 'line_count_form' THEN ARRAY['too_few_lines', 'expected at least 2 lines, found 1']
    WHEN p_constraint = 'instant_finite' THEN ARRAY['time_invalid', 'expected a finite effective_at, found infinity']
    WHEN p_constraint IN ('amount_not_zero', 'amount_negatable') OR p_column = 'amount_minor' THEN
      ARRAY['amount_invalid', 'expected an amount other than 0 whose negative fits 64 bits']
    WHEN p_sqlstate LIKE 'TL%' THEN ARRAY[CASE p_sqlstate
      WHEN 'TL001' THEN 'unbalanced' WHEN 'TL002' THEN 'several_times' WHEN 'TL004' THEN 'overdrawn' WHEN 'TL006' THEN 'corrected_unknown'
      WHEN 'TL010' THEN 'period_closed' ELSE replace(p_constraint, 'journal_line_', '') END, p_message]
    ELSE ARRAY['detail_invalid', format('what is said of a line breaks %s', coalesce(nullif(p_constraint, ''), 'its type'))]
  END;
$$;

-- Locks the balances of the guarded accounts among these, in id order as the law does it.
CREATE OR REPLACE FUNCTION ledger.lock_balances(p_account text[]) RETURNS void LANGUAGE sql AS $$
  SELECT FROM ledger.balance AS b
  WHERE b.account_id IN (SELECT a.account_id FROM unnest(p_account) AS s (account) JOIN ledger.account AS a ON a.code = s.account WHERE NOT a.may_overdraw)
  ORDER BY b.account_id FOR NO KEY UPDATE;
$$;

-- The exact way, taken when the quick one was refused: answers what is known, posts what is right and keeps a refusal for every
-- request that is not. What is new is tried in halves, under keys of nobody's, until the laws have named each wrong entry or group
-- alone: so the laws are written once, and one wrong request in a thousand costs some twenty tries. The trial is undone, and
-- what it said is written by one statement, keys before money like everywhere. Looks again when somebody used a key or spent the
-- money meanwhile, and in the rare circle that is left: who waits for a part of a trial goes on waiting when it is undone.
CREATE OR REPLACE FUNCTION ledger.post_judged(
  p_entry_key text[], p_effective_at timestamptz[], p_account text[], p_amount_minor bigint[], p_asset text[],
  p_layer ledger.layer[], p_detail ledger.line_detail[], p_corrects text[], p_group integer[]
) RETURNS TABLE (entry_key text, outcome text, entry_id bigint, code text, detail text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  unit_of integer[];
  known text[];
  refused jsonb;
  is_suspect boolean;
  posted text[];
  lows integer[];
  highs integer[];
  part record;
  said text;
  broken_constraint text;
  broken_column text;
  place integer;
BEGIN
  -- Entries of one group are one unit; units are numbered in the order of first appearance.
  SELECT array_agg(u.unit_no ORDER BY u.ordinal) INTO unit_of
  FROM (
    SELECT s.ordinal, dense_rank() OVER (ORDER BY s.first_ordinal)::integer AS unit_no
    FROM (
      SELECT u.ordinal, min(u.ordinal) OVER (PARTITION BY coalesce('group ' || u.group_no, 'entry ' || u.entry_key)) AS first_ordinal
      FROM (SELECT unnest(p_entry_key) AS entry_key, unnest(p_group) AS group_no, generate_subscripts(p_entry_key, 1) AS ordinal) AS u) AS s) AS u;

  FOR attempt IN 1 .. 40 LOOP
    -- What the ledger knows, and what cannot be posted without what it knows otherwise.
    WITH earlier AS MATERIALIZED (
      SELECT k.entry_key, k.outcome
      FROM ledger.known_entries(p_entry_key, p_effective_at, p_account, p_amount_minor, p_asset, p_layer, p_detail, p_corrects) AS k
    ), sent AS MATERIALIZED (
      SELECT u.entry_key, u.unit_no, e.outcome
      FROM (SELECT unnest(p_entry_key) AS entry_key, unnest(unit_of) AS unit_no) AS u LEFT JOIN earlier AS e ON e.entry_key = u.entry_key
    )
    SELECT coalesce(array_agg(s.entry_key) FILTER (WHERE s.outcome IS NOT NULL), '{}'),
           coalesce(jsonb_object_agg(s.entry_key, '["group_refused", "another entry of its group was refused"]'::jsonb)
                    FILTER (WHERE s.outcome IS NULL AND s.unit_no IN (SELECT x.unit_no FROM sent AS x WHERE x.outcome <> 'replayed')), '{}')
    INTO known, refused FROM sent AS s;
    IF attempt > 20 THEN
      PERFORM ledger.lock_balances(p_account);  -- before the keys, to get through at last
    END IF;

    IF coalesce(is_suspect, known = '{}') THEN
      BEGIN
        PERFORM ledger.lock_balances(p_account);
        lows := '{1}';
        highs := ARRAY[(SELECT max(u.unit_no) FROM unnest(unit_of) AS u (unit_no))];
        WHILE cardinality(lows) > 0 LOOP
          SELECT array_agg(u.entry_key) AS keys, array_agg(format('reversal: trial %s %s', pg_current_xact_id(), u.first_ordinal)) AS aliases,
                 array_agg(u.effective_at) AS times, array_agg(u.account) AS accounts, array_agg(u.amount_minor) AS amounts,
                 array_agg(u.asset) AS assets, CASE WHEN p_layer IS NOT NULL THEN array_agg(u.layer) END AS layers,
                 CASE WHEN p_detail IS NOT NULL THEN array_agg(u.detail) END AS details, CASE WHEN p_corrects IS NOT NULL THEN array_agg(u.corrects) END AS corrects
          INTO part
          FROM (
            SELECT s.entry_key, s.effective_at, s.account, s.amount_minor, s.asset, s.layer, s.detail, s.corrects, min(s.ordinal) OVER (PARTITION BY s.entry_key) AS first_ordinal
            FROM (SELECT unnest(p_entry_key) AS entry_key, unnest(p_effective_at) AS effective_at, unnest(p_account) AS account, unnest(p_amount_minor) AS amount_minor,
                         unnest(p_asset) AS asset, unnest(p_layer) AS layer, unnest(p_detail) AS detail, unnest(p_corrects) AS corrects, unnest(unit_of) AS unit_no,
                         generate_subscripts(p_entry_key, 1) AS ordinal) AS s
            WHERE s.unit_no BETWEEN lows[1] AND highs[1] AND NOT refused ? s.entry_key
              AND NOT EXISTS (SELECT FROM unnest(known) AS k (entry_key) WHERE k.entry_key = s.entry_key)) AS u;
          BEGIN
            IF part.keys IS NOT NULL THEN
              PERFORM ledger.write_entries(part.aliases, part.times, part.accounts, part.amounts, part.assets, part.layers, part.details, part.corrects, '{}', '{}');
            END IF;
            lows := lows[2:];
            highs := highs[2:];
          EXCEPTION WHEN integrity_constraint_violation OR data_exception OR SQLSTATE 'TL001' OR SQLSTATE 'TL002' OR SQLSTATE 'TL003'
                    OR SQLSTATE 'TL004' OR SQLSTATE 'TL006' OR SQLSTATE 'TL010' THEN
            IF lows[1] < highs[1] THEN
              lows := ARRAY[lows[1], (lows[1] + highs[1]) / 2 + 1] || lows[2:];
              highs := ARRAY[lows[2] - 1] || highs;
            ELSE
              GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, broken_constraint = CONSTRAINT_NAME, broken_column = COLUMN_NAME;
              FOR place IN 1 .. cardinality(part.keys) LOOP
                said := replace(said, quote_literal(part.aliases[place]), quote_literal(part.keys[place]));
              END LOOP;
              SELECT refused || jsonb_object_agg(k.entry_key, to_jsonb(r.code_and_sentence)) INTO refused
              FROM unnest(part.keys) AS k (entry_key), ledger.refusal_of(SQLSTATE, broken_constraint, broken_column, said, part.accounts, part.assets) AS r (code_and_sentence);
              lows := lows[2:];
              highs := highs[2:];
            END IF;
          END;
        END LOOP;
        RAISE EXCEPTION 'the trial is over' USING ERRCODE = 'TL000';
      EXCEPTION
        WHEN SQLSTATE 'TL000' THEN
          is_suspect := false;
        WHEN deadlock_detected THEN
          CONTINUE;
      END;
    END IF;

    BEGIN
      SELECT array_agg(w.entry_key) INTO posted
      FROM ledger.write_entries(p_entry_key, p_effective_at, p_account, p_amount_minor, p_asset, p_layer, p_detail, p_corrects, refused, known) AS w
      WHERE NOT refused ? w.entry_key;
      EXIT;
    EXCEPTION WHEN deadlock_detected OR integrity_constraint_violation OR data_exception OR SQLSTATE 'TL001' OR SQLSTATE 'TL002'
              OR SQLSTATE 'TL003' OR SQLSTATE 'TL004' OR SQLSTATE 'TL006' OR SQLSTATE 'TL010' THEN
      IF attempt = 40 THEN
        RAISE;
      END IF;
      is_suspect := true;
    END;
  END LOOP;
  RETURN QUERY
    SELECT k.entry_key, CASE WHEN p.entry_key IS NOT NULL THEN 'posted' ELSE k.outcome END, k.entry_id, k.code, k.detail
    FROM ledger.known_entries(p_entry_key, p_effective_at, p_account, p_amount_minor, p_asset, p_layer, p_detail, p_corrects) AS k
    LEFT JOIN unnest(posted) AS p (entry_key) ON p.entry_key = k.entry_key
    ORDER BY k.first_ordinal;
END;
$$;
