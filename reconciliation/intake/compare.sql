-- From what a file tells to what is known: names every line, compares with what was told before, writes the difference.
-- Runs after stage.sql, where something of the file is known already.
--
-- told_*: what the file says. known_*: what was there. `scope` is where an id names one movement: a statement that states
-- balances stands for itself (banks use ids again on other days), all other statements of an account share a negative scope.

-- name: make_written
CREATE TEMP TABLE written_line (line_id bigint NOT NULL, line_key text NOT NULL) ON COMMIT DROP

-- name: analyze_written
ANALYZE pg_temp.written_line

-- name: make_keys
-- `loose_digest` is a line's content, `content_digest` adds the servicer's reference. Equal ids are numbered by content, so that
-- the order of the rows decides nothing.
CREATE TEMP TABLE told_key ON COMMIT DROP AS
SELECT d.position, d.statement_no, d.scope, d.native_id, d.loose_digest, d.content_digest, d.base,
    row_number() OVER (PARTITION BY d.scope, d.base ORDER BY d.content_digest, d.position) AS ordinal,
    NULL::text AS line_key, NULL::integer AS version, NULL::bigint AS known_line_id, NULL::text AS change
FROM (
    SELECT c.position, c.statement_no, c.scope, c.native_id, c.loose_digest, c.content_digest,
        coalesce(c.native_id, 'c:' || c.content_digest) AS base
    FROM (
        SELECT l.position, l.statement_no, l.native_id, l.scope,
            encode(sha256(convert_to(l.content, 'UTF8')), 'hex') AS loose_digest,
            encode(sha256(convert_to(l.content || coalesce(' ' || l.ref_servicer, ''), 'UTF8')), 'hex') AS content_digest
        FROM pg_temp.told_booked AS l
    ) AS c
) AS d;
ANALYZE pg_temp.told_key

-- name: find_known_statements
-- Every version of the told statements that is there already; the current one with whether it says the same.
CREATE TEMP TABLE known_statement ON COMMIT DROP AS
SELECT t.statement_no, t.scope, s.statement_id, s.delivery_id, s.version,
    s.version = max(s.version) OVER (PARTITION BY t.statement_no) AS is_current,
    (s.asset, s.sequence_no, s.from_date, s.opening_minor, s.closing_minor, s.movement_minor, s.line_count, s.pending_count)
        IS NOT DISTINCT FROM
    (t.asset, t.sequence_no, t.from_date, t.opening_minor, t.closing_minor, t.movement_minor, t.line_count, t.pending_count) AS says_the_same
FROM pg_temp.told_statement AS t
JOIN recon.statement AS s ON s.source_id = %(source_id)s AND s.account = t.account AND s.statement_ref = t.statement_ref AND s.to_date = t.to_date
WHERE NOT t.interim

-- name: find_known_lines
-- The latest version of every line that the told ones might be: those of the statements above; where ids hold for the whole
-- account, those of the same id or content in its other statements too.
CREATE TEMP TABLE known_line ON COMMIT DROP AS
WITH found AS (
    SELECT l.line_key, k.scope
    FROM pg_temp.known_statement AS k
    JOIN recon.line AS l ON l.statement_id = k.statement_id
    UNION
    SELECT l.line_key, t.scope
    FROM pg_temp.told_key AS t
    JOIN pg_temp.told_statement AS o ON o.statement_no = t.statement_no
    JOIN recon.line AS l ON l.source_id = %(source_id)s AND l.line_key = t.native_id AND l.native_id = t.native_id AND l.account = o.account
    JOIN recon.statement AS s ON s.statement_id = l.statement_id AND (s.opening_minor IS NULL OR s.closing_minor IS NULL)
    WHERE t.scope < 0
    UNION
    SELECT l.line_key, t.scope
    FROM pg_temp.told_key AS t
    JOIN pg_temp.told_statement AS o ON o.statement_no = t.statement_no
    JOIN recon.line AS l ON l.source_id = %(source_id)s AND hashtextextended(l.native_id, 0) = hashtextextended(t.native_id, 0)
        AND l.native_id = t.native_id AND l.line_key <> l.native_id AND l.account = o.account
    JOIN recon.statement AS s ON s.statement_id = l.statement_id AND (s.opening_minor IS NULL OR s.closing_minor IS NULL)
    WHERE t.scope < 0
    UNION
    SELECT l.line_key, t.scope
    FROM pg_temp.told_key AS t
    JOIN recon.line AS l ON l.source_id = %(source_id)s AND l.line_key = t.base || ':' || t.ordinal
    JOIN recon.statement AS s ON s.statement_id = l.statement_id AND (s.opening_minor IS NULL OR s.closing_minor IS NULL)
    WHERE t.scope < 0 AND t.native_id IS NULL
)
SELECT DISTINCT ON (l.line_key) l.line_id, l.line_key, l.version, f.scope, k.statement_no, l.native_id, l.content_digest,
    coalesce(l.native_id, 'c:' || l.content_digest) AS base,
    l.booking_date, NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id) AS speaks, false AS dropped,
    encode(sha256(convert_to(ROW('content/2', l.account, l.booking_date - date '2000-01-01', l.value_date - date '2000-01-01',
        l.settlement_date - date '2000-01-01', extract(epoch FROM l.event_at), l.amount_minor, l.asset, l.fee_minor, l.fees,
        l.original_amount_minor, l.original_asset, l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_psp, l.ref_merchant, l.ref_payout,
        l.ref_arn, l.ref_rrn, l.ref_auth_code, l.other_refs, l.batch_ref, l.batch_minor, l.counterparty, l.counterparty_account,
        l.counterparty_bic, l.text, l.kind, l.type_code, l.reason_code, l.reversal, l.card_truncated)::text, 'UTF8')), 'hex') AS loose_digest
