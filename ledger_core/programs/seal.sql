-- Seals: the fingerprint of a closed period, and what contradicts those on record. Format 1, never changed once used:
--   line of an entry  JSON array [line_no, account_id, account, asset, entity, layer, amount_minor, effective_at, detail or null]
--   entry             JSON array of its header, then its lines in order, each on a text line of its own (UTF-8)
--   leaf              sha256(0x00 || entry), in feed order; node: sha256(0x01 || left || right), an odd one goes up as it is
--   root              of that tree (RFC 6962); of no entries, sha256 of nothing
--   seal              sha256(seal before, 32 zero bytes at first || ends_at || format_version || entry_count || root)
-- Times are the hex of 8 bytes, microseconds since 2000-01-01 UTC; hashes are hex; numbers in `seal` are big-endian. So
-- no setting of a session changes a byte. Requests that were refused are left out: they arrive in closed periods too.

-- The roots of the closed periods that end in a span, from the journal as it is now: all that an entry says, but xid.
CREATE OR REPLACE FUNCTION ledger.period_roots(p_after timestamptz, p_until timestamptz) RETURNS TABLE (ends_at timestamptz, entry_count bigint, root bytea)
LANGUAGE sql STABLE SET jit = off SET work_mem = '64MB' AS $$
  WITH RECURSIVE closed AS MATERIALIZED (
    SELECT array_agg(p.ends_at::timestamptz ORDER BY p.ends_at) AS ends_at FROM ledger.period AS p
  ), leaf AS (
    SELECT c.ends_at[width_bucket(e.effective_at, c.ends_at) + 1] AS ends_at, f.position, e.entry_id,
           sha256('\x00'::bytea || convert_to(json_build_array(
             e.entry_id, e.entry_key, encode(timestamptz_send(e.effective_at), 'hex'), encode(timestamptz_send(e.recorded_at), 'hex'), e.line_count, e.hash_version,
             encode(e.request_hash, 'hex'), e.posted_by, e.reverses_entry_id, e.corrects_entry_id, e.reason, e.authoriser)::text
             || coalesce((
               SELECT string_agg(E'\n' || json_build_array(
                        l.line_no, l.account_id, a.code, a.asset, a.entity, l.layer, l.amount_minor, encode(timestamptz_send(l.effective_at), 'hex'),
                        CASE WHEN d.entry_id IS NOT NULL THEN json_build_array(
                          d.kind, d.description, d.counterparty, d.batch_ref, d.ref_end_to_end, d.ref_uetr, d.ref_servicer, d.ref_psp, d.ref_merchant, d.ref_payout,
                          d.ref_arn, d.ref_rrn, d.ref_auth_code, d.fx_rate, d.fx_asset, d.fx_amount_minor, d.metadata) END)::text, '' ORDER BY l.line_no)
               FROM ledger.journal_line AS l
               LEFT JOIN ledger.account AS a ON a.account_id = l.account_id
               LEFT JOIN ledger.journal_line_detail AS d ON d.entry_id = l.entry_id AND d.line_no = l.line_no
               WHERE l.entry_id = e.entry_id), ''), 'UTF8')) AS hash
    FROM closed AS c
    JOIN ledger.journal_entry AS e ON e.line_count > 0 AND e.effective_at < p_until AND width_bucket(e.effective_at, c.ends_at) >= width_bucket(p_after, c.ends_at)
    LEFT JOIN ledger.feed AS f ON f.entry_id = e.entry_id
  ), tree AS (
    SELECT l.ends_at, row_number() OVER w - 1 AS place, count(*) OVER (PARTITION BY l.ends_at) AS size, l.hash
    FROM leaf AS l WINDOW w AS (PARTITION BY l.ends_at ORDER BY l.position, l.entry_id)
    UNION ALL
    SELECT n.ends_at, n.place / 2, (n.size + 1) / 2, CASE WHEN n.next_hash IS NULL THEN n.hash ELSE sha256('\x01'::bytea || n.hash || n.next_hash) END
    FROM (
      SELECT t.ends_at, t.place, t.size, t.hash, lead(t.hash) OVER (PARTITION BY t.ends_at ORDER BY t.place) AS next_hash FROM tree AS t WHERE t.size > 1
    ) AS n
    WHERE n.place % 2 = 0
  )
  SELECT p.ends_at, coalesce(l.total, 0), coalesce(t.hash, sha256(''))
  FROM ledger.period AS p
  LEFT JOIN tree AS t ON t.ends_at = p.ends_at AND t.size = 1
  LEFT JOIN (SELECT x.ends_at, count(*) AS total FROM leaf AS x GROUP BY x.ends_at) AS l ON l.ends_at = p.ends_at
  WHERE p.ends_at > p_after AND p.ends_at <= p_until
  ORDER BY p.ends_at;
