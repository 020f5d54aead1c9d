-- Balances: one row of sums as far as a snapshot shows, plus the tail it does not show. Exact in every statement.
-- posted happened; outgoing and incoming are held; planned is expected. From them: pending = posted + outgoing + incoming,
-- available = posted + outgoing, projected = pending + planned. All debit positive. A hold past its time counts as released.

-- The four layers of one account over lines effective strictly before an instant (infinity: all), as far as a snapshot
-- shows them (NULL: all that is committed) or as recorded up to a time (NULL: without that bound).
CREATE OR REPLACE FUNCTION ledger.layers(
  p_account_id bigint, p_before timestamptz, p_seen_by pg_snapshot, p_recorded_by timestamptz,
  OUT posted numeric, OUT outgoing numeric, OUT incoming numeric, OUT planned numeric
) LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
  hour_at timestamptz := date_trunc('hour', p_before, 'UTC');
  -- Sums that the asked snapshot may not show in full cannot serve, nor those of another server whose transaction numbers are
  -- ahead of ours (see rebase), nor any for a time of recording: lines are summed.
  by_line boolean := p_recorded_by IS NOT NULL OR EXISTS (
    SELECT FROM ledger.balance AS b
    WHERE b.account_id = p_account_id AND pg_snapshot_xmax(b.snap) > least(pg_snapshot_xmin(p_seen_by), pg_snapshot_xmax(pg_current_snapshot())));
BEGIN
  SELECT coalesce(sum(s.posted), 0), coalesce(sum(s.outgoing), 0), coalesce(sum(s.incoming), 0), coalesce(sum(s.planned), 0)
  INTO posted, outgoing, incoming, planned
  FROM (
    SELECT b.posted, b.outgoing, b.incoming, b.planned FROM ledger.balance AS b
    WHERE NOT by_line AND p_before = 'infinity' AND b.account_id = p_account_id
    UNION ALL
    SELECT d.posted, d.outgoing, d.incoming, d.planned FROM ledger.balance_span AS d
    WHERE NOT by_line AND p_before < 'infinity' AND d.account_id = p_account_id AND d.is_day AND d.starts_at < date_trunc('day', p_before, 'UTC')
    UNION ALL
    SELECT h.posted, h.outgoing, h.incoming, h.planned FROM ledger.balance_span AS h
    WHERE NOT by_line AND p_before < 'infinity' AND h.account_id = p_account_id AND NOT h.is_day
      AND h.starts_at >= date_trunc('day', p_before, 'UTC') AND h.starts_at < hour_at
    UNION ALL
    SELECT sum(l.amount_minor) FILTER (WHERE l.layer = 'posted'), sum(l.amount_minor) FILTER (WHERE l.layer = 'outgoing'),
           sum(l.amount_minor) FILTER (WHERE l.layer = 'incoming'), sum(l.amount_minor) FILTER (WHERE l.layer = 'planned')
    FROM (
      -- Each part has the index it needs and no other to choose: the hour itself, the tail before it, or everything.
      (SELECT l.amount_minor, l.layer, l.xid, l.entry_id FROM ledger.journal_line AS l
       WHERE NOT by_line AND p_before < 'infinity' AND l.account_id = p_account_id AND l.effective_at >= hour_at AND l.effective_at < p_before)
      UNION ALL
      (SELECT t.amount_minor, t.layer, t.xid, t.entry_id
       FROM (SELECT coalesce((SELECT b.snap FROM ledger.balance AS b WHERE b.account_id = p_account_id), '1:1:') AS snap) AS w
       CROSS JOIN LATERAL (
         SELECT l.amount_minor, l.layer, l.xid, l.entry_id, l.effective_at FROM ledger.journal_line AS l
         WHERE NOT by_line AND l.account_id = p_account_id AND l.xid >= pg_snapshot_xmin(w.snap) AND NOT pg_visible_in_snapshot(l.xid, w.snap) OFFSET 0) AS t
       WHERE t.effective_at < hour_at)
      UNION ALL
      (SELECT l.amount_minor, l.layer, l.xid, l.entry_id FROM ledger.journal_line AS l
       WHERE by_line AND l.account_id = p_account_id AND l.effective_at < p_before)
    ) AS l
    WHERE (p_seen_by IS NULL OR pg_visible_in_snapshot(l.xid, p_seen_by))
      AND (p_recorded_by IS NULL OR (SELECT e.recorded_at FROM ledger.journal_entry AS e WHERE e.entry_id = l.entry_id) <= p_recorded_by)
  ) AS s;
END;
$$;

