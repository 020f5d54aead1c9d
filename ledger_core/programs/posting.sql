-- The doors for entries. Each runs as the owner with a fixed search_path; nobody else can write a row.
-- One statement writes headers and lines without asking first: keys, domains and laws refuse whatever is wrong, and only
-- then is looked for which request it was, and why. So the usual case pays for nothing else.

-- The fingerprint of what a caller sent; never of anything computed from balances. A layer or detail that is not sent is the same
-- as one that says nothing: neighbours of the call decide which of the two a request has.
CREATE OR REPLACE FUNCTION ledger.request_hash(
  p_effective_at timestamptz, p_account text[], p_amount_minor bigint[], p_asset text[], p_layer ledger.layer[], p_detail ledger.line_detail[], p_corrects text
) RETURNS bytea LANGUAGE sql STABLE AS $$
  SELECT sha256(timestamptz_send(p_effective_at) || convert_to(
    p_account::text || p_amount_minor::text || p_asset::text
    || CASE WHEN 'posted' <> ANY (array_replace(p_layer, NULL, 'posted')) THEN array_replace(p_layer, NULL, 'posted')::text ELSE '-' END
    || CASE WHEN '(,,,,,,,,,,,,,,,,)'::ledger.line_detail <> ANY (array_replace(p_detail, NULL, '(,,,,,,,,,,,,,,,,)')) THEN array_replace(p_detail, NULL, '(,,,,,,,,,,,,,,,,)')::text ELSE '-' END
    || coalesce(p_corrects, ''), 'UTF8'));
$$;

CREATE OR REPLACE FUNCTION ledger.corrected_entry(p_entry_key text) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
  found_id bigint;
BEGIN
  SELECT e.entry_id INTO found_id FROM ledger.journal_entry AS e WHERE e.entry_key = p_entry_key AND e.line_count > 0;
  IF found_id IS NULL AND p_entry_key IS NOT NULL THEN
    RAISE EXCEPTION 'entry %: expected a posted entry to correct, found none', quote_literal(p_entry_key) USING ERRCODE = 'TL006';
  END IF;
  RETURN found_id;
END;
$$;

-- The requests a call consists of: one row per key.
CREATE OR REPLACE FUNCTION ledger.requests(
  p_entry_key text[], p_effective_at timestamptz[], p_account text[], p_amount_minor bigint[], p_asset text[],
  p_layer ledger.layer[], p_detail ledger.line_detail[], p_corrects text[]
) RETURNS TABLE (entry_key text, effective_at timestamptz, line_count bigint, first_ordinal integer, corrects text, request_hash bytea)
LANGUAGE sql STABLE AS $$
  SELECT g.entry_key, g.effective_at, g.line_count, g.first_ordinal, g.corrects,
         ledger.request_hash(g.effective_at, g.account, g.amount_minor, g.asset, g.layer, g.detail, g.corrects)
  FROM (
    SELECT s.entry_key, min(s.effective_at) AS effective_at, count(*) AS line_count, min(s.ordinal) AS first_ordinal, min(s.corrects) AS corrects,
           array_agg(s.account ORDER BY s.ordinal) AS account, array_agg(s.amount_minor ORDER BY s.ordinal) AS amount_minor,
           array_agg(s.asset ORDER BY s.ordinal) AS asset,
           CASE WHEN p_layer IS NOT NULL THEN array_agg(s.layer ORDER BY s.ordinal) END AS layer,
           CASE WHEN p_detail IS NOT NULL THEN array_agg(s.detail ORDER BY s.ordinal) END AS detail
    FROM (
      SELECT unnest(p_entry_key) AS entry_key, unnest(p_effective_at) AS effective_at, unnest(p_account) AS account,
             unnest(p_amount_minor) AS amount_minor, unnest(p_asset) AS asset, unnest(p_layer) AS layer, unnest(p_detail) AS detail,
             unnest(p_corrects) AS corrects, generate_subscripts(p_entry_key, 1) AS ordinal) AS s
    GROUP BY s.entry_key
  ) AS g;
$$;