FROM found AS f
JOIN recon.line AS l ON l.source_id = %(source_id)s AND l.line_key = f.line_key
LEFT JOIN pg_temp.known_statement AS k ON k.statement_id = l.statement_id
ORDER BY l.line_key, l.version DESC

-- name: some_statement_known
SELECT EXISTS (SELECT FROM pg_temp.known_statement)

-- name: some_line_known
SELECT EXISTS (SELECT FROM pg_temp.known_line)

-- name: analyze_known
ANALYZE pg_temp.known_statement;
ANALYZE pg_temp.known_line

-- name: pair_lines
-- Told lines find their known ones by what both share: 'same' id and content, 'reference' (same id, only the servicer's
-- reference differs), 'renumbered' (same content under another id, statements with balances only), 'changed' (same id). Where an id may be
-- used again for another movement, only a file that speaks for a line's day changes it. Equals are paired in order; lines that
-- still speak come first.
WITH told AS (
    SELECT p.position, p.scope, p.pairing,
        row_number() OVER (PARTITION BY p.scope, p.pairing ORDER BY p.content_digest, p.position) AS place
    FROM (
        SELECT t.position, t.scope, t.content_digest,
            CASE %(by)s WHEN 'same' THEN t.base || ' ' || t.content_digest
                        WHEN 'reference' THEN t.base || ' ' || t.loose_digest
                        WHEN 'renumbered' THEN CASE WHEN t.native_id IS NOT NULL AND t.scope >= 0 THEN t.loose_digest END
                        ELSE t.base END AS pairing
        FROM pg_temp.told_key AS t
        WHERE t.known_line_id IS NULL
    ) AS p
    WHERE p.pairing IS NOT NULL
), known AS (
    SELECT p.line_id, p.line_key, p.version, p.scope, p.content_digest, p.speaks, p.pairing,
        row_number() OVER (PARTITION BY p.scope, p.pairing ORDER BY p.speaks DESC, p.line_key) AS place
    FROM (
        SELECT k.line_id, k.line_key, k.version, k.scope, k.content_digest, k.speaks,
            CASE %(by)s WHEN 'same' THEN k.base || ' ' || k.content_digest
                        WHEN 'reference' THEN k.base || ' ' || k.loose_digest
                        WHEN 'renumbered' THEN CASE WHEN k.native_id IS NOT NULL AND k.scope >= 0 AND k.speaks THEN k.loose_digest END
                        ELSE k.base END AS pairing
        FROM pg_temp.known_line AS k
        WHERE NOT EXISTS (SELECT FROM pg_temp.told_key AS t WHERE t.known_line_id = k.line_id)
          AND (%(by)s <> 'changed' OR %(ids_hold)s OR k.scope >= 0 OR k.statement_no IS NOT NULL OR EXISTS (
              SELECT FROM pg_temp.told_statement AS o WHERE o.scope = k.scope AND k.booking_date BETWEEN o.from_date AND o.to_date))
    ) AS p
    WHERE p.pairing IS NOT NULL
)
UPDATE pg_temp.told_key AS t
SET known_line_id = k.line_id,
    line_key = k.line_key,
    version = k.version + 1,
    change = CASE WHEN NOT k.speaks THEN 'added'
                  WHEN %(by)s = 'renumbered' OR t.content_digest = k.content_digest THEN 'unchanged'
                  ELSE 'changed' END
FROM told AS p
JOIN known AS k USING (scope, pairing, place)
WHERE t.position = p.position

