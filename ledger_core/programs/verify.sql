-- Verification: every law and projection derived again from the journal. The triggers keep the laws; this is the alarm for what
-- got past them. A pass is one statement in one snapshot, so it is exact while writers run, and needs no lock. Lines are read
-- in key order, in parts that run side by side, with the same small memory however many there are.

-- Entries of an id range: their lines, accounts, refusals, details, places in the feed and periods.
-- `p_class`: by account id, a number for its asset and entity, negative where no lines belong.
CREATE OR REPLACE FUNCTION ledger.entry_faults(
  p_from bigint, p_before bigint, p_class integer[], p_fed pg_snapshot, p_closed_at timestamptz[], p_ends_at timestamptz[]
) RETURNS TABLE (code text, place bigint, fault text)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 COST 1000000
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_nestloop = off SET enable_hashagg = off SET enable_sort = off SET jit = off AS $$
BEGIN
  RETURN QUERY
    SELECT c.code, n.entry_id, format('entry id %s: %s', n.entry_id, c.fault)
    FROM (
      SELECT g.entry_id, g.total, g.line_count, g.line_total,
             -- One class of asset, entity and layer is the usual case; only where there are several is it looked at again.
             g.total IS NULL OR (g.total = 0 AND (g.first_class = g.last_class OR NOT EXISTS (
               SELECT FROM ledger.journal_line AS l WHERE l.entry_id = g.entry_id
               GROUP BY abs(p_class[l.account_id]), l.layer = 'posted', l.layer = 'planned' HAVING sum(l.amount_minor) <> 0))) AS is_even,
             g.line_total = g.line_count AND g.fitting = g.line_count AS is_complete,
             g.line_total = 0 OR g.first_class >= 4 AS is_placed
      FROM (
        SELECT e.entry_id, e.line_count::integer AS line_count, sum(l.amount_minor) AS total, count(l.entry_id) AS line_total,
               count(*) FILTER (WHERE l.xid = e.xid AND l.effective_at = e.effective_at AND l.line_no BETWEEN 1 AND e.line_count) AS fitting,
               min(l.class) AS first_class, max(l.class) AS last_class
        FROM ledger.journal_entry AS e
        LEFT JOIN (
          SELECT i.entry_id, i.amount_minor, i.line_no, i.effective_at, i.xid,
                 coalesce(p_class[i.account_id], 0) * 4 + CASE i.layer WHEN 'posted' THEN 0 WHEN 'planned' THEN 1 ELSE 2 END AS class
          FROM ledger.journal_line AS i WHERE i.entry_id >= p_from AND i.entry_id < p_before
        ) AS l ON l.entry_id = e.entry_id
        WHERE e.entry_id >= p_from AND e.entry_id < p_before
        GROUP BY e.entry_id
      ) AS g
      OFFSET 0
    ) AS n
    CROSS JOIN LATERAL (VALUES
      ('entry_zero_sum', n.is_even, format('debits minus credits are not 0 in each asset, entity and layer; %s in all', n.total)),
      ('entry_complete', n.is_complete, format('its header says %s lines, the journal has %s with another number, time or transaction', n.line_count, n.line_total)),
      ('line_account', n.is_placed, 'a line is on no leaf of the chart')
    ) AS c (code, is_kept, fault)
    WHERE NOT (n.is_even AND n.is_complete AND n.is_placed) AND NOT c.is_kept
    UNION ALL
    SELECT c.code, n.entry_id, format('entry id %s: %s', n.entry_id, c.fault)
    FROM (
      SELECT coalesce(e.entry_id, f.entry_id) AS entry_id, e.line_count,
             e.line_count IS NULL OR (e.line_count = 0) = (x.entry_id IS NOT NULL) AS is_answered,
             coalesce(e.line_count > 0 AND pg_visible_in_snapshot(e.xid, p_fed), false) = (f.entry_id IS NOT NULL) AS is_fed,
             -- The newest period that was closed before this entry was recorded.
             coalesce(e.line_count = 0 OR e.effective_at >= p_ends_at[width_bucket(e.recorded_at, p_closed_at)], true) AS is_in_time
      FROM (
        SELECT h.entry_id, h.line_count, h.effective_at, h.recorded_at, h.xid FROM ledger.journal_entry AS h WHERE h.entry_id >= p_from AND h.entry_id < p_before
      ) AS e
      FULL JOIN (SELECT i.entry_id FROM ledger.feed AS i WHERE i.entry_id >= p_from AND i.entry_id < p_before) AS f ON f.entry_id = e.entry_id
      LEFT JOIN ledger.refusal AS x ON x.entry_id = e.entry_id
      OFFSET 0
    ) AS n
    CROSS JOIN LATERAL (VALUES
      ('entry_outcome', n.is_answered, format('%s lines, and %s', n.line_count, CASE n.line_count WHEN 0 THEN 'no refusal' ELSE 'a refusal' END)),
      ('feed_complete', n.is_fed, 'the feed has left it out, or has what its last batch did not show'),
      ('period_respected', n.is_in_time, 'it takes effect in a period that was closed before it was recorded')
    ) AS c (code, is_kept, fault)
    WHERE NOT (n.is_answered AND n.is_fed AND n.is_in_time) AND NOT c.is_kept
    UNION ALL
    SELECT 'entry_complete', l.entry_id, format('entry id %s: line %s has no header', l.entry_id, l.line_no)
    FROM ledger.journal_line AS l
    LEFT JOIN (SELECT e.entry_id FROM ledger.journal_entry AS e WHERE e.entry_id >= p_from AND e.entry_id < p_before) AS h ON h.entry_id = l.entry_id
    WHERE l.entry_id >= p_from AND l.entry_id < p_before AND h.entry_id IS NULL
    UNION ALL
    SELECT 'line_detail', d.entry_id, format('entry id %s: details of line %s, which does not exist', d.entry_id, d.line_no)
    FROM ledger.journal_line_detail AS d
    LEFT JOIN (
      SELECT i.entry_id, i.line_no FROM ledger.journal_line AS i WHERE i.entry_id >= p_from AND i.entry_id < p_before
    ) AS l ON l.entry_id = d.entry_id AND l.line_no = d.line_no
    WHERE d.entry_id >= p_from AND d.entry_id < p_before AND l.entry_id IS NULL;
