-- Intake in full: what more a line tells, lines that are not booked, files that a person released, archives, flags. Lines are
-- told from their statements by one trigger for all rows; indexes on references are of hashes. Rows keep what they hold.

ALTER TABLE recon.delivery DISABLE TRIGGER delivery_append_only;
ALTER TABLE recon.delivery
    ADD COLUMN content_sha256 text CONSTRAINT content_sha256_shape CHECK (content_sha256 ~ '^[0-9a-f]{64}$'),
    ADD COLUMN package_name text,
    ADD COLUMN provisional_count bigint NOT NULL DEFAULT 0;
UPDATE recon.delivery SET content_sha256 = file_sha256;
ALTER TABLE recon.delivery ALTER COLUMN content_sha256 SET NOT NULL;
ALTER TABLE recon.delivery ENABLE TRIGGER delivery_append_only;
DROP INDEX recon.delivery_bytes_once;
CREATE UNIQUE INDEX delivery_bytes_once ON recon.delivery (source_id, content_sha256) WHERE outcome IN ('accepted', 'corrected');

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

ALTER TABLE recon.statement ADD COLUMN flags text[] NOT NULL DEFAULT '{}';
CREATE INDEX statement_by_delivery ON recon.statement (delivery_id);

-- Whether a reference is a card number and nothing else. One that only holds a card number is for the intake to truncate: looking
-- into every reference costs more than all other checks of a line.
CREATE FUNCTION recon.is_card_number(candidate text) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT octet_length(candidate) BETWEEN 13 AND 19 AND candidate ~ '^(?:[4-6]|3[4-9]|2[2-7])[0-9]+$' AND recon.holds_card_number(candidate)
$$;

ALTER TABLE recon.line DROP CONSTRAINT line_statement, DROP CONSTRAINT line_digest_shape;
ALTER TABLE recon.line
    ADD COLUMN detail_no integer,
    ADD COLUMN settlement_date date,
    ADD COLUMN fees jsonb CONSTRAINT line_fees_are_a_list CHECK (jsonb_typeof(fees) = 'array'),
    ADD COLUMN fx_numerator bigint,
    ADD COLUMN fx_denominator bigint,
    ADD COLUMN other_refs jsonb CONSTRAINT line_other_refs_by_name CHECK (jsonb_typeof(other_refs) = 'object'),
    ADD COLUMN batch_minor bigint,
    ADD COLUMN counterparty_account text,
    ADD COLUMN counterparty_bic text,
    ADD COLUMN reason_code text,
    ADD COLUMN byte_offset bigint,
    ADD COLUMN byte_length integer,
    ADD CONSTRAINT line_digest_shape CHECK (octet_length(content_digest) = 64),
    ADD CONSTRAINT line_rate_is_a_fraction CHECK (
        num_nulls(fx_numerator, fx_denominator) IN (0, 2) AND fx_numerator > 0 AND fx_denominator > 0),
    ADD CONSTRAINT line_references_are_no_card_numbers CHECK (NOT (
        recon.is_card_number(line_key) OR recon.is_card_number(native_id) OR recon.is_card_number(ref_end_to_end) OR
        recon.is_card_number(ref_uetr) OR recon.is_card_number(ref_servicer) OR recon.is_card_number(ref_psp) OR
        recon.is_card_number(ref_merchant) OR recon.is_card_number(ref_payout) OR recon.is_card_number(ref_arn) OR
        recon.is_card_number(ref_rrn) OR recon.is_card_number(ref_auth_code) OR recon.is_card_number(batch_ref) OR
        recon.is_card_number(counterparty_account)));
DROP INDEX recon.line_by_transaction, recon.line_by_native_id, recon.line_by_end_to_end, recon.line_by_psp, recon.line_by_payout, recon.line_by_arn,
    recon.line_by_batch;