-- What may be taken from an account now, in its normal direction; the caller holds the lock on its balance.
CREATE OR REPLACE FUNCTION ledger.available(p_account_id bigint) RETURNS numeric LANGUAGE sql VOLATILE AS $$
  SELECT a.normal_sign * (b.posted + b.outgoing - coalesce((
           SELECT sum(h.held_minor) FROM ledger.open_hold AS h
           WHERE h.account_id = a.account_id AND h.layer = 'outgoing' AND h.expires_at <= clock_timestamp()), 0))
  FROM ledger.account AS a
  CROSS JOIN LATERAL ledger.layers(a.account_id, 'infinity', NULL, NULL) AS b
  WHERE a.account_id = p_account_id;
$$;

-- Balances of an account or, by the path of a summary account, of everything below it: one row per asset and entity, over
-- lines effective strictly before an instant (NULL: all), as far as a snapshot of the feed or of a report shows them, or as
-- recorded up to a time. A line recorded before that time and committed after the answer is missing in it; a snapshot has no such gap.
-- Either way a hold past its time counts as held until its release is recorded: so the answer stays the same for ever.
CREATE OR REPLACE FUNCTION ledger.balances(
  p_account text, p_effective_before timestamptz DEFAULT NULL, p_known_at timestamptz DEFAULT NULL, p_seen_by pg_snapshot DEFAULT NULL
) RETURNS TABLE (entity text, asset text, exponent smallint, accounts bigint, posted numeric, pending numeric, available numeric, projected numeric)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_generic_plan AS $$
BEGIN
  RETURN QUERY
    SELECT a.entity::text, a.asset::text, (SELECT s.exponent FROM ledger.asset AS s WHERE s.code = a.asset), count(*),
           sum(b.posted), sum(b.posted + b.outgoing + b.incoming - h.outgoing - h.incoming), sum(b.posted + b.outgoing - h.outgoing),
           sum(b.posted + b.outgoing + b.incoming + b.planned - h.outgoing - h.incoming)
    FROM ledger.account AS a
    CROSS JOIN LATERAL ledger.layers(a.account_id, coalesce(p_effective_before, 'infinity'), p_seen_by, p_known_at) AS b
    CROSS JOIN LATERAL (
      SELECT coalesce(sum(o.held_minor) FILTER (WHERE o.layer = 'outgoing'), 0) AS outgoing,
             coalesce(sum(o.held_minor) FILTER (WHERE o.layer = 'incoming'), 0) AS incoming
      FROM ledger.open_hold AS o
      WHERE o.account_id = a.account_id AND o.expires_at <= coalesce(p_effective_before, clock_timestamp()) AND p_seen_by IS NULL AND p_known_at IS NULL
    ) AS h
    WHERE a.is_leaf AND (a.code = p_account OR (a.code > p_account || ':' AND a.code < p_account || ';'))
    GROUP BY a.entity, a.asset ORDER BY 1, 2;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'account %: expected an account of the chart, found none', quote_nullable(p_account) USING ERRCODE = 'TL003';
  END IF;
END;
$$;

-- Every leaf with its posted balance on its side, over lines effective strictly before an instant (NULL: all).
CREATE OR REPLACE FUNCTION ledger.trial_balance(p_effective_before timestamptz DEFAULT NULL, p_seen_by pg_snapshot DEFAULT NULL)
RETURNS TABLE (account text, name text, type text, asset text, debit_minor numeric, credit_minor numeric)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT a.code, a.name, a.type, a.asset, greatest(coalesce(b.total, 0), 0), greatest(-coalesce(b.total, 0), 0)
  FROM ledger.account AS a
  LEFT JOIN (
    SELECT l.account_id, sum(l.amount_minor) AS total
    FROM ledger.journal_line AS l
    WHERE l.layer = 'posted' AND l.effective_at < coalesce(p_effective_before, 'infinity')
      AND (p_seen_by IS NULL OR pg_visible_in_snapshot(l.xid, p_seen_by))
    GROUP BY l.account_id
  ) AS b ON b.account_id = a.account_id
  WHERE a.is_leaf ORDER BY a.code;
$$;