END;
$$;

-- Accounts of an id range: their sums over all lines, and over those that their own snapshot shows (all, less the tail it does
-- not show). `part` is what an account adds to the whole ledger's sums.
CREATE OR REPLACE FUNCTION ledger.balance_faults(p_from bigint, p_before bigint) RETURNS TABLE (code text, place bigint, fault text, part numeric)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 10 COST 1000000 SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off SET work_mem = '64MB' AS $$
BEGIN
  RETURN QUERY
    WITH cell AS MATERIALIZED (
      SELECT a.account_id, c.hour_at, c.layer, c.is_debit, c.total, c.tail
      FROM ledger.account AS a
      LEFT JOIN ledger.balance AS b ON b.account_id = a.account_id
      CROSS JOIN LATERAL (
        SELECT date_bin('1 hour', l.effective_at, '2000-01-01Z') AS hour_at, l.layer, l.amount_minor > 0 AS is_debit, sum(l.amount_minor) AS total, 0 AS tail
        FROM ledger.journal_line AS l WHERE l.account_id = a.account_id GROUP BY 1, 2, 3
        UNION ALL
        SELECT date_bin('1 hour', l.effective_at, '2000-01-01Z'), l.layer, l.amount_minor > 0, 0, sum(l.amount_minor)
        FROM ledger.journal_line AS l
        WHERE l.account_id = a.account_id AND l.xid >= pg_snapshot_xmin(coalesce(b.snap, '1:1:')) AND NOT pg_visible_in_snapshot(l.xid, coalesce(b.snap, '1:1:'))
        GROUP BY 1, 2, 3
      ) AS c
      WHERE a.account_id >= p_from AND a.account_id < p_before
    ), summed AS MATERIALIZED (
      SELECT a.account_id, a.code, a.asset, a.entity, a.may_overdraw, s.total, s.folded,
             CASE WHEN a.normal_sign > 0 THEN -s.less ELSE s.more END AS spent, CASE WHEN a.normal_sign > 0 THEN s.folded_more ELSE -s.folded_less END AS received,
             a.normal_sign * (s.total[1] + s.total[2] - coalesce((
               SELECT sum(h.held_minor) FROM ledger.open_hold AS h WHERE h.account_id = a.account_id AND h.layer = 'outgoing' AND h.expires_at <= clock_timestamp()), 0)) AS available
      FROM ledger.account AS a
      LEFT JOIN (
        SELECT c.account_id, coalesce(sum(c.total) FILTER (WHERE c.is_debit AND c.layer <= 'outgoing'), 0) AS more,
               coalesce(sum(c.total) FILTER (WHERE NOT c.is_debit AND c.layer <= 'outgoing'), 0) AS less,
               coalesce(sum(c.total - c.tail) FILTER (WHERE c.is_debit AND c.layer <= 'outgoing'), 0) AS folded_more,
               coalesce(sum(c.total - c.tail) FILTER (WHERE NOT c.is_debit AND c.layer <= 'outgoing'), 0) AS folded_less,
               ARRAY[coalesce(sum(c.total) FILTER (WHERE c.layer = 'posted'), 0), coalesce(sum(c.total) FILTER (WHERE c.layer = 'outgoing'), 0),
                     coalesce(sum(c.total) FILTER (WHERE c.layer = 'incoming'), 0), coalesce(sum(c.total) FILTER (WHERE c.layer = 'planned'), 0)] AS total,
               ARRAY[coalesce(sum(c.total - c.tail) FILTER (WHERE c.layer = 'posted'), 0), coalesce(sum(c.total - c.tail) FILTER (WHERE c.layer = 'outgoing'), 0),
                     coalesce(sum(c.total - c.tail) FILTER (WHERE c.layer = 'incoming'), 0), coalesce(sum(c.total - c.tail) FILTER (WHERE c.layer = 'planned'), 0)] AS folded
        FROM cell AS c GROUP BY c.account_id
      ) AS s ON s.account_id = a.account_id
      WHERE a.account_id >= p_from AND a.account_id < p_before
    )
    SELECT 'asset_zero_sum', NULL::bigint, format('%s of entity %s, %s', s.asset, s.entity, p.layer), sum(p.amount)
    FROM summed AS s
    CROSS JOIN LATERAL (VALUES ('posted', s.total[1]), ('held', s.total[2] + s.total[3]), ('planned', s.total[4])) AS p (layer, amount)
    WHERE p.amount <> 0 GROUP BY s.asset, s.entity, p.layer
    UNION ALL
    SELECT 'not_overdrawn', s.account_id, format('account %s: overdrawn by %s minor units of %s', s.code, -s.available, s.asset), NULL
    FROM summed AS s WHERE NOT s.may_overdraw AND s.available < 0
    UNION ALL
    SELECT c.code, coalesce(s.account_id, b.account_id), format('account %s: %s', coalesce(s.code, 'id ' || b.account_id), c.fault), NULL
    FROM summed AS s
    FULL JOIN (SELECT i.account_id, i.posted, i.outgoing, i.incoming, i.planned, i.spent, i.received FROM ledger.balance AS i WHERE i.account_id >= p_from AND i.account_id < p_before) AS b
      ON b.account_id = s.account_id
    CROSS JOIN LATERAL (VALUES
      ('balance_sums', ARRAY[coalesce(b.posted, 0), coalesce(b.outgoing, 0), coalesce(b.incoming, 0), coalesce(b.planned, 0)] = coalesce(s.folded, '{0,0,0,0}'),
       format('its sums are %s, the journal has %s', ARRAY[b.posted, b.outgoing, b.incoming, b.planned], s.folded)),
      ('balance_spent', coalesce(b.spent, 0) = CASE WHEN s.may_overdraw THEN 0 ELSE coalesce(s.spent, 0) END AND coalesce(b.received, 0) = coalesce(s.received, 0),
       format('it has spent %s and received %s, the journal says %s and %s', b.spent, b.received, s.spent, s.received))
    ) AS c (code, is_kept, fault)
    WHERE NOT c.is_kept
    UNION ALL
    SELECT 'balance_spans', coalesce(d.account_id, s.account_id),
           format('account id %s, %s of %s: another sum than the journal', coalesce(d.account_id, s.account_id), CASE WHEN coalesce(d.is_day, s.is_day) THEN 'day' ELSE 'hour' END,
                  coalesce(d.starts_at, s.starts_at) AT TIME ZONE 'UTC'), NULL
    FROM (
      SELECT c.account_id, k.is_day, CASE WHEN k.is_day THEN date_bin('1 day', c.hour_at, '2000-01-01Z') ELSE c.hour_at END AS starts_at,
             sum(c.total - c.tail) FILTER (WHERE c.layer = 'posted') AS posted, sum(c.total - c.tail) FILTER (WHERE c.layer = 'outgoing') AS outgoing,
             sum(c.total - c.tail) FILTER (WHERE c.layer = 'incoming') AS incoming, sum(c.total - c.tail) FILTER (WHERE c.layer = 'planned') AS planned
      FROM cell AS c CROSS JOIN (VALUES (true), (false)) AS k (is_day)
      GROUP BY 1, 2, 3
    ) AS d
    FULL JOIN (
      SELECT i.account_id, i.is_day, i.starts_at, i.posted, i.outgoing, i.incoming, i.planned FROM ledger.balance_span AS i WHERE i.account_id >= p_from AND i.account_id < p_before
    ) AS s ON s.account_id = d.account_id AND s.is_day = d.is_day AND s.starts_at = d.starts_at
    WHERE coalesce(d.posted, 0) <> coalesce(s.posted, 0) OR coalesce(d.outgoing, 0) <> coalesce(s.outgoing, 0)
       OR coalesce(d.incoming, 0) <> coalesce(s.incoming, 0) OR coalesce(d.planned, 0) <> coalesce(s.planned, 0);