-- Writes entries that must all be right, by one statement; raises what refuses them. `p_refused`: keys that are refused, with code and
-- sentence; `p_known`: keys to leave alone. All keys are claimed in one order, and before any money is locked.
CREATE OR REPLACE FUNCTION ledger.write_entries(
  p_entry_key text[], p_effective_at timestamptz[], p_account text[], p_amount_minor bigint[], p_asset text[],
  p_layer ledger.layer[], p_detail ledger.line_detail[], p_corrects text[], p_refused jsonb, p_known text[]
) RETURNS TABLE (entry_key text, entry_id bigint) LANGUAGE sql AS $$
  WITH request AS MATERIALIZED (
    SELECT r.entry_key, r.effective_at, r.line_count, r.first_ordinal, r.corrects, r.request_hash, p_refused ? r.entry_key AS is_refused
    FROM ledger.requests(p_entry_key, p_effective_at, p_account, p_amount_minor, p_asset, p_layer, p_detail, p_corrects) AS r
    WHERE NOT EXISTS (SELECT FROM unnest(p_known) AS k (entry_key) WHERE k.entry_key = r.entry_key)
  ), claimed AS (
    -- In key order: two batches that share keys wait for each other one way round only.
    INSERT INTO ledger.journal_entry (entry_key, request_hash, effective_at, line_count, corrects_entry_id)
    SELECT r.entry_key, r.request_hash, CASE WHEN r.is_refused AND NOT isfinite(r.effective_at) THEN clock_timestamp() ELSE r.effective_at END,
           CASE WHEN r.is_refused THEN 0 ELSE r.line_count END, CASE WHEN r.corrects IS NOT NULL AND NOT r.is_refused THEN ledger.corrected_entry(r.corrects) END
    FROM request AS r ORDER BY r.entry_key COLLATE "C"
    RETURNING entry_id, entry_key, line_count
  ), sent AS MATERIALIZED (
    SELECT c.entry_id, u.effective_at, u.account, u.amount_minor, u.asset, u.layer, u.detail,
           row_number() OVER (PARTITION BY c.entry_id ORDER BY u.ordinal) AS line_no
    FROM (
      SELECT unnest(p_entry_key) AS entry_key, unnest(p_effective_at) AS effective_at, unnest(p_account) AS account,
             unnest(p_amount_minor) AS amount_minor, unnest(p_asset) AS asset, unnest(p_layer) AS layer, unnest(p_detail) AS detail,
             generate_subscripts(p_entry_key, 1) AS ordinal) AS u
    JOIN claimed AS c ON c.entry_key = u.entry_key AND c.line_count > 0
  ), line AS (
    INSERT INTO ledger.journal_line (entry_id, line_no, account_id, amount_minor, effective_at, layer)
    SELECT s.entry_id, s.line_no, (SELECT a.account_id FROM ledger.account AS a WHERE a.code = s.account AND a.asset = s.asset),
           s.amount_minor, s.effective_at, coalesce(s.layer, 'posted')
    FROM sent AS s
  ), detail AS (
    INSERT INTO ledger.journal_line_detail SELECT (s.detail).*, s.line_no, s.entry_id FROM sent AS s WHERE p_detail IS NOT NULL
  ), refusal AS (
    INSERT INTO ledger.refusal (entry_id, code, detail)
    SELECT c.entry_id, p_refused -> c.entry_key ->> 0, left(p_refused -> c.entry_key ->> 1, 1000) FROM claimed AS c WHERE c.line_count = 0
  )
  SELECT c.entry_key::text, c.entry_id FROM claimed AS c JOIN request AS r ON r.entry_key = c.entry_key ORDER BY r.first_ordinal;
$$;

