-- The ledger's windows: what others may read, the checks of the laws, and who may do what.

CREATE VIEW ledger.asset_v1 AS
SELECT s.code AS asset, s.exponent
FROM ledger.asset AS s;

CREATE VIEW ledger.account_v1 AS
SELECT a.account_id, a.code AS account, a.name, a.type, s.code AS asset, s.exponent, a.may_overdraw, a.normal_sign,
       a.recorded_at AS opened_at, a.opened_by, c.recorded_at AS closed_at, c.closed_by
FROM ledger.account AS a
JOIN ledger.asset AS s ON s.asset_id = a.asset_id
LEFT JOIN ledger.account_closure AS c ON c.account_id = a.account_id;

CREATE VIEW ledger.journal_line_v1 AS
SELECT l.entry_id, e.entry_key, l.line_no, l.effective_at, e.recorded_at, l.xid, a.code AS account, s.code AS asset,
       l.amount_minor,
       CASE WHEN l.amount_minor > 0 THEN l.amount_minor END AS debit_minor,
       CASE WHEN l.amount_minor < 0 THEN -l.amount_minor END AS credit_minor,
       l.kind, l.description, l.counterparty,
       l.batch_ref::text AS batch_ref, l.ref_end_to_end::text AS ref_end_to_end, l.ref_uetr::text AS ref_uetr,
       l.ref_servicer::text AS ref_servicer, l.ref_psp::text AS ref_psp, l.ref_merchant::text AS ref_merchant,
       l.ref_payout::text AS ref_payout, l.ref_arn::text AS ref_arn, l.ref_rrn::text AS ref_rrn,
       l.ref_auth_code::text AS ref_auth_code, l.fx_rate, l.fx_asset, l.fx_amount_minor, l.metadata,
       e.line_count, e.reverses_entry_id,
       (SELECT r.entry_key FROM ledger.journal_entry AS r WHERE r.entry_id = e.reverses_entry_id) AS reverses_entry_key,
       e.reason, e.authoriser, e.posted_by
FROM ledger.journal_line AS l
JOIN ledger.journal_entry AS e ON e.entry_id = l.entry_id
JOIN ledger.account AS a ON a.account_id = l.account_id
JOIN ledger.asset AS s ON s.asset_id = l.asset_id;

-- Debits minus credits of an account over lines effective strictly before one instant, as recorded up to another.
-- NULL means without that bound. numeric, because a sum of many amounts may leave 64 bits.
CREATE FUNCTION ledger.balance(p_account text, p_effective_before timestamptz DEFAULT NULL, p_known_at timestamptz DEFAULT NULL)
RETURNS numeric
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  asked bigint;
  total numeric;
BEGIN
  SELECT a.account_id INTO asked FROM ledger.account AS a WHERE a.code = p_account;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'account %: expected an account of the chart, found none', quote_nullable(p_account) USING ERRCODE = 'TL003';
  END IF;
  IF p_known_at IS NULL THEN
    SELECT sum(l.amount_minor) INTO total
    FROM ledger.journal_line AS l
    WHERE l.account_id = asked
      AND l.effective_at < coalesce(p_effective_before, 'infinity');
  ELSE
    SELECT sum(l.amount_minor) INTO total
    FROM ledger.journal_line AS l
    JOIN ledger.journal_entry AS e ON e.entry_id = l.entry_id
    WHERE l.account_id = asked
      AND l.effective_at < coalesce(p_effective_before, 'infinity')
      AND e.recorded_at <= p_known_at;
  END IF;
  RETURN coalesce(total, 0);
END;
$$;

-- Every account with its balance on its side, over lines effective strictly before an instant (NULL: all).
CREATE FUNCTION ledger.trial_balance(p_effective_before timestamptz DEFAULT NULL)
RETURNS TABLE (account text, name text, type text, asset text, debit_minor numeric, credit_minor numeric)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
  SELECT a.code, a.name, a.type, s.code, greatest(coalesce(b.total, 0), 0), greatest(-coalesce(b.total, 0), 0)
  FROM ledger.account AS a
  JOIN ledger.asset AS s ON s.asset_id = a.asset_id
  LEFT JOIN (
    SELECT l.account_id, sum(l.amount_minor) AS total
    FROM ledger.journal_line AS l
    WHERE l.effective_at < coalesce(p_effective_before, 'infinity')
    GROUP BY l.account_id
  ) AS b ON b.account_id = a.account_id
  ORDER BY a.code;
$$;

