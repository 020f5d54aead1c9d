-- The ledger's tables and laws, for reading. Databases are built by migrations/versions; a test proves both equal.
-- Amounts are signed integers of minor units: debit positive. Names ending in _v1 are what others may read
-- (functions.sql). Triggers do not fire under session_replication_role = replica; ledger_core.verify is the alarm for that.

-- Prevents blank and unindexable references.
CREATE DOMAIN ledger.reference AS text
  CONSTRAINT reference_length CHECK (length(VALUE) BETWEEN 1 AND 255);

-- Prevents a second meaning of a currency code: the exponent belongs to the asset and never changes.
CREATE TABLE ledger.asset (
  asset_id    integer     GENERATED ALWAYS AS IDENTITY,
  code        text        NOT NULL,
  exponent    smallint    NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  CONSTRAINT asset_pkey PRIMARY KEY (asset_id),
  CONSTRAINT asset_code_key UNIQUE (code),
  CONSTRAINT asset_code_form CHECK (code ~ '^[A-Z0-9][A-Z0-9._-]{0,15}$'),
  CONSTRAINT asset_exponent_range CHECK (exponent BETWEEN 0 AND 18)
);

-- Prevents posting to a name nobody defined; one account holds one asset for ever.
CREATE TABLE ledger.account (
  account_id   bigint      GENERATED ALWAYS AS IDENTITY,
  code         text        NOT NULL,
  name         text        NOT NULL,
  type         text        NOT NULL,
  asset_id     integer     NOT NULL,
  may_overdraw boolean     NOT NULL,
  normal_sign  smallint    NOT NULL GENERATED ALWAYS AS (CASE WHEN type IN ('asset', 'expense') THEN 1 ELSE -1 END) STORED,
  recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  opened_by    text        NOT NULL DEFAULT session_user,
  CONSTRAINT account_pkey PRIMARY KEY (account_id),
  CONSTRAINT account_code_key UNIQUE (code),
  CONSTRAINT account_asset_fkey FOREIGN KEY (asset_id) REFERENCES ledger.asset (asset_id),
  CONSTRAINT account_code_form CHECK (length(code) <= 200 AND code ~ '^[A-Za-z0-9._-]+(:[A-Za-z0-9._-]+)*$'),
  CONSTRAINT account_name_length CHECK (length(name) BETWEEN 1 AND 255),
  CONSTRAINT account_type_known CHECK (type IN ('asset', 'liability', 'equity', 'income', 'expense'))
);

-- Prevents closing an account without a trace: closed means there is a row here, and rows here never go.
CREATE TABLE ledger.account_closure (
  account_id  bigint      NOT NULL,
  reason      text        NOT NULL,
  authoriser  text        NOT NULL,
  recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  closed_by   text        NOT NULL DEFAULT session_user,
  CONSTRAINT account_closure_pkey PRIMARY KEY (account_id),
  CONSTRAINT account_closure_account_fkey FOREIGN KEY (account_id) REFERENCES ledger.account (account_id),
  CONSTRAINT account_closure_reason_length CHECK (length(reason) BETWEEN 1 AND 1000),
  CONSTRAINT account_closure_authoriser_length CHECK (length(authoriser) BETWEEN 1 AND 255)
);

-- Prevents posting twice (entry_key), reversing twice (reverses_entry_id) and reversing without reason and authoriser.
CREATE TABLE ledger.journal_entry (
  entry_id          bigint      GENERATED ALWAYS AS IDENTITY,
  entry_key         text        NOT NULL,
  request_hash      bytea       NOT NULL,
  hash_version      smallint    NOT NULL DEFAULT 1,
  effective_at      timestamptz NOT NULL,
  recorded_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  xid               xid8        NOT NULL DEFAULT pg_current_xact_id(),
  line_count        integer     NOT NULL,
  reverses_entry_id bigint,
  reason            text,
  authoriser        text,
  posted_by         text        NOT NULL DEFAULT session_user,
  CONSTRAINT journal_entry_pkey PRIMARY KEY (entry_id),
  CONSTRAINT journal_entry_key_key UNIQUE (entry_key),
  CONSTRAINT journal_entry_reverses_key UNIQUE (reverses_entry_id),
  CONSTRAINT journal_entry_reverses_fkey FOREIGN KEY (reverses_entry_id) REFERENCES ledger.journal_entry (entry_id),
  CONSTRAINT journal_entry_key_length CHECK (length(entry_key) BETWEEN 1 AND 255),
  CONSTRAINT journal_entry_hash_length CHECK (octet_length(request_hash) = 32),
  CONSTRAINT journal_entry_effective_finite CHECK (isfinite(effective_at)),
  CONSTRAINT journal_entry_line_count_min CHECK (line_count >= 2),
  CONSTRAINT journal_entry_not_own_reversal CHECK (reverses_entry_id <> entry_id),
  CONSTRAINT journal_entry_reversal_complete CHECK (num_nonnulls(reverses_entry_id, reason, authoriser) IN (0, 3)),
  CONSTRAINT journal_entry_reason_length CHECK (length(reason) BETWEEN 1 AND 1000),
  CONSTRAINT journal_entry_authoriser_length CHECK (length(authoriser) BETWEEN 1 AND 255)
);