-- Which of these requests the ledger knows already, and what it answered. The content decides, not the fingerprint alone:
-- the lines of an entry may come in another order, and older fingerprints were made by other rules.
CREATE OR REPLACE FUNCTION ledger.known_entries(
  p_entry_key text[], p_effective_at timestamptz[], p_account text[], p_amount_minor bigint[], p_asset text[],
  p_layer ledger.layer[], p_detail ledger.line_detail[], p_corrects text[]
) RETURNS TABLE (entry_key text, first_ordinal integer, entry_id bigint, outcome text, code text, detail text) LANGUAGE sql STABLE AS $$
  WITH request AS MATERIALIZED (
    SELECT r.entry_key, r.first_ordinal, r.effective_at, r.corrects, r.request_hash = e.request_hash AS is_same, e.entry_id, e.line_count,
           e.reverses_entry_id IS NULL AND e.effective_at = r.effective_at AND e.corrects_entry_id IS NOT DISTINCT FROM (
             SELECT c.entry_id FROM ledger.journal_entry AS c WHERE c.entry_key = r.corrects) AS is_alike
    FROM ledger.requests(p_entry_key, p_effective_at, p_account, p_amount_minor, p_asset, p_layer, p_detail, p_corrects) AS r
    JOIN ledger.journal_entry AS e ON e.entry_key = r.entry_key
  ), sent AS (
    SELECT q.entry_id, jsonb_agg(q.line ORDER BY q.line) AS lines
    FROM (
      SELECT r.entry_id, jsonb_build_array(u.account, u.amount_minor, u.asset, coalesce(u.layer, 'posted'),
               to_jsonb(coalesce(u.detail, jsonb_populate_record(NULL::ledger.line_detail, '{}')))) AS line
      FROM (SELECT unnest(p_entry_key) AS entry_key, unnest(p_account) AS account, unnest(p_amount_minor) AS amount_minor, unnest(p_asset) AS asset,
                   unnest(p_layer) AS layer, unnest(p_detail) AS detail) AS u
      JOIN request AS r ON r.entry_key = u.entry_key
      WHERE r.is_alike AND NOT r.is_same AND r.line_count > 0) AS q
    GROUP BY q.entry_id
  ), held AS (
    SELECT s.entry_id, s.lines = jsonb_agg(h.line ORDER BY h.line) AS is_same
    FROM sent AS s
    CROSS JOIN LATERAL (
      SELECT jsonb_build_array(a.code, l.amount_minor, a.asset, l.layer, coalesce((
               SELECT to_jsonb(d) - 'entry_id' - 'line_no' FROM ledger.journal_line_detail AS d WHERE d.entry_id = l.entry_id AND d.line_no = l.line_no),
               to_jsonb(jsonb_populate_record(NULL::ledger.line_detail, '{}')))) AS line
      FROM ledger.journal_line AS l
      CROSS JOIN LATERAL (SELECT x.code, x.asset FROM ledger.account AS x WHERE x.account_id = l.account_id OFFSET 0) AS a
      WHERE l.entry_id = s.entry_id OFFSET 0
    ) AS h
    GROUP BY s.entry_id, s.lines
  )
  SELECT r.entry_key, r.first_ordinal, r.entry_id, CASE WHEN NOT m.is_same THEN 'conflict' WHEN x.code IS NULL THEN 'replayed' ELSE 'refused' END,
         CASE WHEN m.is_same THEN x.code::text ELSE 'key_conflict' END,
         CASE WHEN m.is_same THEN x.detail::text ELSE format('the key was used before for other content, entry id %s', r.entry_id) END
  FROM request AS r
  LEFT JOIN ledger.refusal AS x ON x.entry_id = r.entry_id
  LEFT JOIN held AS h ON h.entry_id = r.entry_id
  CROSS JOIN LATERAL (SELECT r.is_same OR coalesce(h.is_same, false) AS is_same) AS m;
$$;

