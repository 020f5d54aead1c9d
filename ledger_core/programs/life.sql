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
-- what is still held is given back with it · initiated, released, reversed: none. Answers posted, replayed, conflict, or refused with
-- a code; an illegal move raises. A held amount cannot be missing at settlement, unless its hold is past its time.
CREATE OR REPLACE FUNCTION ledger.move_transaction(
  p_transaction_key text, p_event_key text, p_state text, p_authoriser text, p_effective_at timestamptz,
  p_account text[] DEFAULT NULL, p_amount_minor bigint[] DEFAULT NULL, p_asset text[] DEFAULT NULL, p_detail ledger.line_detail[] DEFAULT NULL,
  p_reason text DEFAULT NULL, p_expires_at timestamptz DEFAULT NULL, p_quote_key text DEFAULT NULL, p_kind text DEFAULT NULL, p_metadata jsonb DEFAULT NULL
) RETURNS TABLE (outcome text, state text, event_no integer, entry_id bigint, code text, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  sent_hash bytea := sha256(convert_to(jsonb_build_array('tieout-event-1', p_transaction_key, p_state, p_authoriser,
    (extract(epoch FROM p_effective_at) * 1000000)::bigint, p_account, p_amount_minor, p_asset, p_detail, p_reason,
    (extract(epoch FROM nullif(p_expires_at, 'infinity')) * 1000000)::bigint, p_quote_key, p_kind, p_metadata)::text, 'UTF8'));
  found_id bigint;
  last record;
  earlier record;
  answer record;
  post record;
BEGIN
  IF p_state = 'initiated' THEN
    INSERT INTO ledger.business_transaction (transaction_key, kind, metadata) VALUES (p_transaction_key, coalesce(p_kind, 'transaction'), p_metadata)
    ON CONFLICT ON CONSTRAINT business_transaction_key_key DO NOTHING;
  END IF;
  SELECT t.transaction_id INTO found_id FROM ledger.business_transaction AS t WHERE t.transaction_key = p_transaction_key FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'transaction %: expected it to be initiated first, found none', quote_nullable(p_transaction_key) USING ERRCODE = 'TL011';
  END IF;
  SELECT v.state, v.event_no, v.entry_id, v.request_hash INTO earlier FROM ledger.transaction_event AS v WHERE v.event_key = p_event_key;
  IF FOUND THEN
    RETURN QUERY SELECT CASE WHEN earlier.request_hash = sent_hash THEN 'replayed' ELSE 'conflict' END, earlier.state, earlier.event_no, earlier.entry_id, NULL::text, NULL::text;
    RETURN;
  END IF;
  SELECT v.state, v.event_no, v.entry_id INTO last FROM ledger.transaction_event AS v WHERE v.transaction_id = found_id ORDER BY v.event_no DESC LIMIT 1;
  IF NOT EXISTS (SELECT FROM ledger.transaction_move AS m WHERE m.previous_state = coalesce(last.state, 'none') AND m.state = p_state) THEN
    RAISE EXCEPTION 'transaction %: it is %, and cannot become %', quote_literal(p_transaction_key), coalesce(last.state, 'new'), quote_nullable(p_state)
      USING ERRCODE = 'TL011', CONSTRAINT = 'transaction_event_move_fkey';
  ELSIF p_state = 'settled' AND EXISTS (SELECT FROM ledger.open_hold AS h WHERE h.transaction_id = found_id AND h.expires_at <= clock_timestamp()) THEN
    RAISE EXCEPTION 'transaction %: its hold is past its time and counts as released', quote_literal(p_transaction_key) USING ERRCODE = 'TL011';
  ELSIF p_state = 'settled' AND NOT EXISTS (SELECT FROM ledger.fx_quote AS q WHERE q.quote_key = p_quote_key AND q.purpose = 'settlement') AND EXISTS (
    SELECT FROM ledger.transaction_event AS v WHERE v.transaction_id = found_id AND v.state = 'held' AND v.quote_key IS NOT NULL
  ) THEN
    RAISE EXCEPTION 'transaction %: its hold locked a rate, so its settlement needs a quote for settlement', quote_literal(p_transaction_key) USING ERRCODE = 'TL011';
  ELSIF p_state = 'held' AND p_quote_key IS NOT NULL AND NOT EXISTS (
    SELECT FROM ledger.fx_quote AS q WHERE q.quote_key = p_quote_key AND q.purpose = 'locked' AND q.expires_at > p_effective_at AND q.quoted_at <= p_effective_at
  ) THEN
    RAISE EXCEPTION 'transaction %: expected a quote that locks a rate at %, found none under %', quote_literal(p_transaction_key), p_effective_at, quote_literal(p_quote_key)
      USING ERRCODE = 'TL011';
  END IF;

  IF p_state = 'reversed' THEN
    SELECT r.outcome, r.entry_id INTO answer FROM ledger.reverse_entry(
      (SELECT e.entry_key FROM ledger.journal_entry AS e WHERE e.entry_id = last.entry_id), p_reason, p_authoriser, p_effective_at) AS r;
  ELSIF p_state <> 'initiated' THEN
    -- The step's own lines, and for what ends a hold the negatives of what is still held.
    SELECT array_agg(s.entry_key) AS keys, array_agg(s.account) AS accounts, array_agg(s.amount) AS amounts, array_agg(s.asset) AS assets,
           array_agg(s.layer) AS layers, array_agg(s.detail) AS details INTO post
    FROM (
      SELECT p_event_key AS entry_key, u.account, CASE WHEN p_state = 'partly_released' THEN -u.amount ELSE u.amount END AS amount, u.asset, u.detail,
             CASE WHEN p_state = 'settled' THEN 'posted'
                  WHEN (SELECT a.normal_sign FROM ledger.account AS a WHERE a.code = u.account) * u.amount < 0 THEN 'outgoing' ELSE 'incoming' END::ledger.layer AS layer
      FROM (SELECT unnest(p_account) AS account, unnest(p_amount_minor) AS amount, unnest(p_asset) AS asset, unnest(p_detail) AS detail) AS u
      UNION ALL
      SELECT CASE WHEN p_state = 'settled' THEN p_event_key || ':release' ELSE p_event_key END, a.code, -h.held_minor::bigint, a.asset, NULL, h.layer
      FROM ledger.open_hold AS h JOIN ledger.account AS a ON a.account_id = h.account_id
      WHERE h.transaction_id = found_id AND p_state IN ('settled', 'released')
    ) AS s;
    IF post.keys IS NOT NULL THEN
      SELECT e.outcome, e.entry_id, e.code, e.detail INTO answer
      FROM ledger.post_entries(post.keys, array_fill(p_effective_at, ARRAY[cardinality(post.keys)]), post.accounts, post.amounts, post.assets, post.layers,
                               CASE WHEN p_detail IS NOT NULL THEN post.details END, NULL, array_fill(1, ARRAY[cardinality(post.keys)])) AS e
      ORDER BY (e.outcome = 'posted'), (e.code = 'group_refused'), (e.entry_key = p_event_key) DESC LIMIT 1;
      IF answer.outcome <> 'posted' THEN
        RETURN QUERY SELECT answer.outcome, last.state, last.event_no, answer.entry_id, answer.code, answer.detail;
        RETURN;
      END IF;
    ELSIF last.state <> 'initiated' OR p_state <> 'released' THEN
      RAISE EXCEPTION 'transaction %: expected lines for %, found none', quote_literal(p_transaction_key), p_state USING ERRCODE = 'TL007';
    END IF;
  END IF;

  INSERT INTO ledger.transaction_event (transaction_id, event_no, previous_state, state, event_key, request_hash, authoriser, reason, entry_id, quote_key, expires_at)
  VALUES (found_id, coalesce(last.event_no, 0) + 1, coalesce(last.state, 'none'), p_state, p_event_key, sent_hash, p_authoriser, p_reason,
          CASE WHEN p_state <> 'initiated' THEN (to_jsonb(answer) ->> 'entry_id')::bigint END, p_quote_key, CASE WHEN p_state = 'held' THEN p_expires_at END);
  IF p_state = 'held' THEN
    INSERT INTO ledger.open_hold (transaction_id, account_id, layer, expires_at, held_minor)
    SELECT found_id, l.account_id, l.layer, coalesce(p_expires_at, 'infinity'), sum(l.amount_minor)
    FROM ledger.journal_line AS l WHERE l.entry_id = answer.entry_id GROUP BY l.account_id, l.layer;
  ELSIF p_state = 'partly_released' THEN
    UPDATE ledger.open_hold AS h SET held_minor = h.held_minor + g.change
    FROM (SELECT l.account_id, l.layer, sum(l.amount_minor) AS change FROM ledger.journal_line AS l WHERE l.entry_id = answer.entry_id GROUP BY l.account_id, l.layer) AS g
    WHERE h.transaction_id = found_id AND h.account_id = g.account_id AND h.layer = g.layer AND sign(h.held_minor + g.change) = sign(h.held_minor);
    IF (SELECT count(DISTINCT (l.account_id, l.layer)) FROM ledger.journal_line AS l WHERE l.entry_id = answer.entry_id) <> (
      SELECT count(*) FROM ledger.open_hold AS h WHERE h.transaction_id = found_id AND EXISTS (
        SELECT FROM ledger.journal_line AS l WHERE l.entry_id = answer.entry_id AND l.account_id = h.account_id AND l.layer = h.layer
          AND abs(h.held_minor) < abs(h.held_minor - (SELECT sum(m.amount_minor) FROM ledger.journal_line AS m WHERE m.entry_id = answer.entry_id AND m.account_id = h.account_id AND m.layer = h.layer))))
    THEN
      RAISE EXCEPTION 'transaction %: expected a part of what is held, found all of it or more', quote_literal(p_transaction_key)
        USING ERRCODE = 'TL011', HINT = 'release the rest by moving it to released';
    END IF;
  ELSE
    DELETE FROM ledger.open_hold AS h WHERE h.transaction_id = found_id;
  END IF;
  RETURN QUERY SELECT 'posted', p_state, coalesce(last.event_no, 0) + 1, CASE WHEN p_state <> 'initiated' THEN (to_jsonb(answer) ->> 'entry_id')::bigint END, NULL::text, NULL::text;
END;
$$;

-- Releases what is past its time, as of the moment it was due; returns how many transactions. For a job, as often as it likes.
CREATE OR REPLACE FUNCTION ledger.expire_holds(p_limit integer DEFAULT 1000) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  due record;
  released bigint := 0;
BEGIN
  FOR due IN
    SELECT t.transaction_key, greatest((SELECT min(h.expires_at) FROM ledger.open_hold AS h WHERE h.transaction_id = t.transaction_id),
                                       (SELECT max(p.ends_at) FROM ledger.period AS p)) AS due_at
    FROM ledger.business_transaction AS t
    WHERE t.transaction_id IN (SELECT h.transaction_id FROM ledger.open_hold AS h WHERE h.expires_at <= clock_timestamp() ORDER BY h.expires_at LIMIT p_limit)
    ORDER BY t.transaction_id FOR NO KEY UPDATE OF t SKIP LOCKED
  LOOP
    CONTINUE WHEN due.due_at IS NULL;
    PERFORM ledger.move_transaction(due.transaction_key, due.transaction_key || ':expired', 'released', 'tieout', due.due_at, p_reason => 'expired');
    released := released + 1;
  END LOOP;
  RETURN released;
END;
$$;
