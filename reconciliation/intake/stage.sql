-- What a file tells, in temporary tables: proved there, and written at once where nothing of it is known.
-- Runs within one transaction, under the source's lock; nothing here goes line by line.

-- name: make_tables
DROP VIEW IF EXISTS pg_temp.told_booked;
DROP TABLE IF EXISTS pg_temp.told_statement, pg_temp.told_line, pg_temp.told_key, pg_temp.known_statement, pg_temp.known_line,
    pg_temp.written_line;
CREATE TEMP TABLE told_statement (
    statement_no     integer PRIMARY KEY,
    account          text NOT NULL,
    external_account text,
    statement_ref    text NOT NULL,
    asset            text NOT NULL,
    sequence_no      bigint,
    from_date        date NOT NULL,
    to_date          date NOT NULL,
    opening_minor    bigint,
    closing_minor    bigint,
    movement_minor   bigint NOT NULL,
    line_count       bigint NOT NULL,
    pending_count    bigint NOT NULL,
    proofs           text[] NOT NULL,
    flags            text[] NOT NULL,
    interim          boolean NOT NULL,
    scope            integer NOT NULL  -- where an id names one movement: see compare.sql
) ON COMMIT DROP;
CREATE TEMP TABLE told_line (
    position              bigint GENERATED ALWAYS AS IDENTITY,
    statement_no          integer NOT NULL,
    record_no             bigint NOT NULL,
    detail_no             integer,
    native_id             text,
    status                text NOT NULL,
    booking_date          date NOT NULL,
    value_date            date,
    settlement_date       date,
    event_at              timestamptz,
    amount_minor          bigint NOT NULL,
    asset                 text NOT NULL,
    fee_minor             bigint NOT NULL,
    fees                  jsonb,
    original_amount_minor bigint,
    original_asset        text,
    fx_rate               text,
    fx_numerator          bigint,
    fx_denominator        bigint,
    ref_end_to_end        text,
    ref_uetr              text,
    ref_servicer          text,
    ref_psp               text,
    ref_merchant          text,
    ref_payout            text,
    ref_arn               text,
    ref_rrn               text,
    ref_auth_code         text,
    other_refs            jsonb,
    batch_ref             text,
    batch_minor           bigint,
    counterparty          text,
    counterparty_account  text,
    counterparty_bic      text,
    text                  text,
    kind                  text NOT NULL,
    type_code             text,
    reason_code           text,
    reversal              boolean NOT NULL,
    card_token            text,
    card_truncated        text,
    byte_offset           bigint,
    byte_length           integer
) ON COMMIT DROP;
-- What counts: booked lines of statements that are no intraday reports. The content of a line is everything it says but its ids
-- (native_id, the servicer's reference), its place in the file and the card token, which changes with the key. A row as text
-- parts its fields without doubt; dates go as numbers, so that no setting of the session matters.
CREATE TEMP VIEW told_booked AS
SELECT l.position, l.statement_no, l.record_no, l.detail_no, l.native_id, l.booking_date, l.value_date, l.settlement_date, l.event_at,
    l.amount_minor, l.asset, l.fee_minor, l.fees, l.original_amount_minor, l.original_asset, l.fx_rate, l.fx_numerator,
    l.fx_denominator, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout, l.ref_arn, l.ref_rrn,
    l.ref_auth_code, l.other_refs, l.batch_ref, l.batch_minor, l.counterparty, l.counterparty_account, l.counterparty_bic,
    l.text, l.kind, l.type_code, l.reason_code, l.reversal, l.card_token, l.card_truncated, l.byte_offset, l.byte_length,
    t.account, t.scope,
    ROW('content/2', t.account, l.booking_date - date '2000-01-01', l.value_date - date '2000-01-01', l.settlement_date - date '2000-01-01',
        extract(epoch FROM l.event_at), l.amount_minor, l.asset, l.fee_minor, l.fees, l.original_amount_minor, l.original_asset,
        l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_psp, l.ref_merchant, l.ref_payout, l.ref_arn, l.ref_rrn, l.ref_auth_code,
        l.other_refs, l.batch_ref, l.batch_minor, l.counterparty, l.counterparty_account, l.counterparty_bic, l.text, l.kind,
        l.type_code, l.reason_code, l.reversal, l.card_truncated)::text AS content
FROM pg_temp.told_line AS l
JOIN pg_temp.told_statement AS t ON t.statement_no = l.statement_no
WHERE l.status = 'booked' AND NOT t.interim

-- name: put_statements
INSERT INTO pg_temp.told_statement (statement_no, account, external_account, statement_ref, asset, sequence_no, from_date, to_date,
    opening_minor, closing_minor, movement_minor, line_count, pending_count, proofs, flags, interim, scope)
SELECT s.statement_no, s.account, s.external_account, s.statement_ref, s.asset, s.sequence_no, s.from_date, s.to_date,
    s.opening_minor, s.closing_minor, s.movement_minor, s.line_count, s.pending_count, s.proofs, s.flags, s.interim,
    CASE WHEN s.opening_minor IS NULL OR s.closing_minor IS NULL THEN -1 - min(s.statement_no) OVER (PARTITION BY s.account)
         ELSE s.statement_no END
FROM jsonb_to_recordset(%(statements)s::jsonb) AS s (statement_no integer, account text, external_account text, statement_ref text,
    asset text, sequence_no bigint, from_date date, to_date date, opening_minor bigint, closing_minor bigint,
    movement_minor bigint, line_count bigint, pending_count bigint, proofs text[], flags text[], interim boolean)

-- name: analyze_told
ANALYZE pg_temp.told_statement;
ANALYZE pg_temp.told_line (statement_no, native_id, status)

-- name: find_wrong_sum
-- The statement whose booked lines do not add up to it, first in the file.
SELECT s.statement_no, s.movement_minor, s.line_count, coalesce(l.found_minor, 0) AS found_minor, coalesce(l.found_count, 0) AS found_count
FROM pg_temp.told_statement AS s
LEFT JOIN (
    SELECT statement_no, sum(amount_minor) AS found_minor, count(*) AS found_count
    FROM pg_temp.told_line
    WHERE status = 'booked'
    GROUP BY statement_no
) AS l ON l.statement_no = s.statement_no
WHERE coalesce(l.found_minor, 0) <> s.movement_minor OR coalesce(l.found_count, 0) <> s.line_count
ORDER BY s.statement_no
LIMIT 1

-- name: find_strange_line
-- The first line that cannot belong to its statement, with the reason as a word.
SELECT l.record_no, l.statement_no,
    CASE WHEN s.statement_no IS NULL THEN 'statement' WHEN l.asset <> s.asset THEN 'asset' ELSE 'booking_date' END AS wrong
FROM pg_temp.told_line AS l
LEFT JOIN pg_temp.told_statement AS s ON s.statement_no = l.statement_no
WHERE s.statement_no IS NULL OR l.asset <> s.asset
   OR l.booking_date NOT BETWEEN s.from_date - %(window_days)s::integer AND s.to_date + %(window_days)s::integer
ORDER BY l.position
LIMIT 1

-- name: find_card_number
-- The first line with a card number in its words, once the store has refused one.
SELECT l.record_no, l.statement_no,
    CASE WHEN l.text ~ '[0-9]{13}' AND recon.holds_card_number(l.text) THEN 'text' ELSE 'counterparty' END AS wrong
FROM pg_temp.told_line AS l
WHERE (l.text ~ '[0-9]{13}' AND recon.holds_card_number(l.text))
   OR (l.counterparty ~ '[0-9]{13}' AND recon.holds_card_number(l.counterparty))
ORDER BY l.position
LIMIT 1

-- name: find_repeated_id
-- An id that several lines of a statement bear although the standard gives each line its own.
SELECT l.statement_no, min(l.record_no) AS first_record_no, max(l.record_no) AS last_record_no
FROM pg_temp.told_line AS l
WHERE l.native_id IS NOT NULL
GROUP BY l.statement_no, l.native_id
HAVING count(*) > 1
ORDER BY 1, 2
LIMIT 1

-- name: drop_shared_ids
-- An id that several lines of a statement share names none of them, whatever order they come in.
UPDATE pg_temp.told_line AS l
SET native_id = NULL
FROM (
    SELECT o.statement_no, o.native_id
    FROM pg_temp.told_line AS o
    WHERE o.native_id IS NOT NULL
    GROUP BY o.statement_no, o.native_id
    HAVING count(*) > 1
) AS shared
WHERE l.statement_no = shared.statement_no AND l.native_id = shared.native_id

-- name: count_booked
SELECT count(*) FROM pg_temp.told_booked

-- name: write_fresh_statements
-- Statements of which no version is there yet.
INSERT INTO recon.statement (delivery_id, source_id, account, external_account, statement_ref, version, asset, sequence_no, from_date,
    to_date, opening_minor, closing_minor, movement_minor, line_count, pending_count, proofs, flags)
SELECT %(delivery_id)s, %(source_id)s, t.account, t.external_account, t.statement_ref, 1, t.asset, t.sequence_no, t.from_date, t.to_date,
    t.opening_minor, t.closing_minor, t.movement_minor, t.line_count, t.pending_count, t.proofs, t.flags
FROM pg_temp.told_statement AS t
WHERE NOT t.interim
ORDER BY t.statement_no

-- name: write_fresh_lines
-- All lines of statements that nobody told of before, each under its id or its content. An id or a content that is there already
-- breaks a unique key; then the lines are named with care, by what follows.
INSERT INTO recon.line (source_id, line_key, native_id, version, statement_id, record_no, account, booking_date, value_date, event_at,
    amount_minor, asset, fee_minor, original_amount_minor, original_asset, fx_rate, ref_end_to_end, ref_uetr, ref_servicer,
    ref_psp, ref_merchant, ref_payout, ref_arn, ref_rrn, ref_auth_code, batch_ref, counterparty, text, kind, type_code,
    reversal, card_token, card_truncated, content_digest, detail_no, settlement_date, fees, fx_numerator, fx_denominator,
    other_refs, batch_minor, counterparty_account, counterparty_bic, reason_code, byte_offset, byte_length)
SELECT %(source_id)s, coalesce(l.native_id, 'c:' || d.content_digest || ':1'), l.native_id, 1, s.statement_id, l.record_no, l.account,
    l.booking_date, l.value_date, l.event_at, l.amount_minor, l.asset, l.fee_minor, l.original_amount_minor, l.original_asset,
    l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout, l.ref_arn, l.ref_rrn,
    l.ref_auth_code, l.batch_ref, l.counterparty, l.text, l.kind, l.type_code, l.reversal, l.card_token, l.card_truncated,
    d.content_digest, l.detail_no, l.settlement_date, l.fees, l.fx_numerator, l.fx_denominator, l.other_refs, l.batch_minor,
    l.counterparty_account, l.counterparty_bic, l.reason_code, l.byte_offset, l.byte_length
FROM pg_temp.told_booked AS l
JOIN (
    SELECT t.statement_no, o.statement_id
    FROM pg_temp.told_statement AS t
    JOIN recon.statement AS o ON o.delivery_id = %(delivery_id)s AND o.account = t.account AND o.statement_ref = t.statement_ref AND o.to_date = t.to_date
) AS s ON s.statement_no = l.statement_no
CROSS JOIN LATERAL (
    SELECT encode(sha256(convert_to(l.content || coalesce(' ' || l.ref_servicer, ''), 'UTF8')), 'hex') AS content_digest OFFSET 0
) AS d

-- name: find_unproved_fresh_statement
-- The same question after fresh lines: everything was written under this delivery, so its statements are all there is to sum.
SELECT t.statement_no, t.movement_minor, t.line_count, coalesce(l.found_minor, 0) AS found_minor, coalesce(l.found_count, 0) AS found_count
FROM pg_temp.told_statement AS t
JOIN recon.statement AS s ON s.delivery_id = %(delivery_id)s AND s.account = t.account AND s.statement_ref = t.statement_ref AND s.to_date = t.to_date
LEFT JOIN LATERAL (
    SELECT sum(o.amount_minor) AS found_minor, count(*) AS found_count FROM recon.line AS o WHERE o.statement_id = s.statement_id
) AS l ON true
WHERE coalesce(l.found_minor, 0) <> t.movement_minor OR coalesce(l.found_count, 0) <> t.line_count
ORDER BY t.statement_no
LIMIT 1

-- name: refresh_statistics
SELECT recon.refresh_line_statistics()
