-- The schema `recon`, for reading: what the migrations of this folder add up to (a test compares the two). The schema itself
-- and the roles are there before: ledger_core.migrate makes them.
--
-- Evidence is append-only: deliveries, statements, lines, matches, proofs, events, proposals, decisions and alerts are never
-- updated or deleted by anybody. Four things are projections of it and may change, under rules written beside them:
-- recon.match_member.live, recon.exception, recon.exception_member and recon.lag_observation.

-- ---------------------------------------------------------------------------------------------------------- helpers

-- Refuses every UPDATE, DELETE and TRUNCATE of evidence, for whoever tries, the owner included.
CREATE FUNCTION recon.refuse_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'recon.% is evidence: % is refused; correct by adding', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'TR001';
END
$$;

-- Whether a text holds a run of digits with a prefix and a length that the great card schemes issue, and a good Luhn digit. The
-- parsers mask such runs and more; this is the second place that keeps the law. It must never find what they leave (an
-- invoice number that only looks a little like a card number), or a good file would be refused.
CREATE FUNCTION recon.holds_card_number(candidate text) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    run text;
    total integer;
    digit integer;
BEGIN
    FOR run IN SELECT hit[1] FROM regexp_matches(candidate, '(?<![0-9])([3-6][0-9]{12,18}|2[2-7][0-9]{14})(?![0-9])', 'g') AS hit LOOP
        -- Visa; Mastercard, twice; American Express; Diners; JCB; Maestro, Discover, UnionPay
        CONTINUE WHEN run !~ '^(4[0-9]{12}|4[0-9]{15,18}|5[1-5][0-9]{14}|(222[1-9]|22[3-9][0-9]|2[3-6][0-9]{2}|27[01][0-9]|2720)[0-9]{12}|3[47][0-9]{13}|3[689][0-9]{12,17}|35(2[89]|[3-8][0-9])[0-9]{12}|50[0-9]{11,17}|(5[6-9]|6[0-9])[0-9]{11,17})$';
        total := 0;
        FOR place IN 1 .. length(run) LOOP
            digit := substr(run, length(run) - place + 1, 1)::integer;
            IF place % 2 = 0 THEN
                digit := digit * 2;
                IF digit > 9 THEN digit := digit - 9; END IF;
            END IF;
            total := total + digit;
        END LOOP;
        IF total % 10 = 0 THEN RETURN true; END IF;
    END LOOP;
    RETURN false;
END
$$;