-- name: mark_dropped_lines
-- Known lines of the told statements that the file no longer tells. Without balances a statement speaks for its own days only:
-- Friday's report says nothing about the Monday that a weekly report of the same end told.
UPDATE pg_temp.known_line AS k
SET dropped = true
FROM pg_temp.told_statement AS s
WHERE s.statement_no = k.statement_no AND k.speaks
  AND (k.scope >= 0 OR k.booking_date BETWEEN s.from_date AND s.to_date)
  AND NOT EXISTS (SELECT FROM pg_temp.told_key AS t WHERE t.known_line_id = k.line_id)

-- name: number_new_lines
-- Ids used more than once go on counting after the known lines of that id.
UPDATE pg_temp.told_key AS t
SET ordinal = n.ordinal
FROM (
    SELECT u.position, coalesce(k.taken, 0) + row_number() OVER (PARTITION BY u.scope, u.base ORDER BY u.content_digest, u.position) AS ordinal
    FROM pg_temp.told_key AS u
    LEFT JOIN (SELECT scope, base, count(*) AS taken FROM pg_temp.known_line GROUP BY scope, base) AS k ON k.scope = u.scope AND k.base = u.base
    WHERE u.line_key IS NULL
) AS n
WHERE t.position = n.position AND t.ordinal <> n.ordinal

-- name: name_new_lines
-- A new line takes its id as key if it is free, and else its id at its statement; the earlier statement comes first.
UPDATE pg_temp.told_key AS t
SET line_key = n.line_key, version = 1, change = 'added'
FROM (
    SELECT u.position, u.line_key,
        row_number() OVER (PARTITION BY u.line_key ORDER BY u.to_date, u.account, u.statement_ref, u.ordinal, u.position) AS claim
    FROM (
        SELECT u.position, u.ordinal, s.to_date, s.account, s.statement_ref,
            u.base || CASE WHEN u.native_id IS NULL THEN ':' || u.ordinal WHEN u.ordinal > 1 THEN '#' || u.ordinal ELSE '' END
                || CASE %(qualified_by)s WHEN 'nothing' THEN ''
                                         WHEN 'statement' THEN '@' || s.statement_ref
                                         ELSE '@' || s.statement_ref || '@' || s.account || '@' || s.to_date END AS line_key
        FROM pg_temp.told_key AS u
        JOIN pg_temp.told_statement AS s ON s.statement_no = u.statement_no
        WHERE u.line_key IS NULL
    ) AS u
) AS n
WHERE t.position = n.position AND n.claim = 1
  AND NOT EXISTS (SELECT FROM recon.line AS l WHERE l.source_id = %(source_id)s AND l.line_key = n.line_key)
  AND NOT EXISTS (SELECT FROM pg_temp.told_key AS o WHERE o.line_key = n.line_key)

-- name: find_unnamed_line
SELECT l.record_no, l.statement_no
FROM pg_temp.told_key AS t
JOIN pg_temp.told_line AS l ON l.position = t.position
WHERE t.line_key IS NULL
ORDER BY l.position
LIMIT 1

-- name: count_changes
-- What the file changes, in lines and in statements; and the delivery that said the same, if it changes nothing.
SELECT
    (SELECT count(*) FROM pg_temp.told_key WHERE change = 'added'),
    (SELECT count(*) FROM pg_temp.told_key WHERE change = 'changed'),
    (SELECT count(*) FROM pg_temp.known_line WHERE dropped),
    (SELECT count(*) FROM pg_temp.told_key WHERE change = 'unchanged'),
    (SELECT count(*) FROM pg_temp.told_statement AS s
        WHERE NOT s.interim AND NOT EXISTS (SELECT FROM pg_temp.known_statement AS k WHERE k.statement_no = s.statement_no)),
    (SELECT count(*) FROM pg_temp.known_statement AS k WHERE k.is_current AND NOT k.says_the_same),
    (SELECT max(k.delivery_id) FROM pg_temp.known_statement AS k WHERE k.is_current)

-- name: write_statements
-- New statements, and new versions of those that say something else or whose lines do.
INSERT INTO recon.statement (delivery_id, source_id, account, external_account, statement_ref, version, asset, sequence_no, from_date,
    to_date, opening_minor, closing_minor, movement_minor, line_count, pending_count, proofs, flags)
SELECT %(delivery_id)s, %(source_id)s, t.account, t.external_account, t.statement_ref, coalesce(k.version, 0) + 1, t.asset, t.sequence_no,
    t.from_date, t.to_date, t.opening_minor, t.closing_minor, t.movement_minor, t.line_count, t.pending_count, t.proofs, t.flags
