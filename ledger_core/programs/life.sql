-- The life of a business transaction: initiated, held, partly released, released, settled, reversed. Each step is an event with
-- authoriser and time, and posts through the one door for entries, in the same transaction. Nothing is updated but open_hold.

-- Keeps a rate as it was quoted; the same again changes nothing.
CREATE OR REPLACE FUNCTION ledger.record_quote(
  p_quote_key text, p_from_asset text, p_to_asset text, p_rate numeric, p_purpose text, p_origin text, p_quoted_at timestamptz, p_expires_at timestamptz DEFAULT 'infinity'
) RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO ledger.fx_quote (quote_key, from_asset, to_asset, rate, purpose, origin, quoted_at, expires_at)
  VALUES (p_quote_key, p_from_asset, p_to_asset, p_rate, p_purpose, p_origin, p_quoted_at, p_expires_at)
  ON CONFLICT ON CONSTRAINT fx_quote_pkey DO NOTHING;
  IF FOUND THEN
    RETURN 'recorded';
  ELSIF EXISTS (
    SELECT FROM ledger.fx_quote AS q WHERE q.quote_key = p_quote_key AND (q.from_asset, q.to_asset, q.rate, q.purpose, q.origin, q.quoted_at, q.expires_at)
      = (p_from_asset, p_to_asset, p_rate, p_purpose, p_origin, p_quoted_at, p_expires_at)
  ) THEN
    RETURN 'unchanged';
  END IF;
  RAISE EXCEPTION 'quote %: it was recorded before with another content, and a quote never changes', quote_literal(p_quote_key) USING ERRCODE = 'TL009';
END;
$$;