-- Takes the tail of every account that has at least `p_lines` lines in it into its sums; returns how many accounts it did.
-- Only accounts with new lines since the last such call are looked at: 1 takes what the others left, too.
CREATE OR REPLACE FUNCTION ledger.fold(p_lines integer DEFAULT 64) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET plan_cache_mode = force_custom_plan SET jit = off AS $$
DECLARE
  mark pg_snapshot;
  now_seen pg_snapshot;
  due bigint[];
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' OR EXISTS (
    SELECT FROM ledger.journal_entry AS e WHERE e.xid = pg_current_xact_id_if_assigned()
  ) THEN
    RAISE EXCEPTION 'fold: expected a READ COMMITTED transaction that posts nothing, found another'
      USING ERRCODE = 'TL007', HINT = 'a transaction''s own id counts as seen in its snapshots';
  END IF;
  SELECT CASE WHEN p_lines <= 1 THEN m.thorough_snap ELSE m.snap END INTO mark FROM ledger.fold_mark AS m;
  IF pg_snapshot_xmax(mark) > pg_snapshot_xmax(pg_current_snapshot()) THEN
    RAISE EXCEPTION 'fold: the sums were made by another server, whose transaction numbers mean nothing here'
      USING ERRCODE = 'TL007', HINT = 'after a dump and restore, run: tieout ledger rebase';
  END IF;
  IF NOT EXISTS (SELECT FROM ledger.journal_entry AS e WHERE e.xid >= pg_snapshot_xmin(mark) AND NOT pg_visible_in_snapshot(e.xid, mark)) THEN
    RETURN 0; -- an idle ledger is only looked at
  END IF;
  SELECT CASE WHEN p_lines <= 1 THEN m.thorough_snap ELSE m.snap END INTO mark FROM ledger.fold_mark AS m FOR NO KEY UPDATE;
  SELECT ledger.seen_snapshot(), array_agg(t.account_id ORDER BY t.account_id) INTO now_seen, due
  FROM (
    SELECT DISTINCT l.account_id
    FROM ledger.journal_entry AS e
    CROSS JOIN LATERAL (SELECT x.account_id FROM ledger.journal_line AS x WHERE x.entry_id = e.entry_id OFFSET 0) AS l
    WHERE e.xid >= pg_snapshot_xmin(mark) AND NOT pg_visible_in_snapshot(e.xid, mark)
  ) AS t
  LEFT JOIN ledger.balance AS b ON b.account_id = t.account_id
  WHERE p_lines <= 1 OR p_lines <= (
    SELECT count(*) FROM (
      SELECT FROM ledger.journal_line AS l
      WHERE l.account_id = t.account_id AND l.xid >= pg_snapshot_xmin(coalesce(b.snap, '1:1:')) AND NOT pg_visible_in_snapshot(l.xid, coalesce(b.snap, '1:1:'))
      LIMIT p_lines) AS c);
  UPDATE ledger.fold_mark AS m SET snap = now_seen, thorough_snap = CASE WHEN p_lines <= 1 THEN now_seen ELSE m.thorough_snap END;
  IF due IS NULL THEN
    RETURN 0;
  END IF;
  INSERT INTO ledger.balance (account_id) SELECT d.id FROM unnest(due) AS d (id)
  WHERE NOT EXISTS (SELECT FROM ledger.balance AS b WHERE b.account_id = d.id) ON CONFLICT ON CONSTRAINT balance_pkey DO NOTHING;
  PERFORM FROM ledger.balance AS b WHERE b.account_id = ANY (due) ORDER BY b.account_id FOR NO KEY UPDATE;
  -- A later statement than the one that waited for the locks: its own snapshot says what it saw, and is what is kept.
  WITH fresh AS MATERIALIZED (
    SELECT l.account_id, date_trunc('hour', l.effective_at, 'UTC') AS hour_at,
           coalesce(sum(l.amount_minor) FILTER (WHERE l.layer = 'posted'), 0) AS posted,
           coalesce(sum(l.amount_minor) FILTER (WHERE l.layer = 'outgoing'), 0) AS outgoing,
           coalesce(sum(l.amount_minor) FILTER (WHERE l.layer = 'incoming'), 0) AS incoming,
           coalesce(sum(l.amount_minor) FILTER (WHERE l.layer = 'planned'), 0) AS planned,
           coalesce(sum(abs(l.amount_minor)) FILTER (WHERE sign(l.amount_minor) = a.normal_sign AND l.layer <= 'outgoing'), 0) AS received
    FROM ledger.balance AS b
    JOIN ledger.account AS a ON a.account_id = b.account_id
    CROSS JOIN LATERAL (
      SELECT x.account_id, x.effective_at, x.layer, x.amount_minor FROM ledger.journal_line AS x
      WHERE x.account_id = b.account_id AND x.xid >= pg_snapshot_xmin(b.snap) AND NOT pg_visible_in_snapshot(x.xid, b.snap) OFFSET 0) AS l
    WHERE b.account_id = ANY (due)
    GROUP BY l.account_id, 2
  ), spanned AS (
    INSERT INTO ledger.balance_span AS s (account_id, is_day, starts_at, posted, outgoing, incoming, planned)
    SELECT f.account_id, false, f.hour_at, f.posted, f.outgoing, f.incoming, f.planned FROM fresh AS f
    UNION ALL
    SELECT f.account_id, true, date_trunc('day', f.hour_at, 'UTC'), sum(f.posted), sum(f.outgoing), sum(f.incoming), sum(f.planned)
    FROM fresh AS f GROUP BY f.account_id, 3
    ON CONFLICT ON CONSTRAINT balance_span_pkey DO UPDATE
      SET posted = s.posted + excluded.posted, outgoing = s.outgoing + excluded.outgoing,
          incoming = s.incoming + excluded.incoming, planned = s.planned + excluded.planned
  )
  UPDATE ledger.balance AS b
  SET posted = b.posted + f.posted, outgoing = b.outgoing + f.outgoing, incoming = b.incoming + f.incoming,
      planned = b.planned + f.planned, received = b.received + f.received, snap = (SELECT ledger.seen_snapshot())
  FROM (
    SELECT x.account_id, sum(x.posted) AS posted, sum(x.outgoing) AS outgoing, sum(x.incoming) AS incoming,
           sum(x.planned) AS planned, sum(x.received) AS received
    FROM fresh AS x GROUP BY x.account_id
  ) AS f
  WHERE b.account_id = f.account_id;
  RETURN cardinality(due);