-- The only door for entries. One array element per line; lines of one key form one entry, numbered in the order sent; lines
-- whose group number is the same stand or fall together. Answers per key, in the order of first appearance: posted, replayed (same
-- key, same content), conflict (same key, other content), or refused, with a code and a sentence; what is refused stays refused
-- under its key. `p_with_balances` adds the balances of the entry's accounts as they are after the call.
-- A call that is malformed as a whole (keys or times missing, arrays of different lengths) raises and leaves nothing.
CREATE OR REPLACE FUNCTION ledger.post_entries(
  p_entry_key     text[],
  p_effective_at  timestamptz[],
  p_account       text[],
  p_amount_minor  bigint[],
  p_asset         text[],
  p_layer         ledger.layer[]       DEFAULT NULL,
  p_detail        ledger.line_detail[] DEFAULT NULL,
  p_corrects      text[]               DEFAULT NULL,
  p_group         integer[]            DEFAULT NULL,
  p_with_balances boolean              DEFAULT false
) RETURNS TABLE (entry_key text, outcome text, entry_id bigint, code text, detail text, balances jsonb)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
#variable_conflict use_column
BEGIN
  IF p_layer && '{outgoing,incoming}' THEN
    RAISE EXCEPTION 'post_entries: expected lines posted or planned, found held ones' USING ERRCODE = 'TL007', HINT = 'holds are made and ended by move_transaction';
  END IF;
  IF p_with_balances THEN
    -- Each answer's balances are read by a statement of their own: the one that posts goes on seeing the time before.
    FOR entry_key, outcome, entry_id, code, detail IN
      SELECT p.entry_key, p.outcome, p.entry_id, p.code, p.detail
      FROM ledger.post_entries(p_entry_key, p_effective_at, p_account, p_amount_minor, p_asset, p_layer, p_detail, p_corrects, p_group) AS p
    LOOP
      balances := (
        SELECT jsonb_object_agg(s.account, (
          SELECT jsonb_build_object('posted', b.posted, 'pending', b.pending, 'available', b.available, 'projected', b.projected) FROM ledger.balances(s.account) AS b))
        FROM (SELECT DISTINCT u.account FROM unnest(p_entry_key, p_account) AS u (entry_key, account)
              WHERE u.entry_key = post_entries.entry_key AND post_entries.outcome IN ('posted', 'replayed')) AS s);
      RETURN NEXT;
    END LOOP;
    RETURN;
  END IF;
  BEGIN
    IF p_corrects IS NULL AND p_entry_key[1] = ALL (p_entry_key) AND p_effective_at[1] = ALL (p_effective_at) AND p_entry_key[1] NOT LIKE 'reversal:%'
       AND cardinality(p_entry_key) = cardinality(p_effective_at) AND current_setting('transaction_isolation') = 'read committed' THEN
      -- One entry: what write_entries does, without sets of sets, at two thirds of its cost.
      INSERT INTO ledger.journal_entry (entry_key, request_hash, effective_at, line_count)
      VALUES (p_entry_key[1], ledger.request_hash(p_effective_at[1], p_account, p_amount_minor, p_asset, p_layer, p_detail, NULL),
                p_effective_at[1], cardinality(p_entry_key))
      RETURNING journal_entry.entry_key, 'posted', journal_entry.entry_id INTO entry_key, outcome, entry_id;
      INSERT INTO ledger.journal_line (entry_id, line_no, account_id, amount_minor, effective_at, layer)
      SELECT post_entries.entry_id, u.line_no, (SELECT a.account_id FROM ledger.account AS a WHERE a.code = u.account AND a.asset = u.asset),
             u.amount_minor, p_effective_at[1], coalesce(u.layer, 'posted')
      FROM (
        SELECT unnest(p_account) AS account, unnest(p_amount_minor) AS amount_minor, unnest(p_asset) AS asset, unnest(p_layer) AS layer,
               generate_subscripts(p_account, 1) AS line_no) AS u;
      IF p_detail IS NOT NULL THEN
        INSERT INTO ledger.journal_line_detail SELECT d.*, post_entries.entry_id FROM unnest(p_detail) WITH ORDINALITY AS d;
      END IF;
      RETURN NEXT;
    ELSE
      PERFORM ledger.check_call(p_entry_key, p_effective_at, ARRAY[
        cardinality(p_account), cardinality(p_amount_minor), cardinality(p_asset), cardinality(p_layer), cardinality(p_detail), cardinality(p_corrects), cardinality(p_group)]);
      RETURN QUERY
        SELECT w.entry_key, 'posted', w.entry_id, NULL::text, NULL::text, NULL::jsonb
        FROM ledger.write_entries(p_entry_key, p_effective_at, p_account, p_amount_minor, p_asset, p_layer, p_detail, p_corrects, '{}', '{}') AS w;
    END IF;
  EXCEPTION WHEN deadlock_detected OR integrity_constraint_violation OR data_exception OR SQLSTATE 'TL001' OR SQLSTATE 'TL002' OR SQLSTATE 'TL003' OR SQLSTATE 'TL004'
            OR SQLSTATE 'TL006' OR SQLSTATE 'TL010' THEN
    PERFORM ledger.check_call(p_entry_key, p_effective_at, ARRAY[
      cardinality(p_account), cardinality(p_amount_minor), cardinality(p_asset), cardinality(p_layer), cardinality(p_detail), cardinality(p_corrects), cardinality(p_group)]);
    RETURN QUERY
      SELECT j.entry_key, j.outcome, j.entry_id, j.code, j.detail, NULL::jsonb
      FROM ledger.post_judged(p_entry_key, p_effective_at, p_account, p_amount_minor, p_asset, p_layer, p_detail, p_corrects, p_group) AS j;
  END;
END;
$$;