-- Whether a reference is a card number and nothing else. One that only holds a card number is for the intake to truncate: looking
-- into every reference costs more than all other checks of a line.
CREATE FUNCTION recon.is_card_number(candidate text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT octet_length(candidate) BETWEEN 13 AND 19 AND candidate ~ '^(?:[4-6]|3[4-9]|2[2-7])[0-9]+$' AND recon.holds_card_number(candidate)
$$;

-- --------------------------------------------------------------------------------------------------------- deliveries

-- A source and the rules it had, one row for each version of its settings; runs name the version they used.
CREATE TABLE recon.source_version (
    source_id    text NOT NULL CONSTRAINT source_id_shape CHECK (source_id ~ '^[a-z][a-z0-9_]{0,30}$'),
    rules_digest text NOT NULL CONSTRAINT rules_digest_shape CHECK (rules_digest ~ '^[0-9a-f]{64}$'),
    definition   jsonb NOT NULL,
    loaded_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    loaded_by    text NOT NULL DEFAULT session_user,
    CONSTRAINT source_version_key PRIMARY KEY (source_id, rules_digest)
);

-- Every file that ever arrived, whatever became of it.
CREATE TABLE recon.delivery (
    delivery_id       bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT delivery_key PRIMARY KEY,
    xid               xid8 NOT NULL DEFAULT pg_current_xact_id(),
    source_id         text NOT NULL,
    file_name         text NOT NULL CONSTRAINT file_name_is_no_path CHECK (file_name !~ '[/\\]' AND file_name <> ''),
    file_sha256       text NOT NULL CONSTRAINT file_sha256_shape CHECK (file_sha256 ~ '^[0-9a-f]{64}$'),
    byte_count        bigint NOT NULL CONSTRAINT byte_count_not_negative CHECK (byte_count >= 0),
    for_date          date, -- the business date the deliverer named, if any
    outcome           text NOT NULL CONSTRAINT delivery_outcome CHECK (outcome IN ('accepted', 'redelivered', 'corrected', 'rejected')),
    format_name       text,
    format_version    text,
    file_reference    text,
    same_as           bigint CONSTRAINT delivery_same_as REFERENCES recon.delivery ON DELETE RESTRICT,
    line_count        bigint NOT NULL DEFAULT 0,
    added_count       bigint NOT NULL DEFAULT 0,
    changed_count     bigint NOT NULL DEFAULT 0,
    withdrawn_count   bigint NOT NULL DEFAULT 0,
    unchanged_count   bigint NOT NULL DEFAULT 0,
    refusal_code      text,
    refusal_place     text,
    refusal_expected  text,
    refusal_found     text,
    refusal_remedy    text,
    notes             text[] NOT NULL DEFAULT '{}',
    received_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    received_by       text NOT NULL DEFAULT session_user,
    content_sha256    text NOT NULL CONSTRAINT content_sha256_shape CHECK (content_sha256 ~ '^[0-9a-f]{64}$'),  -- of what was unpacked
    package_name      text,  -- the archive it came in, if any; file_sha256 is the archive's then
    provisional_count bigint NOT NULL DEFAULT 0,  -- lines that never count: intraday, pending, expected
    CONSTRAINT refusal_is_whole CHECK (
        (outcome = 'rejected') = (refusal_code IS NOT NULL)
        AND num_nulls(refusal_code, refusal_place, refusal_expected, refusal_found, refusal_remedy) IN (0, 5)
    ),
    CONSTRAINT redelivery_names_the_first CHECK ((outcome = 'redelivered') = (same_as IS NOT NULL)),
    CONSTRAINT counts_of_lines_add_up CHECK (line_count = added_count + changed_count + unchanged_count)
);
-- The same bytes are taken in once per source, whatever they came packed in.
CREATE UNIQUE INDEX delivery_bytes_once ON recon.delivery (source_id, content_sha256) WHERE outcome IN ('accepted', 'corrected');
CREATE INDEX delivery_by_source ON recon.delivery (source_id, delivery_id);

-- A person's decision to take a file in although a proof of it failed: what failed is waived for these bytes, and flagged.
CREATE TABLE recon.release (
    release_id     bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT release_key PRIMARY KEY,
    delivery_id    bigint NOT NULL CONSTRAINT released_once UNIQUE CONSTRAINT release_delivery REFERENCES recon.delivery ON DELETE RESTRICT,
    source_id      text NOT NULL,
    content_sha256 text NOT NULL,
    code           text NOT NULL CONSTRAINT release_waives_a_proof CHECK (code IN ('balance', 'control_total', 'sequence')),
    reason         text NOT NULL CONSTRAINT release_has_a_reason CHECK (reason <> ''),
    actor          text NOT NULL CONSTRAINT release_has_an_actor CHECK (actor <> ''),
    released_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX release_by_content ON recon.release (source_id, content_sha256);

-- One account's report in a delivery. A correction is a new version of the same statement_ref and to_date.
CREATE TABLE recon.statement (
    statement_id     bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT statement_key PRIMARY KEY,
    delivery_id      bigint NOT NULL CONSTRAINT statement_delivery REFERENCES recon.delivery ON DELETE RESTRICT,
    source_id        text NOT NULL,
    account          text NOT NULL,  -- ledger account it reconciles
    external_account text,
    statement_ref    text NOT NULL,
    version          integer NOT NULL CONSTRAINT statement_version_positive CHECK (version >= 1),
    asset            text NOT NULL,
    sequence_no      bigint,
    from_date        date NOT NULL,
    to_date          date NOT NULL CONSTRAINT statement_period CHECK (from_date <= to_date),
    opening_minor    bigint,
    closing_minor    bigint,
    movement_minor   bigint NOT NULL,
    line_count       bigint NOT NULL,
    pending_count    bigint NOT NULL,
    proofs           text[] NOT NULL,
    recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    flags            text[] NOT NULL DEFAULT '{}',  -- proofs that failed and were waived by a release
    CONSTRAINT statement_version_once UNIQUE (source_id, account, statement_ref, to_date, version),
    CONSTRAINT statement_ties CHECK (opening_minor IS NULL OR closing_minor IS NULL OR opening_minor + movement_minor = closing_minor)
);
CREATE INDEX statement_by_date ON recon.statement (source_id, account, to_date);
CREATE INDEX statement_by_delivery ON recon.statement (delivery_id);

-- One movement as the source told it, immutable; a correction is a new version.
CREATE TABLE recon.line (
    line_id               bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT line_key_internal PRIMARY KEY,
    xid                   xid8 NOT NULL DEFAULT pg_current_xact_id(),
    source_id             text NOT NULL,
    line_key              text NOT NULL,
    native_id             text,  -- the source's own id; line_key is made of it, with a suffix where it is used more than once
    version               integer NOT NULL CONSTRAINT line_version_positive CHECK (version >= 1),
    statement_id          bigint NOT NULL,  -- its statement is looked up by line_has_its_statement, once for all new rows
    record_no             bigint NOT NULL,
    account               text NOT NULL,
    booking_date          date NOT NULL,
    value_date            date,
    event_at              timestamptz,
    amount_minor          bigint NOT NULL,
    asset                 text NOT NULL,
    fee_minor             bigint NOT NULL,
    original_amount_minor bigint,
    original_asset        text,
    fx_rate               text,
    ref_end_to_end        text,
    ref_uetr              text,
    ref_servicer          text,
    ref_psp               text,
    ref_merchant          text,
    ref_payout            text,
    ref_arn               text,
    ref_rrn               text,
    ref_auth_code         text,
    batch_ref             text,
    counterparty          text,
    text                  text,
    kind                  text NOT NULL CONSTRAINT line_kind CHECK (kind IN ('transfer', 'charge', 'refund', 'chargeback',
                              'chargeback_reversal', 'presentment', 'payout', 'settlement', 'fee', 'interest', 'adjustment')),
    type_code             text,
    reversal              boolean NOT NULL,
    card_token            text CONSTRAINT card_token_is_a_token CHECK (card_token ~ '^v[0-9]+:' AND NOT card_token ~ ':[0-9]{12,19}$'),
    card_truncated        text CONSTRAINT card_is_truncated CHECK (card_truncated ~ '^[0-9]{6}[*]+[0-9]{4}$'),
    -- no pattern: matching one costs more than all other checks of a line together
    content_digest        text NOT NULL CONSTRAINT line_digest_shape CHECK (octet_length(content_digest) = 64),
    detail_no             integer,  -- place within a batch booking
    settlement_date       date,
    fees                  jsonb CONSTRAINT line_fees_are_a_list CHECK (jsonb_typeof(fees) = 'array'),
    fx_numerator          bigint,  -- amount = original amount x numerator / denominator, in major units
    fx_denominator        bigint,
    other_refs            jsonb CONSTRAINT line_other_refs_by_name CHECK (jsonb_typeof(other_refs) = 'object'),
    batch_minor           bigint,  -- the batch booking that this line is a part of
    counterparty_account  text,
    counterparty_bic      text,
    reason_code           text,
    byte_offset           bigint,  -- where the record stands in the unpacked file
    byte_length           integer,
    CONSTRAINT line_rate_is_a_fraction CHECK (
        num_nulls(fx_numerator, fx_denominator) IN (0, 2) AND fx_numerator > 0 AND fx_denominator > 0),
    CONSTRAINT line_version_once UNIQUE (source_id, line_key, version),
    CONSTRAINT line_text_without_card_number CHECK (text !~ '[0-9]{13}' OR NOT recon.holds_card_number(text)),
    CONSTRAINT line_counterparty_without_card_number
        CHECK (counterparty !~ '[0-9]{13}' OR NOT recon.holds_card_number(counterparty)),
    CONSTRAINT line_references_are_no_card_numbers CHECK (NOT (
        recon.is_card_number(line_key) OR recon.is_card_number(native_id) OR recon.is_card_number(ref_end_to_end) OR
        recon.is_card_number(ref_uetr) OR recon.is_card_number(ref_servicer) OR recon.is_card_number(ref_psp) OR
        recon.is_card_number(ref_merchant) OR recon.is_card_number(ref_payout) OR recon.is_card_number(ref_arn) OR
        recon.is_card_number(ref_rrn) OR recon.is_card_number(ref_auth_code) OR recon.is_card_number(batch_ref) OR
        recon.is_card_number(counterparty_account)))
);
CREATE INDEX line_by_day ON recon.line (source_id, booking_date);
CREATE INDEX line_by_statement ON recon.line (statement_id);
-- The indexes on references are of their hashes: half the size and half the time to write, and references are only ever asked
-- for by equality. A query says both, hash and reference.
-- With the unique key finds every line that one id of the source ever named: the same movement in another file, an id used
-- again. Nearly every line's key is its id, and such a line is not in here.
CREATE INDEX line_by_native_id ON recon.line (source_id, hashtextextended(native_id, 0)) WHERE native_id IS NOT NULL AND line_key <> native_id;
CREATE INDEX line_by_end_to_end ON recon.line (hashtextextended(ref_end_to_end, 0)) WHERE ref_end_to_end IS NOT NULL;
CREATE INDEX line_by_psp ON recon.line (hashtextextended(ref_psp, 0)) WHERE ref_psp IS NOT NULL;
CREATE INDEX line_by_payout ON recon.line (hashtextextended(ref_payout, 0)) WHERE ref_payout IS NOT NULL;
CREATE INDEX line_by_arn ON recon.line (hashtextextended(ref_arn, 0)) WHERE ref_arn IS NOT NULL;
CREATE INDEX line_by_batch ON recon.line (hashtextextended(batch_ref, 0)) WHERE batch_ref IS NOT NULL;

-- Every line has its statement, which nobody can remove: a foreign key asked once for all new rows, not once for each. And it is
-- written with its delivery, in one transaction: so the lines that a run has not seen are those of the deliveries it has not seen.
CREATE FUNCTION recon.check_line_statements() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT n.statement_id INTO wrong
    FROM (SELECT DISTINCT l.statement_id, l.source_id, l.account, l.asset, l.xid FROM new_line AS l) AS n
    LEFT JOIN recon.statement AS s ON s.statement_id = n.statement_id AND s.source_id = n.source_id AND s.account = n.account AND s.asset = n.asset
    LEFT JOIN recon.delivery AS d ON d.delivery_id = s.delivery_id AND d.xid = n.xid
    WHERE d.delivery_id IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'line of statement %: expected a statement of its source, account and asset, told in the same transaction', wrong
            USING ERRCODE = 'TR005';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER line_has_its_statement AFTER INSERT ON recon.line
    REFERENCING NEW TABLE AS new_line FOR EACH STATEMENT EXECUTE FUNCTION recon.check_line_statements();

-- A version of a line that no longer speaks: a newer version took its place, or a corrected file dropped it.
CREATE TABLE recon.line_closure (
    line_id     bigint CONSTRAINT line_closed_once PRIMARY KEY CONSTRAINT line_closure_line REFERENCES recon.line ON DELETE RESTRICT,
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    delivery_id bigint NOT NULL CONSTRAINT line_closure_delivery REFERENCES recon.delivery ON DELETE RESTRICT,
    reason      text NOT NULL CONSTRAINT line_closure_reason CHECK (reason IN ('superseded', 'withdrawn')),
    closed_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX line_closure_by_transaction ON recon.line_closure (xid);

-- What is told but not booked for good: lines of intraday reports, pending and expected ones. They are never counted, proved or
-- matched; the end-of-day statement that covers them replaces them.
CREATE TABLE recon.provisional_line (
    provisional_id        bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT provisional_line_key PRIMARY KEY,
    xid                   xid8 NOT NULL DEFAULT pg_current_xact_id(),
    delivery_id           bigint NOT NULL CONSTRAINT provisional_line_delivery REFERENCES recon.delivery ON DELETE RESTRICT,
    source_id             text NOT NULL,
    account               text NOT NULL,
    report_ref            text NOT NULL,
    report_date           date NOT NULL,
    line_key              text NOT NULL,  -- content and ordinal: a report that tells of it again tells nothing new
    status                text NOT NULL CONSTRAINT provisional_line_status CHECK (status IN ('interim', 'pending', 'expected', 'info')),
    record_no             bigint NOT NULL,
    native_id             text,
    booking_date          date NOT NULL,
    value_date            date,
    amount_minor          bigint NOT NULL,
    asset                 text NOT NULL,
    kind                  text NOT NULL,
    type_code             text,
    ref_end_to_end        text,
    ref_uetr              text,
    ref_servicer          text,
    batch_ref             text,
    other_refs            jsonb,
    counterparty          text,
    text                  text,
    CONSTRAINT provisional_line_once UNIQUE (source_id, account, line_key),
    CONSTRAINT provisional_line_without_card_number CHECK (
        (text !~ '[0-9]{13}' OR NOT recon.holds_card_number(text))
        AND (counterparty !~ '[0-9]{13}' OR NOT recon.holds_card_number(counterparty))),
    CONSTRAINT provisional_references_are_no_card_numbers CHECK (NOT (
        recon.is_card_number(native_id) OR recon.is_card_number(ref_end_to_end) OR recon.is_card_number(ref_uetr) OR
        recon.is_card_number(ref_servicer) OR recon.is_card_number(batch_ref)))
);
CREATE INDEX provisional_line_by_account ON recon.provisional_line (source_id, account, report_date);

-- A provisional line that a statement has replaced: with the booked line it became, where one fits, and else without.
CREATE TABLE recon.provisional_end (
    provisional_id bigint CONSTRAINT provisional_ends_once PRIMARY KEY CONSTRAINT provisional_end_line REFERENCES recon.provisional_line ON DELETE RESTRICT,
    statement_id   bigint NOT NULL CONSTRAINT provisional_end_statement REFERENCES recon.statement ON DELETE RESTRICT,
    line_id        bigint CONSTRAINT provisional_end_booked REFERENCES recon.line ON DELETE RESTRICT,
    ended_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- --------------------------------------------------------------------------------------------------------------- runs

-- One reconciliation of a source up to a business date, with all versions that decided it; failed ones are kept too.
CREATE TABLE recon.run (
    run_id           bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT run_key PRIMARY KEY,
    source_id        text NOT NULL,
    business_date    date NOT NULL,
    from_date        date NOT NULL,  -- first business date that was computed anew
    state            text NOT NULL CONSTRAINT run_state CHECK (state IN ('succeeded', 'failed')),
    rules_digest     text NOT NULL,
    calendar_version text NOT NULL,
    code_version     text NOT NULL,
    data_snapshot    pg_snapshot NOT NULL,  -- what the run could see; later rows are what is new for the next run
    counts           jsonb NOT NULL,
    actor            text NOT NULL,
    started_at       timestamptz NOT NULL,
    finished_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT run_source_version FOREIGN KEY (source_id, rules_digest) REFERENCES recon.source_version ON DELETE RESTRICT
);
CREATE INDEX run_by_source ON recon.run (source_id, business_date, run_id);

-- ------------------------------------------------------------------------------------------------------------ matches

-- Lines of both sides explained together. external_minor - ledger_minor is the difference the evidence explains.
CREATE TABLE recon.match_group (
    group_id         bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT match_group_key PRIMARY KEY,
    -- hexadecimal there and back: a pattern costs twenty times as much
    group_key        text NOT NULL CONSTRAINT group_key_shape CHECK (octet_length(group_key) = 64 AND encode(decode(group_key, 'hex'), 'hex') = group_key),
    source_id        text NOT NULL,
    leg              text NOT NULL CONSTRAINT match_leg CHECK (leg IN ('ledger', 'payout', 'settlement')),
    match_pass       text NOT NULL CONSTRAINT match_pass CHECK (match_pass IN ('exact', 'normalised', 'net_of_fee', 'converted',
        'declared_group', 'reversal_family', 'in_text', 'near_reference', 'amount_and_lag', 'key_sum', 'chained_run', 'window_less_few',
        'bounded_subset', 'many_to_many', 'decision')),
    as_of            date NOT NULL, -- the latest business date of its members; later if another line had to come first
    asset            text NOT NULL,
    external_minor   bigint NOT NULL,
    ledger_minor     bigint NOT NULL,
    difference_minor bigint NOT NULL CONSTRAINT difference_is_external_less_ledger CHECK (difference_minor = external_minor - ledger_minor),
    evidence         jsonb NOT NULL CONSTRAINT no_match_without_an_explanation CHECK (jsonb_typeof(evidence) = 'object' AND evidence <> '{}'),
    run_id           bigint NOT NULL CONSTRAINT match_group_run REFERENCES recon.run ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED,
    made_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- A suggestion takes nothing: its members are not live, its lines stay open.
    state            text NOT NULL DEFAULT 'confirmed' CONSTRAINT match_state CHECK (state IN ('confirmed', 'suggested')),
    evidence_millibits bigint,  -- of weighed matches: evidence, and how far the next best explanation is behind it
    margin_millibits   bigint,
    solutions          bigint,  -- explanations that fit
    CONSTRAINT weighed_is_not_negative CHECK (evidence_millibits >= 0 AND margin_millibits >= 0 AND solutions >= 0)
);
CREATE INDEX match_group_by_source ON recon.match_group (source_id, leg, as_of);
CREATE INDEX match_group_suggested ON recon.match_group (source_id) WHERE state = 'suggested';
CREATE INDEX match_group_by_key ON recon.match_group (group_key);

-- A confirmation undone, with reason and actor; the group itself stays readable.
CREATE TABLE recon.match_revocation (
    group_id   bigint CONSTRAINT revoked_once PRIMARY KEY CONSTRAINT match_revocation_group REFERENCES recon.match_group ON DELETE RESTRICT,
    reason     text NOT NULL CONSTRAINT revocation_has_a_reason CHECK (reason <> ''),
    actor      text NOT NULL,
    revoked_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What of a line a group takes. `live` falls to false, once, when the group is revoked; what a suggestion names never lives.
CREATE TABLE recon.match_member (
    group_id        bigint NOT NULL CONSTRAINT match_member_group REFERENCES recon.match_group ON DELETE RESTRICT,
    member_no       integer NOT NULL,
    leg             text NOT NULL,
    side            text NOT NULL CONSTRAINT match_member_side CHECK (side IN ('external', 'ledger')),
    line_id         bigint CONSTRAINT match_member_line REFERENCES recon.line ON DELETE RESTRICT,
    entry_id        bigint,
    line_no         integer,
    entry_key       text,
    business_date   date NOT NULL,
    account         text NOT NULL,
    asset           text NOT NULL,
    allocated_minor bigint NOT NULL,
    role            text NOT NULL CONSTRAINT match_member_role CHECK (role IN ('principal', 'fee', 'fx', 'rounding')),
    live            boolean NOT NULL DEFAULT true,
    CONSTRAINT match_member_key PRIMARY KEY (group_id, member_no),
    CONSTRAINT match_member_names_its_line CHECK (
        CASE side WHEN 'external' THEN line_id IS NOT NULL AND num_nonnulls(entry_id, line_no, entry_key) = 0
                  ELSE line_id IS NULL AND num_nulls(entry_id, line_no, entry_key) = 0 END)
);
-- An external line is allocated once in each leg.
CREATE UNIQUE INDEX external_line_matched_once ON recon.match_member (leg, line_id) WHERE live AND side = 'external';
-- A ledger line is allocated once in each leg.
CREATE UNIQUE INDEX ledger_line_matched_once ON recon.match_member (leg, entry_id, line_no) WHERE live AND side = 'ledger';
CREATE INDEX match_member_by_line ON recon.match_member (line_id) WHERE side = 'external';
CREATE INDEX match_member_by_entry ON recon.match_member (entry_id, line_no) WHERE side = 'ledger';

-- New members add up to their group; external ones take exactly their line, which must still speak. All of a confirmed group
-- live and none of a suggested one; a group of one side alone cancels out.
CREATE FUNCTION recon.check_members() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT m.group_id INTO wrong
    FROM (
        SELECT n.group_id,
               coalesce(sum(n.allocated_minor) FILTER (WHERE n.side = 'external'), 0) AS external_minor,
               coalesce(sum(n.allocated_minor) FILTER (WHERE n.side = 'ledger'), 0) AS ledger_minor,
               min(n.side) = max(n.side) AS one_sided, min(n.live::integer) AS all_live, max(n.live::integer) AS any_live,
               count(DISTINCT n.asset) AS assets, min(n.asset) AS asset, max(n.business_date) AS as_of, min(n.leg) AS leg, count(*) AS members
        FROM new_member AS n
        GROUP BY n.group_id
    ) AS m
    LEFT JOIN recon.match_group AS g ON g.group_id = m.group_id
    WHERE g.group_id IS NULL OR m.assets <> 1 OR m.asset <> g.asset OR m.external_minor <> g.external_minor
       OR m.ledger_minor <> g.ledger_minor OR m.as_of > g.as_of OR m.leg <> g.leg OR m.members < 2
       OR (m.one_sided AND g.difference_minor <> 0)
       OR (g.state = 'confirmed')::integer <> m.all_live OR (g.state = 'confirmed')::integer <> m.any_live
       OR m.members <> (SELECT count(*) FROM recon.match_member AS s WHERE s.group_id = m.group_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'members of match group % do not add up to it: both sides, asset, leg, date and state must agree', wrong
            USING ERRCODE = 'TR002';
    END IF;
    SELECT n.line_id INTO wrong
    FROM new_member AS n
    JOIN recon.line AS l ON l.line_id = n.line_id
    WHERE n.allocated_minor <> l.amount_minor OR n.asset <> l.asset
       OR EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = n.line_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'allocation of external line % is not its amount, or the line was superseded or withdrawn', wrong
            USING ERRCODE = 'TR003';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER match_member_adds_up AFTER INSERT ON recon.match_member
    REFERENCING NEW TABLE AS new_member FOR EACH STATEMENT EXECUTE FUNCTION recon.check_members();

-- A group without members does not exist: groups and members come in one statement.
CREATE FUNCTION recon.check_group_has_members() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT g.group_id INTO wrong FROM new_group AS g
    WHERE NOT EXISTS (SELECT FROM recon.match_member AS m WHERE m.group_id = g.group_id) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'match group % has no members', wrong USING ERRCODE = 'TR002';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER match_group_has_members AFTER INSERT ON recon.match_group
    REFERENCING NEW TABLE AS new_group FOR EACH STATEMENT EXECUTE FUNCTION recon.check_group_has_members();

-- The one change a member may see: live to not live.
CREATE FUNCTION recon.check_member_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (OLD.live AND NOT NEW.live) OR (to_jsonb(OLD) - 'live') IS DISTINCT FROM (to_jsonb(NEW) - 'live') THEN
        RAISE EXCEPTION 'recon.match_member is evidence: it can only cease to be live' USING ERRCODE = 'TR001';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER match_member_only_ends BEFORE UPDATE ON recon.match_member
    FOR EACH ROW EXECUTE FUNCTION recon.check_member_change();

-- Revoking a group frees its lines, in the same statement.
CREATE FUNCTION recon.end_members() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE recon.match_member AS m SET live = false FROM new_revocation AS r WHERE m.group_id = r.group_id AND m.live;
    RETURN NULL;
END
$$;
CREATE TRIGGER match_revocation_ends_members AFTER INSERT ON recon.match_revocation
    REFERENCING NEW TABLE AS new_revocation FOR EACH STATEMENT EXECUTE FUNCTION recon.end_members();

-- --------------------------------------------------------------------------------------------------------- exceptions

-- One difference that needs an explanation, under a key that stays the same from run to run. A projection: the engine
-- moves class, severity and age on; every change leaves an event.
CREATE TABLE recon.exception (
    exception_id      bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT exception_key_internal PRIMARY KEY,
    exception_key     text NOT NULL CONSTRAINT exception_once UNIQUE,
    source_id         text NOT NULL,
    opened_on         date NOT NULL,  -- business date of the run that first saw it; never moves, so age survives a reopening
    as_of             date NOT NULL,
    class             text NOT NULL CONSTRAINT exception_class CHECK (class IN ('timing', 'genuine', 'source_gap', 'review')),
    kind              text NOT NULL CONSTRAINT exception_kind CHECK (kind IN ('missing_in_ledger', 'missing_at_source',
                          'amount_mismatch', 'fee_variance', 'fx_variance', 'currency_mismatch', 'sign_mismatch',
                          'duplicate_external', 'duplicate_ledger', 'conflicting_version', 'withdrawn',
                          'unrecorded_charge', 'chargeback_unbooked', 'ambiguous', 'missing_file', 'sequence_gap',
                          'balance_break', 'control_total')),
    severity          text NOT NULL CONSTRAINT exception_severity CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    status            text NOT NULL CONSTRAINT exception_status CHECK (status IN ('open', 'taken', 'cleared')),
    side              text NOT NULL CONSTRAINT exception_side CHECK (side IN ('external', 'ledger')),
    line_key          text,
    line_id           bigint CONSTRAINT exception_line REFERENCES recon.line ON DELETE RESTRICT,
    entry_key         text,
    entry_id          bigint,
    line_no           integer,
    account           text,
    amount_minor      bigint NOT NULL,
    difference_minor  bigint NOT NULL,
    asset             text,
    item_date         date NOT NULL,
    due_on            date,
    expected_clear_on date,
    age_business_days integer NOT NULL CONSTRAINT age_not_negative CHECK (age_business_days >= 0),
    assignee          text,
    cleared_by_group  bigint CONSTRAINT exception_cleared_by REFERENCES recon.match_group ON DELETE RESTRICT,
    cleared_on        date,
    factors           jsonb NOT NULL,
    version           integer NOT NULL DEFAULT 1,
    CONSTRAINT timing_is_only_information CHECK (class <> 'timing' OR severity = 'info'),
    CONSTRAINT cleared_has_a_date CHECK ((status = 'cleared') = (cleared_on IS NOT NULL)),
    CONSTRAINT cleared_by_group_is_cleared CHECK (cleared_by_group IS NULL OR status = 'cleared')
);
CREATE INDEX exception_open ON recon.exception (source_id, class, severity) WHERE status <> 'cleared';

-- Which open lines an exception explains; a line is in one at most. Replaced by each run.
CREATE TABLE recon.exception_member (
    exception_id bigint NOT NULL CONSTRAINT exception_member_exception REFERENCES recon.exception ON DELETE RESTRICT,
    side         text NOT NULL CONSTRAINT exception_member_side CHECK (side IN ('external', 'ledger')),
    line_id      bigint CONSTRAINT exception_member_line REFERENCES recon.line ON DELETE RESTRICT,
    entry_id     bigint,
    line_no      integer,
    CONSTRAINT exception_member_names_its_line CHECK (
        CASE side WHEN 'external' THEN line_id IS NOT NULL AND entry_id IS NULL AND line_no IS NULL
                  ELSE line_id IS NULL AND entry_id IS NOT NULL AND line_no IS NOT NULL END),
    CONSTRAINT external_line_in_one_exception UNIQUE (line_id),
    CONSTRAINT ledger_line_in_one_exception UNIQUE (entry_id, line_no)
);
CREATE INDEX exception_member_by_exception ON recon.exception_member (exception_id);

-- The life of an exception. Written by the triggers below and by the doors for people only.
CREATE TABLE recon.exception_event (
    event_id     bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT exception_event_key PRIMARY KEY,
    exception_id bigint NOT NULL CONSTRAINT exception_event_exception REFERENCES recon.exception ON DELETE RESTRICT,
    event        text NOT NULL CONSTRAINT exception_event_name CHECK (event IN ('opened', 'changed', 'cleared', 'reopened', 'taken', 'commented',
                     'proposed', 'approved', 'rejected', 'withdrawn')),
    actor        text NOT NULL,
    as_of        date NOT NULL,
    before       jsonb,
    after        jsonb,
    note         text,
    at           timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX exception_event_by_exception ON recon.exception_event (exception_id, event_id);

-- Who acts, as the shell told it for this transaction; the database user if nobody was named.
CREATE FUNCTION recon.actor() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('tieout.actor', true), ''), session_user)
$$;

CREATE FUNCTION recon.exception_facts(e recon.exception) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('class', e.class, 'kind', e.kind, 'severity', e.severity, 'status', e.status,
        'amount_minor', e.amount_minor, 'difference_minor', e.difference_minor, 'due_on', e.due_on,
        'assignee', e.assignee, 'cleared_by_group', e.cleared_by_group)
$$;

CREATE FUNCTION recon.log_opened() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO recon.exception_event (exception_id, event, actor, as_of, after)
    SELECT e.exception_id, 'opened', recon.actor(), e.as_of, recon.exception_facts(e) FROM new_exception AS e;
    RETURN NULL;
END
$$;
CREATE TRIGGER exception_opened AFTER INSERT ON recon.exception
    REFERENCING NEW TABLE AS new_exception FOR EACH STATEMENT EXECUTE FUNCTION recon.log_opened();

-- Its plan is made once a session, maybe for one row, and used again for very many: the two sides must not be looped over.
CREATE FUNCTION recon.log_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
BEGIN
    INSERT INTO recon.exception_event (exception_id, event, actor, as_of, before, after)
    SELECT n.exception_id,
           CASE WHEN n.status = 'cleared' AND o.status <> 'cleared' THEN 'cleared'
                WHEN o.status = 'cleared' AND n.status <> 'cleared' THEN 'reopened'
                WHEN n.status = 'taken' AND o.status <> 'taken' THEN 'taken'
                ELSE 'changed' END,
           recon.actor(), n.as_of, recon.exception_facts(o), recon.exception_facts(n)
    FROM new_exception AS n
    JOIN old_exception AS o ON o.exception_id = n.exception_id
    WHERE recon.exception_facts(o) IS DISTINCT FROM recon.exception_facts(n);
    RETURN NULL;
END
$$;
CREATE TRIGGER exception_changed AFTER UPDATE ON recon.exception
    REFERENCING OLD TABLE AS old_exception NEW TABLE AS new_exception
    FOR EACH STATEMENT EXECUTE FUNCTION recon.log_changed();

-- The identity of an exception, and the day it was first seen, never move.
CREATE FUNCTION recon.check_exception_identity() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.exception_key, OLD.source_id, OLD.opened_on) IS DISTINCT FROM (NEW.exception_key, NEW.source_id, NEW.opened_on) THEN
        RAISE EXCEPTION 'exception %: its key, source and opening day never change', OLD.exception_id USING ERRCODE = 'TR001';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER exception_keeps_identity BEFORE UPDATE ON recon.exception
    FOR EACH ROW EXECUTE FUNCTION recon.check_exception_identity();

-- ----------------------------------------------------------------------------------------------- decisions of people

-- What a person wants decided, as it was when it was said: the members are kept with account, asset and amount. It waits until
-- another person judges it.
CREATE TABLE recon.proposal (
    proposal_id  bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT proposal_key PRIMARY KEY,
    source_id    text NOT NULL,
    exception_id bigint CONSTRAINT proposal_exception REFERENCES recon.exception ON DELETE RESTRICT,
    action       text NOT NULL CONSTRAINT proposal_action CHECK (action IN ('force_match', 'not_duplicate', 'exclude')),
    members      jsonb NOT NULL CONSTRAINT proposal_names_members CHECK (jsonb_typeof(members) = 'array' AND members <> '[]'),
    reason       text NOT NULL CONSTRAINT proposal_has_a_reason CHECK (reason <> ''),
    proposed_by  text NOT NULL CONSTRAINT proposal_has_a_proposer CHECK (proposed_by <> ''),
    proposed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_on   date, -- last business date on which it may be approved
    CONSTRAINT proposal_without_card_number CHECK (reason !~ '[0-9]{13}' OR NOT recon.holds_card_number(reason))
);
CREATE INDEX proposal_by_source ON recon.proposal (source_id, proposal_id);
CREATE INDEX proposal_by_exception ON recon.proposal (exception_id) WHERE exception_id IS NOT NULL;

CREATE TABLE recon.proposal_verdict (
    proposal_id bigint CONSTRAINT judged_once PRIMARY KEY CONSTRAINT verdict_proposal REFERENCES recon.proposal ON DELETE RESTRICT,
    verdict     text NOT NULL CONSTRAINT verdict_word CHECK (verdict IN ('approved', 'rejected', 'withdrawn')),
    actor       text NOT NULL CONSTRAINT verdict_has_an_actor CHECK (actor <> ''),
    note        text,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT refusal_has_a_reason CHECK (verdict = 'approved' OR note <> '' AND note IS NOT NULL),
    CONSTRAINT verdict_without_card_number CHECK (note !~ '[0-9]{13}' OR NOT recon.holds_card_number(note))
);

-- Nobody approves their own proposal, and only who made it takes it back. Names are compared without case and outer blanks.
CREATE FUNCTION recon.check_verdict() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own boolean;
BEGIN
    SELECT lower(btrim(p.proposed_by)) = lower(btrim(NEW.actor)) INTO own FROM recon.proposal AS p WHERE p.proposal_id = NEW.proposal_id;
    IF own AND NEW.verdict = 'approved' THEN
        RAISE EXCEPTION 'proposal %: expected the approval of another person, found %, who proposed it', NEW.proposal_id, NEW.actor
            USING ERRCODE = 'TR007', HINT = 'Ask a colleague to approve it.';
    ELSIF NOT own AND NEW.verdict = 'withdrawn' THEN
        RAISE EXCEPTION 'proposal %: expected it to be taken back by who proposed it, found %', NEW.proposal_id, NEW.actor
            USING ERRCODE = 'TR007', HINT = 'Reject it instead.';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER verdict_by_the_right_person BEFORE INSERT ON recon.proposal_verdict
    FOR EACH ROW EXECUTE FUNCTION recon.check_verdict();

-- What people decided about the engine's work, keyed by content, so that it binds every later run. Of several about one
-- content the latest holds. All but the undoing of a match take two people, and act from a business day on.
CREATE TABLE recon.decision (
    decision_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT decision_key PRIMARY KEY,
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    source_id   text NOT NULL,
    kind        text NOT NULL CONSTRAINT decision_kind CHECK (kind IN ('reject_match', 'force_match', 'not_duplicate', 'exclude')),
    content_key text NOT NULL,  -- of a match its group_key, else side and digest of the line
    reason      text NOT NULL CONSTRAINT decision_has_a_reason CHECK (reason <> ''),
    actor       text NOT NULL CONSTRAINT decision_has_an_actor CHECK (actor <> ''),
    decided_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    as_of       date,
    approved_by text,
    proposal_id bigint CONSTRAINT decision_proposal REFERENCES recon.proposal ON DELETE RESTRICT,
    CONSTRAINT decided_by_two CHECK (kind = 'reject_match' OR num_nulls(as_of, approved_by, proposal_id) = 0
        AND approved_by <> '' AND lower(btrim(approved_by)) <> lower(btrim(actor))),
    CONSTRAINT decided_once UNIQUE (source_id, kind, content_key, proposal_id)
);
CREATE INDEX decision_by_content ON recon.decision (source_id, content_key, decision_id);

-- The lines of a decision, by content. `allocated_minor` is the amount they had when it was made.
CREATE TABLE recon.decision_member (
    decision_id     bigint NOT NULL CONSTRAINT decision_member_decision REFERENCES recon.decision ON DELETE RESTRICT,
    member_no       integer NOT NULL,
    side            text NOT NULL CONSTRAINT decision_member_side CHECK (side IN ('external', 'ledger')),
    line_key        text,
    version         integer,
    entry_key       text,
    line_no         integer,
    role            text NOT NULL CONSTRAINT decision_member_role CHECK (role IN ('principal', 'fee', 'fx', 'rounding')),
    allocated_minor bigint NOT NULL,
    CONSTRAINT decision_member_key PRIMARY KEY (decision_id, member_no),
    CONSTRAINT decision_member_names_its_line CHECK (
        CASE side WHEN 'external' THEN num_nulls(line_key, version) = 0 AND num_nonnulls(entry_key, line_no) = 0
                  ELSE num_nulls(entry_key, line_no) = 0 AND num_nonnulls(line_key, version) = 0 END)
);
CREATE INDEX decision_member_by_line ON recon.decision_member (line_key, version) WHERE side = 'external';
CREATE INDEX decision_member_by_entry ON recon.decision_member (entry_key, line_no) WHERE side = 'ledger';

-- A decision of two people has members, told in the same statement, and rests on a proposal of the one that the other approved.
CREATE FUNCTION recon.check_decision() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT n.decision_id INTO wrong
    FROM new_decision AS n
    WHERE n.kind <> 'reject_match' AND NOT EXISTS (
        SELECT FROM recon.proposal AS p
        JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id AND v.verdict = 'approved' AND v.actor = n.approved_by
        WHERE p.proposal_id = n.proposal_id AND p.source_id = n.source_id AND p.action = n.kind AND p.proposed_by = n.actor)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'decision %: expected a proposal of its actor that another person approved, found none', wrong
            USING ERRCODE = 'TR007';
    END IF;
    SELECT n.decision_id INTO wrong
    FROM new_decision AS n
    WHERE (n.kind <> 'reject_match') <> EXISTS (SELECT FROM recon.decision_member AS m WHERE m.decision_id = n.decision_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'decision %: expected members with it, unless it undoes a match', wrong USING ERRCODE = 'TR002';
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER decision_rests_on_a_proposal AFTER INSERT ON recon.decision
    REFERENCING NEW TABLE AS new_decision FOR EACH STATEMENT EXECUTE FUNCTION recon.check_decision();

-- ------------------------------------------------------------------------------------------------- what was learned

-- How often each day's matches by agreeing references had each lag, in business days. A projection: every run writes its own days.
CREATE TABLE recon.lag_observation (
    source_id         text NOT NULL,
    as_of             date NOT NULL,
    lag_business_days integer NOT NULL,  -- external less ledger
    observations      bigint NOT NULL CONSTRAINT lag_was_observed CHECK (observations > 0),
    CONSTRAINT lag_observation_key PRIMARY KEY (source_id, as_of, lag_business_days)
);

-- ----------------------------------------------------------------------------------------------------- balance proof

-- The bridge of one account on one business date, as a run found it; later runs add rows, none is replaced.
CREATE TABLE recon.balance_proof (
    proof_id                    bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT balance_proof_key PRIMARY KEY,
    run_id                      bigint NOT NULL CONSTRAINT balance_proof_run REFERENCES recon.run ON DELETE RESTRICT DEFERRABLE INITIALLY DEFERRED,
    source_id                   text NOT NULL,
    account                     text NOT NULL,
    asset                       text NOT NULL,
    business_date               date NOT NULL,
    basis                       text NOT NULL CONSTRAINT balance_basis CHECK (basis IN ('stated', 'derived', 'carried')),
    opening_minor               bigint NOT NULL,
    movement_minor              bigint NOT NULL,
    closing_minor               bigint NOT NULL,
    ledger_minor                bigint NOT NULL,
    timing_external_minor       bigint NOT NULL,
    timing_ledger_minor         bigint NOT NULL,
    genuine_external_minor      bigint NOT NULL,
    genuine_ledger_minor        bigint NOT NULL,
    allocation_difference_minor bigint NOT NULL,
    unexplained_minor           bigint NOT NULL,
    matched_count               bigint NOT NULL,
    timing_count                bigint NOT NULL,
    genuine_count               bigint NOT NULL,
    excluded_count              bigint NOT NULL,
    line_count                  bigint NOT NULL,
    proved_at                   timestamptz NOT NULL DEFAULT clock_timestamp(),
    excluded_external_minor     bigint NOT NULL DEFAULT 0,  -- what decisions of people left out, up to the day
    excluded_ledger_minor       bigint NOT NULL DEFAULT 0,
    CONSTRAINT bridge_adds_up CHECK (
        closing_minor::numeric = ledger_minor::numeric + timing_external_minor + genuine_external_minor + excluded_external_minor
            - timing_ledger_minor - genuine_ledger_minor - excluded_ledger_minor + allocation_difference_minor + unexplained_minor),
    CONSTRAINT every_line_in_one_bucket CHECK (line_count = matched_count + timing_count + genuine_count + excluded_count),
    CONSTRAINT proof_once_per_run UNIQUE (run_id, account, business_date)
);
CREATE INDEX balance_proof_by_day ON recon.balance_proof (source_id, account, business_date, proof_id);

-- -------------------------------------------------------------------------------------------------------------- alerts

-- The outbox: one row per cause, written in the transaction of the cause. Carries counts and sums, no personal data.
CREATE TABLE recon.alert (
    alert_id      bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT alert_key PRIMARY KEY,
    cause_key     text NOT NULL CONSTRAINT one_alert_per_cause UNIQUE,
    source_id     text NOT NULL,
    business_date date,
    severity      text NOT NULL CONSTRAINT alert_severity CHECK (severity IN ('info', 'low', 'medium', 'high', 'critical')),
    title         text NOT NULL,
    body          text NOT NULL,
    item_count    bigint NOT NULL,
    sums          jsonb NOT NULL,  -- asset -> minor units
    written_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Attempts to deliver an alert; an alert is delivered when one of them was sent.
CREATE TABLE recon.alert_attempt (
    attempt_id   bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT alert_attempt_key PRIMARY KEY,
    alert_id     bigint NOT NULL CONSTRAINT alert_attempt_alert REFERENCES recon.alert ON DELETE RESTRICT,
    channel      text NOT NULL,  -- name of the channel, never its address
    outcome      text NOT NULL CONSTRAINT alert_attempt_outcome CHECK (outcome IN ('sent', 'failed')),
    attempted_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX alert_attempt_by_alert ON recon.alert_attempt (alert_id);

-- ------------------------------------------------------------------------------------------------------ append-only

DO $$
DECLARE
    evidence text;
BEGIN
    FOREACH evidence IN ARRAY ARRAY['source_version', 'delivery', 'release', 'statement', 'line', 'line_closure',
        'provisional_line', 'provisional_end', 'run', 'match_group',
        'match_revocation', 'proposal', 'proposal_verdict', 'decision', 'decision_member', 'exception_event', 'balance_proof',
        'alert', 'alert_attempt'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON recon.%I
            FOR EACH STATEMENT EXECUTE FUNCTION recon.refuse_change()', evidence || '_append_only', evidence);
    END LOOP;
    FOREACH evidence IN ARRAY ARRAY['match_member', 'exception'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE DELETE OR TRUNCATE ON recon.%I
            FOR EACH STATEMENT EXECUTE FUNCTION recon.refuse_change()', evidence || '_never_removed', evidence);
    END LOOP;
END
$$;

-- --------------------------------------------------------------------------------------------------------------- views

-- Current version of each statement.
CREATE VIEW recon.statement_v1 AS
SELECT DISTINCT ON (s.source_id, s.account, s.statement_ref, s.to_date)
    s.statement_id, s.delivery_id, s.source_id, s.account, s.external_account, s.statement_ref, s.version, s.asset,
    s.sequence_no, s.from_date, s.to_date, s.opening_minor, s.closing_minor, s.movement_minor, s.line_count, s.pending_count, s.proofs
FROM recon.statement AS s
ORDER BY s.source_id, s.account, s.statement_ref, s.to_date, s.version DESC;

-- Every version of every line with the bucket it is in: excluded by a decision or before its source's start, none until a run
-- has seen it.
CREATE VIEW recon.line_v1 AS
SELECT l.source_id AS source, l.line_key, d.file_name, d.file_sha256, l.record_no, s.statement_ref, l.booking_date, l.value_date,
    l.amount_minor, l.asset, l.fee_minor, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant,
    l.ref_payout, l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref, l.counterparty, l.text, l.kind, l.version,
    CASE WHEN c.line_id IS NOT NULL THEN c.reason
         WHEN m.line_id IS NOT NULL THEN 'matched'
         WHEN e.class = 'timing' THEN 'timing'
         WHEN e.class IS NOT NULL THEN 'genuine'
         WHEN x.line_key IS NOT NULL OR l.booking_date < v.start_date THEN 'excluded'
         END AS status,
    l.line_id, l.account
FROM recon.line AS l
JOIN recon.statement AS s ON s.statement_id = l.statement_id
JOIN recon.delivery AS d ON d.delivery_id = s.delivery_id
LEFT JOIN recon.line_closure AS c ON c.line_id = l.line_id
LEFT JOIN recon.match_member AS m ON m.line_id = l.line_id AND m.side = 'external' AND m.live AND m.leg = 'ledger'
LEFT JOIN recon.exception_member AS o ON o.line_id = l.line_id
LEFT JOIN recon.exception AS e ON e.exception_id = o.exception_id
LEFT JOIN (
    SELECT DISTINCT n.source_id, r.line_key, r.version
    FROM recon.decision AS n
    JOIN recon.decision_member AS r ON r.decision_id = n.decision_id AND r.side = 'external'
    WHERE n.kind = 'exclude'
) AS x ON x.source_id = l.source_id AND x.line_key = l.line_key AND x.version = l.version
LEFT JOIN (
    SELECT DISTINCT ON (s.source_id) s.source_id, (s.definition ->> 'start_date')::date AS start_date
    FROM recon.source_version AS s
    ORDER BY s.source_id, s.loaded_at DESC
) AS v ON v.source_id = l.source_id;

-- Every provisional line: live until a statement has replaced it.
CREATE VIEW recon.provisional_line_v1 AS
SELECT p.source_id AS source, p.account, p.report_ref, p.report_date, p.line_key, p.status, p.record_no, p.booking_date, p.value_date,
    p.amount_minor, p.asset, p.kind, p.type_code, p.ref_end_to_end, p.ref_uetr, p.ref_servicer, p.batch_ref, p.other_refs,
    p.counterparty, p.text, e.provisional_id IS NULL AS live, l.line_key AS became_line_key, p.delivery_id, p.provisional_id
FROM recon.provisional_line AS p
LEFT JOIN recon.provisional_end AS e ON e.provisional_id = p.provisional_id
LEFT JOIN recon.line AS l ON l.line_id = e.line_id;

-- Every group with its members and state. Bits are kept in thousandths.
CREATE VIEW recon.match_v1 AS
SELECT g.group_id, g.group_key, g.source_id AS source, g.leg, g.as_of, g.match_pass,
    CASE WHEN r.group_id IS NULL THEN g.state ELSE 'revoked' END AS state,
    m.side, l.line_key, m.entry_key, m.line_no, m.allocated_minor, m.asset, m.role, g.difference_minor, g.evidence,
    round(g.evidence_millibits / 1000.0, 3) AS evidence_bits, round(g.margin_millibits / 1000.0, 3) AS margin_bits, g.solutions
FROM recon.match_group AS g
JOIN recon.match_member AS m ON m.group_id = g.group_id
LEFT JOIN recon.line AS l ON l.line_id = m.line_id
LEFT JOIN recon.match_revocation AS r ON r.group_id = g.group_id;

CREATE VIEW recon.exception_v1 AS
SELECT e.exception_id, e.source_id AS source, e.opened_on, e.as_of, e.class, e.kind, e.severity, e.status, e.side, e.line_key,
    e.entry_key, e.line_no, e.amount_minor, e.difference_minor, e.asset, e.due_on, e.expected_clear_on,
    e.age_business_days, e.assignee, e.cleared_by_group, e.account, e.item_date, e.cleared_on, e.factors, e.exception_key
FROM recon.exception AS e;

-- The latest proof of each account and day.
CREATE VIEW recon.balance_proof_v1 AS
SELECT DISTINCT ON (p.source_id, p.account, p.business_date)
    p.proof_id, p.run_id, p.source_id AS source, p.account, p.asset, p.business_date, p.basis, p.opening_minor, p.movement_minor,
    p.closing_minor, p.ledger_minor, p.timing_external_minor, p.timing_ledger_minor, p.genuine_external_minor,
    p.genuine_ledger_minor, p.excluded_external_minor, p.excluded_ledger_minor, p.allocation_difference_minor, p.unexplained_minor,
    p.matched_count, p.timing_count, p.genuine_count, p.excluded_count, p.line_count, p.proved_at
FROM recon.balance_proof AS p
ORDER BY p.source_id, p.account, p.business_date, p.proof_id DESC;

-- Every proposal with what became of it: it waits until somebody judges it, or the source is reconciled past its last day.
CREATE VIEW recon.proposal_v1 AS
SELECT p.proposal_id, p.source_id AS source, p.exception_id, p.action,
    coalesce(v.verdict, CASE WHEN p.expires_on < r.done_to THEN 'expired' ELSE 'waiting' END) AS state, p.members, p.reason,
    p.proposed_by, p.proposed_at, p.expires_on, v.actor AS judged_by, v.note, v.at AS judged_at,
    (SELECT min(d.as_of) FROM recon.decision AS d WHERE d.proposal_id = p.proposal_id) AS acts_from
FROM recon.proposal AS p
LEFT JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id
LEFT JOIN LATERAL (
    SELECT max(n.business_date) AS done_to FROM recon.run AS n WHERE n.source_id = p.source_id AND n.state = 'succeeded'
) AS r ON true;

-- Alerts that no channel has taken yet.
CREATE VIEW recon.alert_waiting_v1 AS
SELECT a.alert_id, a.cause_key, a.source_id, a.business_date, a.severity, a.title, a.body, a.item_count, a.sums, a.written_at,
    (SELECT count(*) FROM recon.alert_attempt AS t WHERE t.alert_id = a.alert_id) AS attempts
FROM recon.alert AS a
WHERE NOT EXISTS (SELECT FROM recon.alert_attempt AS t WHERE t.alert_id = a.alert_id AND t.outcome = 'sent');

-- --------------------------------------------------------------------------------------------- doors for people

-- Undo a match: revoke the group and remember that it must not be made again. Of what people say about one content the last
-- word holds: a rejection undoes a forced match, and a match forced later undoes the rejection.
CREATE FUNCTION recon.reject_match(rejected_group_id bigint, rejected_reason text, rejected_by text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Not in the middle of a run, which would make the match once more.
    PERFORM pg_advisory_xact_lock(hashtextextended('source:' || g.source_id, 0)) FROM recon.match_group AS g
    WHERE g.group_id = rejected_group_id;
    INSERT INTO recon.decision (source_id, kind, content_key, reason, actor)
    SELECT g.source_id, 'reject_match', g.group_key, rejected_reason, rejected_by FROM recon.match_group AS g
    WHERE g.group_id = rejected_group_id AND 'reject_match' IS DISTINCT FROM (
        SELECT x.kind FROM recon.decision AS x
        WHERE x.source_id = g.source_id AND x.content_key = g.group_key ORDER BY x.decision_id DESC LIMIT 1);
    INSERT INTO recon.match_revocation (group_id, reason, actor) VALUES (rejected_group_id, rejected_reason, rejected_by);
END
$$;

-- Lines that a proposal names, as they are now, numbered in canonical order, each with what stands against it.
CREATE FUNCTION recon.named_lines(of_source text, named jsonb) RETURNS TABLE (
    member_no integer, side text, line_key text, version integer, entry_key text, line_no integer, role text, account text, asset text,
    amount_minor bigint, identity text, problem text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH wanted AS (
        SELECT w.side, w.line_key, w.version, w.entry_key, w.line_no, coalesce(w.role, 'principal') AS role,
            CASE w.side WHEN 'external' THEN format('line %s version %s', w.line_key, w.version)
                        ELSE format('entry %s line %s', w.entry_key, w.line_no) END AS name,
            -- the name that group keys are made of
            format('%s:%s:%s:%s', w.side, length(coalesce(w.line_key, w.entry_key)), coalesce(w.line_key, w.entry_key),
                coalesce(w.version, w.line_no)) AS identity
        FROM jsonb_to_recordset(named) AS w (side text, line_key text, version integer, entry_key text, line_no integer, role text)
    ), found AS (
        SELECT w.side, w.line_key, w.version, w.entry_key, w.line_no, w.role, w.name, w.identity, coalesce(l.account, j.account) AS account, coalesce(l.asset, j.asset) AS asset,
            coalesce(l.amount_minor, j.amount_minor) AS amount_minor, l.line_id, j.entry_id, c.reason AS closed
        FROM wanted AS w
        LEFT JOIN recon.line AS l ON w.side = 'external' AND l.source_id = of_source AND l.line_key = w.line_key AND l.version = w.version
        LEFT JOIN recon.line_closure AS c ON c.line_id = l.line_id
        LEFT JOIN ledger.journal_line_v1 AS j ON w.side = 'ledger' AND j.entry_key = w.entry_key AND j.line_no = w.line_no
            AND j.layer = 'posted' AND j.account IN (
                SELECT a.value ->> 'ledger' FROM jsonb_array_elements((
                    SELECT s.definition -> 'accounts' FROM recon.source_version AS s
                    WHERE s.source_id = of_source ORDER BY s.loaded_at DESC LIMIT 1)) AS a)
    )
    SELECT row_number() OVER (ORDER BY f.identity COLLATE "C")::integer, f.side, f.line_key, f.version, f.entry_key, f.line_no, f.role,
        f.account, f.asset, f.amount_minor, f.identity,
        CASE WHEN f.side IS NULL OR f.side NOT IN ('external', 'ledger') OR f.role NOT IN ('principal', 'fee', 'fx', 'rounding')
                 THEN 'a member has no side or role that is known'
             WHEN f.account IS NULL THEN format('%s: expected one on the accounts of source %s, found none', f.name, of_source)
             WHEN f.closed IS NOT NULL THEN format('%s was %s', f.name, f.closed)
             WHEN t.group_id IS NOT NULL THEN format('%s is in match %s', f.name, t.group_id)
             WHEN x.decision_id IS NOT NULL AND x.kind = 'exclude' THEN format('%s was excluded by decision %s', f.name, x.decision_id)
             WHEN x.decision_id IS NOT NULL THEN format('%s is in decision %s, which the next run carries out', f.name, x.decision_id)
             END
    FROM found AS f
    LEFT JOIN LATERAL (
        SELECT m.group_id FROM recon.match_member AS m
        WHERE f.side = 'external' AND m.live AND m.leg = 'ledger' AND m.side = 'external' AND m.line_id = f.line_id
        UNION ALL
        SELECT m.group_id FROM recon.match_member AS m
        WHERE f.side = 'ledger' AND m.live AND m.leg = 'ledger' AND m.side = 'ledger' AND m.entry_id = f.entry_id AND m.line_no = f.line_no
        LIMIT 1
    ) AS t ON true
    LEFT JOIN LATERAL (
        SELECT d.decision_id, d.kind FROM recon.decision_member AS n
        JOIN recon.decision AS d ON d.decision_id = n.decision_id AND d.source_id = of_source
        WHERE (n.side = 'external' AND n.line_key = f.line_key AND n.version = f.version
               OR n.side = 'ledger' AND n.entry_key = f.entry_key AND n.line_no = f.line_no)
          AND (d.kind = 'exclude' OR d.kind = 'force_match' AND NOT EXISTS (
              SELECT FROM recon.run AS r
              WHERE r.source_id = of_source AND r.state = 'succeeded' AND r.business_date >= d.as_of
                AND pg_visible_in_snapshot(d.xid, r.data_snapshot)))
        ORDER BY d.decision_id LIMIT 1
    ) AS x ON true
$$;

-- By what content a decision is known: a match by its group key, a line by side and digest. The engine makes the same keys.
CREATE FUNCTION recon.content_key(of_action text, identities text[]) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE of_action
        WHEN 'force_match' THEN encode(sha256(convert_to('ledger' || E'\n' || string_agg(i, E'\n' ORDER BY i COLLATE "C"), 'UTF8')), 'hex')
        ELSE split_part(min(i), ':', 1) || ':' || encode(sha256(convert_to(min(i), 'UTF8')), 'hex') END
    FROM unnest(identities) AS i
$$;

-- What stands against a proposal as things are now; null where it is sound.
CREATE FUNCTION recon.proposal_problem(of_source text, of_action text, named jsonb) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told record;
BEGIN
    SELECT count(*) AS members, count(DISTINCT m.identity) AS different, count(DISTINCT m.asset) AS assets,
        count(DISTINCT m.account) AS accounts, count(DISTINCT m.side) AS sides, bool_or(m.role <> 'principal') AS owned,
        coalesce(sum(m.amount_minor) FILTER (WHERE m.side = 'external'), 0)
            - coalesce(sum(m.amount_minor) FILTER (WHERE m.side = 'ledger'), 0) AS difference_minor,
        string_agg(m.problem, '; ' ORDER BY m.member_no) AS problems, array_agg(m.identity) AS identities
    INTO told FROM recon.named_lines(of_source, named) AS m;
    RETURN CASE
        WHEN told.members = 0 THEN 'it names no line'
        WHEN told.problems IS NOT NULL THEN told.problems
        WHEN told.different < told.members THEN 'it names a line twice'
        WHEN of_action = 'force_match' AND told.sides < 2 THEN 'expected lines of both sides, found one side alone'
        WHEN of_action = 'force_match' AND (told.assets > 1 OR told.accounts > 1) THEN
            format('expected lines of one account and asset, found %s accounts and %s assets', told.accounts, told.assets)
        WHEN of_action = 'force_match' AND told.difference_minor <> 0 AND NOT told.owned THEN
            format('the two sides differ by %s minor units and no line says why (as fee, fx or rounding)', told.difference_minor)
        WHEN of_action = 'force_match' THEN (
            SELECT format('decision %s says the same', x.decision_id) FROM recon.decision AS x
            WHERE x.source_id = of_source AND x.content_key = recon.content_key(of_action, told.identities) AND x.kind = 'force_match'
              AND NOT EXISTS (SELECT FROM recon.decision AS y WHERE y.source_id = x.source_id AND y.content_key = x.content_key
                              AND y.decision_id > x.decision_id)
            LIMIT 1)
        ELSE (
            SELECT format('decision %s says the same', min(x.decision_id)) FROM recon.decision AS x
            JOIN unnest(told.identities) AS i ON x.content_key = recon.content_key(of_action, ARRAY[i])
            WHERE x.source_id = of_source AND x.kind = of_action
            HAVING count(*) > 0)
        END;
END
$$;

-- Ask for a decision: what it names is checked and kept as it is now. Returns the proposal's number.
CREATE FUNCTION recon.propose(of_source text, about_exception bigint, wanted_action text, named jsonb, why text, proposer text,
    last_day date DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told text;
    kept jsonb;
    known bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('source:' || of_source, 0));
    IF about_exception IS NOT NULL AND NOT EXISTS (SELECT FROM recon.exception AS e
            WHERE e.exception_id = about_exception AND e.source_id = of_source AND e.status <> 'cleared') THEN
        RAISE EXCEPTION 'exception %: expected an open one of source %', about_exception, of_source USING ERRCODE = 'TR004';
    END IF;
    told := recon.proposal_problem(of_source, wanted_action, named);
    IF told IS NOT NULL THEN
        RAISE EXCEPTION 'this cannot be proposed: %', told USING ERRCODE = 'TR008';
    END IF;
    SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('side', m.side, 'line_key', m.line_key, 'version', m.version, 'entry_key',
        m.entry_key, 'line_no', m.line_no, 'role', m.role, 'account', m.account, 'asset', m.asset, 'amount_minor', m.amount_minor))
        ORDER BY m.member_no)
    INTO kept FROM recon.named_lines(of_source, named) AS m;
    SELECT min(p.proposal_id) INTO known FROM recon.proposal_v1 AS p
    WHERE p.source = of_source AND p.action = wanted_action AND p.members = kept AND p.state = 'waiting';
    IF known IS NOT NULL THEN
        RAISE EXCEPTION 'this cannot be proposed: proposal % says the same and waits', known USING ERRCODE = 'TR008';
    END IF;
    INSERT INTO recon.proposal (source_id, exception_id, action, members, reason, proposed_by, expires_on)
    VALUES (of_source, about_exception, wanted_action, kept, why, proposer, last_day) RETURNING proposal_id INTO known;
    INSERT INTO recon.exception_event (exception_id, event, actor, as_of, note)
    SELECT e.exception_id, 'proposed', proposer, e.as_of, format('proposal %s, %s: %s', known, wanted_action, why)
    FROM recon.exception AS e WHERE e.exception_id = about_exception;
    RETURN known;
END
$$;

-- Judge a proposal; returns the verdict. What was approved becomes a decision, if what it rests on is still so, which acts from the
-- last day that was reconciled, or from a later one. Who turns down their own proposal takes it back.
CREATE FUNCTION recon.judge_proposal(judged_id bigint, given_verdict text, judge text, judge_note text DEFAULT NULL,
    acts_from date DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    judged record;
    told text;
    of_all text; -- content key of all lines together, where they are one decision
    done_to date;
BEGIN
    SELECT p.proposal_id, p.source_id, p.exception_id, p.action, p.members, p.reason, p.proposed_by, p.expires_on INTO judged
    FROM recon.proposal AS p WHERE p.proposal_id = judged_id;
    IF judged.proposal_id IS NULL THEN
        RAISE EXCEPTION 'proposal %: expected one that exists, found none', judged_id USING ERRCODE = 'TR004';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('source:' || judged.source_id, 0));
    SELECT format('%s by %s', v.verdict, v.actor) INTO told FROM recon.proposal_verdict AS v WHERE v.proposal_id = judged_id;
    IF told IS NOT NULL THEN
        RAISE EXCEPTION 'proposal %: expected one that waits, found it %', judged_id, told USING ERRCODE = 'TR004';
    END IF;
    IF given_verdict = 'rejected' AND lower(btrim(judge)) = lower(btrim(judged.proposed_by)) THEN
        given_verdict := 'withdrawn';
    END IF;
    INSERT INTO recon.proposal_verdict (proposal_id, verdict, actor, note) VALUES (judged_id, given_verdict, judge, judge_note);
    IF given_verdict = 'approved' THEN
        SELECT max(r.business_date) INTO done_to FROM recon.run AS r WHERE r.source_id = judged.source_id AND r.state = 'succeeded';
        told := CASE
            WHEN done_to IS NULL THEN format('source %s was never reconciled', judged.source_id)
            WHEN acts_from < done_to THEN format('it would act from %s on, and the source is reconciled to %s', acts_from, done_to)
            WHEN judged.expires_on < coalesce(acts_from, done_to) THEN format('it was good until %s', judged.expires_on)
            ELSE recon.proposal_problem(judged.source_id, judged.action, judged.members) END;
        IF told IS NOT NULL THEN
            RAISE EXCEPTION 'proposal % cannot be approved: %', judged_id, told
                USING ERRCODE = 'TR008', HINT = 'Reject it, and propose anew what holds now.';
        END IF;
        IF judged.action = 'force_match' THEN
            SELECT recon.content_key(judged.action, array_agg(m.identity)) INTO of_all
            FROM recon.named_lines(judged.source_id, judged.members) AS m;
        END IF;
        WITH line AS (
            SELECT m.member_no, m.side, m.line_key, m.version, m.entry_key, m.line_no, m.role, m.amount_minor,
                coalesce(of_all, recon.content_key(judged.action, ARRAY[m.identity])) AS content_key
            FROM recon.named_lines(judged.source_id, judged.members) AS m
        ), made AS (
            INSERT INTO recon.decision (source_id, kind, content_key, reason, actor, as_of, approved_by, proposal_id)
            SELECT judged.source_id, judged.action, l.content_key, judged.reason, judged.proposed_by, coalesce(acts_from, done_to), judge, judged_id
            FROM line AS l GROUP BY l.content_key ORDER BY min(l.member_no)
            RETURNING decision_id, content_key
        )
        INSERT INTO recon.decision_member (decision_id, member_no, side, line_key, version, entry_key, line_no, role, allocated_minor)
        SELECT n.decision_id, row_number() OVER (PARTITION BY n.decision_id ORDER BY l.member_no), l.side, l.line_key, l.version,
            l.entry_key, l.line_no, l.role, l.amount_minor
        FROM made AS n JOIN line AS l ON l.content_key = n.content_key;
    END IF;
    INSERT INTO recon.exception_event (exception_id, event, actor, as_of, note)
    SELECT e.exception_id, given_verdict, judge, e.as_of, concat_ws(': ', format('proposal %s', judged_id), judge_note)
    FROM recon.exception AS e WHERE e.exception_id = judged.exception_id;
    RETURN given_verdict;
END
$$;

-- Waive the proof that a refused file failed, for exactly these bytes. The next delivery of them is taken in and flagged.
CREATE FUNCTION recon.release_delivery(released_delivery_id bigint, release_reason text, released_by text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    refused record;
BEGIN
    SELECT d.delivery_id, d.source_id, d.content_sha256, d.outcome, d.refusal_code INTO refused
    FROM recon.delivery AS d WHERE d.delivery_id = released_delivery_id;
    IF refused.delivery_id IS NULL OR refused.outcome <> 'rejected' THEN
        RAISE EXCEPTION 'delivery %: expected one that was refused, found %', released_delivery_id, coalesce(refused.outcome, 'none')
            USING ERRCODE = 'TR006', HINT = 'tieout deliveries lists them.';
    END IF;
    IF refused.refusal_code NOT IN ('balance', 'control_total', 'sequence') THEN
        RAISE EXCEPTION 'delivery %: expected a refusal for want of proof (balance, control_total, sequence), found %', released_delivery_id,
            refused.refusal_code USING ERRCODE = 'TR006', HINT = 'What cannot be read, or belongs elsewhere, cannot be waived.';
    END IF;
    INSERT INTO recon.release (delivery_id, source_id, content_sha256, code, reason, actor)
    VALUES (refused.delivery_id, refused.source_id, refused.content_sha256, refused.refusal_code, release_reason, released_by)
    ON CONFLICT ON CONSTRAINT released_once DO NOTHING;
END
$$;

-- Tells the planner about lines that were written in this transaction. Without it, the first large files of a new source are
-- planned as if the source had no line, which is quadratic, until the server's own housekeeping comes by. Only of columns that
-- lines are found by, and half as exact as that housekeeping: a tenth of the time, which every file pays.
CREATE FUNCTION recon.refresh_line_statistics() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET default_statistics_target = 50 AS $$
BEGIN
    ANALYZE recon.line (source_id, line_key, native_id, version, statement_id, account, booking_date, amount_minor, asset, kind, xid,
        ref_end_to_end, ref_uetr, ref_servicer, ref_psp, ref_merchant, ref_payout, ref_arn, ref_rrn, ref_auth_code, batch_ref);
END
$$;

-- The same about matches and exceptions. A day planned as if no line were matched yet compares every line with every match.
CREATE FUNCTION recon.refresh_match_statistics() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    ANALYZE recon.match_group, recon.match_member, recon.exception, recon.exception_member, recon.exception_event;
END
$$;

CREATE FUNCTION recon.take_exception(taken_id bigint, taken_by text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('tieout.actor', taken_by, true);
    UPDATE recon.exception AS e SET assignee = taken_by, status = 'taken', version = e.version + 1
    WHERE e.exception_id = taken_id AND e.status <> 'cleared';
    IF NOT FOUND THEN
        RAISE EXCEPTION 'exception % is not open', taken_id USING ERRCODE = 'TR004';
    END IF;
END
$$;

CREATE FUNCTION recon.comment_exception(commented_id bigint, comment_note text, commented_by text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO recon.exception_event (exception_id, event, actor, as_of, note)
    SELECT e.exception_id, 'commented', commented_by, e.as_of, comment_note FROM recon.exception AS e WHERE e.exception_id = commented_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'exception %: expected one that exists, found none', commented_id USING ERRCODE = 'TR004';
    END IF;
END
$$;

-- -------------------------------------------------------------------------------------------------------------- grants

ALTER SCHEMA recon OWNER TO tieout_owner;
DO $$
DECLARE
    thing record;
BEGIN
    FOR thing IN SELECT c.relname, c.relkind FROM pg_class AS c WHERE c.relnamespace = 'recon'::regnamespace AND c.relkind IN ('r', 'v') LOOP
        EXECUTE format('ALTER %s recon.%I OWNER TO tieout_owner', CASE thing.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, thing.relname);
    END LOOP;
    FOR thing IN SELECT p.oid::regprocedure AS signature FROM pg_proc AS p WHERE p.pronamespace = 'recon'::regnamespace LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO tieout_owner', thing.signature);
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', thing.signature);
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA recon TO tieout_intake, tieout_matcher, tieout_analyst, tieout_auditor;
GRANT EXECUTE ON FUNCTION recon.actor(), recon.holds_card_number(text), recon.is_card_number(text) TO tieout_intake, tieout_matcher, tieout_analyst, tieout_auditor;
-- Card tokens are readable in intake alone: token and truncated number side by side are nobody's else business.
GRANT SELECT ON recon.source_version, recon.delivery, recon.release, recon.statement, recon.line, recon.line_closure, recon.provisional_line,
    recon.provisional_end, recon.run, recon.statement_v1, recon.provisional_line_v1, recon.alert TO tieout_intake;
GRANT INSERT ON recon.source_version, recon.delivery, recon.statement, recon.line, recon.line_closure, recon.provisional_line,
    recon.provisional_end, recon.alert TO tieout_intake;

GRANT SELECT ON recon.source_version, recon.delivery, recon.release, recon.statement, recon.line_closure, recon.provisional_line,
    recon.provisional_end, recon.provisional_line_v1, recon.run, recon.match_group, recon.match_revocation,
    recon.match_member, recon.decision, recon.decision_member, recon.proposal, recon.proposal_verdict, recon.lag_observation, recon.exception,
    recon.exception_member, recon.exception_event, recon.balance_proof,
    recon.alert, recon.alert_attempt, recon.statement_v1, recon.line_v1, recon.match_v1, recon.exception_v1,
    recon.balance_proof_v1, recon.proposal_v1, recon.alert_waiting_v1 TO tieout_matcher, tieout_analyst, tieout_auditor;
GRANT SELECT (line_id, xid, source_id, line_key, native_id, version, statement_id, record_no, account, booking_date, value_date, event_at, amount_minor,
    asset, fee_minor, original_amount_minor, original_asset, fx_rate, ref_end_to_end, ref_uetr, ref_servicer, ref_psp,
    ref_merchant, ref_payout, ref_arn, ref_rrn, ref_auth_code, batch_ref, counterparty, text, kind, type_code, reversal,
    card_truncated, content_digest, detail_no, settlement_date, fees, fx_numerator, fx_denominator, other_refs, batch_minor,
    counterparty_account, counterparty_bic, reason_code, byte_offset, byte_length) ON recon.line TO tieout_matcher, tieout_analyst, tieout_auditor;
GRANT INSERT ON recon.source_version, recon.run, recon.match_group, recon.match_revocation, recon.match_member, recon.exception,
    recon.balance_proof, recon.alert, recon.alert_attempt TO tieout_matcher;
-- A run takes its number before its row is written, so that its groups can name it.
GRANT USAGE ON SEQUENCE recon.run_run_id_seq TO tieout_matcher;
GRANT UPDATE (as_of, class, kind, severity, status, side, line_key, line_id, entry_key, entry_id, line_no, account, amount_minor, difference_minor,
    asset, item_date, due_on, expected_clear_on, age_business_days, cleared_by_group, cleared_on, factors, version)
    ON recon.exception TO tieout_matcher;
GRANT INSERT, DELETE ON recon.exception_member, recon.lag_observation TO tieout_matcher;
GRANT EXECUTE ON FUNCTION recon.refresh_line_statistics() TO tieout_intake;
GRANT EXECUTE ON FUNCTION recon.refresh_match_statistics() TO tieout_matcher;
GRANT EXECUTE ON FUNCTION recon.exception_facts(recon.exception) TO tieout_matcher, tieout_analyst, tieout_auditor;
GRANT EXECUTE ON FUNCTION recon.reject_match(bigint, text, text), recon.take_exception(bigint, text),
    recon.comment_exception(bigint, text, text), recon.release_delivery(bigint, text, text),
    recon.propose(text, bigint, text, jsonb, text, text, date), recon.judge_proposal(bigint, text, text, text, date) TO tieout_analyst;
