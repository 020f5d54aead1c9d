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

-- -------------------------------------------------------------------------------------------------------- who acts

-- A person, or a second account of one. Nobody is removed: what they did names them for ever.
CREATE TABLE recon.person (
    login    text CONSTRAINT person_key PRIMARY KEY CONSTRAINT login_shape CHECK (login ~ '^[a-z0-9][a-z0-9._@+-]{0,63}$'),
    name     text NOT NULL CONSTRAINT person_has_a_name CHECK (name <> '' AND length(name) <= 120),
    roles    text[] NOT NULL CONSTRAINT person_roles CHECK (roles <@ ARRAY['viewer', 'analyst', 'approver', 'controller', 'auditor', 'admin']),
    team     text,
    same_as  text CONSTRAINT same_person REFERENCES recon.person ON DELETE RESTRICT CONSTRAINT not_the_same_as_itself CHECK (same_as <> login),
    state    text NOT NULL DEFAULT 'active' CONSTRAINT person_state CHECK (state IN ('active', 'disabled')),
    known_by text NOT NULL CONSTRAINT person_known_by CHECK (known_by IN ('users', 'demo', 'command line', 'proxy', 'oidc')),
    made_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- What became of each person's account, and who did it.
CREATE TABLE recon.person_event (
    person_event_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT person_event_key PRIMARY KEY,
    login           text NOT NULL CONSTRAINT person_event_person REFERENCES recon.person ON DELETE RESTRICT,
    event           text NOT NULL CONSTRAINT person_event_name CHECK (event IN ('enrolled', 'changed', 'password')),
    actor           text NOT NULL,
    before          jsonb,
    after           jsonb,
    at              timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX person_event_by_login ON recon.person_event (login, person_event_id);

-- What a password is checked against; only the doorkeeper reads it.
CREATE TABLE recon.credential (
    login         text CONSTRAINT credential_key PRIMARY KEY CONSTRAINT credential_person REFERENCES recon.person ON DELETE RESTRICT,
    password_hash text NOT NULL CONSTRAINT password_is_hashed CHECK (password_hash ~ '^scrypt[$]'),
    changed_at    timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Who is in. The token itself is nowhere: who reads this table cannot act as anybody.
CREATE TABLE recon.session (
    session_id   bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT session_key PRIMARY KEY,
    token_sha256 bytea NOT NULL CONSTRAINT session_token_once UNIQUE CONSTRAINT session_token_is_hashed CHECK (octet_length(token_sha256) = 32),
    login        text NOT NULL CONSTRAINT session_person REFERENCES recon.person ON DELETE RESTRICT,
    channel      text NOT NULL CONSTRAINT session_channel CHECK (channel IN ('browser', 'command line', 'proxy', 'oidc')),
    opened_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    idle_minutes integer NOT NULL CONSTRAINT session_idles CHECK (idle_minutes BETWEEN 1 AND 1440),
    idle_until   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    ended_by     text
);
CREATE INDEX session_by_login ON recon.session (login, session_id);

CREATE TABLE recon.login_attempt (
    attempt_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT login_attempt_key PRIMARY KEY,
    login      text NOT NULL,
    outcome    text NOT NULL CONSTRAINT login_attempt_outcome CHECK (outcome IN ('opened', 'refused')),
    channel    text NOT NULL,
    at         timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX login_attempt_by_login ON recon.login_attempt (login, attempt_id);

-- The one human behind an account.
CREATE FUNCTION recon.human(of_login text) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT p.same_as FROM recon.person AS p WHERE p.login = lower(btrim(of_login))), lower(btrim(of_login)))
$$;

-- Who may do what. The program has the same table (reconciliation.people.permissions).
CREATE FUNCTION recon.permits(roles text[], deed text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT roles && CASE deed
        WHEN 'look' THEN ARRAY['viewer', 'analyst', 'approver', 'controller', 'auditor', 'admin']
        WHEN 'export' THEN ARRAY['analyst', 'approver', 'controller', 'auditor']
        WHEN 'work' THEN ARRAY['analyst', 'approver', 'controller']
        WHEN 'propose' THEN ARRAY['analyst', 'approver', 'controller']
        WHEN 'judge' THEN ARRAY['approver', 'controller']
        WHEN 'prepare' THEN ARRAY['analyst', 'approver', 'controller']
        WHEN 'review' THEN ARRAY['approver', 'controller']
        WHEN 'audit' THEN ARRAY['auditor', 'controller', 'admin']
        WHEN 'administer' THEN ARRAY['admin']
        WHEN 'operate' THEN ARRAY['analyst', 'approver', 'controller', 'admin']
        ELSE ARRAY[]::text[] END
$$;

-- The person of the live session whose token this transaction was told, if there is one.
CREATE FUNCTION recon.visitor() RETURNS TABLE (login text, name text, roles text[], team text, session_id bigint, channel text, opened_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT p.login, p.name, p.roles, p.team, s.session_id, s.channel, s.opened_at
    FROM recon.session AS s JOIN recon.person AS p ON p.login = s.login AND p.state = 'active'
    WHERE s.token_sha256 = sha256(convert_to(nullif(current_setting('tieout.session', true), ''), 'UTF8'))
      AND s.ended_at IS NULL AND clock_timestamp() < least(s.idle_until, s.expires_at)
$$;

-- Who does this deed, if they may. The deed's events carry the name; nothing a caller says can change it.
CREATE FUNCTION recon.act(deed text) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who record;
BEGIN
    SELECT v.login, v.roles INTO who FROM recon.visitor() AS v;
    IF who.login IS NULL THEN
        RAISE EXCEPTION 'expected a live session of a person, found none' USING ERRCODE = 'TR009', HINT = 'Log in again.';
    ELSIF NOT recon.permits(who.roles, deed) THEN
        RAISE EXCEPTION '% may not do this: expected a role that may %, found %', who.login, deed,
            coalesce(nullif(array_to_string(who.roles, ', '), ''), 'none')
            USING ERRCODE = 'TR010';
    END IF;
    PERFORM set_config('tieout.actor', who.login, true);
    RETURN who.login;
END
$$;

CREATE FUNCTION recon.log_person() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO recon.person_event (login, event, actor, after) VALUES (NEW.login, 'enrolled', recon.actor(), to_jsonb(NEW) - 'made_at');
    ELSIF NEW.login <> OLD.login THEN
        RAISE EXCEPTION 'person %: a login never changes', OLD.login USING ERRCODE = 'TR001';
    ELSIF NEW IS DISTINCT FROM OLD THEN
        INSERT INTO recon.person_event (login, event, actor, before, after)
        VALUES (NEW.login, 'changed', recon.actor(), to_jsonb(OLD) - 'made_at', to_jsonb(NEW) - 'made_at');
    END IF;
    RETURN NULL;
END
$$;
-- Accounts of one human name the first of them, never each other in a row: who is behind an account is found in one step.
CREATE FUNCTION recon.check_person() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.same_as IS NOT NULL AND (EXISTS (SELECT FROM recon.person AS p WHERE p.login = NEW.same_as AND p.same_as IS NOT NULL)
            OR EXISTS (SELECT FROM recon.person AS p WHERE p.same_as = NEW.login)) THEN
        RAISE EXCEPTION 'person %: expected the first account of the same human, found %, or others that name this one', NEW.login, NEW.same_as
            USING ERRCODE = 'TR008';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER person_is_linked_once BEFORE INSERT OR UPDATE ON recon.person FOR EACH ROW EXECUTE FUNCTION recon.check_person();

CREATE TRIGGER person_is_logged AFTER INSERT OR UPDATE ON recon.person FOR EACH ROW EXECUTE FUNCTION recon.log_person();

CREATE FUNCTION recon.enrol(new_login text, new_name text, new_roles text[], known text, new_team text DEFAULT NULL,
    same_person_as text DEFAULT NULL, by_whom text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('tieout.actor', coalesce(by_whom, ''), true);
    INSERT INTO recon.person (login, name, roles, known_by, team, same_as)
    VALUES (new_login, new_name, ARRAY(SELECT DISTINCT r FROM unnest(new_roles) AS r ORDER BY r), known, new_team,
        CASE WHEN same_person_as IS NOT NULL THEN recon.human(same_person_as) END);
EXCEPTION WHEN unique_violation THEN
    RAISE EXCEPTION 'person %: expected a new login, found one that is there', new_login USING ERRCODE = 'TR004';
END
$$;

-- Null keeps what is, an empty text ends it. Who is disabled is out at once.
CREATE FUNCTION recon.change_person(changed_login text, new_name text, new_roles text[], new_team text, same_person_as text, new_state text,
    by_whom text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM set_config('tieout.actor', coalesce(by_whom, ''), true);
    UPDATE recon.person AS p SET name = coalesce(new_name, p.name),
        roles = CASE WHEN new_roles IS NULL THEN p.roles ELSE ARRAY(SELECT DISTINCT r FROM unnest(new_roles) AS r ORDER BY r) END,
        team = nullif(coalesce(new_team, p.team), ''), same_as = CASE WHEN same_person_as = '' THEN NULL WHEN same_person_as IS NULL THEN p.same_as ELSE recon.human(same_person_as) END,
        state = coalesce(new_state, p.state)
    WHERE p.login = changed_login;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'person %: expected one that is known, found none', changed_login USING ERRCODE = 'TR004', HINT = 'tieout users list shows them.';
    END IF;
    UPDATE recon.session AS s SET ended_at = clock_timestamp(), ended_by = coalesce(by_whom, 'disabled')
    WHERE new_state = 'disabled' AND s.login = changed_login AND s.ended_at IS NULL;
END
$$;

CREATE FUNCTION recon.set_password_hash(of_login text, new_hash text, by_whom text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO recon.credential AS c (login, password_hash) VALUES (of_login, new_hash)
    ON CONFLICT (login) DO UPDATE SET password_hash = excluded.password_hash, changed_at = clock_timestamp();
    INSERT INTO recon.person_event (login, event, actor) VALUES (of_login, 'password', by_whom);
    UPDATE recon.session AS s SET ended_at = clock_timestamp(), ended_by = by_whom WHERE s.login = of_login AND s.ended_at IS NULL;
END
$$;

CREATE FUNCTION recon.open_session(of_login text, new_token_sha256 bytea, by_channel text, idle_minutes integer, absolute_minutes integer) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    opened bigint;
BEGIN
    INSERT INTO recon.session (token_sha256, login, channel, idle_minutes, idle_until, expires_at)
    SELECT new_token_sha256, p.login, by_channel, open_session.idle_minutes, clock_timestamp() + make_interval(mins => open_session.idle_minutes),
        clock_timestamp() + make_interval(mins => absolute_minutes)
    FROM recon.person AS p WHERE p.login = of_login AND p.state = 'active'
    RETURNING session_id INTO opened;
    IF opened IS NULL THEN
        RAISE EXCEPTION 'person %: expected one that is known and active, found none', of_login USING ERRCODE = 'TR009';
    END IF;
    RETURN opened;
END
$$;

CREATE FUNCTION recon.touch_session() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE recon.session AS s SET seen_at = clock_timestamp(), idle_until = clock_timestamp() + make_interval(mins => s.idle_minutes)
    FROM recon.visitor() AS v
    WHERE s.session_id = v.session_id AND s.seen_at < clock_timestamp() - interval '1 minute'
$$;

CREATE FUNCTION recon.leave() RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE recon.session AS s SET ended_at = clock_timestamp(), ended_by = v.login FROM recon.visitor() AS v WHERE s.session_id = v.session_id
$$;

CREATE FUNCTION recon.end_session(ended_session bigint, by_whom text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    UPDATE recon.session AS s SET ended_at = clock_timestamp(), ended_by = by_whom WHERE s.session_id = ended_session AND s.ended_at IS NULL
$$;

CREATE FUNCTION recon.end_sessions_of(of_login text, by_whom text) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH ended AS (
        UPDATE recon.session AS s SET ended_at = clock_timestamp(), ended_by = by_whom WHERE s.login = of_login AND s.ended_at IS NULL RETURNING 1
    )
    SELECT count(*) FROM ended
$$;

CREATE FUNCTION recon.note_attempt(tried_login text, tried_outcome text, tried_channel text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO recon.login_attempt (login, outcome, channel) VALUES (left(tried_login, 64), tried_outcome, tried_channel)
$$;

-- A list that somebody keeps: its address, and the letter that opens it. Everybody sees and changes their own alone.
CREATE TABLE recon.saved_filter (
    login    text NOT NULL CONSTRAINT saved_filter_person REFERENCES recon.person ON DELETE RESTRICT,
    name     text NOT NULL CONSTRAINT saved_filter_has_a_name CHECK (name <> '' AND length(name) <= 60),
    query    text NOT NULL CONSTRAINT saved_filter_is_short CHECK (length(query) <= 2000),
    letter   text CONSTRAINT saved_filter_letter CHECK (letter ~ '^[a-z0-9]$'),
    saved_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT saved_filter_key PRIMARY KEY (login, name),
    CONSTRAINT saved_filter_letter_once UNIQUE (login, letter)
);
ALTER TABLE recon.saved_filter ENABLE ROW LEVEL SECURITY;
ALTER TABLE recon.saved_filter FORCE ROW LEVEL SECURITY;
CREATE POLICY own_filters ON recon.saved_filter USING (login = (SELECT v.login FROM recon.visitor() AS v));

-- What left the house through the app: which question, how many rows, with which digest, by whom.
CREATE TABLE recon.export_record (
    export_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT export_record_key PRIMARY KEY,
    what      text NOT NULL,
    query     text NOT NULL,
    row_count bigint NOT NULL,
    sha256    text NOT NULL CONSTRAINT export_sha256_shape CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    made_by   text NOT NULL,
    made_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE FUNCTION recon.record_export(exported text, exported_query text, exported_rows bigint, exported_sha256 text) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    INSERT INTO recon.export_record (what, query, row_count, sha256, made_by)
    VALUES (exported, left(exported_query, 4000), exported_rows, exported_sha256, recon.act('export'))
$$;

CREATE FUNCTION recon.save_filter(filter_name text, filter_query text, filter_letter text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text := recon.act('work');
BEGIN
    UPDATE recon.saved_filter AS f SET letter = NULL WHERE f.login = who AND f.letter = filter_letter AND f.name <> filter_name;
    INSERT INTO recon.saved_filter AS f (login, name, query, letter) VALUES (who, filter_name, filter_query, filter_letter)
    ON CONFLICT ON CONSTRAINT saved_filter_key DO UPDATE SET query = excluded.query, letter = excluded.letter, saved_at = clock_timestamp();
END
$$;

CREATE FUNCTION recon.forget_filter(filter_name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM recon.saved_filter AS f WHERE f.login = recon.act('work') AND f.name = filter_name;
END
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
    released_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
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
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
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
    CONSTRAINT weighed_is_not_negative CHECK (evidence_millibits >= 0 AND margin_millibits >= 0 AND solutions >= 0),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX match_group_by_source ON recon.match_group (source_id, leg, as_of);
CREATE INDEX match_group_suggested ON recon.match_group (source_id) WHERE state = 'suggested';
CREATE INDEX match_group_by_key ON recon.match_group (group_key);

-- A confirmation undone, with reason and actor; the group itself stays readable.
CREATE TABLE recon.match_revocation (
    group_id   bigint CONSTRAINT revoked_once PRIMARY KEY CONSTRAINT match_revocation_group REFERENCES recon.match_group ON DELETE RESTRICT,
    reason     text NOT NULL CONSTRAINT revocation_has_a_reason CHECK (reason <> ''),
    actor      text NOT NULL,
    revoked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX match_revocation_by_transaction ON recon.match_revocation (xid);

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
    status            text NOT NULL CONSTRAINT exception_status CHECK (status IN ('open', 'taken', 'proposed', 'approved', 'carried',
                          'cleared', 'resolved')),
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
    team text,
    snoozed_until date,
    carried_until date,
    reason text CONSTRAINT exception_reason CHECK (reason IN ('timing', 'fee_not_booked', 'data_correction', 'duplicate',
        'counterparty_error', 'write_off', 'other')),
    cycle integer NOT NULL DEFAULT 1,  -- one more each time it comes back
    sla_due_on date,                   -- until when somebody should have dealt with it
    opened_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    reference text,                    -- of its first line, to be listed and searched by
    counterparty text,
    best_group bigint,                 -- the best suggested match that holds one of its lines, and how many there are
    best_millibits bigint,
    candidates integer NOT NULL DEFAULT 0,
    severity_rank smallint GENERATED ALWAYS AS (
        CASE severity WHEN 'critical' THEN 4 WHEN 'high' THEN 3 WHEN 'medium' THEN 2 WHEN 'low' THEN 1 ELSE 0 END) STORED,
    value_minor bigint GENERATED ALWAYS AS (abs(CASE WHEN amount_minor = 0 THEN difference_minor ELSE amount_minor END)) STORED,
    due_key date GENERATED ALWAYS AS (coalesce(sla_due_on, '9999-12-31'::date)) STORED,
    CONSTRAINT timing_is_only_information CHECK (class <> 'timing' OR severity = 'info'),
    CONSTRAINT cleared_has_a_date CHECK ((status IN ('cleared', 'resolved')) = (cleared_on IS NOT NULL)),
    CONSTRAINT cleared_by_group_is_cleared CHECK (cleared_by_group IS NULL OR cleared_on IS NOT NULL)
);
-- The orders of the list, each alone and behind what is asked for most: a page is read from an index, whatever its place.
CREATE INDEX exception_by_worst ON recon.exception (severity_rank DESC, value_minor DESC, exception_id) WHERE cleared_on IS NULL;
CREATE INDEX exception_by_value ON recon.exception (value_minor DESC, exception_id) WHERE cleared_on IS NULL;
CREATE INDEX exception_by_due ON recon.exception (due_key, exception_id) WHERE cleared_on IS NULL;
CREATE INDEX exception_by_age ON recon.exception (opened_on, exception_id) WHERE cleared_on IS NULL;
CREATE INDEX exception_by_newest ON recon.exception (exception_id DESC) WHERE cleared_on IS NULL;
CREATE INDEX exception_by_source ON recon.exception (source_id, severity_rank DESC, value_minor DESC, exception_id) WHERE cleared_on IS NULL;
CREATE INDEX exception_by_assignee ON recon.exception (assignee, severity_rank DESC, value_minor DESC, exception_id) WHERE cleared_on IS NULL;
CREATE INDEX exception_by_team ON recon.exception (team, severity_rank DESC, value_minor DESC, exception_id) WHERE cleared_on IS NULL;
CREATE INDEX exception_by_status ON recon.exception (status, severity_rank DESC, value_minor DESC, exception_id) WHERE cleared_on IS NULL;
CREATE INDEX exception_by_reference ON recon.exception (reference text_pattern_ops, exception_id) WHERE reference IS NOT NULL;
CREATE INDEX exception_by_cleared ON recon.exception (cleared_on DESC, exception_id) WHERE cleared_on IS NOT NULL;

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

-- Which exception explained an open line from which business day on; of several rows the latest day's latest holds.
CREATE TABLE recon.exception_line (
    place        bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT exception_line_key PRIMARY KEY,
    xid          xid8 NOT NULL DEFAULT pg_current_xact_id(),
    exception_id bigint NOT NULL CONSTRAINT exception_line_exception REFERENCES recon.exception ON DELETE RESTRICT,
    side         text NOT NULL CONSTRAINT exception_line_side CHECK (side IN ('external', 'ledger')),
    line_id      bigint,
    entry_id     bigint,
    line_no      integer,
    as_of        date NOT NULL
);
CREATE INDEX exception_line_by_line ON recon.exception_line (line_id, as_of, place) WHERE side = 'external';
CREATE INDEX exception_line_by_entry ON recon.exception_line (entry_id, line_no, as_of, place) WHERE side = 'ledger';
CREATE INDEX exception_line_by_exception ON recon.exception_line (exception_id);

-- The life of an exception. Written by the triggers below and by the doors for people only.
CREATE TABLE recon.exception_event (
    event_id     bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT exception_event_key PRIMARY KEY,
    exception_id bigint NOT NULL CONSTRAINT exception_event_exception REFERENCES recon.exception ON DELETE RESTRICT,
    event        text NOT NULL CONSTRAINT exception_event_name CHECK (event IN ('opened', 'changed', 'cleared', 'reopened', 'resolved', 'taken', 'given_back', 'assigned',
        'snoozed', 'woken', 'carried', 'commented', 'attached', 'proposed', 'approved', 'rejected', 'withdrawn', 'undone', 'posted',
        'posting_refused')),
    actor        text NOT NULL,
    as_of        date NOT NULL,
    before       jsonb,
    after        jsonb,
    note         text,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    reason       text,
    xid          xid8 NOT NULL DEFAULT pg_current_xact_id()
);
CREATE INDEX exception_event_by_exception ON recon.exception_event (exception_id, event_id);
CREATE INDEX exception_event_by_transaction ON recon.exception_event (xid);

-- The chain of events: one for the engine and one for people in each source, so that neither waits for the other. Each link is
-- SHA-256 of the link before it and of its event; the first rests on SHA-256 of nothing.
CREATE TABLE recon.event_chain (
    source_id text NOT NULL,
    origin    text NOT NULL CONSTRAINT chain_origin CHECK (origin IN ('engine', 'people')),
    length    bigint NOT NULL,
    head      bytea NOT NULL,
    CONSTRAINT event_chain_key PRIMARY KEY (source_id, origin)
);
CREATE TABLE recon.event_link (
    source_id text NOT NULL,
    origin    text NOT NULL,
    chain_no  bigint NOT NULL,
    event_id  bigint NOT NULL CONSTRAINT event_linked_once UNIQUE CONSTRAINT event_link_event REFERENCES recon.exception_event ON DELETE RESTRICT,
    hash      bytea NOT NULL,
    xid       xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT event_link_key PRIMARY KEY (source_id, origin, chain_no)
);

-- What of an event is under the chain: each field as its length in bytes, a colon and its text, or a minus where there is none.
CREATE FUNCTION recon.event_text(v recon.exception_event) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT string_agg(CASE WHEN f.value IS NULL THEN '-' ELSE octet_length(f.value) || ':' || f.value END, ',' ORDER BY f.place)
    FROM unnest(ARRAY['1', v.event_id::text, v.exception_id::text, v.event, v.actor, to_char(v.as_of, 'YYYY-MM-DD'), v.before::text, v.after::text,
        v.reason, v.note, to_char(v.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')]) WITH ORDINALITY AS f (value, place)
$$;

CREATE FUNCTION recon.next_link(state bytea, first bytea, digest bytea) RETURNS bytea
LANGUAGE sql IMMUTABLE AS $$
    SELECT sha256(coalesce(state, first) || digest)
$$;
CREATE AGGREGATE recon.chained(first bytea, digest bytea) (SFUNC = recon.next_link, STYPE = bytea);

CREATE FUNCTION recon.link_events() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
    of_whom text := CASE WHEN coalesce(current_setting('tieout.session', true), '') = '' THEN 'engine' ELSE 'people' END;
BEGIN
    INSERT INTO recon.event_chain (source_id, origin, length, head)
    SELECT DISTINCT e.source_id, of_whom, 0, sha256('') FROM new_event AS n JOIN recon.exception AS e ON e.exception_id = n.exception_id
    ORDER BY 1
    ON CONFLICT ON CONSTRAINT event_chain_key DO NOTHING;
    PERFORM FROM recon.event_chain AS c
    WHERE c.origin = of_whom AND c.source_id IN (SELECT e.source_id FROM new_event AS n JOIN recon.exception AS e ON e.exception_id = n.exception_id)
    ORDER BY c.source_id FOR UPDATE;
    WITH linked AS (
        INSERT INTO recon.event_link (source_id, origin, chain_no, event_id, hash)
        SELECT c.source_id, of_whom, c.length + row_number() OVER place, n.event_id,
            recon.chained(c.head, sha256(convert_to(recon.event_text(v), 'UTF8'))) OVER place
        FROM new_event AS n
        JOIN recon.exception_event AS v ON v.event_id = n.event_id
        JOIN recon.exception AS e ON e.exception_id = n.exception_id
        JOIN recon.event_chain AS c ON c.source_id = e.source_id AND c.origin = of_whom
        WINDOW place AS (PARTITION BY c.source_id ORDER BY n.event_id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
        RETURNING event_link.source_id, event_link.chain_no, event_link.hash
    )
    UPDATE recon.event_chain AS c SET length = t.chain_no, head = t.hash
    FROM (SELECT DISTINCT ON (l.source_id) l.source_id, l.chain_no, l.hash FROM linked AS l ORDER BY l.source_id, l.chain_no DESC) AS t
    WHERE c.source_id = t.source_id AND c.origin = of_whom;
    RETURN NULL;
END
$$;
CREATE TRIGGER exception_event_is_linked AFTER INSERT ON recon.exception_event
    REFERENCING NEW TABLE AS new_event FOR EACH STATEMENT EXECUTE FUNCTION recon.link_events();

-- What is wrong with the chains: a link that does not follow from what it rests on, an event without one, a head that is another.
CREATE FUNCTION recon.verify_chains() RETURNS TABLE (source_id text, origin text, chain_no bigint, event_id bigint, problem text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH found AS (
        SELECT l.source_id, l.origin, l.chain_no, l.event_id, l.hash, v.event_id IS NULL AS gone,
            lag(l.chain_no, 1, 0::bigint) OVER chain AS no_before, lag(l.hash, 1, sha256('')) OVER chain AS hash_before,
            sha256(convert_to(recon.event_text(v), 'UTF8')) AS digest, e.source_id AS of_source
        FROM recon.event_link AS l
        LEFT JOIN recon.exception_event AS v ON v.event_id = l.event_id
        LEFT JOIN recon.exception AS e ON e.exception_id = v.exception_id
        WINDOW chain AS (PARTITION BY l.source_id, l.origin ORDER BY l.chain_no)
    )
    SELECT f.source_id, f.origin, f.chain_no, f.event_id,
        CASE WHEN f.gone THEN 'its event is gone' WHEN f.chain_no <> f.no_before + 1 THEN 'links before it are gone'
             WHEN f.of_source IS DISTINCT FROM f.source_id THEN 'its event is of another source'
             ELSE 'its event is not what was linked, or a link before it was changed' END
    FROM found AS f
    WHERE f.gone OR f.chain_no <> f.no_before + 1 OR f.of_source IS DISTINCT FROM f.source_id OR f.hash <> sha256(f.hash_before || f.digest)
    UNION ALL
    SELECT e.source_id, 'unknown', NULL, v.event_id, 'it is in no chain'
    FROM recon.exception_event AS v JOIN recon.exception AS e ON e.exception_id = v.exception_id
    WHERE NOT EXISTS (SELECT FROM recon.event_link AS l WHERE l.event_id = v.event_id)
    UNION ALL
    SELECT c.source_id, c.origin, c.length, NULL, 'the chain does not end with its head'
    FROM recon.event_chain AS c
    LEFT JOIN recon.event_link AS l ON l.source_id = c.source_id AND l.origin = c.origin AND l.chain_no = c.length
    WHERE l.hash IS DISTINCT FROM c.head
       OR EXISTS (SELECT FROM recon.event_link AS m WHERE m.source_id = c.source_id AND m.origin = c.origin AND m.chain_no > c.length)
    ORDER BY 1, 2, 3 NULLS FIRST, 4
$$;

-- Who acts, as the shell told it for this transaction; the database user if nobody was named.
CREATE FUNCTION recon.actor() RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT coalesce(nullif(current_setting('tieout.actor', true), ''), session_user)
$$;

CREATE FUNCTION recon.exception_facts(e recon.exception) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('class', e.class, 'kind', e.kind, 'severity', e.severity, 'status', e.status,
        'amount_minor', e.amount_minor, 'difference_minor', e.difference_minor, 'due_on', e.due_on,
        'assignee', e.assignee, 'cleared_by_group', e.cleared_by_group, 'team', e.team, 'reason', e.reason, 'snoozed_until', e.snoozed_until,
        'carried_until', e.carried_until, 'cycle', e.cycle, 'sla_due_on', e.sla_due_on)
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

-- What happened is told by the change itself, unless a door for people says what its deed is called, or that it tells it itself.
CREATE FUNCTION recon.log_changed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_nestloop = off AS $$
DECLARE
    done text := nullif(current_setting('tieout.deed', true), '');
BEGIN
    IF done = 'told' THEN RETURN NULL; END IF;
    INSERT INTO recon.exception_event (exception_id, event, actor, as_of, before, after, reason, note)
    SELECT n.exception_id,
           coalesce(done, CASE
                WHEN n.cleared_on IS NOT NULL AND o.cleared_on IS NULL THEN n.status
                WHEN o.cleared_on IS NOT NULL AND n.cleared_on IS NULL THEN 'reopened'
                ELSE 'changed' END),
           recon.actor(), n.as_of, recon.exception_facts(o), recon.exception_facts(n),
           CASE WHEN done IS NOT NULL THEN n.reason END, CASE WHEN done IS NOT NULL THEN nullif(current_setting('tieout.note', true), '') END
    FROM new_exception AS n
    JOIN old_exception AS o ON o.exception_id = n.exception_id
    WHERE recon.exception_facts(o) IS DISTINCT FROM recon.exception_facts(n);
    RETURN NULL;
END
$$;
CREATE TRIGGER exception_changed AFTER UPDATE ON recon.exception
    REFERENCING OLD TABLE AS old_exception NEW TABLE AS new_exception
    FOR EACH STATEMENT EXECUTE FUNCTION recon.log_changed();

-- The identity of an exception, and the day it was first seen, never move; when it was last changed is the server's to say.
CREATE FUNCTION recon.check_exception_identity() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.exception_key, OLD.source_id, OLD.opened_on, OLD.opened_at) IS DISTINCT FROM (NEW.exception_key, NEW.source_id, NEW.opened_on, NEW.opened_at) THEN
        RAISE EXCEPTION 'exception %: its key, source and opening day never change', OLD.exception_id USING ERRCODE = 'TR001';
    END IF;
    IF NEW.version <> OLD.version THEN
        NEW.changed_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER exception_keeps_identity BEFORE UPDATE ON recon.exception
    FOR EACH ROW EXECUTE FUNCTION recon.check_exception_identity();

-- A note that people wrote, without a card number, and not longer than anybody reads.
CREATE FUNCTION recon.check_note(note text) RETURNS void
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF note ~ '[0-9]{13}' AND recon.holds_card_number(note) THEN
        RAISE EXCEPTION 'note: expected words without a card number, found one' USING ERRCODE = 'TR008', HINT = 'Write its last four digits alone.';
    ELSIF length(note) > 4000 THEN
        RAISE EXCEPTION 'note: expected at most 4000 characters, found %', length(note) USING ERRCODE = 'TR008';
    END IF;
END
$$;

-- What became of an exception since somebody looked, in words.
CREATE FUNCTION recon.last_deed(of_exception bigint) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT format('%s by %s at %s UTC', replace(v.event, '_', ' '), v.actor, to_char(v.at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'))
    FROM recon.exception_event AS v WHERE v.exception_id = of_exception AND v.event NOT IN ('commented', 'attached') ORDER BY v.event_id DESC LIMIT 1
$$;

-- What would become of each item if `who` did this deed now. An item is stale when its version is not the one that was seen.
CREATE FUNCTION recon.work_outcomes(ids bigint[], seen_versions integer[], deed text, who text) RETURNS TABLE (exception_id bigint, outcome text, said text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT a.id,
        CASE WHEN e.exception_id IS NULL THEN 'absent'
             WHEN deed = 'comment' THEN 'done'
             WHEN e.cleared_on IS NOT NULL THEN 'closed'
             WHEN e.version <> a.seen THEN 'stale'
             WHEN deed = 'give_back' AND e.assignee IS DISTINCT FROM who THEN 'refused'
             WHEN deed = 'pass_back' AND p.owner IS NULL THEN 'refused'
             WHEN deed IN ('snooze', 'carry') AND e.status IN ('proposed', 'approved') THEN 'refused'
             WHEN deed = 'wake' AND e.snoozed_until IS NULL AND e.status <> 'carried' THEN 'refused'
             ELSE 'done' END,
        CASE WHEN e.exception_id IS NULL THEN format('exception %s: expected one that exists, found none', a.id)
             WHEN deed = 'comment' THEN NULL
             WHEN e.cleared_on IS NOT NULL THEN format('exception %s: expected an open one, found it %s on %s', a.id, e.status, e.cleared_on)
             WHEN e.version <> a.seen THEN format('exception %s: changed since you looked: %s', a.id, recon.last_deed(a.id))
             WHEN deed = 'give_back' AND e.assignee IS DISTINCT FROM who THEN format('exception %s: expected it to be yours, found %s', a.id, coalesce(e.assignee || '''s', 'nobody''s'))
             WHEN deed = 'pass_back' AND p.owner IS NULL THEN format('exception %s: expected that somebody had it before, found nobody', a.id)
             WHEN deed IN ('snooze', 'carry') AND e.status IN ('proposed', 'approved') THEN format('exception %s: expected one without a proposal at work, found it %s', a.id, e.status)
             WHEN deed = 'wake' AND e.snoozed_until IS NULL AND e.status <> 'carried' THEN format('exception %s: expected one that is put off, found it awake', a.id)
             END
    FROM unnest(ids, seen_versions) WITH ORDINALITY AS a (id, seen, place)
    LEFT JOIN recon.exception AS e ON e.exception_id = a.id
    LEFT JOIN LATERAL (
        SELECT v.before ->> 'assignee' AS owner FROM recon.exception_event AS v
        WHERE deed = 'pass_back' AND v.exception_id = a.id AND v.before ->> 'assignee' <> coalesce(e.assignee, '')
        ORDER BY v.event_id DESC LIMIT 1
    ) AS p ON true
    ORDER BY a.place
$$;

-- What people do about exceptions that moves no money: one deed on any number of them, each item with its own outcome. Those that
-- may are changed in one statement, under their row locks taken in order; the others stay as they are and say why.
CREATE FUNCTION recon.work(ids bigint[], seen_versions integer[], deed text, detail jsonb) RETURNS TABLE (exception_id bigint, outcome text, said text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text := recon.act('work');
    given jsonb := coalesce(detail, '{}');
    new_owner text := given ->> 'to';
    until_day date;
    done bigint[];
BEGIN
    IF deed NOT IN ('take', 'give_back', 'assign', 'assign_team', 'pass_back', 'snooze', 'wake', 'carry', 'comment') THEN
        RAISE EXCEPTION 'deed: expected take, give_back, assign, assign_team, pass_back, snooze, wake, carry or comment, found %', deed USING ERRCODE = 'TR008';
    ELSIF cardinality(ids) <> (SELECT count(DISTINCT i) FROM unnest(ids) AS i) OR cardinality(ids) <> cardinality(seen_versions) THEN
        RAISE EXCEPTION 'items: expected each once, with the version that was seen' USING ERRCODE = 'TR008';
    ELSIF deed = 'assign' AND NOT EXISTS (SELECT FROM recon.person AS p WHERE p.login = new_owner AND p.state = 'active' AND recon.permits(p.roles, 'work')) THEN
        RAISE EXCEPTION 'to: expected an active person who works exceptions, found %', coalesce(new_owner, 'nobody') USING ERRCODE = 'TR008';
    ELSIF deed = 'comment' AND coalesce(btrim(given ->> 'note'), '') = '' THEN
        RAISE EXCEPTION 'note: expected a comment, found none' USING ERRCODE = 'TR008';
    ELSIF deed = 'carry' AND (given ->> 'reason' IS NULL OR given ->> 'reason' NOT IN ('timing', 'fee_not_booked', 'data_correction', 'duplicate',
            'counterparty_error', 'write_off', 'other') OR given ->> 'reason' IN ('write_off', 'other') AND coalesce(btrim(given ->> 'note'), '') = '') THEN
        RAISE EXCEPTION 'reason: expected one of the coded reasons, and a note where it is write_off or other' USING ERRCODE = 'TR008';
    END IF;
    PERFORM recon.check_note(given ->> 'note');
    IF deed IN ('snooze', 'carry') THEN
        BEGIN
            until_day := (given ->> 'until')::date;
        EXCEPTION WHEN data_exception THEN
            until_day := NULL;
        END;
        IF until_day IS NULL OR NOT isfinite(until_day) THEN
            RAISE EXCEPTION 'until: expected a date, found %', coalesce(given ->> 'until', 'none') USING ERRCODE = 'TR008';
        END IF;
    END IF;
    PERFORM FROM recon.exception AS e WHERE e.exception_id = ANY(ids) ORDER BY e.exception_id FOR UPDATE;
    RETURN QUERY SELECT o.exception_id, o.outcome, o.said FROM recon.work_outcomes(ids, seen_versions, deed, who) AS o;
    SELECT array_agg(o.exception_id) INTO done FROM recon.work_outcomes(ids, seen_versions, deed, who) AS o WHERE o.outcome = 'done';
    IF deed = 'comment' THEN
        INSERT INTO recon.exception_event (exception_id, event, actor, as_of, note)
        SELECT e.exception_id, 'commented', who, e.as_of, given ->> 'note' FROM recon.exception AS e WHERE e.exception_id = ANY(done);
        RETURN;
    END IF;
    PERFORM set_config('tieout.deed', CASE deed WHEN 'take' THEN 'taken' WHEN 'give_back' THEN 'given_back' WHEN 'snooze' THEN 'snoozed'
        WHEN 'wake' THEN 'woken' WHEN 'carry' THEN 'carried' ELSE 'assigned' END, true),
        set_config('tieout.note', coalesce(given ->> 'note', ''), true);
    WITH owned AS (
        SELECT e.exception_id, CASE deed WHEN 'take' THEN who WHEN 'assign' THEN new_owner WHEN 'give_back' THEN NULL
            WHEN 'pass_back' THEN (SELECT v.before ->> 'assignee' FROM recon.exception_event AS v
                WHERE v.exception_id = e.exception_id AND v.before ->> 'assignee' <> coalesce(e.assignee, '') ORDER BY v.event_id DESC LIMIT 1)
            ELSE e.assignee END AS owner
        FROM recon.exception AS e WHERE e.exception_id = ANY(done)
    )
    UPDATE recon.exception AS e SET assignee = o.owner, version = e.version + 1,
        status = CASE WHEN e.status IN ('proposed', 'approved') THEN e.status
                      WHEN deed = 'carry' THEN 'carried'
                      WHEN deed IN ('snooze', 'assign_team') THEN e.status
                      WHEN o.owner IS NULL THEN 'open' ELSE 'taken' END,
        team = CASE deed WHEN 'assign_team' THEN nullif(given ->> 'team', '') ELSE e.team END,
        snoozed_until = CASE deed WHEN 'snooze' THEN until_day WHEN 'wake' THEN NULL ELSE e.snoozed_until END,
        carried_until = CASE deed WHEN 'carry' THEN until_day WHEN 'wake' THEN NULL ELSE e.carried_until END,
        reason = CASE deed WHEN 'carry' THEN given ->> 'reason' ELSE e.reason END
    FROM owned AS o WHERE e.exception_id = o.exception_id;
    PERFORM set_config('tieout.deed', '', true), set_config('tieout.note', '', true);
END
$$;

-- ------------------------------------------------------------------------------------------------------- attachments

CREATE TABLE recon.attachment_content (
    sha256  text CONSTRAINT attachment_content_key PRIMARY KEY,
    content bytea NOT NULL CONSTRAINT attachment_is_not_huge CHECK (octet_length(content) BETWEEN 1 AND 10485760),
    CONSTRAINT attachment_content_is_its_digest CHECK (sha256 = encode(sha256(content), 'hex'))
);
CREATE TABLE recon.attachment (
    attachment_id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT attachment_key PRIMARY KEY,
    exception_id  bigint NOT NULL CONSTRAINT attachment_exception REFERENCES recon.exception ON DELETE RESTRICT,
    file_name     text NOT NULL CONSTRAINT attachment_name_is_no_path CHECK (file_name !~ '[/\\[:cntrl:]]' AND length(file_name) BETWEEN 1 AND 200),
    media_type    text NOT NULL CONSTRAINT attachment_media_type CHECK (media_type IN ('application/pdf', 'image/png', 'image/jpeg', 'text/plain', 'text/csv',
                      'message/rfc822', 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet')),
    byte_count    bigint NOT NULL,
    sha256        text NOT NULL CONSTRAINT attachment_has_content REFERENCES recon.attachment_content ON DELETE RESTRICT,
    uploaded_by   text NOT NULL,
    uploaded_at   timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX attachment_by_exception ON recon.attachment (exception_id);

CREATE FUNCTION recon.attach(to_exception bigint, called text, of_type text, bytes bytea) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text := recon.act('work');
    digest text := encode(sha256(bytes), 'hex');
    made bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM recon.exception AS e WHERE e.exception_id = to_exception) THEN
        RAISE EXCEPTION 'exception %: expected one that exists, found none', to_exception USING ERRCODE = 'TR004';
    END IF;
    INSERT INTO recon.attachment_content (sha256, content) VALUES (digest, bytes) ON CONFLICT (sha256) DO NOTHING;
    INSERT INTO recon.attachment (exception_id, file_name, media_type, byte_count, sha256, uploaded_by)
    VALUES (to_exception, called, of_type, octet_length(bytes), digest, who) RETURNING attachment_id INTO made;
    INSERT INTO recon.exception_event (exception_id, event, actor, as_of, note)
    SELECT e.exception_id, 'attached', who, e.as_of, format('%s, sha256 %s', called, digest) FROM recon.exception AS e WHERE e.exception_id = to_exception;
    RETURN made;
END
$$;

-- ----------------------------------------------------------------------------------------------- decisions of people

-- What a person wants decided, as it was when it was said: the members are kept with account, asset and amount. It waits until
-- another person judges it.
CREATE TABLE recon.proposal (
    proposal_id  bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT proposal_key PRIMARY KEY,
    source_id    text NOT NULL,
    exception_id bigint CONSTRAINT proposal_exception REFERENCES recon.exception ON DELETE RESTRICT,
    action       text NOT NULL CONSTRAINT proposal_action CHECK (action IN ('force_match', 'not_duplicate', 'exclude', 'write_off', 'book_entry')),
    members      jsonb NOT NULL CONSTRAINT proposal_names_members CHECK (jsonb_typeof(members) = 'array' AND members <> '[]'),
    reason       text NOT NULL CONSTRAINT proposal_has_a_reason CHECK (reason <> ''),
    proposed_by  text NOT NULL CONSTRAINT proposal_has_a_proposer CHECK (proposed_by <> ''),
    proposed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_on   date, -- last business date on which it may be approved
    reason_code text NOT NULL DEFAULT 'other' CONSTRAINT proposal_reason CHECK (reason_code IN ('timing', 'fee_not_booked', 'data_correction',
        'duplicate', 'counterparty_error', 'write_off', 'other')),
    entry jsonb,               -- what is to be posted, frozen: effective_date, description, lines
    stake_minor bigint,        -- the money that it moves or settles, by which it is limited
    asset text,
    suggestion_key text,       -- of the suggested match that it confirms
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT entry_where_money_moves CHECK ((action IN ('write_off', 'book_entry')) = (entry IS NOT NULL)),
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
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT refusal_has_a_reason CHECK (verdict = 'approved' OR note <> '' AND note IS NOT NULL),
    CONSTRAINT verdict_without_card_number CHECK (note !~ '[0-9]{13}' OR NOT recon.holds_card_number(note))
);

-- Nobody approves their own proposal, and only who made it takes it back. Names are compared without case and outer blanks.
CREATE FUNCTION recon.check_verdict() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own boolean;
BEGIN
    SELECT recon.human(p.proposed_by) = recon.human(NEW.actor) INTO own FROM recon.proposal AS p WHERE p.proposal_id = NEW.proposal_id;
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
-- What was posted for a proposal is matched by a decision that rests on it.
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
        WHERE p.proposal_id = n.proposal_id AND p.source_id = n.source_id AND p.proposed_by = n.actor
          AND (p.action = n.kind OR n.kind = 'force_match' AND p.action IN ('write_off', 'book_entry')))
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

-- What became of an approved entry: posted in the ledger under the proposal's key, once, or refused there.
CREATE TABLE recon.adjustment (
    proposal_id bigint CONSTRAINT adjusted_once PRIMARY KEY CONSTRAINT adjustment_proposal REFERENCES recon.proposal ON DELETE RESTRICT,
    entry_key   text NOT NULL CONSTRAINT adjustment_key_is_the_proposals CHECK (entry_key = 'proposal:' || proposal_id),
    outcome     text NOT NULL CONSTRAINT adjustment_outcome CHECK (outcome IN ('posted', 'refused')),
    said        text,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT refused_posting_says_why CHECK (outcome = 'posted' OR said <> '' AND said IS NOT NULL)
);

-- Entries that two people want posted and that are not yet; with the references of the line they are for, or, for lines of the
-- ledger alone, with the entry they correct.
CREATE VIEW recon.adjustment_waiting_v1 AS
SELECT p.proposal_id, p.source_id AS source, 'proposal:' || p.proposal_id AS entry_key, p.entry,
    (SELECT jsonb_strip_nulls(jsonb_build_object('ref_end_to_end', min(l.ref_end_to_end), 'ref_uetr', min(l.ref_uetr), 'ref_servicer', min(l.ref_servicer),
        'ref_psp', min(l.ref_psp), 'ref_merchant', min(l.ref_merchant), 'ref_payout', min(l.ref_payout), 'ref_arn', min(l.ref_arn), 'ref_rrn', min(l.ref_rrn),
        'ref_auth_code', min(l.ref_auth_code), 'batch_ref', min(l.batch_ref), 'counterparty', min(l.counterparty), 'kind', min(l.kind)))
     FROM jsonb_to_recordset(p.members) AS m (side text, line_key text, version integer)
     JOIN recon.line AS l ON l.source_id = p.source_id AND l.line_key = m.line_key AND l.version = m.version
     WHERE m.side = 'external' HAVING count(*) = 1) AS reference_columns,
    (SELECT min(m.entry_key) FROM jsonb_to_recordset(p.members) AS m (side text, entry_key text)
     HAVING count(DISTINCT m.entry_key) = 1 AND min(m.side) = 'ledger' AND max(m.side) = 'ledger') AS corrects_entry_key,
    p.proposed_by, v.actor AS approved_by, p.reason
FROM recon.proposal AS p
JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id AND v.verdict = 'approved'
WHERE p.entry IS NOT NULL AND NOT EXISTS (SELECT FROM recon.adjustment AS a WHERE a.proposal_id = p.proposal_id);

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
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT bridge_adds_up CHECK (
        closing_minor::numeric = ledger_minor::numeric + timing_external_minor + genuine_external_minor + excluded_external_minor
            - timing_ledger_minor - genuine_ledger_minor - excluded_ledger_minor + allocation_difference_minor + unexplained_minor),
    CONSTRAINT every_line_in_one_bucket CHECK (line_count = matched_count + timing_count + genuine_count + excluded_count),
    CONSTRAINT proof_once_per_run UNIQUE (run_id, account, business_date)
);
CREATE INDEX balance_proof_by_day ON recon.balance_proof (source_id, account, business_date, proof_id);

-- ---------------------------------------------------------------------------------------------------------- signatures

-- A day as somebody put it before a second person: the whole statement, and the digest of the part that is signed.
CREATE TABLE recon.sign_off (
    sign_off_id    bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT sign_off_key PRIMARY KEY,
    source_id      text NOT NULL,
    business_date  date NOT NULL,
    known_at       pg_snapshot NOT NULL, -- what was known: the statement can be made from the evidence again
    content        text NOT NULL,
    content_sha256 text NOT NULL,
    books_sha256   text NOT NULL CONSTRAINT books_sha256_shape CHECK (books_sha256 ~ '^[0-9a-f]{64}$'),
    prepared_by    text NOT NULL CONSTRAINT sign_off_has_a_preparer CHECK (prepared_by <> ''),
    prepared_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    note           text,
    xid            xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT content_is_its_digest CHECK (content_sha256 = encode(sha256(convert_to(content, 'UTF8')), 'hex')),
    CONSTRAINT sign_off_without_card_number CHECK (note !~ '[0-9]{13}' OR NOT recon.holds_card_number(note))
);
CREATE INDEX sign_off_by_day ON recon.sign_off (source_id, business_date, sign_off_id);
CREATE TABLE recon.sign_off_verdict (
    sign_off_id bigint CONSTRAINT signed_once PRIMARY KEY CONSTRAINT sign_off_verdict_sign_off REFERENCES recon.sign_off ON DELETE RESTRICT,
    verdict     text NOT NULL CONSTRAINT sign_off_verdict_word CHECK (verdict IN ('signed', 'refused', 'withdrawn')),
    actor       text NOT NULL CONSTRAINT sign_off_verdict_has_an_actor CHECK (actor <> ''),
    note        text,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
    CONSTRAINT refused_signature_has_a_reason CHECK (verdict = 'signed' OR note <> '' AND note IS NOT NULL),
    CONSTRAINT sign_off_verdict_without_card_number CHECK (note !~ '[0-9]{13}' OR NOT recon.holds_card_number(note))
);

CREATE FUNCTION recon.check_signature() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    own boolean;
BEGIN
    SELECT recon.human(s.prepared_by) = recon.human(NEW.actor) INTO own FROM recon.sign_off AS s WHERE s.sign_off_id = NEW.sign_off_id;
    IF own AND NEW.verdict = 'signed' THEN
        RAISE EXCEPTION 'sign-off %: expected the signature of another person, found %, who prepared it', NEW.sign_off_id, NEW.actor
            USING ERRCODE = 'TR007', HINT = 'Ask a colleague to review it.';
    ELSIF NOT own AND NEW.verdict = 'withdrawn' THEN
        RAISE EXCEPTION 'sign-off %: expected it to be taken back by who prepared it, found %', NEW.sign_off_id, NEW.actor
            USING ERRCODE = 'TR007', HINT = 'Refuse it instead.';
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER signature_by_another_person BEFORE INSERT ON recon.sign_off_verdict FOR EACH ROW EXECUTE FUNCTION recon.check_signature();

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
    written_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid xid8 NOT NULL DEFAULT pg_current_xact_id()
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
        'alert', 'alert_attempt', 'person_event', 'login_attempt', 'export_record', 'exception_line', 'event_link', 'attachment', 'attachment_content',
        'adjustment', 'sign_off', 'sign_off_verdict'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON recon.%I
            FOR EACH STATEMENT EXECUTE FUNCTION recon.refuse_change()', evidence || '_append_only', evidence);
    END LOOP;
    FOREACH evidence IN ARRAY ARRAY['match_member', 'exception', 'person', 'session', 'event_chain'] LOOP
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
    e.age_business_days, e.assignee, e.cleared_by_group, e.account, e.item_date, e.cleared_on, e.factors, e.exception_key,
    e.team, e.reason, e.snoozed_until, e.carried_until, e.cycle, e.sla_due_on, e.opened_at, e.changed_at, e.reference, e.counterparty,
    e.best_group, e.best_millibits, e.candidates, e.severity_rank, e.value_minor, e.version
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
    (SELECT min(d.as_of) FROM recon.decision AS d WHERE d.proposal_id = p.proposal_id) AS acts_from,
    p.reason_code, p.entry, p.stake_minor, p.asset, p.suggestion_key, a.outcome AS posting, a.said AS posting_said
FROM recon.proposal AS p
LEFT JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id
LEFT JOIN recon.adjustment AS a ON a.proposal_id = p.proposal_id
LEFT JOIN LATERAL (
    SELECT max(n.business_date) AS done_to FROM recon.run AS n WHERE n.source_id = p.source_id AND n.state = 'succeeded'
) AS r ON true;

CREATE VIEW recon.sign_off_v1 AS
SELECT s.sign_off_id, s.source_id, s.business_date, s.known_at, s.content_sha256, s.books_sha256, s.prepared_by, s.prepared_at, s.note,
    CASE WHEN EXISTS (SELECT FROM recon.sign_off AS l LEFT JOIN recon.sign_off_verdict AS w ON w.sign_off_id = l.sign_off_id
                      WHERE l.source_id = s.source_id AND l.business_date = s.business_date AND l.sign_off_id > s.sign_off_id
                        AND coalesce(w.verdict, 'prepared') IN ('prepared', 'signed') AND (w.verdict = 'signed' OR v.verdict IS NULL))
          AND coalesce(v.verdict, 'prepared') IN ('prepared', 'signed') THEN 'superseded'
         ELSE coalesce(v.verdict, 'prepared') END AS state,
    v.actor AS reviewed_by, v.at AS reviewed_at, v.note AS review_note
FROM recon.sign_off AS s
LEFT JOIN recon.sign_off_verdict AS v ON v.sign_off_id = s.sign_off_id;

-- Alerts that no channel has taken yet.
CREATE VIEW recon.alert_waiting_v1 AS
SELECT a.alert_id, a.cause_key, a.source_id, a.business_date, a.severity, a.title, a.body, a.item_count, a.sums, a.written_at,
    (SELECT count(*) FROM recon.alert_attempt AS t WHERE t.alert_id = a.alert_id) AS attempts
FROM recon.alert AS a
WHERE NOT EXISTS (SELECT FROM recon.alert_attempt AS t WHERE t.alert_id = a.alert_id AND t.outcome = 'sent');

-- --------------------------------------------------------------------------------------------- doors for people

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

-- A source's rules as they are now.
CREATE FUNCTION recon.rules_of(of_source text) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT s.definition FROM recon.source_version AS s WHERE s.source_id = of_source ORDER BY s.loaded_at DESC LIMIT 1
$$;

-- What stands against an entry that is to bring a difference to zero on an account; null where it is sound.
CREATE FUNCTION recon.entry_problem(of_source text, of_action text, wanted jsonb, of_account text, of_asset text, difference_minor numeric) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rules jsonb := recon.rules_of(of_source) -> 'review';
    told record;
    on_day date;
    signed_to date;
BEGIN
    BEGIN
        on_day := (wanted ->> 'effective_date')::date;
        SELECT count(*) AS lines, sum(l.amount_minor) AS total, bool_or(l.amount_minor = 0) AS empty,
            bool_or(l.asset IS DISTINCT FROM of_asset) AS other_asset,
            (array_agg(l.account ORDER BY l.place))[1] AS first_account, (array_agg(l.amount_minor ORDER BY l.place))[1] AS first_minor,
            string_agg(l.account, ', ' ORDER BY l.place) FILTER (WHERE l.place > 1 AND (a.code IS NULL OR a.asset <> of_asset OR NOT a.is_leaf OR c.account_id IS NOT NULL)) AS unusable,
            string_agg(l.account, ', ' ORDER BY l.place) FILTER (WHERE l.place > 1 AND l.account IN (
                SELECT x.value ->> 'ledger' FROM jsonb_array_elements(recon.rules_of(of_source) -> 'accounts') AS x)) AS reconciled,
            string_agg(l.account, ', ' ORDER BY l.place) FILTER (WHERE l.place > 1 AND jsonb_array_length(coalesce(rules -> 'entry_accounts', '[]')) > 0
                AND NOT EXISTS (SELECT FROM jsonb_array_elements_text(rules -> 'entry_accounts') AS p
                                WHERE l.account = p.value OR starts_with(l.account, p.value || ':'))) AS forbidden,
            bool_or(l.place > 1 AND l.account IS DISTINCT FROM rules -> 'write_off' ->> of_asset) AS elsewhere
        INTO told
        FROM (
            SELECT x.place, x.value ->> 'account' AS account, (x.value ->> 'amount_minor')::bigint AS amount_minor, x.value ->> 'asset' AS asset
            FROM jsonb_array_elements(wanted -> 'lines') WITH ORDINALITY AS x (value, place)
        ) AS l
        LEFT JOIN ledger.account AS a ON a.code = l.account
        LEFT JOIN ledger.account_closure AS c ON c.account_id = a.account_id;
    EXCEPTION WHEN data_exception THEN
        RETURN 'its entry cannot be read: expected effective_date, and lines of account, amount_minor and asset';
    END;
    SELECT max(s.business_date) INTO signed_to FROM recon.sign_off_v1 AS s WHERE s.source_id = of_source AND s.state = 'signed';
    RETURN CASE
        WHEN difference_minor = 0 THEN 'its lines leave no difference to book'
        WHEN coalesce(told.lines, 0) < 2 OR told.total <> 0 OR told.empty THEN 'expected an entry of two lines or more that add up to zero'
        WHEN told.first_account IS DISTINCT FROM of_account OR told.first_minor <> difference_minor THEN
            format('the first line of its entry: expected %s minor units on %s, found %s on %s', difference_minor, of_account, told.first_minor, told.first_account)
        WHEN told.other_asset THEN format('expected all lines of its entry in %s', of_asset)
        WHEN told.unusable IS NOT NULL THEN format('%s: expected an open account in %s that takes lines, found none', told.unusable, of_asset)
        WHEN told.reconciled IS NOT NULL THEN format('%s: expected an account that the source does not reconcile', told.reconciled)
        WHEN of_action = 'write_off' AND rules -> 'write_off' ->> of_asset IS NULL THEN
            format('source %s names no account for write-offs in %s (review.write_off)', of_source, of_asset)
        WHEN of_action = 'write_off' AND told.elsewhere THEN format('expected the write-off on %s', rules -> 'write_off' ->> of_asset)
        WHEN of_action = 'book_entry' AND told.forbidden IS NOT NULL THEN
            format('%s: expected an account that review.entry_accounts of source %s allows', told.forbidden, of_source)
        WHEN on_day IS NULL OR NOT isfinite(on_day) THEN 'its entry has no effective date'
        WHEN on_day <= signed_to THEN format('effective date %s: expected a day after %s, which is signed', on_day, signed_to)
        END;
END
$$;

-- What stands against a proposal as things are now; null where it is sound.
CREATE FUNCTION recon.proposal_problem(of_source text, of_action text, named jsonb, wanted_entry jsonb) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    told record;
BEGIN
    SELECT count(*) AS members, count(DISTINCT m.identity) AS different, count(DISTINCT m.asset) AS assets,
        count(DISTINCT m.account) AS accounts, count(DISTINCT m.side) AS sides, bool_or(m.role <> 'principal') AS owned,
        coalesce(sum(m.amount_minor) FILTER (WHERE m.side = 'external'), 0)
            - coalesce(sum(m.amount_minor) FILTER (WHERE m.side = 'ledger'), 0) AS difference_minor,
        min(m.account) AS account, min(m.asset) AS asset,
        string_agg(m.problem, '; ' ORDER BY m.member_no) AS problems, array_agg(m.identity) AS identities
    INTO told FROM recon.named_lines(of_source, named) AS m;
    RETURN CASE
        WHEN told.members = 0 THEN 'it names no line'
        WHEN told.problems IS NOT NULL THEN told.problems
        WHEN told.different < told.members THEN 'it names a line twice'
        WHEN of_action = 'force_match' AND told.sides < 2 THEN 'expected lines of both sides, found one side alone'
        WHEN of_action IN ('force_match', 'write_off', 'book_entry') AND (told.assets > 1 OR told.accounts > 1) THEN
            format('expected lines of one account and asset, found %s accounts and %s assets', told.accounts, told.assets)
        WHEN of_action = 'force_match' AND told.difference_minor <> 0 AND NOT told.owned THEN
            format('the two sides differ by %s minor units and no line says why (as fee, fx or rounding)', told.difference_minor)
        WHEN of_action IN ('write_off', 'book_entry') THEN
            recon.entry_problem(of_source, of_action, wanted_entry, told.account, told.asset, told.difference_minor)
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

-- An exception's status moves with its proposals; the proposal's own event tells it.
CREATE FUNCTION recon.move_exception(moved_exception bigint, new_status text, told_event text, who text, told_reason text, told_note text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    was jsonb;
BEGIN
    SELECT recon.exception_facts(e) INTO was FROM recon.exception AS e WHERE e.exception_id = moved_exception FOR UPDATE;
    PERFORM set_config('tieout.deed', 'told', true);
    UPDATE recon.exception AS e SET status = coalesce(new_status, CASE WHEN e.assignee IS NULL THEN 'open' ELSE 'taken' END), version = e.version + 1,
        reason = coalesce(told_reason, e.reason)
    WHERE e.exception_id = moved_exception AND e.cleared_on IS NULL;
    PERFORM set_config('tieout.deed', '', true);
    INSERT INTO recon.exception_event (exception_id, event, actor, as_of, before, after, reason, note)
    SELECT e.exception_id, told_event, who, e.as_of, was, recon.exception_facts(e), told_reason, told_note
    FROM recon.exception AS e WHERE e.exception_id = moved_exception;
END
$$;

-- Ask for a decision about an exception: what it names is checked and kept as it is now. Returns the proposal's number.
CREATE FUNCTION recon.propose(about_exception bigint, seen_version integer, wanted_action text, named jsonb, coded_reason text, why text,
    last_day date DEFAULT NULL, wanted_entry jsonb DEFAULT NULL, of_suggestion bigint DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    proposer text := recon.act('propose');
    about record;
    told text;
    kept jsonb;
    stake record;
    known bigint;
BEGIN
    PERFORM recon.check_note(why);
    SELECT e.source_id INTO about FROM recon.exception AS e WHERE e.exception_id = about_exception;
    IF about.source_id IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended('source:' || about.source_id, 0));
    END IF;
    SELECT e.source_id, e.version, e.cleared_on INTO about FROM recon.exception AS e WHERE e.exception_id = about_exception FOR UPDATE;
    IF about.source_id IS NULL OR about.cleared_on IS NOT NULL THEN
        RAISE EXCEPTION 'exception %: expected an open one, found %', about_exception,
            CASE WHEN about.source_id IS NULL THEN 'none' ELSE 'it closed on ' || about.cleared_on END USING ERRCODE = 'TR004';
    ELSIF about.version <> seen_version THEN
        RAISE EXCEPTION 'exception %: changed since you looked: %', about_exception, recon.last_deed(about_exception) USING ERRCODE = 'TR011';
    END IF;
    told := recon.proposal_problem(about.source_id, wanted_action, named, wanted_entry);
    IF told IS NOT NULL THEN
        RAISE EXCEPTION 'this cannot be proposed: %', told USING ERRCODE = 'TR008';
    END IF;
    SELECT jsonb_agg(jsonb_strip_nulls(jsonb_build_object('side', m.side, 'line_key', m.line_key, 'version', m.version, 'entry_key',
        m.entry_key, 'line_no', m.line_no, 'role', m.role, 'account', m.account, 'asset', m.asset, 'amount_minor', m.amount_minor))
        ORDER BY m.member_no)
    INTO kept FROM recon.named_lines(about.source_id, named) AS m;
    SELECT min(m.asset) AS asset, CASE WHEN wanted_entry IS NULL
        THEN greatest(abs(coalesce(sum(m.amount_minor) FILTER (WHERE m.side = 'external'), 0)), abs(coalesce(sum(m.amount_minor) FILTER (WHERE m.side = 'ledger'), 0)))
        ELSE abs(coalesce(sum(m.amount_minor) FILTER (WHERE m.side = 'external'), 0) - coalesce(sum(m.amount_minor) FILTER (WHERE m.side = 'ledger'), 0))
        END AS minor
    INTO stake FROM recon.named_lines(about.source_id, named) AS m;
    SELECT min(p.proposal_id) INTO known FROM recon.proposal_v1 AS p
    WHERE p.source = about.source_id AND p.action = wanted_action AND p.members = kept AND p.entry IS NOT DISTINCT FROM wanted_entry AND p.state = 'waiting';
    IF known IS NOT NULL THEN
        RAISE EXCEPTION 'this cannot be proposed: proposal % says the same and waits', known USING ERRCODE = 'TR008';
    END IF;
    INSERT INTO recon.proposal (source_id, exception_id, action, members, reason_code, reason, proposed_by, expires_on, entry, stake_minor, asset, suggestion_key)
    VALUES (about.source_id, about_exception, wanted_action, kept, coded_reason, why, proposer, last_day, wanted_entry, stake.minor, stake.asset,
        (SELECT g.group_key FROM recon.match_group AS g WHERE g.group_id = of_suggestion AND g.source_id = about.source_id AND g.state = 'suggested'))
    RETURNING proposal_id INTO known;
    PERFORM recon.move_exception(about_exception, 'proposed', 'proposed', proposer, coded_reason, format('proposal %s, %s: %s', known, wanted_action, why));
    RETURN known;
END
$$;

-- Up to how much a person of these roles may approve: null where nothing limits them, -1 where nothing allows them.
CREATE FUNCTION recon.judging_limit(of_source text, of_roles text[], of_asset text, of_action text, of_reason text) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN count(*) = 0 THEN -1 WHEN bool_or(r.limit_minor IS NULL) THEN NULL ELSE max(r.limit_minor) END
    FROM (
        SELECT j.role, min(l.amount_minor) AS limit_minor
        FROM unnest(of_roles) AS j (role)
        LEFT JOIN LATERAL jsonb_to_recordset(coalesce(recon.rules_of(of_source) -> 'review' -> 'limits', '[]'))
            AS l (role text, asset text, amount_minor bigint, reason text)
            ON l.role = j.role AND l.asset = of_asset AND (l.reason IS NULL OR l.reason IN (of_action, of_reason))
        WHERE recon.permits(ARRAY[j.role], 'judge')
        GROUP BY j.role
    ) AS r
$$;

-- Judge a proposal; returns the verdict. What was approved becomes a decision, if what it rests on is still so, which acts from the
-- last day that was reconciled, from the day after the last signed one, or from a later one; an entry is first posted by the shell. Who turns down their own takes it back.
CREATE FUNCTION recon.judge_proposal(judged_id bigint, given_verdict text, judge_note text DEFAULT NULL, acts_from date DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    judge text;
    roles_of text[];
    judged record;
    told text;
    of_all text; -- content key of all lines together, where they are one decision
    done_to date;
    limit_minor bigint;
BEGIN
    PERFORM recon.check_note(judge_note);
    SELECT p.proposal_id, p.source_id, p.exception_id, p.action, p.members, p.reason, p.reason_code, p.proposed_by, p.expires_on, p.entry, p.stake_minor, p.asset
    INTO judged FROM recon.proposal AS p WHERE p.proposal_id = judged_id;
    SELECT v.login, v.roles INTO judge, roles_of FROM recon.visitor() AS v;
    judge := recon.act(CASE WHEN given_verdict = 'rejected' AND recon.human(judge) = recon.human(judged.proposed_by) THEN 'propose' ELSE 'judge' END);
    IF judged.proposal_id IS NULL THEN
        RAISE EXCEPTION 'proposal %: expected one that exists, found none', judged_id USING ERRCODE = 'TR004';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('source:' || judged.source_id, 0));
    SELECT format('%s by %s', v.verdict, v.actor) INTO told FROM recon.proposal_verdict AS v WHERE v.proposal_id = judged_id;
    IF told IS NOT NULL THEN
        RAISE EXCEPTION 'proposal %: expected one that waits, found it %', judged_id, told USING ERRCODE = 'TR004';
    END IF;
    IF given_verdict = 'rejected' AND recon.human(judge) = recon.human(judged.proposed_by) THEN
        given_verdict := 'withdrawn';
    END IF;
    INSERT INTO recon.proposal_verdict (proposal_id, verdict, actor, note) VALUES (judged_id, given_verdict, judge, judge_note);
    IF given_verdict = 'approved' THEN
        limit_minor := recon.judging_limit(judged.source_id, roles_of, judged.asset, judged.action, judged.reason_code);
        IF judged.stake_minor > limit_minor THEN
            RAISE EXCEPTION 'proposal %: expected at most % minor units of %, which % may approve (%), found %', judged_id, limit_minor, judged.asset, judge,
                judged.action, judged.stake_minor USING ERRCODE = 'TR010', HINT = 'Ask somebody whose limit is higher.';
        END IF;
        SELECT max(r.business_date) INTO done_to FROM recon.run AS r WHERE r.source_id = judged.source_id AND r.state = 'succeeded';
        acts_from := coalesce(acts_from, greatest(done_to, (SELECT max(s.business_date) + 1 FROM recon.sign_off_v1 AS s
            WHERE s.source_id = judged.source_id AND s.state = 'signed')));  -- a signed day stays as it is
        told := CASE
            WHEN done_to IS NULL THEN format('source %s was never reconciled', judged.source_id)
            WHEN acts_from < done_to THEN format('it would act from %s on, and the source is reconciled to %s', acts_from, done_to)
            WHEN judged.expires_on < acts_from THEN format('it was good until %s', judged.expires_on)
            ELSE recon.proposal_problem(judged.source_id, judged.action, judged.members, judged.entry) END;
        IF told IS NOT NULL THEN
            RAISE EXCEPTION 'proposal % cannot be approved: %', judged_id, told
                USING ERRCODE = 'TR008', HINT = 'Reject it, and propose anew what holds now.';
        END IF;
        IF judged.entry IS NULL THEN
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
                SELECT judged.source_id, judged.action, l.content_key, judged.reason, judged.proposed_by, acts_from, judge, judged_id
                FROM line AS l GROUP BY l.content_key ORDER BY min(l.member_no)
                RETURNING decision_id, content_key
            )
            INSERT INTO recon.decision_member (decision_id, member_no, side, line_key, version, entry_key, line_no, role, allocated_minor)
            SELECT n.decision_id, row_number() OVER (PARTITION BY n.decision_id ORDER BY l.member_no), l.side, l.line_key, l.version,
                l.entry_key, l.line_no, l.role, l.amount_minor
            FROM made AS n JOIN line AS l ON l.content_key = n.content_key;
        END IF;
    END IF;
    PERFORM recon.move_exception(judged.exception_id,
        CASE WHEN given_verdict = 'approved' THEN 'approved'
             WHEN EXISTS (SELECT FROM recon.proposal_v1 AS p WHERE p.exception_id = judged.exception_id AND p.state = 'waiting') THEN 'proposed' END,
        given_verdict, judge, NULL, concat_ws(': ', format('proposal %s', judged_id), judge_note));
    RETURN given_verdict;
END
$$;

-- What became of an approved entry in the ledger. What was posted is matched with the lines it was made for by a decision of the
-- same two people; where it stands against lines of the ledger alone, the entry says itself what it corrects.
CREATE FUNCTION recon.record_adjustment(of_proposal bigint, posting_outcome text, posting_said text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    key text := 'proposal:' || of_proposal;
    about record;
    members jsonb;
    told text;
    acts_from date;
    made bigint;
BEGIN
    SELECT p.source_id, p.exception_id, p.entry, p.members, p.reason, p.proposed_by, v.actor AS approved_by INTO about
    FROM recon.proposal AS p JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id AND v.verdict = 'approved'
    WHERE p.proposal_id = of_proposal AND p.entry IS NOT NULL;
    IF about.source_id IS NULL THEN
        RAISE EXCEPTION 'proposal %: expected an approved one with an entry, found none', of_proposal USING ERRCODE = 'TR004';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('source:' || about.source_id, 0));
    IF EXISTS (SELECT FROM recon.adjustment AS a WHERE a.proposal_id = of_proposal) THEN
        RETURN;  -- somebody else was faster
    END IF;
    IF (posting_outcome = 'posted') IS DISTINCT FROM (
        SELECT jsonb_agg(jsonb_build_object('account', j.account, 'amount_minor', j.amount_minor, 'asset', j.asset) ORDER BY j.line_no)
            = (SELECT jsonb_agg(jsonb_build_object('account', l.value ->> 'account', 'amount_minor', (l.value ->> 'amount_minor')::bigint, 'asset', l.value ->> 'asset')
                ORDER BY l.place) FROM jsonb_array_elements(about.entry -> 'lines') WITH ORDINALITY AS l (value, place))
        FROM ledger.journal_line_v1 AS j WHERE j.entry_key = key) AND posting_outcome = 'posted' THEN
        RAISE EXCEPTION 'entry %: expected the lines that were approved, found others or none in the ledger', key USING ERRCODE = 'TR004';
    END IF;
    INSERT INTO recon.adjustment (proposal_id, entry_key, outcome, said) VALUES (of_proposal, key, posting_outcome, posting_said);
    IF posting_outcome = 'refused' THEN
        PERFORM recon.move_exception(about.exception_id, NULL, 'posting_refused', recon.actor(), NULL, format('proposal %s: %s', of_proposal, posting_said));
        RETURN;
    END IF;
    members := about.members || jsonb_build_array(jsonb_build_object('side', 'ledger', 'entry_key', key, 'line_no', 1));
    IF members @> '[{"side": "external"}]' THEN
        told := recon.proposal_problem(about.source_id, 'force_match', members, NULL);
    END IF;
    IF told IS NULL AND members @> '[{"side": "external"}]' THEN
        SELECT greatest(max(r.business_date), (about.entry ->> 'effective_date')::date) INTO acts_from
        FROM recon.run AS r WHERE r.source_id = about.source_id AND r.state = 'succeeded';
        WITH line AS (
            SELECT m.member_no, m.side, m.line_key, m.version, m.entry_key, m.line_no, m.role, m.amount_minor, m.identity
            FROM recon.named_lines(about.source_id, members) AS m
        ), made AS (
            INSERT INTO recon.decision (source_id, kind, content_key, reason, actor, as_of, approved_by, proposal_id)
            SELECT about.source_id, 'force_match', recon.content_key('force_match', array_agg(l.identity)), about.reason, about.proposed_by, acts_from,
                about.approved_by, of_proposal
            FROM line AS l RETURNING decision_id
        )
        INSERT INTO recon.decision_member (decision_id, member_no, side, line_key, version, entry_key, line_no, role, allocated_minor)
        SELECT n.decision_id, l.member_no, l.side, l.line_key, l.version, l.entry_key, l.line_no, l.role, l.amount_minor FROM made AS n CROSS JOIN line AS l;
    END IF;
    PERFORM recon.move_exception(about.exception_id, 'approved', 'posted', recon.actor(), NULL,
        concat_ws('; ', format('proposal %s: entry %s', of_proposal, key), told));
END
$$;

-- Undo a match, or turn down a suggestion: revoke the group and remember that it must not be made again. Of what people say about one
-- content the last word holds: a rejection undoes a forced match, and a match forced later undoes the rejection. It takes one
-- person: it hides nothing, its lines are open again.
CREATE FUNCTION recon.undo_match(undone_group bigint, coded_reason text, why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text := recon.act('propose');
    told text;
BEGIN
    PERFORM recon.check_note(why);
    -- Not in the middle of a run, which would make the match once more.
    PERFORM pg_advisory_xact_lock(hashtextextended('source:' || g.source_id, 0)) FROM recon.match_group AS g
    WHERE g.group_id = undone_group;
    SELECT CASE WHEN g.group_id IS NULL THEN 'none' ELSE format('it undone by %s: %s', r.actor, r.reason) END INTO told
    FROM (SELECT undone_group AS id) AS w
    LEFT JOIN recon.match_group AS g ON g.group_id = w.id
    LEFT JOIN recon.match_revocation AS r ON r.group_id = g.group_id
    WHERE g.group_id IS NULL OR r.group_id IS NOT NULL;
    IF told IS NOT NULL THEN
        RAISE EXCEPTION 'match %: expected one that stands, found %', undone_group, told USING ERRCODE = 'TR004';
    END IF;
    INSERT INTO recon.decision (source_id, kind, content_key, reason, actor)
    SELECT g.source_id, 'reject_match', g.group_key, why, who FROM recon.match_group AS g
    WHERE g.group_id = undone_group AND 'reject_match' IS DISTINCT FROM (
        SELECT x.kind FROM recon.decision AS x
        WHERE x.source_id = g.source_id AND x.content_key = g.group_key ORDER BY x.decision_id DESC LIMIT 1);
    INSERT INTO recon.match_revocation (group_id, reason, actor) VALUES (undone_group, why, who);
    INSERT INTO recon.exception_event (exception_id, event, actor, as_of, reason, note)
    SELECT e.exception_id, 'undone', who, e.as_of, coded_reason, format('match %s: %s', undone_group, why)
    FROM recon.exception AS e
    WHERE e.cleared_by_group = undone_group OR e.exception_id IN (
        SELECT x.exception_id FROM recon.match_member AS m
        JOIN recon.exception_member AS x ON x.line_id = m.line_id OR (x.entry_id, x.line_no) = (m.entry_id, m.line_no)
        WHERE m.group_id = undone_group);
END
$$;

-- Waive the proof that a refused file failed, for exactly these bytes. The next delivery of them is taken in and flagged.
CREATE FUNCTION recon.release_delivery(released_delivery_id bigint, release_reason text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    released_by text := recon.act('propose');
    refused record;
BEGIN
    PERFORM recon.check_note(release_reason);
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

-- Why a day cannot be signed as things are now.
CREATE FUNCTION recon.sign_off_obstacles(of_source text, of_day date) RETURNS TABLE (obstacle text, said text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT 'not_reconciled', format('%s is not reconciled to %s', of_source, of_day)
    WHERE NOT EXISTS (SELECT FROM recon.run AS r WHERE r.source_id = of_source AND r.state = 'succeeded' AND r.business_date >= of_day)
    UNION ALL
    SELECT 'not_proved', format('no balance of %s on %s was proved', coalesce(a.account, of_source), of_day)
    FROM (SELECT x.value ->> 'ledger' AS account FROM jsonb_array_elements(recon.rules_of(of_source) -> 'accounts') AS x) AS a
    WHERE NOT EXISTS (SELECT FROM recon.balance_proof AS p WHERE p.source_id = of_source AND p.business_date = of_day AND p.account = a.account)
    UNION ALL
    SELECT 'unexplained', format('%s on %s: %s minor units of %s are not explained', p.account, of_day, p.unexplained_minor, p.asset)
    FROM recon.balance_proof_v1 AS p WHERE p.source = of_source AND p.business_date = of_day AND p.unexplained_minor <> 0
    UNION ALL
    SELECT 'missing_file', format('no file of %s for %s', coalesce(e.account, of_source), of_day)
    FROM recon.exception AS e
    WHERE e.source_id = of_source AND e.kind = 'missing_file' AND e.item_date = of_day AND e.cleared_on IS NULL
    UNION ALL
    SELECT 'not_carried_out', format('%s decisions of people up to %s wait for a run', count(*), of_day)
    FROM recon.decision AS d
    CROSS JOIN LATERAL (
        SELECT r.data_snapshot FROM recon.run AS r WHERE r.source_id = of_source AND r.state = 'succeeded' ORDER BY r.run_id DESC LIMIT 1
    ) AS l
    WHERE d.source_id = of_source AND d.as_of <= of_day AND NOT pg_visible_in_snapshot(d.xid, l.data_snapshot)
    HAVING count(*) > 0
    UNION ALL
    SELECT 'not_carried_out', format('approved entries up to %s wait for the ledger: %s', of_day, string_agg(w.entry_key, ', ' ORDER BY w.proposal_id))
    FROM recon.adjustment_waiting_v1 AS w
    WHERE w.source = of_source AND (w.entry ->> 'effective_date')::date <= of_day
    HAVING count(*) > 0
    UNION ALL
    SELECT 'unaccounted', format('%s lines up to %s are in no bucket', count(*), of_day)
    FROM recon.line AS l
    WHERE l.source_id = of_source AND l.booking_date BETWEEN (recon.rules_of(of_source) ->> 'start_date')::date AND of_day
      AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
      AND NOT EXISTS (SELECT FROM recon.match_member AS m WHERE m.line_id = l.line_id AND m.side = 'external' AND m.live AND m.leg = 'ledger')
      AND NOT EXISTS (SELECT FROM recon.exception_member AS o WHERE o.line_id = l.line_id)
      AND NOT EXISTS (SELECT FROM recon.decision AS d JOIN recon.decision_member AS n ON n.decision_id = d.decision_id AND n.side = 'external'
                      WHERE d.source_id = l.source_id AND d.kind = 'exclude' AND n.line_key = l.line_key AND n.version = l.version)
    HAVING count(*) > 0
$$;

-- What of a day is otherwise than it was when it was put before the second person; empty where nothing is.
CREATE FUNCTION recon.changed_since_sign_off(of_sign_off bigint) RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH s AS (
        SELECT o.source_id, o.business_date, o.known_at, pg_snapshot_xmin(o.known_at) AS oldest FROM recon.sign_off AS o WHERE o.sign_off_id = of_sign_off
    ), told AS (
        SELECT 1 AS place, 'lines came' AS what FROM s WHERE EXISTS (
            SELECT FROM recon.delivery AS d JOIN recon.statement AS t ON t.delivery_id = d.delivery_id JOIN recon.line AS l ON l.statement_id = t.statement_id
            WHERE d.source_id = s.source_id AND d.xid >= s.oldest AND NOT pg_visible_in_snapshot(d.xid, s.known_at) AND l.booking_date <= s.business_date
              AND l.xid = d.xid)
        UNION ALL
        SELECT 2, 'lines were superseded or withdrawn' FROM s WHERE EXISTS (
            SELECT FROM recon.line_closure AS c JOIN recon.line AS l ON l.line_id = c.line_id
            WHERE l.source_id = s.source_id AND c.xid >= s.oldest AND NOT pg_visible_in_snapshot(c.xid, s.known_at) AND l.booking_date <= s.business_date)
        UNION ALL
        SELECT 3, 'matches were made' FROM s WHERE EXISTS (
            SELECT FROM recon.match_group AS g
            WHERE g.source_id = s.source_id AND g.leg = 'ledger' AND g.state = 'confirmed' AND g.as_of <= s.business_date
              AND g.xid >= s.oldest AND NOT pg_visible_in_snapshot(g.xid, s.known_at))
        UNION ALL
        SELECT 4, 'matches were undone' FROM s WHERE EXISTS (
            SELECT FROM recon.match_revocation AS r JOIN recon.match_group AS g ON g.group_id = r.group_id
            WHERE g.source_id = s.source_id AND g.leg = 'ledger' AND g.state = 'confirmed' AND g.as_of <= s.business_date
              AND r.xid >= s.oldest AND NOT pg_visible_in_snapshot(r.xid, s.known_at) AND pg_visible_in_snapshot(g.xid, s.known_at))
        UNION ALL
        SELECT 5, 'the balance was proved anew' FROM s WHERE EXISTS (
            SELECT FROM recon.balance_proof AS p
            WHERE p.source_id = s.source_id AND p.business_date = s.business_date AND NOT pg_visible_in_snapshot(p.xid, s.known_at))
    )
    SELECT coalesce(array_agg(t.what ORDER BY t.place), '{}') FROM told AS t
$$;

-- Put a day before a second person. Returns the number of the sign-off.
CREATE FUNCTION recon.prepare_sign_off(of_source text, of_day date, seen_snapshot pg_snapshot, said_content text, said_sha256 text, said_books_sha256 text,
    why text DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text := recon.act('prepare');
    told text;
    made bigint;
BEGIN
    PERFORM recon.check_note(why);
    PERFORM recon.check_signer(of_source, 'preparer');
    PERFORM pg_advisory_xact_lock(hashtextextended('source:' || of_source, 0));
    SELECT string_agg(o.said, '; ' ORDER BY o.obstacle, o.said) INTO told FROM recon.sign_off_obstacles(of_source, of_day) AS o;
    told := coalesce(told, (SELECT format('sign-off %s of the same books is %s', s.sign_off_id, s.state) FROM recon.sign_off_v1 AS s
        WHERE s.source_id = of_source AND s.business_date = of_day AND s.state IN ('prepared', 'signed') AND s.books_sha256 = said_books_sha256 LIMIT 1));
    IF told IS NOT NULL THEN
        RAISE EXCEPTION '% of % cannot be signed: %', of_day, of_source, told USING ERRCODE = 'TR012';
    END IF;
    INSERT INTO recon.sign_off (source_id, business_date, known_at, content, content_sha256, books_sha256, prepared_by, note)
    VALUES (of_source, of_day, seen_snapshot, said_content, said_sha256, said_books_sha256, who, why) RETURNING sign_off_id INTO made;
    IF cardinality(recon.changed_since_sign_off(made)) > 0 THEN
        RAISE EXCEPTION '% of % cannot be signed: it changed while it was told (%)', of_day, of_source, array_to_string(recon.changed_since_sign_off(made), ', ')
            USING ERRCODE = 'TR012', HINT = 'Look again.';
    END IF;
    RETURN made;
END
$$;

-- Whether the source's rules let the visitor sign in this place: a controller always may.
CREATE FUNCTION recon.check_signer(of_source text, place text) RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted text := recon.rules_of(of_source) -> 'sign_off' ->> place;
    who record;
BEGIN
    SELECT v.login, v.roles INTO who FROM recon.visitor() AS v;
    IF wanted IS NULL THEN
        RAISE EXCEPTION 'source %: expected one that is known, found none', of_source USING ERRCODE = 'TR004';
    ELSIF NOT who.roles && ARRAY['controller', wanted] THEN
        RAISE EXCEPTION '% may not sign %: expected the role % as %, found %', who.login, of_source, wanted, place, array_to_string(who.roles, ', ')
            USING ERRCODE = 'TR010';
    END IF;
END
$$;

-- Sign what another person prepared, or refuse it; who prepared it may withdraw it, and who signed may, with a reason.
CREATE FUNCTION recon.review_sign_off(judged_id bigint, given_verdict text, books_now_sha256 text, why text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    who text;
    about record;
    told text;
BEGIN
    PERFORM recon.check_note(why);
    SELECT s.source_id, s.business_date, s.books_sha256, s.prepared_by INTO about FROM recon.sign_off AS s WHERE s.sign_off_id = judged_id;
    SELECT v.login INTO who FROM recon.visitor() AS v;
    IF given_verdict = 'refused' AND recon.human(who) = recon.human(about.prepared_by) THEN
        given_verdict := 'withdrawn';
    END IF;
    who := recon.act(CASE WHEN given_verdict = 'withdrawn' THEN 'prepare' ELSE 'review' END);
    IF about.source_id IS NULL THEN
        RAISE EXCEPTION 'sign-off %: expected one that exists, found none', judged_id USING ERRCODE = 'TR004';
    END IF;
    PERFORM recon.check_signer(about.source_id, CASE WHEN given_verdict = 'withdrawn' THEN 'preparer' ELSE 'reviewer' END);
    PERFORM pg_advisory_xact_lock(hashtextextended('source:' || about.source_id, 0));
    SELECT format('%s by %s', v.verdict, v.actor) INTO told FROM recon.sign_off_verdict AS v WHERE v.sign_off_id = judged_id;
    IF told IS NOT NULL THEN
        RAISE EXCEPTION 'sign-off %: expected one that waits, found it %', judged_id, told USING ERRCODE = 'TR004';
    END IF;
    IF given_verdict = 'signed' THEN
        SELECT string_agg(o.said, '; ' ORDER BY o.obstacle, o.said) INTO told FROM recon.sign_off_obstacles(about.source_id, about.business_date) AS o;
        told := coalesce(told, nullif(array_to_string(recon.changed_since_sign_off(judged_id), ', '), ''),
            CASE WHEN books_now_sha256 IS DISTINCT FROM about.books_sha256 THEN 'the books are not those that were prepared' END);
        IF told IS NOT NULL THEN
            RAISE EXCEPTION 'sign-off % cannot be signed: %', judged_id, told USING ERRCODE = 'TR012', HINT = 'Refuse it, and let it be prepared anew.';
        END IF;
    END IF;
    INSERT INTO recon.sign_off_verdict (sign_off_id, verdict, actor, note) VALUES (judged_id, given_verdict, who, why);
    RETURN given_verdict;
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
        EXECUTE format('ALTER ROUTINE %s OWNER TO tieout_owner', thing.signature);
        EXECUTE format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', thing.signature);
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
GRANT USAGE ON SCHEMA recon TO tieout_doorkeeper;
GRANT SELECT ON recon.person, recon.person_event, recon.credential, recon.session, recon.login_attempt TO tieout_doorkeeper;
GRANT SELECT ON recon.person, recon.person_event, recon.exception_line, recon.event_chain, recon.event_link, recon.attachment, recon.attachment_content,
    recon.adjustment, recon.sign_off, recon.sign_off_verdict, recon.sign_off_v1, recon.adjustment_waiting_v1, recon.exception_v1, recon.proposal_v1,
    recon.export_record
    TO tieout_matcher, tieout_analyst, tieout_auditor;
GRANT SELECT ON recon.saved_filter TO tieout_analyst, tieout_auditor;
GRANT SELECT (session_id, login, channel, opened_at, seen_at, ended_at) ON recon.session TO tieout_auditor;
GRANT SELECT ON recon.login_attempt TO tieout_auditor;
GRANT INSERT ON recon.exception_line TO tieout_matcher;
GRANT UPDATE (team, snoozed_until, carried_until, cycle, sla_due_on, reference, counterparty, best_group, best_millibits, candidates) ON recon.exception TO tieout_matcher;
GRANT EXECUTE ON FUNCTION recon.enrol(text, text, text[], text, text, text, text), recon.change_person(text, text, text[], text, text, text, text),
    recon.set_password_hash(text, text, text), recon.open_session(text, bytea, text, integer, integer), recon.end_session(bigint, text),
    recon.end_sessions_of(text, text), recon.note_attempt(text, text, text) TO tieout_doorkeeper;
GRANT EXECUTE ON FUNCTION recon.visitor(), recon.permits(text[], text), recon.touch_session(), recon.leave() TO tieout_analyst, tieout_auditor, tieout_doorkeeper;
GRANT EXECUTE ON FUNCTION recon.record_export(text, text, bigint, text) TO tieout_analyst, tieout_auditor;
GRANT EXECUTE ON FUNCTION recon.human(text), recon.rules_of(text), recon.verify_chains(), recon.event_text(recon.exception_event), recon.last_deed(bigint),
    recon.judging_limit(text, text[], text, text, text), recon.sign_off_obstacles(text, date), recon.changed_since_sign_off(bigint)
    TO tieout_matcher, tieout_analyst, tieout_auditor;
GRANT EXECUTE ON FUNCTION recon.work(bigint[], integer[], text, jsonb), recon.attach(bigint, text, text, bytea), recon.save_filter(text, text, text),
    recon.forget_filter(text), recon.undo_match(bigint, text, text), recon.release_delivery(bigint, text),
    recon.propose(bigint, integer, text, jsonb, text, text, date, jsonb, bigint), recon.judge_proposal(bigint, text, text, date),
    recon.prepare_sign_off(text, date, pg_snapshot, text, text, text, text), recon.review_sign_off(bigint, text, text, text) TO tieout_analyst;
GRANT EXECUTE ON FUNCTION recon.record_adjustment(bigint, text, text) TO tieout_matcher;