-- Prevents money without a place: each line is one signed amount of one asset on one account.
-- No foreign keys to entry and account: two row checks per line cost six times the statement trigger that replaces them,
-- and the referenced rows cannot be removed by anybody.
CREATE TABLE ledger.journal_line (
  entry_id        bigint      NOT NULL,
  line_no         integer     NOT NULL,
  account_id      bigint      NOT NULL,
  asset_id        integer     NOT NULL,
  amount_minor    bigint      NOT NULL,
  effective_at    timestamptz NOT NULL,
  xid             xid8        NOT NULL DEFAULT pg_current_xact_id(),
  kind            text,
  description     text,
  counterparty    text,
  batch_ref       ledger.reference,
  ref_end_to_end  ledger.reference,
  ref_uetr        ledger.reference,
  ref_servicer    ledger.reference,
  ref_psp         ledger.reference,
  ref_merchant    ledger.reference,
  ref_payout      ledger.reference,
  ref_arn         ledger.reference,
  ref_rrn         ledger.reference,
  ref_auth_code   ledger.reference,
  fx_rate         numeric,
  fx_asset        text,
  fx_amount_minor bigint,
  metadata        jsonb,
  CONSTRAINT journal_line_pkey PRIMARY KEY (entry_id, line_no),
  CONSTRAINT journal_line_amount_not_zero CHECK (amount_minor <> 0),
  -- The smallest bigint has no negative: it could never be reversed.
  CONSTRAINT journal_line_amount_negatable CHECK (least(amount_minor, fx_amount_minor) > -9223372036854775808),
  CONSTRAINT journal_line_kind_length CHECK (length(kind) BETWEEN 1 AND 64),
  CONSTRAINT journal_line_description_length CHECK (length(description) BETWEEN 1 AND 1000),
  CONSTRAINT journal_line_counterparty_length CHECK (length(counterparty) BETWEEN 1 AND 255),
  CONSTRAINT journal_line_fx_pair CHECK (num_nonnulls(fx_asset, fx_amount_minor) IN (0, 2)),
  CONSTRAINT journal_line_fx_asset_form CHECK (fx_asset ~ '^[A-Z0-9][A-Z0-9._-]{0,15}$'),
  -- Kept exactly as sent: what would have to be rounded is refused (20 digits before, 18 after the mark).
  CONSTRAINT journal_line_fx_rate_exact CHECK (fx_rate > 0 AND fx_rate < 1e20 AND scale(fx_rate) <= 18),
  CONSTRAINT journal_line_metadata_object CHECK (jsonb_typeof(metadata) = 'object')
);

-- Prevents reading an account's whole history for a balance or a period.
CREATE INDEX journal_line_account_effective_idx ON ledger.journal_line (account_id, effective_at) INCLUDE (amount_minor);
-- Prevents the same for "what was posted since that snapshot".
CREATE INDEX journal_line_account_xid_idx ON ledger.journal_line (account_id, xid);
-- Prevent full scans when a person or a rule looks up one reference; most lines have few of them, hence partial.
CREATE INDEX journal_line_batch_ref_idx ON ledger.journal_line (batch_ref) WHERE batch_ref IS NOT NULL;
CREATE INDEX journal_line_ref_end_to_end_idx ON ledger.journal_line (ref_end_to_end) WHERE ref_end_to_end IS NOT NULL;
CREATE INDEX journal_line_ref_uetr_idx ON ledger.journal_line (ref_uetr) WHERE ref_uetr IS NOT NULL;
CREATE INDEX journal_line_ref_servicer_idx ON ledger.journal_line (ref_servicer) WHERE ref_servicer IS NOT NULL;
CREATE INDEX journal_line_ref_psp_idx ON ledger.journal_line (ref_psp) WHERE ref_psp IS NOT NULL;
CREATE INDEX journal_line_ref_merchant_idx ON ledger.journal_line (ref_merchant) WHERE ref_merchant IS NOT NULL;
CREATE INDEX journal_line_ref_payout_idx ON ledger.journal_line (ref_payout) WHERE ref_payout IS NOT NULL;
CREATE INDEX journal_line_ref_arn_idx ON ledger.journal_line (ref_arn) WHERE ref_arn IS NOT NULL;
CREATE INDEX journal_line_ref_rrn_idx ON ledger.journal_line (ref_rrn) WHERE ref_rrn IS NOT NULL;