-- What contradicts one law, found by looking at every row again: how often, and the first place. Triggers keep the laws;
-- this is the alarm for whatever got past them (a restore with triggers off, a fault of ours). Each check is one pass.
CREATE FUNCTION ledger.verify(p_check text)
RETURNS TABLE (offences bigint, first_offence text)
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $$
BEGIN
  CASE p_check
    WHEN 'entry_zero_sum' THEN
      RETURN QUERY
        SELECT count(*), min(format('entry id %s: %s in asset id %s', b.entry_id, b.total, b.asset_id))
        FROM (
          SELECT l.entry_id, l.asset_id, sum(l.amount_minor) AS total
          FROM ledger.journal_line AS l
          GROUP BY l.entry_id, l.asset_id
          HAVING sum(l.amount_minor) <> 0
        ) AS b;
    WHEN 'asset_zero_sum' THEN
      RETURN QUERY
        SELECT count(*), min(format('asset id %s: %s', b.asset_id, b.total))
        FROM (
          SELECT l.asset_id, sum(l.amount_minor) AS total
          FROM ledger.journal_line AS l
          GROUP BY l.asset_id
          HAVING sum(l.amount_minor) <> 0
        ) AS b;
    WHEN 'entry_complete' THEN
      RETURN QUERY
        SELECT count(*), min(format('entry id %s: header says %s lines, found %s', coalesce(e.entry_id, g.entry_id),
                                    coalesce(e.line_count, 0), coalesce(g.line_total, 0)))
        FROM ledger.journal_entry AS e
        FULL JOIN (
          SELECT l.entry_id, count(*) AS line_total, min(l.line_no) AS first_no, max(l.line_no) AS last_no,
                 min(l.effective_at) AS first_at, max(l.effective_at) AS last_at
          FROM ledger.journal_line AS l
          GROUP BY l.entry_id
        ) AS g ON g.entry_id = e.entry_id
        WHERE (e.line_count = g.line_total AND g.first_no = 1 AND g.last_no = g.line_total
               AND g.first_at = e.effective_at AND g.last_at = e.effective_at) IS NOT TRUE;
    WHEN 'line_account' THEN
      RETURN QUERY
        SELECT count(*), min(format('entry id %s line %s: account id %s does not exist in asset id %s',
                                    l.entry_id, l.line_no, l.account_id, l.asset_id))
        FROM ledger.journal_line AS l
        LEFT JOIN ledger.account AS a ON a.account_id = l.account_id
        WHERE a.asset_id IS DISTINCT FROM l.asset_id;
    WHEN 'reversal_mirror' THEN
      RETURN QUERY
        SELECT count(DISTINCT coalesce(e.entry_id, m.entry_id)), min(format('reversal, entry id %s', coalesce(e.entry_id, m.entry_id)))
        FROM ledger.journal_entry AS e
        JOIN ledger.journal_line AS o ON o.entry_id = e.reverses_entry_id
        FULL JOIN (
          SELECT l.entry_id, l.line_no, l.account_id, l.asset_id, l.amount_minor
          FROM ledger.journal_line AS l
          JOIN ledger.journal_entry AS r ON r.entry_id = l.entry_id
          WHERE r.reverses_entry_id IS NOT NULL
        ) AS m ON m.entry_id = e.entry_id AND m.line_no = o.line_no
        WHERE (m.account_id = o.account_id AND m.asset_id = o.asset_id AND m.amount_minor = -o.amount_minor) IS NOT TRUE;
    WHEN 'not_overdrawn' THEN
      RETURN QUERY
        SELECT count(*), min(format('account %s: %s', b.code, b.total))
        FROM (
          SELECT a.code, sum(l.amount_minor) AS total
          FROM ledger.account AS a
          JOIN ledger.journal_line AS l ON l.account_id = a.account_id
          WHERE NOT a.may_overdraw
          GROUP BY a.account_id, a.code, a.normal_sign
          HAVING a.normal_sign * sum(l.amount_minor) < 0
        ) AS b;
    ELSE
      RAISE EXCEPTION 'verify: expected the name of a check, found %', quote_nullable(p_check) USING ERRCODE = 'TL007';
  END CASE;
END;
$$;

-- Who may do what. No role but the owner has any right on a table.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA ledger FROM PUBLIC;
GRANT USAGE ON SCHEMA ledger TO tieout_poster, tieout_ledger_reader;
GRANT SELECT ON ledger.asset_v1, ledger.account_v1, ledger.journal_line_v1 TO tieout_poster, tieout_ledger_reader;
GRANT EXECUTE ON FUNCTION ledger.balance(text, timestamptz, timestamptz), ledger.trial_balance(timestamptz),
  ledger.verify(text)
  TO tieout_poster, tieout_ledger_reader;
GRANT EXECUTE ON FUNCTION
  ledger.define_assets(text[], integer[]),
  ledger.open_accounts(text[], text[], text[], text[], boolean[]),
  ledger.close_account(text, text, text),
  ledger.post_entries(
    text[], timestamptz[], text[], bigint[], text[], text[], text[], text[], text[], text[], text[], text[], text[], text[],
    text[], text[], text[], text[], numeric[], text[], bigint[], jsonb[]),
  ledger.reverse_entry(text, text, text, timestamptz)
  TO tieout_poster;