-- Refuses a call that is malformed as a whole.
CREATE OR REPLACE FUNCTION ledger.check_call(p_entry_key text[], p_effective_at timestamptz[], p_sizes integer[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  offence record;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'transaction: posting needs READ COMMITTED, found %', upper(current_setting('transaction_isolation'))
      USING ERRCODE = 'TL007', HINT = 'an older snapshot would not see who has just used the same key';
  ELSIF EXISTS (
    SELECT FROM unnest(p_sizes || cardinality(p_effective_at)) WITH ORDINALITY AS s (size, place)
    WHERE s.size IS DISTINCT FROM cardinality(p_entry_key) AND NOT (s.size IS NULL AND s.place BETWEEN 4 AND 7)
  ) THEN
    RAISE EXCEPTION 'post_entries: expected arrays of one length, one element per line, found different lengths' USING ERRCODE = 'TL007';
  END IF;
  SELECT u.line, u.entry_key, CASE
      WHEN length(u.entry_key) BETWEEN 1 AND 255 IS NOT TRUE THEN 'entry_key must have 1 to 255 characters'
      WHEN u.entry_key LIKE 'reversal:%' THEN 'keys starting with reversal: belong to reverse_entry'
      ELSE 'effective_at is missing' END AS problem
  INTO offence
  FROM unnest(p_entry_key, p_effective_at) WITH ORDINALITY AS u (entry_key, effective_at, line)
  WHERE (length(u.entry_key) BETWEEN 1 AND 255 AND u.entry_key NOT LIKE 'reversal:%' AND u.effective_at IS NOT NULL) IS NOT TRUE
  ORDER BY u.line LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'line % of the call, entry %: %', offence.line, quote_nullable(offence.entry_key), offence.problem USING ERRCODE = 'TL007';
  END IF;
END;
$$;

-- Posts the exact mirror of an entry, linked to it, once; its key is 'reversal:' and the key of the reversed entry.
-- Without p_effective_at it takes effect now. Answers posted, replayed, or conflict (reversed before in other words).
CREATE OR REPLACE FUNCTION ledger.reverse_entry(
  p_entry_key text, p_reason text, p_authoriser text, p_effective_at timestamptz DEFAULT NULL
) RETURNS TABLE (entry_key text, outcome text, entry_id bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  reversed record;
  -- A key that has no room for the word is named by its hash.
  reversal_key text := 'reversal:' || CASE WHEN length(p_entry_key) > 246 THEN encode(sha256(convert_to(p_entry_key, 'UTF8')), 'hex') ELSE p_entry_key END;
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
  SELECT e.entry_id, e.line_count INTO reversed FROM ledger.journal_entry AS e WHERE e.entry_key = p_entry_key AND e.line_count > 0;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'entry %: expected a posted entry to reverse, found none', quote_nullable(p_entry_key) USING ERRCODE = 'TL006';
  ELSIF EXISTS (SELECT FROM ledger.journal_line AS l WHERE l.entry_id = reversed.entry_id AND l.layer IN ('outgoing', 'incoming')) THEN
    RAISE EXCEPTION 'entry %: expected an entry without held lines to reverse, found a hold or its release', quote_literal(p_entry_key)
      USING ERRCODE = 'TL006', HINT = 'a hold is given back by releasing it';
  END IF;
  WITH claimed AS (
    INSERT INTO ledger.journal_entry (entry_key, request_hash, effective_at, line_count, reverses_entry_id, reason, authoriser)
    VALUES (reversal_key, sent_hash, reversing_at, reversed.line_count, reversed.entry_id, p_reason, p_authoriser)
    ON CONFLICT ON CONSTRAINT journal_entry_key_key DO NOTHING
    RETURNING entry_id
  ), line AS (
    INSERT INTO ledger.journal_line (entry_id, line_no, account_id, amount_minor, effective_at, layer)
    SELECT c.entry_id, l.line_no, l.account_id, -l.amount_minor, reversing_at, l.layer
    FROM claimed AS c JOIN ledger.journal_line AS l ON l.entry_id = reversed.entry_id
  )
  SELECT c.entry_id INTO new_id FROM claimed AS c;
  INSERT INTO ledger.journal_line_detail
  SELECT d.kind, d.description, d.counterparty, d.batch_ref, d.ref_end_to_end, d.ref_uetr, d.ref_servicer, d.ref_psp, d.ref_merchant, d.ref_payout,
         d.ref_arn, d.ref_rrn, d.ref_auth_code, d.fx_rate, d.fx_asset, -d.fx_amount_minor, d.metadata, d.line_no, new_id
  FROM ledger.journal_line_detail AS d WHERE d.entry_id = reversed.entry_id AND new_id IS NOT NULL;
  RETURN QUERY
    SELECT e.entry_key::text, CASE WHEN new_id IS NOT NULL THEN 'posted' WHEN e.request_hash = sent_hash THEN 'replayed' ELSE 'conflict' END, e.entry_id
    FROM ledger.journal_entry AS e WHERE e.entry_key = reversal_key;
END;
$$;
