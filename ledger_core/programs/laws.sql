-- Laws over several rows, as triggers: once per statement, over the new rows alone. They fire for everybody, the owner too,
-- but not under session_replication_role = replica: ledger.verify is the alarm for what came in that way.

CREATE OR REPLACE FUNCTION ledger.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'ledger.%: % is refused, rows here are only ever added', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'TL005', HINT = 'correct an entry by reversing it';
END;
$$;

-- Law: posted rows never change, not even by their owner's hand.
DO $$
DECLARE
  append_only text;
BEGIN
  FOREACH append_only IN ARRAY ARRAY[
    'asset', 'account', 'account_closure', 'period', 'journal_entry', 'refusal', 'journal_line', 'journal_line_detail', 'fx_quote',
    'business_transaction', 'transaction_move', 'transaction_event', 'feed', 'feed_batch', 'period_seal'
  ] LOOP
    EXECUTE format('CREATE OR REPLACE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.%I FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()',
                   append_only || '_append_only', append_only);
  END LOOP;
END;
$$;

-- A decision: takes `p_spent` from a guarded account, or refuses. The row of its balance is the lock. What was received and
-- folded suffices nearly always; if not, money may wait in the tail, and the exact balance decides, own lines included.
CREATE OR REPLACE FUNCTION ledger.spend(p_account_id bigint, p_spent numeric) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  exact numeric;
BEGIN
  UPDATE ledger.balance AS b SET spent = b.spent + p_spent WHERE b.account_id = p_account_id AND b.received - b.spent >= p_spent;
  IF FOUND THEN
    RETURN;
  END IF;
  -- The sum is read in a later statement: one that waited for a lock goes on seeing the time before the wait. A row that is there is
  -- not tried to insert: the try and an update that moves it to another page can wait for each other.
  PERFORM FROM ledger.balance AS b WHERE b.account_id = p_account_id FOR NO KEY UPDATE;
  IF NOT FOUND THEN
    INSERT INTO ledger.balance (account_id) VALUES (p_account_id) ON CONFLICT ON CONSTRAINT balance_pkey DO NOTHING;
    PERFORM FROM ledger.balance AS b WHERE b.account_id = p_account_id FOR NO KEY UPDATE;
  END IF;
  exact := ledger.available(p_account_id);
  IF exact < 0 THEN
    RAISE EXCEPTION 'account %: it may not be overdrawn, and would be by % minor units of %',
      (SELECT a.code FROM ledger.account AS a WHERE a.account_id = p_account_id), -exact,
      (SELECT a.asset FROM ledger.account AS a WHERE a.account_id = p_account_id)
      USING ERRCODE = 'TL004', CONSTRAINT = 'journal_line_not_overdrawn';
  END IF;
  UPDATE ledger.balance AS b SET spent = b.spent + p_spent WHERE b.account_id = p_account_id;
END;
$$;

-- Laws over the lines of one statement: complete and closed entries, zero-sum per asset, entity and layer, accounts that
-- exist, are open leaves, no closed period, reversals that mirror, no guarded account below zero.
-- The second query proves the usual cases at once; only what it cannot prove is looked at again, law by law.
-- Header and account are looked up by key behind OFFSET 0: a join could be planned on an empty table as a full scan and
-- would keep that plan for the life of the session.
CREATE OR REPLACE FUNCTION ledger.enforce_line_laws() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  offence record;
  proved boolean;
  spending bigint;
  payer bigint;
  taken numeric;
