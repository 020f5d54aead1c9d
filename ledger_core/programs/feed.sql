-- The feed: every posted entry once, at a dense position, in an order that never changes. The entry is its own outbox row; the
-- relay only numbers what has been committed, so posting waits for nothing and a late commit is not skipped.

-- What the statement that asks can see, its own transaction left out: that has not ended, and may still write after this.
-- pg_current_snapshot alone shows the own id as seen once a later transaction has begun.
CREATE OR REPLACE FUNCTION ledger.seen_snapshot() RETURNS pg_snapshot LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN pg_visible_in_snapshot(s.own, s.snap) THEN (
    SELECT format('%s:%s:%s', least(pg_snapshot_xmin(s.snap), s.own), pg_snapshot_xmax(s.snap), string_agg(x.id::text, ',' ORDER BY x.id))::pg_snapshot
    FROM (SELECT pg_snapshot_xip(s.snap) UNION SELECT s.own) AS x (id)) ELSE s.snap END
  FROM (SELECT pg_current_snapshot() AS snap, pg_current_xact_id_if_assigned() AS own) AS s;
$$;

-- Numbers the entries that became visible since the last batch; returns the newest position. One relay at a time.
CREATE OR REPLACE FUNCTION ledger.relay() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
DECLARE
  last_batch record;
  newest bigint;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' OR EXISTS (
    SELECT FROM ledger.journal_entry AS e WHERE e.xid = pg_current_xact_id_if_assigned()
  ) THEN
    RAISE EXCEPTION 'relay: expected a READ COMMITTED transaction that posts nothing, found another'
      USING ERRCODE = 'TL007', HINT = 'number what is committed, in a transaction of its own';
  END IF;
  LOCK TABLE ledger.feed_batch IN SHARE ROW EXCLUSIVE MODE;
  -- A snapshot from the future was made by another server, and came here in a dump: it tells nothing, so all is looked at.
  SELECT coalesce(max(b.last_position), 0) AS position, coalesce((
           SELECT x.snap FROM (SELECT y.snap FROM ledger.feed_batch AS y ORDER BY y.last_position DESC LIMIT 1) AS x
           WHERE pg_snapshot_xmax(x.snap) <= pg_snapshot_xmax(pg_current_snapshot())), '1:1:') AS snap
  INTO last_batch FROM ledger.feed_batch AS b;
  WITH numbered AS (
    INSERT INTO ledger.feed (position, entry_id)
    SELECT last_batch.position + row_number() OVER (ORDER BY e.xid, e.entry_id), e.entry_id
    FROM ledger.journal_entry AS e
    WHERE e.xid >= pg_snapshot_xmin(last_batch.snap) AND NOT pg_visible_in_snapshot(e.xid, last_batch.snap) AND e.line_count > 0
      AND NOT EXISTS (SELECT FROM ledger.feed AS f WHERE f.entry_id = e.entry_id)
    RETURNING position
  )
  INSERT INTO ledger.feed_batch (last_position, snap)
  SELECT max(n.position), ledger.seen_snapshot() FROM numbered AS n HAVING count(*) > 0
  RETURNING last_position INTO newest;
  RETURN coalesce(newest, last_batch.position);
END;
$$;

-- Events after a position, in order: JournalEntryPosted with all the entry says. The same position gives the same event for ever.
-- Rows are fetched by key behind OFFSET 0: a plan made for unknown bounds could read the whole journal instead.
CREATE OR REPLACE FUNCTION ledger.read_feed(p_after bigint, p_limit integer DEFAULT 1000) RETURNS TABLE ("position" bigint, entry_key text, event jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
  SELECT f.position, e.entry_key::text, jsonb_strip_nulls(jsonb_build_object(
           'type', 'JournalEntryPosted', 'version', 1, 'position', f.position, 'entry_id', e.entry_id, 'entry_key', e.entry_key,
           'effective_at', e.effective_at, 'recorded_at', e.recorded_at, 'posted_by', e.posted_by,
           'reverses', (SELECT r.entry_key FROM ledger.journal_entry AS r WHERE r.entry_id = e.reverses_entry_id),
           'corrects', (SELECT r.entry_key FROM ledger.journal_entry AS r WHERE r.entry_id = e.corrects_entry_id),
           'reason', e.reason, 'authoriser', e.authoriser)) || jsonb_build_object('lines', (
             SELECT jsonb_agg(jsonb_build_object('line_no', l.line_no, 'account', a.code, 'asset', a.asset, 'entity', a.entity, 'layer', l.layer, 'amount_minor', l.amount_minor)
                              || d.said ORDER BY l.line_no)
             FROM ledger.journal_line AS l
             CROSS JOIN LATERAL (SELECT x.code, x.asset, x.entity FROM ledger.account AS x WHERE x.account_id = l.account_id OFFSET 0) AS a
             CROSS JOIN LATERAL (
               SELECT coalesce((
                 SELECT jsonb_strip_nulls(to_jsonb(x) - '{entry_id,line_no,metadata}'::text[])
                        || CASE WHEN x.metadata IS NULL THEN '{}' ELSE jsonb_build_object('metadata', x.metadata) END
                 FROM ledger.journal_line_detail AS x WHERE x.entry_id = l.entry_id AND x.line_no = l.line_no), '{}') AS said
             ) AS d
             WHERE l.entry_id = e.entry_id))
  FROM ledger.feed AS f
  CROSS JOIN LATERAL (
    SELECT x.entry_id, x.entry_key, x.effective_at, x.recorded_at, x.posted_by, x.reverses_entry_id, x.corrects_entry_id, x.reason, x.authoriser
    FROM ledger.journal_entry AS x WHERE x.entry_id = f.entry_id OFFSET 0
  ) AS e
  WHERE f.position > p_after AND f.position <= p_after + p_limit ORDER BY f.position;
$$;

-- The newest position or, of a consumer, the one up to which it acknowledged; 0 where there is none.
CREATE OR REPLACE FUNCTION ledger.feed_position(p_consumer text DEFAULT NULL) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(CASE WHEN p_consumer IS NULL THEN (SELECT max(f.position) FROM ledger.feed AS f)
                  ELSE (SELECT c.position FROM ledger.feed_consumer AS c WHERE c.consumer = p_consumer) END, 0);
$$;

-- A consumer has done with everything up to a position. Only ever moves on, unless it asks to go back; returns where it stands.
CREATE OR REPLACE FUNCTION ledger.acknowledge_feed(p_consumer text, p_position bigint, p_rewind boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  stands bigint;
BEGIN
  IF (p_position BETWEEN 0 AND ledger.feed_position()) IS NOT TRUE THEN
    RAISE EXCEPTION 'consumer %: expected a position from 0 to %, found %', quote_nullable(p_consumer), ledger.feed_position(), p_position
      USING ERRCODE = 'TL007';
  END IF;
  INSERT INTO ledger.feed_consumer AS c (consumer, position) VALUES (p_consumer, p_position)
  ON CONFLICT ON CONSTRAINT feed_consumer_pkey DO UPDATE
    SET position = CASE WHEN p_rewind THEN excluded.position ELSE greatest(c.position, excluded.position) END, recorded_at = excluded.recorded_at
  RETURNING c.position INTO stands;
  RETURN stands;
END;
$$;
