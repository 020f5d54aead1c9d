-- The doors for the chart: assets, accounts, periods. A definition never changes; the same again changes nothing.

CREATE OR REPLACE FUNCTION ledger.define_assets(p_code text[], p_exponent integer[]) RETURNS TABLE (code text, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  offence record;
  added text[];
BEGIN
  WITH added_row AS (
    INSERT INTO ledger.asset (code, exponent)
    SELECT DISTINCT s.code, s.exponent FROM unnest(p_code, p_exponent) AS s (code, exponent) ORDER BY s.code
    ON CONFLICT ON CONSTRAINT asset_pkey DO NOTHING RETURNING code
  )
  SELECT array_agg(a.code) INTO added FROM added_row AS a;
  SELECT s.code, a.exponent AS held, s.exponent AS sent INTO offence
  FROM unnest(p_code, p_exponent) AS s (code, exponent) JOIN ledger.asset AS a ON a.code = s.code
  WHERE a.exponent <> s.exponent ORDER BY s.code LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'asset %: the ledger holds exponent %, found %', offence.code, offence.held, offence.sent
      USING ERRCODE = 'TL009', HINT = 'an exponent never changes; define another asset code';
  END IF;
  RETURN QUERY SELECT DISTINCT s.code, CASE WHEN s.code = ANY (added) THEN 'defined' ELSE 'unchanged' END FROM unnest(p_code) AS s (code) ORDER BY 1;
END;
$$;

-- Opens accounts. Without p_leaf, an account is a summary exactly when another one of the call lies below it.
CREATE OR REPLACE FUNCTION ledger.open_accounts(
  p_code text[], p_name text[], p_type text[], p_asset text[], p_may_overdraw boolean[], p_entity text[] DEFAULT NULL, p_leaf boolean[] DEFAULT NULL
) RETURNS TABLE (code text, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
  offence record;
  opened text[];
BEGIN
  SELECT s.code, s.asset, count(*) OVER (PARTITION BY s.code) AS times INTO offence
  FROM unnest(p_code, p_asset) AS s (code, asset)
  ORDER BY (SELECT a.code FROM ledger.asset AS a WHERE a.code = s.asset) IS NULL DESC, times DESC, s.code LIMIT 1;
  IF offence.times > 1 THEN
    RAISE EXCEPTION 'account %: expected one definition, found %', offence.code, offence.times USING ERRCODE = 'TL009';
  ELSIF FOUND AND NOT EXISTS (SELECT FROM ledger.asset AS a WHERE a.code = offence.asset) THEN
    RAISE EXCEPTION 'account %: expected a defined asset, found %', offence.code, coalesce(quote_literal(offence.asset), 'none')
      USING ERRCODE = 'TL009', HINT = 'define the asset with its exponent first';
  END IF;

  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'transaction: opening accounts needs READ COMMITTED, found %', upper(current_setting('transaction_isolation'))
      USING ERRCODE = 'TL007', HINT = 'an older snapshot would not see the leaf that was opened above';
  END IF;
  LOCK TABLE ledger.account IN SHARE ROW EXCLUSIVE MODE;
  WITH added_row AS (
    INSERT INTO ledger.account (code, name, type, asset, may_overdraw, entity, is_leaf)
    SELECT s.code, s.name, s.type, s.asset, s.may_overdraw, coalesce(s.entity, 'main'),
           coalesce(s.leaf, NOT EXISTS (SELECT FROM unnest(p_code) AS x (code) WHERE starts_with(x.code, s.code || ':')))
    FROM unnest(p_code, p_name, p_type, p_asset, p_may_overdraw, p_entity, p_leaf) AS s (code, name, type, asset, may_overdraw, entity, leaf)
    ORDER BY s.code
    ON CONFLICT ON CONSTRAINT account_code_key DO NOTHING RETURNING account_id, code, may_overdraw
  ), balance_row AS (
    INSERT INTO ledger.balance (account_id) SELECT a.account_id FROM added_row AS a WHERE NOT a.may_overdraw
  )
  SELECT array_agg(a.code) INTO opened FROM added_row AS a;

  SELECT s.code, concat_ws(', ',
           CASE WHEN a.name <> s.name THEN 'name' END,
           CASE WHEN a.type <> s.type THEN format('type %s instead of %s', s.type, a.type) END,
           CASE WHEN a.asset <> s.asset THEN format('asset %s instead of %s', s.asset, a.asset) END,
           CASE WHEN a.may_overdraw <> s.may_overdraw THEN format('may_overdraw %s instead of %s', s.may_overdraw, a.may_overdraw) END,
           CASE WHEN a.entity <> s.entity THEN format('entity %s instead of %s', s.entity, a.entity) END,
           CASE WHEN a.is_leaf <> s.leaf THEN format('leaf %s instead of %s', s.leaf, a.is_leaf) END) AS changed
  INTO offence
  FROM unnest(p_code, p_name, p_type, p_asset, p_may_overdraw, p_entity, p_leaf) AS s (code, name, type, asset, may_overdraw, entity, leaf)
  JOIN ledger.account AS a ON a.code = s.code
  WHERE (a.name, a.type, a.asset, a.may_overdraw, a.entity, a.is_leaf)
        IS DISTINCT FROM (s.name, s.type, s.asset, s.may_overdraw, coalesce(s.entity, a.entity), coalesce(s.leaf, a.is_leaf))
  ORDER BY s.code LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'account %: the ledger holds another definition, found a change of %', offence.code, offence.changed
      USING ERRCODE = 'TL009', HINT = 'a definition never changes; open a new account';
  END IF;
  RETURN QUERY
    SELECT s.code, CASE WHEN s.code = ANY (opened) THEN 'opened' ELSE 'unchanged' END FROM unnest(p_code) WITH ORDINALITY AS s (code, ordinal) ORDER BY s.ordinal;
END;
$$;

-- Closes an account whose layers are all zero, for ever; returns 'closed' or, when it was before, 'unchanged'.
CREATE OR REPLACE FUNCTION ledger.close_account(p_account text, p_reason text, p_authoriser text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  closing bigint;
  held record;
BEGIN
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'transaction: closing needs READ COMMITTED, found %', upper(current_setting('transaction_isolation'))
      USING ERRCODE = 'TL007', HINT = 'an older snapshot would not see what was posted last';
  END IF;
  SELECT a.account_id INTO closing FROM ledger.account AS a WHERE a.code = p_account;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'account %: expected an account of the chart, found none', quote_nullable(p_account) USING ERRCODE = 'TL003';
  END IF;
  -- Waits for running postings and holds new ones back until this commits; otherwise one that checked "open" before the
  -- closure could commit after it. Closing is rare, posting must not pay for it.
  LOCK TABLE ledger.journal_line IN SHARE MODE;
  SELECT b.posted, b.outgoing, b.incoming, b.planned INTO held FROM ledger.layers(closing, 'infinity', NULL, NULL) AS b;
  IF (held.posted, held.outgoing, held.incoming, held.planned) <> (0, 0, 0, 0) THEN
    RAISE EXCEPTION 'account %: expected a balance of 0 to close it, found % minor units posted and % held or planned', p_account, held.posted,
      abs(held.outgoing) + abs(held.incoming) + abs(held.planned) USING ERRCODE = 'TL003';
  END IF;
  INSERT INTO ledger.account_closure (account_id, reason, authoriser) VALUES (closing, p_reason, p_authoriser)
  ON CONFLICT ON CONSTRAINT account_closure_pkey DO NOTHING;
  RETURN CASE WHEN FOUND THEN 'closed' ELSE 'unchanged' END;
END;
$$;

-- Closes the time before p_ends_at, for ever: what takes effect before it is refused from now on. Waits for running postings, as above.
CREATE OR REPLACE FUNCTION ledger.close_period(p_ends_at timestamptz, p_reason text, p_authoriser text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  newest timestamptz;
BEGIN
  LOCK TABLE ledger.journal_line IN SHARE ROW EXCLUSIVE MODE;
  SELECT coalesce(max(p.ends_at), '-infinity') INTO newest FROM ledger.period AS p;
  IF EXISTS (SELECT FROM ledger.period AS p WHERE p.ends_at = p_ends_at) THEN
    RETURN 'unchanged';
  ELSIF (p_ends_at > newest AND p_ends_at <= clock_timestamp()) IS NOT TRUE THEN
    RAISE EXCEPTION 'period: expected an end after % and not in the future, found %', newest, coalesce(p_ends_at::text, 'none') USING ERRCODE = 'TL010';
  END IF;
  INSERT INTO ledger.period (ends_at, starts_at, reason, authoriser) VALUES (p_ends_at, newest, p_reason, p_authoriser);
  RETURN 'closed';
END;
$$;