BEGIN
  -- Nearly every entry moves one amount between two accounts and takes it from one that is guarded: one statement proves such
  -- a pair and pays for it, at two thirds of the cost. Whatever it does not find is looked at below, and nothing is taken for granted.
  UPDATE ledger.balance AS b SET spent = b.spent + p.spent
  FROM (
    SELECT CASE WHEN x.guard * l.amount_minor < 0 THEN l.account_id WHEN y.guard * m.amount_minor < 0 THEN m.account_id END AS payer,
           abs(l.amount_minor) AS spent
    FROM (SELECT n.entry_id, n.account_id, n.amount_minor::bigint, n.layer, n.xid, n.effective_at FROM new_line AS n WHERE n.line_no = 1 LIMIT 1) AS l
    CROSS JOIN (SELECT n.entry_id, n.account_id, n.amount_minor::bigint, n.layer, n.xid, n.effective_at FROM new_line AS n WHERE n.line_no = 2 LIMIT 1) AS m
    CROSS JOIN LATERAL (
      SELECT a.asset, a.entity, CASE WHEN a.may_overdraw THEN 0 ELSE a.normal_sign END AS guard
      FROM ledger.account AS a WHERE a.account_id = l.account_id AND a.is_leaf OFFSET 0) AS x
    CROSS JOIN LATERAL (
      SELECT a.asset, a.entity, CASE WHEN a.may_overdraw THEN 0 ELSE a.normal_sign END AS guard
      FROM ledger.account AS a WHERE a.account_id = m.account_id AND a.is_leaf OFFSET 0) AS y
    CROSS JOIN LATERAL (
      SELECT h.xid, h.effective_at FROM ledger.journal_entry AS h
      WHERE h.entry_id = l.entry_id AND h.reverses_entry_id IS NULL AND h.line_count = 2 OFFSET 0) AS e
    WHERE l.entry_id = m.entry_id AND l.amount_minor = -m.amount_minor AND l.layer = 'posted' AND m.layer = 'posted'
      AND e.xid = pg_current_xact_id() AND l.xid = e.xid AND m.xid = e.xid AND l.effective_at = e.effective_at AND m.effective_at = e.effective_at
      AND x.asset = y.asset AND x.entity = y.entity AND x.guard * y.guard >= 0
      AND NOT EXISTS (SELECT FROM ledger.period AS c WHERE c.ends_at > e.effective_at)
      AND NOT EXISTS (SELECT FROM ledger.account_closure AS c WHERE c.account_id = ANY (ARRAY[l.account_id, m.account_id]))
      AND NOT EXISTS (SELECT FROM new_line AS n OFFSET 2)
    OFFSET 0
  ) AS p
  WHERE b.account_id = p.payer AND b.received - b.spent >= p.spent;
  IF FOUND THEN
    RETURN NULL;
  END IF;

  SELECT bool_and(g.proved), sum(g.spending), min(g.payer), sum(g.spent) INTO proved, spending, payer, taken
  FROM (
    SELECT sum(n.amount_minor) = 0 AND count(*) = min(n.line_count) AND min(n.line_no) = 1 AND max(n.line_no) = min(n.line_count)
             AND bool_and(n.is_fine) AND min(n.effective_at) >= coalesce((SELECT max(p.ends_at) FROM ledger.period AS p), '-infinity') AS proved,
           count(n.spent) AS spending, min(n.account_id) FILTER (WHERE n.spent > 0) AS payer, sum(n.spent) AS spent
    FROM (
      SELECT l.entry_id, l.line_no, l.amount_minor, l.account_id, l.effective_at, l.layer, a.asset, a.entity, e.line_count,
             e.xid = pg_current_xact_id() AND e.xid = l.xid AND e.effective_at = l.effective_at AND a.takes_lines AS is_fine,
             CASE WHEN a.guard * l.amount_minor < 0 AND l.layer <= 'outgoing' THEN -a.guard * l.amount_minor END AS spent
      FROM new_line AS l
      LEFT JOIN LATERAL (
        SELECT x.asset, x.entity, CASE WHEN x.may_overdraw THEN 0 ELSE x.normal_sign END AS guard,
               x.is_leaf AND NOT EXISTS (SELECT FROM ledger.account_closure AS c WHERE c.account_id = x.account_id) AS takes_lines
        FROM ledger.account AS x WHERE x.account_id = l.account_id OFFSET 0
      ) AS a ON true
      LEFT JOIN LATERAL (
        SELECT x.effective_at, x.line_count, x.xid FROM ledger.journal_entry AS x
        WHERE x.entry_id = l.entry_id AND x.reverses_entry_id IS NULL OFFSET 0 -- by its key: nothing else here may tempt the planner
      ) AS e ON true
      OFFSET 0
    ) AS n
    GROUP BY n.entry_id, n.asset, n.entity, n.layer = 'posted', n.layer = 'planned'
  ) AS g;

  IF proved IS NOT TRUE THEN
    SELECT g.entry_id, g.line_total, h.entry_key, h.line_count INTO offence
    FROM (
      SELECT n.entry_id, count(*) AS line_total, min(n.line_no) AS first_no, max(n.line_no) AS last_no,
             min(n.effective_at) AS first_at, max(n.effective_at) AS last_at, bool_and(n.xid = pg_current_xact_id()) AS is_ours
      FROM new_line AS n GROUP BY n.entry_id
    ) AS g
    LEFT JOIN LATERAL (
      SELECT e.entry_key, e.line_count, e.effective_at, e.xid FROM ledger.journal_entry AS e WHERE e.entry_id = g.entry_id OFFSET 0
    ) AS h ON true
    WHERE (h.line_count = g.line_total AND g.first_no = 1 AND g.last_no = g.line_total AND g.first_at = h.effective_at
           AND g.last_at = h.effective_at AND h.xid = pg_current_xact_id() AND g.is_ours) IS NOT TRUE
    ORDER BY g.entry_id LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'entry %: its lines must come complete, numbered from 1, with its time, in the transaction of its header; expected % lines, found %',
        coalesce(quote_literal(offence.entry_key), 'id ' || offence.entry_id), coalesce(offence.line_count, 0), offence.line_total
        USING ERRCODE = 'TL002', CONSTRAINT = 'journal_line_entry_closed';
    END IF;

    SELECT a.code, n.account_id, a.is_leaf INTO offence
    FROM new_line AS n
    LEFT JOIN LATERAL (SELECT x.code, x.is_leaf FROM ledger.account AS x WHERE x.account_id = n.account_id OFFSET 0) AS a ON true
    WHERE a.is_leaf IS NOT TRUE OR EXISTS (SELECT FROM ledger.account_closure AS c WHERE c.account_id = n.account_id)
    ORDER BY n.account_id LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'account %: expected an open leaf of the chart, found %', coalesce(offence.code, 'id ' || offence.account_id),
        CASE WHEN offence.code IS NULL THEN 'none' WHEN offence.is_leaf THEN 'it closed' ELSE 'a summary account' END
        USING ERRCODE = 'TL003', CONSTRAINT = 'journal_line_account_' || CASE WHEN offence.code IS NULL THEN 'unknown' WHEN offence.is_leaf THEN 'closed' ELSE 'summary' END;
    END IF;

    SELECT g.asset, g.entity, g.total, (SELECT e.entry_key FROM ledger.journal_entry AS e WHERE e.entry_id = g.entry_id) AS entry_key INTO offence
    FROM (
      SELECT n.entry_id, a.asset, a.entity, sum(n.amount_minor) AS total
      FROM new_line AS n
      CROSS JOIN LATERAL (SELECT x.asset, x.entity FROM ledger.account AS x WHERE x.account_id = n.account_id OFFSET 0) AS a
      GROUP BY n.entry_id, a.asset, a.entity, n.layer = 'posted', n.layer = 'planned'
      HAVING sum(n.amount_minor) <> 0
      ORDER BY n.entry_id, a.asset LIMIT 1
    ) AS g;
    IF FOUND THEN
      RAISE EXCEPTION 'entry %: debits minus credits in % of entity % must be 0 minor units in each layer, found %',
        quote_literal(offence.entry_key), offence.asset, offence.entity, offence.total
        USING ERRCODE = 'TL001', CONSTRAINT = 'journal_line_zero_sum';
    END IF;

    SELECT e.entry_key, e.effective_at INTO offence
    FROM new_line AS n
    CROSS JOIN LATERAL (SELECT x.entry_key, x.effective_at FROM ledger.journal_entry AS x WHERE x.entry_id = n.entry_id OFFSET 0) AS e
    WHERE e.effective_at < (SELECT max(p.ends_at) FROM ledger.period AS p) LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'entry %: its time % lies in a closed period', quote_literal(offence.entry_key), offence.effective_at
        USING ERRCODE = 'TL010', CONSTRAINT = 'journal_line_period_open', HINT = 'post an adjusting entry into the next period';
    END IF;

    SELECT e.entry_key INTO offence
    FROM (SELECT DISTINCT n.entry_id FROM new_line AS n) AS g
    CROSS JOIN LATERAL (
      SELECT x.entry_key, x.line_count, x.reverses_entry_id, x.reason, x.authoriser FROM ledger.journal_entry AS x WHERE x.entry_id = g.entry_id OFFSET 0
    ) AS e
    WHERE e.reverses_entry_id IS NOT NULL
      AND (e.reason IS NULL OR e.authoriser IS NULL OR ARRAY[e.line_count, e.line_count]::bigint[] IS DISTINCT FROM (
        SELECT ARRAY[count(*), count(*) FILTER (WHERE (
                 SELECT m.account_id = o.account_id AND m.layer = o.layer AND m.amount_minor = -o.amount_minor
                 FROM ledger.journal_line AS m WHERE m.entry_id = g.entry_id AND m.line_no = o.line_no))]
        FROM ledger.journal_line AS o WHERE o.entry_id = e.reverses_entry_id))
    LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION 'entry %: a reversal must carry a reason, an authoriser and the exact negatives of the lines it reverses', quote_literal(offence.entry_key)
        USING ERRCODE = 'TL006', CONSTRAINT = 'journal_line_reversal_mirrors';
    END IF;
  END IF;

  IF spending = 1 THEN
    UPDATE ledger.balance AS b SET spent = b.spent + taken WHERE b.account_id = payer AND b.received - b.spent >= taken;
    IF NOT FOUND THEN
      PERFORM ledger.spend(payer, taken);
    END IF;
  ELSIF spending > 1 THEN
    -- In id order, so that two batches cannot wait for each other.
    FOR payer, taken IN
      SELECT n.account_id, sum(abs(n.amount_minor))
      FROM new_line AS n
      CROSS JOIN LATERAL (SELECT CASE WHEN x.may_overdraw THEN 0 ELSE x.normal_sign END AS guard FROM ledger.account AS x WHERE x.account_id = n.account_id OFFSET 0) AS a
      WHERE a.guard * n.amount_minor < 0 AND n.layer <= 'outgoing'
      GROUP BY n.account_id ORDER BY n.account_id
    LOOP
      PERFORM ledger.spend(payer, taken);
    END LOOP;
  END IF;
  RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER journal_line_laws AFTER INSERT ON ledger.journal_line
  REFERENCING NEW TABLE AS new_line FOR EACH STATEMENT EXECUTE FUNCTION ledger.enforce_line_laws();