$$;

CREATE OR REPLACE FUNCTION ledger.seal_of(p_previous bytea, p_ends_at timestamptz, p_format_version smallint, p_entry_count bigint, p_root bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT sha256(coalesce(p_previous, decode(repeat('00', 32), 'hex')) || timestamptz_send(p_ends_at) || int2send(p_format_version) || int8send(p_entry_count) || p_root);
$$;

-- Seals every closed period that is not sealed yet, in order, up to an end (NULL: all); returns the new seals.
-- The relay must have numbered all entries of the period, and committed that, before.
CREATE OR REPLACE FUNCTION ledger.seal_period(p_ends_at timestamptz DEFAULT NULL)
RETURNS TABLE (ends_at timestamptz, format_version smallint, entry_count bigint, root bytea, seal bytea)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  last record;
  made record;
  until_at timestamptz;
  unnumbered text;
BEGIN
  LOCK TABLE ledger.period_seal IN SHARE ROW EXCLUSIVE MODE;
  SELECT max(p.ends_at) INTO until_at FROM ledger.period AS p WHERE p_ends_at IS NULL OR p.ends_at = p_ends_at;
  IF until_at IS NULL AND p_ends_at IS NOT NULL THEN
    RAISE EXCEPTION 'seal: expected the end of a closed period, found %', p_ends_at USING ERRCODE = 'TL010', HINT = 'close the period first';
  END IF;
  SELECT e.entry_key INTO unnumbered
  FROM ledger.journal_entry AS e
  WHERE e.line_count > 0 AND e.effective_at < until_at AND NOT EXISTS (SELECT FROM ledger.feed AS f WHERE f.entry_id = e.entry_id) LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'seal: the feed has not numbered entry %', quote_literal(unnumbered) USING ERRCODE = 'TL010', HINT = 'run the relay first, in a transaction of its own';
  END IF;
  SELECT s.ends_at, s.seal INTO last FROM ledger.period_seal AS s ORDER BY s.ends_at DESC LIMIT 1;
  FOR made IN SELECT r.ends_at, r.entry_count, r.root FROM ledger.period_roots(coalesce(last.ends_at, '-infinity'), until_at) AS r ORDER BY r.ends_at LOOP
    INSERT INTO ledger.period_seal AS s (ends_at, format_version, entry_count, root, seal)
    VALUES (made.ends_at, 1, made.entry_count, made.root, ledger.seal_of(last.seal, made.ends_at, 1::smallint, made.entry_count, made.root))
    RETURNING s.ends_at, s.seal INTO last;
    RETURN QUERY SELECT s.ends_at, s.format_version, s.entry_count, s.root::bytea, s.seal::bytea FROM ledger.period_seal AS s WHERE s.ends_at = last.ends_at;
  END LOOP;
END;
$$;

-- Seals that the journal contradicts, and gaps in their order.
CREATE OR REPLACE FUNCTION ledger.seal_faults() RETURNS TABLE (place timestamptz, fault text) LANGUAGE sql STABLE AS $$
  SELECT coalesce(r.ends_at, s.ends_at), format('period ending %s: %s', coalesce(r.ends_at, s.ends_at) AT TIME ZONE 'UTC', CASE
           WHEN s.ends_at IS NULL THEN 'its seal is missing, a later one is there'
           WHEN r.ends_at IS NULL THEN 'sealed, and not closed'
           WHEN s.format_version <> 1 THEN format('its format %s is not known', s.format_version)
           WHEN s.entry_count <> r.entry_count THEN format('sealed with %s entries, found %s', s.entry_count, r.entry_count)
           WHEN s.root <> r.root THEN 'its entries are not those that were sealed'
           ELSE 'its seal does not follow from the one before' END)
  FROM ledger.period_roots('-infinity', (SELECT max(x.ends_at) FROM ledger.period_seal AS x)) AS r
  FULL JOIN (
    SELECT x.ends_at, x.format_version, x.entry_count, x.root, x.seal, lag(x.seal) OVER (ORDER BY x.ends_at) AS previous FROM ledger.period_seal AS x
  ) AS s ON s.ends_at = r.ends_at
  WHERE (s.format_version = 1 AND s.entry_count = r.entry_count AND s.root = r.root
         AND s.seal = ledger.seal_of(s.previous, s.ends_at, s.format_version, s.entry_count, s.root)) IS NOT TRUE;
$$;