FROM pg_temp.told_statement AS t
LEFT JOIN pg_temp.known_statement AS k ON k.statement_no = t.statement_no AND k.is_current
WHERE NOT t.interim AND (k.statement_no IS NULL
   OR NOT k.says_the_same
   OR t.statement_no IN (SELECT x.statement_no FROM pg_temp.told_key AS x WHERE x.change <> 'unchanged')
   OR t.statement_no IN (SELECT x.statement_no FROM pg_temp.known_line AS x WHERE x.dropped))
ORDER BY t.statement_no

-- name: write_lines
WITH written AS (
INSERT INTO recon.line (source_id, line_key, native_id, version, statement_id, record_no, account, booking_date, value_date, event_at,
    amount_minor, asset, fee_minor, original_amount_minor, original_asset, fx_rate, ref_end_to_end, ref_uetr, ref_servicer,
    ref_psp, ref_merchant, ref_payout, ref_arn, ref_rrn, ref_auth_code, batch_ref, counterparty, text, kind, type_code,
    reversal, card_token, card_truncated, content_digest, detail_no, settlement_date, fees, fx_numerator, fx_denominator,
    other_refs, batch_minor, counterparty_account, counterparty_bic, reason_code, byte_offset, byte_length)
SELECT %(source_id)s, k.line_key, l.native_id, k.version, s.statement_id, l.record_no, t.account, l.booking_date, l.value_date, l.event_at,
    l.amount_minor, l.asset, l.fee_minor, l.original_amount_minor, l.original_asset, l.fx_rate, l.ref_end_to_end, l.ref_uetr,
    l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout, l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref,
    l.counterparty, l.text, l.kind, l.type_code, l.reversal, l.card_token, l.card_truncated, k.content_digest, l.detail_no,
    l.settlement_date, l.fees, l.fx_numerator, l.fx_denominator, l.other_refs, l.batch_minor, l.counterparty_account,
    l.counterparty_bic, l.reason_code, l.byte_offset, l.byte_length
FROM pg_temp.told_key AS k
JOIN pg_temp.told_line AS l ON l.position = k.position
JOIN pg_temp.told_statement AS t ON t.statement_no = l.statement_no
JOIN recon.statement AS s ON s.delivery_id = %(delivery_id)s AND s.account = t.account AND s.statement_ref = t.statement_ref AND s.to_date = t.to_date
WHERE k.change <> 'unchanged'
ORDER BY l.position
RETURNING line_id, line_key
)
INSERT INTO pg_temp.written_line (line_id, line_key)
SELECT w.line_id, w.line_key FROM written AS w

-- name: write_closures
INSERT INTO recon.line_closure (line_id, delivery_id, reason)
SELECT t.known_line_id, %(delivery_id)s, 'superseded'
FROM pg_temp.told_key AS t
WHERE t.change = 'changed'
UNION ALL
SELECT k.line_id, %(delivery_id)s, 'withdrawn'
FROM pg_temp.known_line AS k
WHERE k.dropped

-- name: find_unproved_statement
-- The statement that the store does not hold as told: by the lines it named, and, where it states balances, by all lines it owns.
SELECT v.statement_no, v.movement_minor, v.line_count, v.found_minor, v.found_count
FROM (
    SELECT t.statement_no, t.movement_minor, t.line_count, coalesce(sum(l.amount_minor), 0) AS found_minor, count(l.line_id) AS found_count
    FROM pg_temp.told_statement AS t
    LEFT JOIN pg_temp.told_key AS k ON k.statement_no = t.statement_no
    LEFT JOIN pg_temp.written_line AS w ON w.line_key = k.line_key AND k.change <> 'unchanged'
    LEFT JOIN recon.line AS l ON l.line_id = CASE WHEN k.change = 'unchanged' THEN k.known_line_id ELSE w.line_id END AND l.account = t.account
        AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
    WHERE NOT t.interim
    GROUP BY t.statement_no
    UNION ALL
    SELECT t.statement_no, t.movement_minor, t.line_count, coalesce(sum(l.amount_minor), 0), count(l.line_id)
    FROM pg_temp.told_statement AS t
    JOIN recon.statement AS s ON s.source_id = %(source_id)s AND s.account = t.account AND s.statement_ref = t.statement_ref AND s.to_date = t.to_date
    LEFT JOIN recon.line AS l ON l.statement_id = s.statement_id
        AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
    WHERE NOT t.interim AND t.opening_minor IS NOT NULL AND t.closing_minor IS NOT NULL
    GROUP BY t.statement_no
) AS v
WHERE v.found_minor <> v.movement_minor OR v.found_count <> v.line_count
ORDER BY v.statement_no
LIMIT 1