-- Moves a transaction to its next state. Lines say what the step is about, in the direction in which they will be posted:
-- held: what to hold (the layer follows from the direction) · partly_released: the part to give back · settled: what is posted, and
-- what is still held is given back with it, as an entry of its own whose key ends in :release · initiated, released, reversed: none.
-- Answers posted, replayed, conflict, or refused with a code, with the state the transaction is in; a malformed call and an illegal move
-- raise. A held amount cannot be missing at settlement: until it is due a hold is spent, from then on it can only be released.
CREATE OR REPLACE FUNCTION ledger.move_transaction(
  p_transaction_key text, p_event_key text, p_state text, p_authoriser text, p_effective_at timestamptz,
  p_account text[] DEFAULT NULL, p_amount_minor bigint[] DEFAULT NULL, p_asset text[] DEFAULT NULL, p_detail ledger.line_detail[] DEFAULT NULL,
  p_reason text DEFAULT NULL, p_expires_at timestamptz DEFAULT NULL, p_quote_key text DEFAULT NULL, p_kind text DEFAULT NULL, p_metadata jsonb DEFAULT NULL
) RETURNS TABLE (outcome text, state text, event_no integer, entry_id bigint, code text, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
DECLARE
  sent_hash bytea := sha256(convert_to(jsonb_build_array('tieout-event-1', p_transaction_key, p_state, p_authoriser, p_effective_at, p_account, p_amount_minor,
    p_asset, p_detail, p_reason, p_expires_at, p_quote_key, p_kind, p_metadata)::text, 'UTF8'));
  line_total integer := coalesce(cardinality(p_account), 0);
  keys text[] := array_fill(p_event_key, ARRAY[line_total]);
  own record;
  last record;
  held record;
  found_id bigint;
  due_at timestamptz;
  accounts text[];
  amounts bigint[];
  assets text[];
  layers ledger.layer[];
  details ledger.line_detail[];
  times timestamptz[];
  problem text := CASE
    WHEN length(p_transaction_key) BETWEEN 1 AND 200 IS NOT TRUE THEN 'its key must have 1 to 200 characters'
    WHEN length(p_event_key) BETWEEN 1 AND 240 IS NOT TRUE OR p_event_key LIKE 'reversal:%' THEN 'the key of a step must have 1 to 240 characters and not start with reversal:'
    WHEN length(btrim(p_authoriser)) BETWEEN 1 AND 255 IS NOT TRUE OR length(p_reason) NOT BETWEEN 1 AND 1000 THEN 'expected an authoriser of 1 to 255 characters and a reason of up to 1000'
    WHEN isfinite(p_effective_at) IS NOT TRUE THEN 'expected a finite effective_at'
    WHEN (line_total > 0) <> coalesce(p_state IN ('held', 'partly_released', 'settled'), false) THEN 'expected lines for held, partly_released and settled, and for no other step'
    WHEN line_total <> ANY (ARRAY[coalesce(cardinality(p_amount_minor), 0), coalesce(cardinality(p_asset), 0), coalesce(cardinality(p_detail), line_total)])
      OR array_position(p_account, NULL) > 0 OR array_position(p_amount_minor, NULL) > 0 OR array_position(p_asset, NULL) > 0
      THEN 'expected account, amount_minor and asset for each line, and a detail for all lines or none'
    WHEN p_expires_at IS NOT NULL AND (p_state = 'held' AND p_expires_at > p_effective_at) IS NOT TRUE THEN 'only a hold expires, and after it began'
    WHEN num_nonnulls(p_kind, p_metadata) > 0 AND p_state <> 'initiated' OR length(p_kind) NOT BETWEEN 1 AND 64 OR jsonb_typeof(p_metadata) <> 'object'
      THEN 'kind (1 to 64 characters) and metadata (an object) are said when it is initiated'
  END;
BEGIN
  IF problem IS NOT NULL THEN
    RAISE EXCEPTION 'transaction %, step %: %', quote_nullable(p_transaction_key), quote_nullable(p_state), problem USING ERRCODE = 'TL007';
  ELSIF p_state = 'initiated' AND NOT EXISTS (SELECT FROM ledger.transaction_event AS v WHERE v.event_key = p_event_key) THEN
    INSERT INTO ledger.business_transaction (transaction_key, kind, metadata) VALUES (p_transaction_key, coalesce(p_kind, 'transaction'), p_metadata)
    ON CONFLICT ON CONSTRAINT business_transaction_key_key DO NOTHING;
  END IF;
  SELECT t.transaction_id INTO found_id FROM ledger.business_transaction AS t WHERE t.transaction_key = p_transaction_key FOR NO KEY UPDATE;

  -- What the ledger knows under this key: a step, or an entry that took it, perhaps this very step when it was refused.
  SELECT v.state, v.event_no, v.entry_id INTO last FROM ledger.transaction_event AS v WHERE v.transaction_id = found_id ORDER BY v.event_no DESC LIMIT 1;
  SELECT array_agg(CASE WHEN p_state = 'partly_released' THEN -u.amount ELSE u.amount END ORDER BY u.line_no) AS amounts,
         array_agg(CASE WHEN p_state = 'settled' THEN 'posted'
                        WHEN (SELECT a.normal_sign FROM ledger.account AS a WHERE a.code = u.account) * u.amount < 0 THEN 'outgoing' ELSE 'incoming' END::ledger.layer
                   ORDER BY u.line_no) AS layers INTO own
  FROM unnest(p_account, p_amount_minor) WITH ORDINALITY AS u (account, amount, line_no);
  SELECT CASE WHEN v.request_hash = sent_hash THEN 'replayed' ELSE 'conflict' END, v.state, v.event_no, v.entry_id INTO outcome, state, event_no, entry_id
  FROM ledger.transaction_event AS v WHERE v.event_key = p_event_key;
  IF NOT FOUND THEN
    SELECT CASE WHEN coalesce(k.outcome, 'refused') = 'refused' AND x.code IS NOT NULL THEN 'refused' ELSE 'conflict' END, last.state, last.event_no, e.entry_id, x.code, x.detail
    INTO outcome, state, event_no, entry_id, code, detail
    FROM ledger.journal_entry AS e
    LEFT JOIN ledger.refusal AS x ON x.entry_id = e.entry_id
    LEFT JOIN LATERAL ledger.known_entries(keys, array_fill(p_effective_at, ARRAY[line_total]), p_account, own.amounts, p_asset, own.layers, p_detail, NULL) AS k ON true
    WHERE e.entry_key = p_event_key;
  END IF;
  IF FOUND THEN
    IF outcome = 'conflict' THEN
      code := 'key_conflict';
      detail := 'the key was used before for another step or entry';
    END IF;
    RETURN NEXT;
    RETURN;
  ELSIF found_id IS NULL THEN
    RAISE EXCEPTION 'transaction %: expected it to be initiated first, found none', quote_literal(p_transaction_key) USING ERRCODE = 'TL011';
  ELSIF NOT EXISTS (SELECT FROM ledger.transaction_move AS m WHERE m.previous_state = coalesce(last.state, 'none') AND m.state = p_state) THEN
    RAISE EXCEPTION 'transaction %: it is %, and cannot become %', quote_literal(p_transaction_key), coalesce(last.state, 'new'), quote_nullable(p_state)
      USING ERRCODE = 'TL011', CONSTRAINT = 'transaction_event_move_fkey';
  ELSIF (CASE WHEN p_quote_key IS NOT NULL THEN NOT EXISTS (
      SELECT FROM ledger.fx_quote AS q
      WHERE q.quote_key = p_quote_key AND CASE p_state
        WHEN 'held' THEN q.purpose = 'locked' AND p_effective_at >= q.quoted_at AND p_effective_at < q.expires_at
        WHEN 'settled' THEN q.purpose = 'settlement' AND NOT EXISTS (
          SELECT FROM ledger.transaction_event AS v JOIN ledger.fx_quote AS k ON k.quote_key = v.quote_key
          WHERE v.transaction_id = found_id AND (k.from_asset, k.to_asset) <> (q.from_asset, q.to_asset)) END)
    ELSE p_state = 'settled' AND EXISTS (SELECT FROM ledger.transaction_event AS v WHERE v.transaction_id = found_id AND v.quote_key IS NOT NULL) END)
  THEN
    RAISE EXCEPTION 'transaction %: a quote locks the rate of a hold while it lives, and such a hold settles with a settlement quote of the same assets; found % for % at %',
      quote_literal(p_transaction_key), quote_nullable(p_quote_key), p_state, p_effective_at USING ERRCODE = 'TL011';
  END IF;

  SELECT min(h.expires_at) INTO due_at FROM ledger.open_hold AS h WHERE h.transaction_id = found_id;
  -- What is still held, for what ends the hold.
  SELECT array_agg(CASE p_state WHEN 'settled' THEN p_event_key || ':release' ELSE p_event_key END) AS keys, array_agg(a.code::text) AS accounts,
         array_agg(-h.held_minor::bigint) AS amounts, array_agg(a.asset::text) AS assets, array_agg(h.layer) AS layers, array_agg(NULL::ledger.line_detail) AS details INTO held
  FROM ledger.open_hold AS h JOIN ledger.account AS a ON a.account_id = h.account_id WHERE h.transaction_id = found_id AND p_state IN ('settled', 'released');
  keys := keys || held.keys;
  IF p_state = 'reversed' THEN
    SELECT r.outcome, r.entry_id INTO outcome, entry_id
    FROM ledger.reverse_entry((SELECT e.entry_key FROM ledger.journal_entry AS e WHERE e.entry_id = last.entry_id), p_reason, p_authoriser, p_effective_at) AS r;
  ELSIF keys <> '{}' THEN
    accounts := p_account || held.accounts;
    amounts := own.amounts || held.amounts;
    assets := p_asset || held.assets;
    layers := own.layers || held.layers;
    details := CASE WHEN p_detail IS NOT NULL THEN p_detail || held.details END;
    times := array_fill(p_effective_at, ARRAY[cardinality(keys)]);
    -- Past the public door: only here do lines reach the layers of holds.
    BEGIN
      SELECT 'posted', max(w.entry_id) FILTER (WHERE w.entry_key = p_event_key) INTO outcome, entry_id
      FROM ledger.write_entries(keys, times, accounts, amounts, assets, layers, details, NULL, '{}', '{}') AS w;
    EXCEPTION WHEN integrity_constraint_violation OR data_exception OR SQLSTATE 'TL001' OR SQLSTATE 'TL002' OR SQLSTATE 'TL003' OR SQLSTATE 'TL004' OR SQLSTATE 'TL010' THEN
      PERFORM ledger.check_call(keys, times, NULL);
      SELECT e.outcome, e.entry_id, e.code, e.detail INTO outcome, entry_id, code, detail
      FROM ledger.post_judged(keys, times, accounts, amounts, assets, layers, details, NULL, array_fill(1, ARRAY[cardinality(keys)])) AS e
      ORDER BY (e.outcome = 'posted'), (e.code = 'group_refused'), (e.entry_key = p_event_key) DESC LIMIT 1;
    END;
    -- Asked after the decision: had the hold become due before it, its money would have counted twice, as released and as free.
    IF due_at <= greatest(p_effective_at, clock_timestamp())
       AND NOT (p_state = 'released' AND p_effective_at <= greatest(due_at, (SELECT max(p.ends_at) FROM ledger.period AS p))) THEN
      RAISE EXCEPTION 'transaction %: its hold counts as released since %', quote_literal(p_transaction_key), due_at USING ERRCODE = 'TL011', HINT = 'the job that expires holds writes it down';
    ELSIF outcome = 'replayed' THEN
      RAISE EXCEPTION 'transaction %: an entry took the key of its step, %', quote_literal(p_transaction_key), quote_literal(p_event_key) USING ERRCODE = 'TL011';
    END IF;
  END IF;
  IF outcome IN ('refused', 'conflict') THEN
    state := last.state;
    event_no := last.event_no;
    code := coalesce(code, 'key_conflict');
    detail := coalesce(detail, 'its settlement was reversed before, in other words');
    RETURN NEXT;
    RETURN;
  END IF;

  outcome := 'posted';
  state := p_state;
  event_no := coalesce(last.event_no, 0) + 1;
  INSERT INTO ledger.transaction_event (transaction_id, event_no, previous_state, state, event_key, request_hash, authoriser, reason, entry_id, quote_key, expires_at)
  VALUES (found_id, move_transaction.event_no, coalesce(last.state, 'none'), p_state, p_event_key, sent_hash, p_authoriser, p_reason, move_transaction.entry_id, p_quote_key, p_expires_at);
  IF p_state IN ('held', 'partly_released') THEN
    INSERT INTO ledger.open_hold AS h (transaction_id, account_id, layer, expires_at, held_minor)
    SELECT found_id, l.account_id, l.layer, coalesce(p_expires_at, 'infinity'), sum(l.amount_minor)::bigint
    FROM ledger.journal_line AS l WHERE l.entry_id = move_transaction.entry_id GROUP BY l.account_id, l.layer
    ON CONFLICT ON CONSTRAINT open_hold_pkey DO UPDATE SET held_minor = h.held_minor + excluded.held_minor;
  END IF;
  DELETE FROM ledger.open_hold AS h WHERE h.transaction_id = found_id AND (h.held_minor = 0 OR p_state IN ('settled', 'released'));
  IF p_state = 'partly_released' AND (NOT EXISTS (SELECT FROM ledger.open_hold AS h WHERE h.transaction_id = found_id) OR EXISTS (
    SELECT FROM ledger.open_hold AS h JOIN ledger.account AS a ON a.account_id = h.account_id
    WHERE h.transaction_id = found_id AND (h.layer = 'outgoing') = (a.normal_sign * h.held_minor > 0)))
  THEN
    RAISE EXCEPTION 'transaction %: expected a part of what is held, found all of it or more', quote_literal(p_transaction_key)
      USING ERRCODE = 'TL011', HINT = 'release the rest by moving it to released';
  END IF;
  RETURN NEXT;
END;
$$;

-- Releases what is past its time, as of the moment it was due or, where that is closed, the start of the open time; returns how many
-- transactions. For a job, as often as it likes; what another one is working on is left to it.
CREATE OR REPLACE FUNCTION ledger.expire_holds(p_limit integer DEFAULT 1000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  due record;
  due_at timestamptz;
  released bigint := 0;
BEGIN
  -- No period closes meanwhile: a refusal would stay.
  LOCK TABLE ledger.journal_line IN ROW EXCLUSIVE MODE;
  FOR due IN
    SELECT t.transaction_id, t.transaction_key FROM ledger.business_transaction AS t
    WHERE t.transaction_id IN (
      SELECT h.transaction_id FROM ledger.open_hold AS h WHERE h.expires_at <= clock_timestamp() GROUP BY h.transaction_id ORDER BY min(h.expires_at) LIMIT p_limit)
    ORDER BY t.transaction_id FOR NO KEY UPDATE SKIP LOCKED
  LOOP
    -- Looked at again now that it is locked: somebody may have released it meanwhile.
    SELECT greatest(min(h.expires_at), (SELECT max(p.ends_at) FROM ledger.period AS p)) INTO due_at
    FROM ledger.open_hold AS h WHERE h.transaction_id = due.transaction_id HAVING count(*) > 0;
    IF FOUND THEN
      SELECT released + count(*) INTO released
      FROM ledger.move_transaction(due.transaction_key, due.transaction_key || ':expired', 'released', 'tieout', due_at, p_reason => 'expired') AS m WHERE m.outcome = 'posted';
    END IF;
  END LOOP;
  RETURN released;
END;
$$;