END;
$$;

-- Drops every materialised balance and builds it anew from the journal; postings wait meanwhile.
CREATE OR REPLACE FUNCTION ledger.rebuild_balances() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  LOCK TABLE ledger.journal_line IN SHARE MODE;
  UPDATE ledger.fold_mark SET snap = '1:1:', thorough_snap = '1:1:';  -- first: a folder holds it while it waits for the balances
  TRUNCATE ledger.balance, ledger.balance_span;
  INSERT INTO ledger.balance (account_id, spent)
  SELECT a.account_id, coalesce(sum(abs(l.amount_minor)), 0)
  FROM ledger.account AS a
  LEFT JOIN ledger.journal_line AS l ON l.account_id = a.account_id AND sign(l.amount_minor) = -a.normal_sign AND l.layer <= 'outgoing'
  WHERE NOT a.may_overdraw
  GROUP BY a.account_id;
  RETURN ledger.fold(1);
END;
$$;

-- After a dump and restore: transaction numbers and snapshots of the other server mean nothing here. Everything that came along was
-- committed, so all of it gets the oldest number there is; the feed is completed, and sums are built anew. The one thing that touches
-- posted rows, in nothing but that number; nobody is granted it, the owner runs it before anything is posted.
CREATE OR REPLACE FUNCTION ledger.rebase() RETURNS bigint LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  LOCK TABLE ledger.journal_entry, ledger.journal_line, ledger.feed, ledger.feed_batch IN ACCESS EXCLUSIVE MODE;
  INSERT INTO ledger.feed (position, entry_id)
  SELECT coalesce((SELECT max(f.position) FROM ledger.feed AS f), 0) + row_number() OVER (ORDER BY e.xid, e.entry_id), e.entry_id
  FROM ledger.journal_entry AS e
  WHERE e.line_count > 0 AND NOT EXISTS (SELECT FROM ledger.feed AS f WHERE f.entry_id = e.entry_id);
  ALTER TABLE ledger.journal_entry DISABLE TRIGGER journal_entry_append_only;
  ALTER TABLE ledger.journal_line DISABLE TRIGGER journal_line_append_only;
  ALTER TABLE ledger.feed_batch DISABLE TRIGGER feed_batch_append_only;
  UPDATE ledger.journal_entry SET xid = '3' WHERE xid <> '3';
  UPDATE ledger.journal_line SET xid = '3' WHERE xid <> '3';
  DELETE FROM ledger.feed_batch;
  INSERT INTO ledger.feed_batch (last_position, snap) SELECT max(f.position), ledger.seen_snapshot() FROM ledger.feed AS f HAVING count(*) > 0;
  ALTER TABLE ledger.journal_entry ENABLE TRIGGER journal_entry_append_only;
  ALTER TABLE ledger.journal_line ENABLE TRIGGER journal_line_append_only;
  ALTER TABLE ledger.feed_batch ENABLE TRIGGER feed_batch_append_only;
  RETURN ledger.rebuild_balances();
END;
$$;