-- Law: posted rows never change, not even by their owner's hand.
CREATE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  RAISE EXCEPTION 'ledger.%: % is refused, rows here are only ever added', TG_TABLE_NAME, TG_OP
    USING ERRCODE = 'TL005', HINT = 'correct an entry by reversing it';
END;
$$;

CREATE TRIGGER asset_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.asset
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER account_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.account
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER account_closure_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.account_closure
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER journal_entry_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.journal_entry
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();
CREATE TRIGGER journal_line_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.journal_line
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change();

-- Laws over the lines of one statement: zero-sum per entry and asset, complete and closed entries, accounts that exist,
-- are open and hold the asset, and no guarded account below zero.
-- Header and account are looked up by key behind OFFSET 0: a join could be planned on an empty table as a full scan and
-- would keep that plan for the life of the session.
CREATE FUNCTION ledger.enforce_line_laws() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  offence record;
  guarded bigint[];
BEGIN
  SELECT g.entry_id, g.line_total, h.entry_key, h.line_count INTO offence
  FROM (
    SELECT n.entry_id, count(*) AS line_total, min(n.line_no) AS first_no, max(n.line_no) AS last_no,
           min(n.effective_at) AS first_at, max(n.effective_at) AS last_at, bool_and(n.xid = pg_current_xact_id()) AS is_ours
    FROM new_line AS n
    GROUP BY n.entry_id
  ) AS g
  LEFT JOIN LATERAL (
    SELECT e.entry_key, e.line_count, e.effective_at, e.xid
    FROM ledger.journal_entry AS e
    WHERE e.entry_id = g.entry_id
    OFFSET 0
  ) AS h ON true
  WHERE (h.line_count = g.line_total AND g.first_no = 1 AND g.last_no = g.line_total AND g.first_at = h.effective_at
         AND g.last_at = h.effective_at AND h.xid = pg_current_xact_id() AND g.is_ours) IS NOT TRUE
  ORDER BY g.entry_id
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'entry %: its lines must come complete, numbered from 1, with its time, in the statement of its header; expected % lines, found %',
      coalesce(quote_literal(offence.entry_key), 'id ' || offence.entry_id), coalesce(offence.line_count, 0), offence.line_total
      USING ERRCODE = 'TL002', CONSTRAINT = 'journal_line_entry_closed';
  END IF;

  SELECT g.asset_id, g.total,
         (SELECT e.entry_key FROM ledger.journal_entry AS e WHERE e.entry_id = g.entry_id) AS entry_key,
         (SELECT s.code FROM ledger.asset AS s WHERE s.asset_id = g.asset_id) AS asset
  INTO offence
  FROM (
    SELECT n.entry_id, n.asset_id, sum(n.amount_minor) AS total
    FROM new_line AS n
    GROUP BY n.entry_id, n.asset_id
    HAVING sum(n.amount_minor) <> 0
    ORDER BY n.entry_id, n.asset_id
    LIMIT 1
  ) AS g;
  IF FOUND THEN
    RAISE EXCEPTION 'entry %: debits minus credits in % must be 0 minor units, found %',
      quote_literal(offence.entry_key), coalesce(offence.asset, 'asset id ' || offence.asset_id), offence.total
      USING ERRCODE = 'TL001', CONSTRAINT = 'journal_line_zero_sum';
  END IF;

  SELECT g.account_id, a.code, a.is_closed, a.holds, s.code AS found_asset INTO offence
  FROM (SELECT DISTINCT n.account_id, n.asset_id FROM new_line AS n) AS g
  LEFT JOIN LATERAL (
    SELECT c.code, c.asset_id,
           (SELECT x.code FROM ledger.asset AS x WHERE x.asset_id = c.asset_id) AS holds,
           (SELECT true FROM ledger.account_closure AS x WHERE x.account_id = c.account_id) AS is_closed
    FROM ledger.account AS c
    WHERE c.account_id = g.account_id
    OFFSET 0
  ) AS a ON true
  LEFT JOIN LATERAL (SELECT x.code FROM ledger.asset AS x WHERE x.asset_id = g.asset_id OFFSET 0) AS s ON true
  WHERE (a.asset_id = g.asset_id AND a.is_closed IS NULL) IS NOT TRUE
  ORDER BY g.account_id
  LIMIT 1;
  IF FOUND THEN
    IF offence.code IS NULL THEN
      RAISE EXCEPTION 'account id %: expected an account of the chart, found none', offence.account_id
        USING ERRCODE = 'TL003', CONSTRAINT = 'journal_line_account_exists';
    ELSIF offence.is_closed THEN
      RAISE EXCEPTION 'account %: it is closed and takes no more lines', offence.code
        USING ERRCODE = 'TL003', CONSTRAINT = 'journal_line_account_open';
    END IF;
    RAISE EXCEPTION 'account %: it holds %, found a line in %', offence.code, offence.holds, coalesce(offence.found_asset, 'an unknown asset')
      USING ERRCODE = 'TL003', CONSTRAINT = 'journal_line_account_asset';
  END IF;

  -- Only what lowers a guarded account needs a decision, so only that takes a lock.
  SELECT array_agg(g.account_id) INTO guarded
  FROM (SELECT n.account_id, sum(n.amount_minor) AS change FROM new_line AS n GROUP BY n.account_id) AS g
  WHERE (SELECT NOT a.may_overdraw AND a.normal_sign * g.change < 0 FROM ledger.account AS a WHERE a.account_id = g.account_id);
  IF guarded IS NULL THEN
    RETURN NULL;
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'transaction: lines that lower a guarded account need READ COMMITTED, found %', upper(current_setting('transaction_isolation'))
      USING ERRCODE = 'TL007', HINT = 'an older snapshot would not see what others have just posted';
  END IF;
  -- In id order, so that two batches cannot wait for each other; the balance is read in a later statement, because a
  -- statement that waited for a lock goes on seeing the time before the wait.
  PERFORM a.account_id FROM ledger.account AS a WHERE a.account_id = ANY (guarded) ORDER BY a.account_id FOR NO KEY UPDATE;
  SELECT b.code, b.asset, b.total INTO offence
  FROM (
    SELECT a.code, a.normal_sign,
           (SELECT s.code FROM ledger.asset AS s WHERE s.asset_id = a.asset_id) AS asset,
           (SELECT sum(l.amount_minor) FROM ledger.journal_line AS l WHERE l.account_id = a.account_id) AS total
    FROM ledger.account AS a
    WHERE a.account_id = ANY (guarded)
  ) AS b
  WHERE b.normal_sign * b.total < 0
  ORDER BY b.code
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'account %: it may not be overdrawn, and would be by % minor units of %', offence.code, abs(offence.total), offence.asset
      USING ERRCODE = 'TL004', CONSTRAINT = 'journal_line_not_overdrawn';
  END IF;
  RETURN NULL;