-- Law: what is said of a line is said when it is posted.
CREATE OR REPLACE FUNCTION ledger.enforce_detail_laws() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (
    SELECT FROM new_detail AS n
    WHERE (SELECT l.xid FROM ledger.journal_line AS l WHERE l.entry_id = n.entry_id AND l.line_no = n.line_no) IS DISTINCT FROM pg_current_xact_id()
  ) THEN
    RAISE EXCEPTION 'ledger.journal_line_detail: expected a line posted by the same transaction, found none'
      USING ERRCODE = 'TL002', CONSTRAINT = 'journal_line_detail_line';
  END IF;
  RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER journal_line_detail_laws AFTER INSERT ON ledger.journal_line_detail
  REFERENCING NEW TABLE AS new_detail FOR EACH STATEMENT EXECUTE FUNCTION ledger.enforce_detail_laws();

-- Law: nothing lies below a leaf. Whoever opens accounts holds a lock on the table, so that nobody opens beside them.
CREATE OR REPLACE FUNCTION ledger.enforce_account_laws() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  offence record;
BEGIN
  SELECT n.code, a.code AS leaf INTO offence
  FROM new_account AS n
  CROSS JOIN LATERAL string_to_array(n.code, ':') AS p (parts)
  CROSS JOIN LATERAL generate_series(1, cardinality(p.parts) - 1) AS g (depth)
  JOIN ledger.account AS a ON a.code = array_to_string(p.parts[1:g.depth], ':') AND a.is_leaf
  UNION ALL
  SELECT d.code, n.code FROM new_account AS n JOIN ledger.account AS d ON d.code > n.code || ':' AND d.code < n.code || ';' WHERE n.is_leaf
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'account %: it would lie below %, which takes lines', offence.code, offence.leaf
      USING ERRCODE = 'TL009', CONSTRAINT = 'account_leaf', HINT = 'choose a path beside it';
  END IF;
  RETURN NULL;
END;
$$;

CREATE OR REPLACE TRIGGER account_laws AFTER INSERT ON ledger.account
  REFERENCING NEW TABLE AS new_account FOR EACH STATEMENT EXECUTE FUNCTION ledger.enforce_account_laws();