END;
$$;

-- What lies beside the journal: chart, periods, the life of transactions and their holds, marks and snapshots.
CREATE OR REPLACE FUNCTION ledger.structure_faults() RETURNS TABLE (code text, place bigint, fault text) LANGUAGE sql STABLE AS $$
  WITH step AS (
    SELECT v.transaction_id, v.event_no, v.previous_state, v.state, v.event_key, v.entry_id, v.expires_at, e.reverses_entry_id, coalesce(e.line_count, 0) AS line_count,
           lag(v.event_no) OVER w AS last_no, lag(v.state) OVER w AS last_state, lag(v.entry_id) OVER w AS last_entry_id
    FROM ledger.transaction_event AS v LEFT JOIN ledger.journal_entry AS e ON e.entry_id = v.entry_id
    WINDOW w AS (PARTITION BY v.transaction_id ORDER BY v.event_no)
  ), held AS (
    -- What the entries of each transaction hold; what a settlement gives back has the key of its step and ':release'.
    SELECT p.transaction_id, l.account_id, l.layer, sum(l.amount_minor) AS held_minor
    FROM (
      SELECT s.transaction_id, s.entry_id FROM step AS s WHERE s.entry_id IS NOT NULL
      UNION ALL
      SELECT s.transaction_id, e.entry_id FROM step AS s JOIN ledger.journal_entry AS e ON e.entry_key = s.event_key || ':release' WHERE s.state = 'settled'
    ) AS p
    JOIN ledger.journal_line AS l ON l.entry_id = p.entry_id AND l.layer IN ('outgoing', 'incoming')
    GROUP BY p.transaction_id, l.account_id, l.layer HAVING sum(l.amount_minor) <> 0
  ), now_at AS (
    SELECT s.transaction_id, (array_agg(s.state ORDER BY s.event_no DESC))[1] IN ('held', 'partly_released') AS holds, coalesce(max(s.expires_at), 'infinity') AS expires_at
    FROM step AS s GROUP BY s.transaction_id
  )
  SELECT 'transaction_chain', s.transaction_id, format('transaction id %s: step %s, %s', s.transaction_id, s.event_no, s.state)
  FROM step AS s
  WHERE (s.event_no = coalesce(s.last_no, 0) + 1 AND s.previous_state = coalesce(s.last_state, 'none') AND (s.entry_id IS NULL OR s.line_count > 0)
         AND (s.state <> 'reversed' OR s.reverses_entry_id = s.last_entry_id)
         AND EXISTS (SELECT FROM ledger.transaction_move AS m WHERE m.previous_state = s.previous_state AND m.state = s.state)) IS NOT TRUE
  UNION ALL
  SELECT CASE WHEN n.holds OR o.transaction_id IS NOT NULL THEN 'open_hold' ELSE 'hold_residue' END, coalesce(h.transaction_id, o.transaction_id),
         format('transaction id %s, account id %s: %s %s in the journal, %s on record as held', coalesce(h.transaction_id, o.transaction_id), coalesce(h.account_id, o.account_id),
                coalesce(h.held_minor, 0), coalesce(h.layer, o.layer), coalesce(o.held_minor, 0))
  FROM held AS h
  FULL JOIN ledger.open_hold AS o ON o.transaction_id = h.transaction_id AND o.account_id = h.account_id AND o.layer = h.layer
  LEFT JOIN now_at AS n ON n.transaction_id = coalesce(h.transaction_id, o.transaction_id)
  WHERE (n.holds AND o.held_minor = h.held_minor AND o.expires_at = n.expires_at) IS NOT TRUE
  UNION ALL
  SELECT 'account_leaf', a.account_id, format('account %s: it takes lines, and has accounts below it', a.code)
  FROM ledger.account AS a
  WHERE a.is_leaf AND EXISTS (SELECT FROM ledger.account AS d WHERE d.code > a.code || ':' AND d.code < a.code || ';')
  UNION ALL
  SELECT 'account_closed', l.account_id, format('account id %s: entry id %s came after it was closed', l.account_id, l.entry_id)
  FROM ledger.account_closure AS c
  JOIN ledger.journal_line AS l ON l.account_id = c.account_id
  JOIN ledger.journal_entry AS e ON e.entry_id = l.entry_id AND e.recorded_at > c.recorded_at
  UNION ALL
  SELECT 'period_chain', NULL, format('period ending %s: it does not follow the one before, or was closed before its end', p.ends_at AT TIME ZONE 'UTC')
  FROM (
    SELECT x.ends_at, x.recorded_at, x.starts_at = coalesce(lag(x.ends_at) OVER w, '-infinity') AND coalesce(lag(x.recorded_at) OVER w <= x.recorded_at, true) AS follows
    FROM ledger.period AS x WINDOW w AS (ORDER BY x.ends_at)
  ) AS p
  WHERE NOT p.follows OR p.ends_at > p.recorded_at
  UNION ALL
  SELECT 'fold_mark', NULL, format('expected one row, found %s', count(*)) FROM ledger.fold_mark AS m HAVING count(*) <> 1
  UNION ALL
  -- Numbers from the future: the rows were made by another server, and no snapshot of theirs means anything here.
  SELECT 'xid_current', x.place, format('%s %s: its transaction or snapshot is from another server', x.what, x.place)
  FROM (
    SELECT 'entry id' AS what, e.entry_id AS place FROM ledger.journal_entry AS e
    WHERE e.xid >= pg_snapshot_xmax(pg_current_snapshot()) AND e.xid IS DISTINCT FROM pg_current_xact_id_if_assigned()
    UNION ALL
    SELECT 'balance of account id', b.account_id FROM ledger.balance AS b WHERE pg_snapshot_xmax(b.snap) > pg_snapshot_xmax(pg_current_snapshot())
    UNION ALL
    SELECT 'feed batch', b.last_position FROM ledger.feed_batch AS b WHERE pg_snapshot_xmax(b.snap) > pg_snapshot_xmax(pg_current_snapshot())
    UNION ALL
    SELECT 'fold mark', 1 FROM ledger.fold_mark AS m
    WHERE greatest(pg_snapshot_xmax(m.snap), pg_snapshot_xmax(m.thorough_snap)) > pg_snapshot_xmax(pg_current_snapshot())
  ) AS x;