CREATE INDEX line_by_native_id ON recon.line (source_id, hashtextextended(native_id, 0)) WHERE native_id IS NOT NULL AND line_key <> native_id;
CREATE INDEX line_by_end_to_end ON recon.line (hashtextextended(ref_end_to_end, 0)) WHERE ref_end_to_end IS NOT NULL;
CREATE INDEX line_by_psp ON recon.line (hashtextextended(ref_psp, 0)) WHERE ref_psp IS NOT NULL;
CREATE INDEX line_by_payout ON recon.line (hashtextextended(ref_payout, 0)) WHERE ref_payout IS NOT NULL;
CREATE INDEX line_by_arn ON recon.line (hashtextextended(ref_arn, 0)) WHERE ref_arn IS NOT NULL;
CREATE INDEX line_by_batch ON recon.line (hashtextextended(batch_ref, 0)) WHERE batch_ref IS NOT NULL;

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

CREATE OR REPLACE FUNCTION recon.refresh_line_statistics() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET default_statistics_target = 50 AS $$
BEGIN
    ANALYZE recon.line (source_id, line_key, native_id, version, statement_id, account, booking_date, amount_minor, asset, kind, xid,
        ref_end_to_end, ref_uetr, ref_servicer, ref_psp, ref_merchant, ref_payout, ref_arn, ref_rrn, ref_auth_code, batch_ref);
END
$$;

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

DO $$
DECLARE
    evidence text;
BEGIN
    FOREACH evidence IN ARRAY ARRAY['release', 'provisional_line', 'provisional_end'] LOOP
        EXECUTE format('CREATE TRIGGER %I BEFORE UPDATE OR DELETE OR TRUNCATE ON recon.%I
            FOR EACH STATEMENT EXECUTE FUNCTION recon.refuse_change()', evidence || '_append_only', evidence);
    END LOOP;
END
$$;

CREATE VIEW recon.provisional_line_v1 AS
SELECT p.source_id AS source, p.account, p.report_ref, p.report_date, p.line_key, p.status, p.record_no, p.booking_date, p.value_date,
    p.amount_minor, p.asset, p.kind, p.type_code, p.ref_end_to_end, p.ref_uetr, p.ref_servicer, p.batch_ref, p.other_refs,
    p.counterparty, p.text, e.provisional_id IS NULL AS live, l.line_key AS became_line_key, p.delivery_id, p.provisional_id
FROM recon.provisional_line AS p
LEFT JOIN recon.provisional_end AS e ON e.provisional_id = p.provisional_id
LEFT JOIN recon.line AS l ON l.line_id = e.line_id;

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

ALTER TABLE recon.release OWNER TO tieout_owner;
ALTER TABLE recon.provisional_line OWNER TO tieout_owner;
ALTER TABLE recon.provisional_end OWNER TO tieout_owner;
ALTER VIEW recon.provisional_line_v1 OWNER TO tieout_owner;
ALTER FUNCTION recon.check_line_statements() OWNER TO tieout_owner;
ALTER FUNCTION recon.is_card_number(text) OWNER TO tieout_owner;
ALTER FUNCTION recon.release_delivery(bigint, text, text) OWNER TO tieout_owner;
REVOKE ALL ON FUNCTION recon.check_line_statements(), recon.is_card_number(text), recon.release_delivery(bigint, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION recon.is_card_number(text) TO tieout_intake, tieout_matcher, tieout_analyst, tieout_auditor;
GRANT SELECT ON recon.release, recon.provisional_line, recon.provisional_end, recon.provisional_line_v1
    TO tieout_intake, tieout_matcher, tieout_analyst, tieout_auditor;
GRANT INSERT ON recon.provisional_line, recon.provisional_end TO tieout_intake;
GRANT SELECT (detail_no, settlement_date, fees, fx_numerator, fx_denominator, other_refs, batch_minor, counterparty_account,
    counterparty_bic, reason_code, byte_offset, byte_length) ON recon.line TO tieout_matcher, tieout_analyst, tieout_auditor;
GRANT EXECUTE ON FUNCTION recon.release_delivery(bigint, text, text) TO tieout_analyst;