END;
$$;

CREATE TRIGGER journal_line_laws AFTER INSERT ON ledger.journal_line
  REFERENCING NEW TABLE AS new_line
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.enforce_line_laws();

-- Laws over the headers of one statement: no entry without its lines, and a reversal is the exact mirror, line by line.
CREATE FUNCTION ledger.enforce_entry_laws() RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  offence record;
BEGIN
  SELECT n.entry_key, n.line_count INTO offence
  FROM new_entry AS n
  WHERE n.xid <> pg_current_xact_id()
     OR (SELECT l.line_no FROM ledger.journal_line AS l WHERE l.entry_id = n.entry_id AND l.line_no = n.line_count) IS NULL
  ORDER BY n.entry_id
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'entry %: expected its % lines in the statement of its header, found fewer', quote_literal(offence.entry_key), offence.line_count
      USING ERRCODE = 'TL002', CONSTRAINT = 'journal_entry_has_lines';
  END IF;

  SELECT n.entry_key INTO offence
  FROM new_entry AS n
  WHERE n.reverses_entry_id IS NOT NULL
    AND (n.line_count <> (SELECT e.line_count FROM ledger.journal_entry AS e WHERE e.entry_id = n.reverses_entry_id)
         OR n.line_count <> (
           SELECT count(*)
           FROM ledger.journal_line AS o
           WHERE o.entry_id = n.reverses_entry_id
             AND (SELECT m.account_id = o.account_id AND m.asset_id = o.asset_id AND m.amount_minor = -o.amount_minor
                  FROM ledger.journal_line AS m
                  WHERE m.entry_id = n.entry_id AND m.line_no = o.line_no)))
  ORDER BY n.entry_id
  LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'entry %: a reversal must carry the exact negatives of the lines it reverses', quote_literal(offence.entry_key)
      USING ERRCODE = 'TL006', CONSTRAINT = 'journal_entry_reversal_mirrors';
  END IF;
  RETURN NULL;
END;
$$;

CREATE TRIGGER journal_entry_laws AFTER INSERT ON ledger.journal_entry
  REFERENCING NEW TABLE AS new_entry
  FOR EACH STATEMENT EXECUTE FUNCTION ledger.enforce_entry_laws();
