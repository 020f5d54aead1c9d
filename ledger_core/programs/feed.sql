-- The feed: every posted entry once, at a dense position, in an order that never changes. The entry is its own outbox row; the
-- relay only numbers what has been committed, so posting waits for nothing and a late commit is not skipped.

-- Numbers the entries that became visible since the last batch; returns the newest position. One relay at a time.
CREATE OR REPLACE FUNCTION ledger.relay() RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  last_batch record;
  newest bigint;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' OR EXISTS (
    SELECT FROM ledger.journal_entry AS e WHERE e.xid = pg_current_xact_id_if_assigned()
  ) THEN
    RAISE EXCEPTION 'relay: expected a READ COMMITTED transaction that posts nothing, found another'
      USING ERRCODE = 'TL007', HINT = 'a transaction''s own id counts as seen in its snapshots';
  END IF;
  LOCK TABLE ledger.feed_batch IN SHARE ROW EXCLUSIVE MODE;
  SELECT coalesce(max(b.last_position), 0) AS position, coalesce((SELECT x.snap FROM ledger.feed_batch AS x ORDER BY x.last_position DESC LIMIT 1), '1:1:') AS snap
  INTO last_batch FROM ledger.feed_batch AS b;
  WITH numbered AS (
    INSERT INTO ledger.feed (position, entry_id)
    SELECT last_batch.position + row_number() OVER (ORDER BY e.xid, e.entry_id), e.entry_id
    FROM ledger.journal_entry AS e
    WHERE e.xid >= pg_snapshot_xmin(last_batch.snap) AND NOT pg_visible_in_snapshot(e.xid, last_batch.snap) AND e.line_count > 0
    RETURNING position
  )
  INSERT INTO ledger.feed_batch (last_position, snap)
  SELECT max(n.position), pg_current_snapshot() FROM numbered AS n HAVING count(*) > 0
  RETURNING last_position INTO newest;
  RETURN coalesce(newest, last_batch.position);
END;
$$;

-- Events after a position, in order: JournalEntryPosted with all the entry says. The same position gives the same event for ever.
CREATE OR REPLACE FUNCTION ledger.read_feed(p_after bigint, p_limit integer DEFAULT 1000) RETURNS TABLE ("position" bigint, entry_key text, event jsonb)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET timezone = 'UTC' AS $$
  SELECT f.position, e.entry_key::text, jsonb_strip_nulls(jsonb_build_object(
           'type', 'JournalEntryPosted', 'version', 1, 'position', f.position, 'entry_id', e.entry_id, 'entry_key', e.entry_key,
           'effective_at', e.effective_at, 'recorded_at', e.recorded_at, 'posted_by', e.posted_by,
           'reverses', (SELECT r.entry_key FROM ledger.journal_entry AS r WHERE r.entry_id = e.reverses_entry_id),
           'corrects', (SELECT r.entry_key FROM ledger.journal_entry AS r WHERE r.entry_id = e.corrects_entry_id),
           'reason', e.reason, 'authoriser', e.authoriser)) || jsonb_build_object('lines', (
             SELECT jsonb_agg(jsonb_build_object('line_no', l.line_no, 'account', a.code, 'asset', a.asset, 'entity', a.entity, 'layer', l.layer, 'amount_minor', l.amount_minor)
                              || coalesce(jsonb_strip_nulls(to_jsonb(d) - 'entry_id' - 'line_no' - 'metadata') || jsonb_strip_nulls(jsonb_build_object('metadata', d.metadata)), '{}') ORDER BY l.line_no)
             FROM ledger.journal_line AS l
             JOIN ledger.account AS a ON a.account_id = l.account_id
             LEFT JOIN ledger.journal_line_detail AS d ON d.entry_id = l.entry_id AND d.line_no = l.line_no
             WHERE l.entry_id = e.entry_id))
  FROM ledger.feed AS f JOIN ledger.journal_entry AS e ON e.entry_id = f.entry_id
  WHERE f.position > p_after AND f.position <= p_after + p_limit ORDER BY f.position;
$$;