$$;

-- One pass: how often each of its laws is contradicted, and the first place. The names of the laws are in verify.py.
CREATE OR REPLACE FUNCTION ledger.verify(p_pass text) RETURNS TABLE (code text, offences bigint, first_offence text)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET jit = off SET work_mem = '64MB' SET parallel_setup_cost = 0 SET parallel_tuple_cost = 0 AS $$
#variable_conflict use_column
DECLARE
  cut bigint[];
  class integer[];
  fed pg_snapshot;
  closed_at timestamptz[];
  ends_at timestamptz[];
BEGIN
  IF p_pass = 'entries' THEN
    SELECT array_agg(coalesce(a.class, 0) ORDER BY i.id) INTO class
    FROM generate_series(1, (SELECT max(x.account_id) FROM ledger.account AS x)) AS i (id)
    LEFT JOIN (SELECT x.account_id, dense_rank() OVER (ORDER BY x.asset, x.entity) * CASE WHEN x.is_leaf THEN 1 ELSE -1 END AS class FROM ledger.account AS x) AS a ON a.account_id = i.id;
    SELECT b.snap INTO fed FROM ledger.feed_batch AS b ORDER BY b.last_position DESC LIMIT 1;
    SELECT array_agg(p.recorded_at ORDER BY p.ends_at), array_agg(p.ends_at::timestamptz ORDER BY p.ends_at) INTO closed_at, ends_at FROM ledger.period AS p;
    SELECT ARRAY[-9223372036854775808, r.first + r.size, r.first + 2 * r.size, r.first + 3 * r.size, 9223372036854775807] INTO cut
    FROM (SELECT coalesce(min(e.entry_id), 0) AS first, coalesce(max(e.entry_id) - min(e.entry_id), 0) / 4 AS size FROM ledger.journal_entry AS e) AS r;
    RETURN QUERY
      SELECT c.code, count(f.code), (array_agg(f.fault ORDER BY f.place))[1]
      FROM (VALUES ('entry_zero_sum'), ('entry_complete'), ('entry_outcome'), ('line_account'), ('line_detail'), ('reversal_mirror'), ('correction_exists'),
                   ('period_respected'), ('feed_complete'), ('feed_dense')) AS c (code)
      LEFT JOIN (
        SELECT p.code, p.place, p.fault FROM ledger.entry_faults(cut[1], cut[2], class, fed, closed_at, ends_at) AS p UNION ALL
        SELECT p.code, p.place, p.fault FROM ledger.entry_faults(cut[2], cut[3], class, fed, closed_at, ends_at) AS p UNION ALL
        SELECT p.code, p.place, p.fault FROM ledger.entry_faults(cut[3], cut[4], class, fed, closed_at, ends_at) AS p UNION ALL
        SELECT p.code, p.place, p.fault FROM ledger.entry_faults(cut[4], cut[5], class, fed, closed_at, ends_at) AS p UNION ALL
        SELECT 'entry_outcome', x.entry_id, format('entry id %s: a refusal without its header', x.entry_id)
        FROM ledger.refusal AS x WHERE NOT EXISTS (SELECT FROM ledger.journal_entry AS e WHERE e.entry_id = x.entry_id) UNION ALL
        SELECT 'correction_exists', e.entry_id, format('entry id %s: what it corrects was never posted', e.entry_id)
        FROM ledger.journal_entry AS e WHERE e.corrects_entry_id IS NOT NULL
          AND NOT EXISTS (SELECT FROM ledger.journal_entry AS o WHERE o.entry_id = e.corrects_entry_id AND o.line_count > 0) UNION ALL
        SELECT 'reversal_mirror', e.entry_id, format('entry id %s: it does not mirror what it reverses, or has no reason or authoriser', e.entry_id)
        FROM ledger.journal_entry AS e
        WHERE e.reverses_entry_id IS NOT NULL AND (
          e.reason IS NULL OR e.authoriser IS NULL
          OR NOT EXISTS (SELECT FROM ledger.journal_entry AS o WHERE o.entry_id = e.reverses_entry_id AND o.line_count = e.line_count AND o.entry_id <> e.entry_id)
          OR EXISTS (
            SELECT FROM (SELECT i.line_no, i.account_id, i.layer, i.amount_minor FROM ledger.journal_line AS i WHERE i.entry_id = e.entry_id) AS m
            FULL JOIN (SELECT i.line_no, i.account_id, i.layer, i.amount_minor FROM ledger.journal_line AS i WHERE i.entry_id = e.reverses_entry_id) AS o
              ON o.line_no = m.line_no
            WHERE (m.account_id = o.account_id AND m.layer = o.layer AND m.amount_minor = -o.amount_minor) IS NOT TRUE)) UNION ALL
        SELECT 'feed_dense', NULL, format('positions %s to %s, %s of them; the last batch ends at %s', s.first, s.last, s.total, s.batch_end)
        FROM (
          SELECT min(f.position) AS first, max(f.position) AS last, count(*) AS total, (SELECT max(b.last_position) FROM ledger.feed_batch AS b) AS batch_end
          FROM ledger.feed AS f) AS s
        WHERE NOT (s.total = 0 AND s.batch_end IS NULL) AND (s.first = 1 AND s.last = s.total AND s.last = s.batch_end) IS NOT TRUE
      ) AS f ON f.code = c.code
      GROUP BY c.code;
  ELSIF p_pass = 'balances' THEN
    SELECT ARRAY[-9223372036854775808, r.size, 2 * r.size, 3 * r.size, 9223372036854775807] INTO cut
    FROM (SELECT coalesce(max(a.account_id), 0) / 4 AS size FROM ledger.account AS a) AS r;
    RETURN QUERY
      WITH part AS MATERIALIZED (
        SELECT p.code, p.place, p.fault, p.part FROM ledger.balance_faults(cut[1], cut[2]) AS p UNION ALL
        SELECT p.code, p.place, p.fault, p.part FROM ledger.balance_faults(cut[2], cut[3]) AS p UNION ALL
        SELECT p.code, p.place, p.fault, p.part FROM ledger.balance_faults(cut[3], cut[4]) AS p UNION ALL
        SELECT p.code, p.place, p.fault, p.part FROM ledger.balance_faults(cut[4], cut[5]) AS p
      )
      SELECT c.code, count(f.code), (array_agg(f.fault ORDER BY f.place))[1]
      FROM (VALUES ('asset_zero_sum'), ('not_overdrawn'), ('balance_sums'), ('balance_spent'), ('balance_spans')) AS c (code)
      LEFT JOIN (
        SELECT p.code, p.place, p.fault FROM part AS p WHERE p.part IS NULL UNION ALL
        SELECT p.code, NULL, format('%s: %s', p.fault, sum(p.part)) FROM part AS p WHERE p.part IS NOT NULL GROUP BY p.code, p.fault HAVING sum(p.part) <> 0
      ) AS f ON f.code = c.code
      GROUP BY c.code;
  ELSIF p_pass = 'structure' THEN
    RETURN QUERY
      SELECT c.code, count(f.code), (array_agg(f.fault ORDER BY f.place))[1]
      FROM (VALUES ('account_leaf'), ('account_closed'), ('transaction_chain'), ('open_hold'), ('hold_residue'), ('period_chain'), ('fold_mark'), ('xid_current')) AS c (code)
      LEFT JOIN ledger.structure_faults() AS f ON f.code = c.code
      GROUP BY c.code;
  ELSIF p_pass = 'seals' THEN
    RETURN QUERY SELECT 'period_seals', count(*), min(f.fault) FROM ledger.seal_faults() AS f;
  ELSE
    RAISE EXCEPTION 'verify: expected the name of a pass, found %', quote_nullable(p_pass) USING ERRCODE = 'TL007';
  END IF;
END;
$$;
