-- What the daily run reads, by name. Ledger rows come from the ledger's published views and are filtered by the run's
-- snapshot, so that all reads of one run see one moment.

-- name: from_another_server
-- A journal line that is visible now although its transaction number is still to come: the database was restored from
-- another server's dump, and transaction numbers compare with nothing any more.
SELECT max(j.xid::text::numeric)::text
FROM ledger.journal_line_v1 AS j
WHERE j.account = ANY(%(accounts)s) AND j.xid >= pg_snapshot_xmax(pg_current_snapshot())

-- name: last_run
-- How far the source was reconciled, and what the last successful run could see.
SELECT max(r.business_date) AS done_to,
       (array_agg(r.data_snapshot::text ORDER BY r.run_id DESC))[1] AS data_snapshot,
       (array_agg(r.rules_digest ORDER BY r.run_id DESC))[1] AS rules_digest,
       (array_agg(r.started_at ORDER BY r.run_id DESC))[1] AS started_at
FROM recon.run AS r
WHERE r.source_id = %(source)s AND r.state = 'succeeded'

-- name: days_changed
-- The earliest business date of whatever came on the external side since a snapshot.
SELECT least(
    -- a line is written with its delivery, in one transaction
    (SELECT min(l.booking_date) FROM recon.delivery AS d
     JOIN recon.statement AS s ON s.delivery_id = d.delivery_id
     JOIN recon.line AS l ON l.statement_id = s.statement_id
     WHERE d.source_id = %(source)s AND d.xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(d.xid, %(since)s::pg_snapshot)),
    (SELECT min(l.booking_date) FROM recon.line_closure AS c JOIN recon.line AS l ON l.line_id = c.line_id
     WHERE l.source_id = %(source)s AND c.xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(c.xid, %(since)s::pg_snapshot)),
    (SELECT min(coalesce(s.to_date, d.for_date, %(done_to)s::date)) FROM recon.delivery AS d
     LEFT JOIN recon.statement AS s ON s.delivery_id = d.delivery_id
     WHERE d.source_id = %(source)s AND d.outcome <> 'redelivered' AND d.xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(d.xid, %(since)s::pg_snapshot)
       -- a refused file that comes again is no news either
       AND NOT (d.outcome = 'rejected' AND EXISTS (
           SELECT FROM recon.delivery AS o
           WHERE o.source_id = d.source_id AND o.file_sha256 = d.file_sha256 AND o.outcome = 'rejected'
             AND o.for_date IS NOT DISTINCT FROM d.for_date AND o.delivery_id < d.delivery_id))),
    (SELECT min(x.as_of) FROM recon.decision AS x
     WHERE x.source_id = %(source)s AND x.kind <> 'reject_match' AND x.xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(x.xid, %(since)s::pg_snapshot)),
    (SELECT min(g.as_of) FROM recon.decision AS x JOIN recon.match_group AS g ON g.group_key = x.content_key AND g.state = 'confirmed'
     WHERE x.source_id = %(source)s AND x.xid >= pg_snapshot_xmin(%(since)s::pg_snapshot)
       AND NOT pg_visible_in_snapshot(x.xid, %(since)s::pg_snapshot))
) AS changed_from

-- name: open_external
-- What is in play: the window's own lines, matched or not, for the fold decides about them anew; and of the days before it
-- what was open after the last run, or is held by a group of the window. History that is settled is not looked at, unless
-- the rules are others than the last run had.
WITH older AS (
    SELECT m.line_id FROM recon.exception_member AS m JOIN recon.exception AS e ON e.exception_id = m.exception_id
    WHERE e.source_id = %(source)s AND m.side = 'external'
    UNION
    SELECT m.line_id FROM recon.match_group AS g JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.side = 'external'
    WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.as_of >= %(first)s
    UNION -- left out by a decision of the window: in play until then
    SELECT l.line_id FROM recon.decision AS x JOIN recon.decision_member AS n ON n.decision_id = x.decision_id AND n.side = 'external'
    JOIN recon.line AS l ON l.source_id = x.source_id AND l.line_key = n.line_key AND l.version = n.version
    WHERE x.source_id = %(source)s AND x.kind = 'exclude' AND x.as_of >= %(first)s
    UNION
    SELECT l.line_id FROM recon.line AS l
    WHERE NOT %(same_rules)s AND l.source_id = %(source)s AND l.booking_date < %(first)s
), chosen AS (
    SELECT l.line_id FROM recon.line AS l
    WHERE l.source_id = %(source)s AND l.booking_date BETWEEN %(first)s AND %(last)s
    UNION ALL
    SELECT o.line_id FROM older AS o JOIN recon.line AS l ON l.line_id = o.line_id
    WHERE l.booking_date >= %(start_date)s AND l.booking_date < %(first)s
      AND NOT EXISTS (
          SELECT FROM recon.match_member AS m JOIN recon.match_group AS g ON g.group_id = m.group_id
          WHERE m.line_id = o.line_id AND m.side = 'external' AND m.live AND m.leg = 'ledger' AND g.as_of < %(first)s)
      AND NOT EXISTS (
          SELECT FROM recon.decision AS x JOIN recon.decision_member AS n ON n.decision_id = x.decision_id AND n.side = 'external'
          WHERE x.source_id = %(source)s AND x.kind = 'exclude' AND x.as_of < %(first)s AND n.line_key = l.line_key AND n.version = l.version)
)
SELECT l.line_id, l.line_key, l.version, l.booking_date, l.account, l.amount_minor, l.asset, l.fee_minor, l.original_amount_minor,
    l.original_asset, l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout,
    l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref, l.counterparty, l.kind, l.counterparty_account, l.text, l.fx_numerator, l.fx_denominator
FROM chosen AS n
JOIN recon.line AS l ON l.line_id = n.line_id
WHERE NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)

-- name: open_ledger
-- Journal lines on the source's accounts, seen by this run, likewise.
WITH older AS (
    SELECT m.entry_id, m.line_no FROM recon.exception_member AS m JOIN recon.exception AS e ON e.exception_id = m.exception_id
    WHERE e.source_id = %(source)s AND m.side = 'ledger'
    UNION
    SELECT m.entry_id, m.line_no FROM recon.match_group AS g
    JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.side = 'ledger'
    WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.as_of >= %(first)s
    UNION -- left out by a decision of the window: in play until then
    SELECT j.entry_id, j.line_no FROM recon.decision AS x JOIN recon.decision_member AS n ON n.decision_id = x.decision_id AND n.side = 'ledger'
    JOIN ledger.journal_line_v1 AS j ON j.entry_key = n.entry_key AND j.line_no = n.line_no
    WHERE x.source_id = %(source)s AND x.kind = 'exclude' AND x.as_of >= %(first)s
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j
    WHERE NOT %(same_rules)s AND j.account = ANY(%(accounts)s) AND j.effective_at < %(first_from)s
), chosen AS (
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j
    WHERE j.account = ANY(%(accounts)s) AND j.effective_at >= %(first_from)s AND j.effective_at < %(before)s
    UNION ALL
    SELECT o.entry_id, o.line_no FROM older AS o
    JOIN ledger.journal_line_v1 AS j ON j.entry_id = o.entry_id AND j.line_no = o.line_no
    WHERE j.effective_at >= %(from)s AND j.effective_at < %(first_from)s
      AND NOT EXISTS (
          SELECT FROM recon.match_member AS m JOIN recon.match_group AS g ON g.group_id = m.group_id
          WHERE m.entry_id = o.entry_id AND m.line_no = o.line_no AND m.side = 'ledger' AND m.live AND m.leg = 'ledger'
            AND g.as_of < %(first)s)
      AND NOT EXISTS (
          SELECT FROM recon.decision AS x JOIN recon.decision_member AS n ON n.decision_id = x.decision_id AND n.side = 'ledger'
          WHERE x.source_id = %(source)s AND x.kind = 'exclude' AND x.as_of < %(first)s AND n.entry_key = j.entry_key AND n.line_no = j.line_no)
)
SELECT j.entry_id, j.line_no, j.entry_key, j.account, j.amount_minor, j.asset, j.kind, j.ref_end_to_end, j.ref_uetr,
    j.ref_servicer, j.ref_psp, j.ref_merchant, j.ref_payout, j.ref_arn, j.ref_rrn, j.ref_auth_code, j.batch_ref,
    j.counterparty, j.fx_rate::text AS fx_rate, j.fx_asset, j.fx_amount_minor, j.effective_at, j.description,
    coalesce(j.reverses_entry_key, j.corrects_entry_key) AS corrects_entry_key
FROM chosen AS n
JOIN ledger.journal_line_v1 AS j ON j.entry_id = n.entry_id AND j.line_no = n.line_no
WHERE j.account = ANY(%(accounts)s) AND j.layer = 'posted' AND pg_visible_in_snapshot(j.xid, %(snapshot)s::pg_snapshot)

-- name: withdrawn
-- Lines that a corrected file dropped and nothing brought back.
SELECT l.line_id, l.line_key, l.version, l.booking_date, l.account, l.amount_minor, l.asset, l.fee_minor, l.original_amount_minor,
    l.original_asset, l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout,
    l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref, l.counterparty, l.kind, l.counterparty_account, l.text, l.fx_numerator, l.fx_denominator
FROM recon.line AS l
JOIN recon.line_closure AS c ON c.line_id = l.line_id AND c.reason = 'withdrawn'
WHERE l.source_id = %(source)s AND l.booking_date BETWEEN %(start_date)s AND %(last)s
  AND NOT EXISTS (SELECT FROM recon.line AS n WHERE n.source_id = l.source_id AND n.line_key = l.line_key AND n.version > l.version)

-- name: wanted_references
-- References of what is still open, for the two questions below.
CREATE TEMP TABLE IF NOT EXISTS wanted_reference (reference text) ON COMMIT DROP;
TRUNCATE wanted_reference

-- name: analyze_references
ANALYZE wanted_reference

-- name: taken_external
-- Lines matched before the window that carry one of these references: an open line like one of them is a duplicate.
WITH found AS (
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON hashtextextended(l.ref_end_to_end, 0) = hashtextextended(w.reference, 0) AND l.ref_end_to_end = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON hashtextextended(l.ref_uetr, 0) = hashtextextended(w.reference, 0) AND l.ref_uetr = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON hashtextextended(l.ref_servicer, 0) = hashtextextended(w.reference, 0) AND l.ref_servicer = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON hashtextextended(l.ref_psp, 0) = hashtextextended(w.reference, 0) AND l.ref_psp = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON hashtextextended(l.ref_payout, 0) = hashtextextended(w.reference, 0) AND l.ref_payout = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON hashtextextended(l.ref_arn, 0) = hashtextextended(w.reference, 0) AND l.ref_arn = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON hashtextextended(l.ref_rrn, 0) = hashtextextended(w.reference, 0) AND l.ref_rrn = w.reference WHERE l.source_id = %(source)s
    UNION
    SELECT l.line_id FROM recon.line AS l JOIN wanted_reference AS w ON hashtextextended(l.batch_ref, 0) = hashtextextended(w.reference, 0) AND l.batch_ref = w.reference WHERE l.source_id = %(source)s
)
SELECT l.line_id, l.line_key, l.version, l.booking_date, l.account, l.amount_minor, l.asset, l.fee_minor, l.original_amount_minor,
    l.original_asset, l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout,
    l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref, l.counterparty, l.kind, l.counterparty_account, l.text, l.fx_numerator, l.fx_denominator
FROM found AS f
JOIN recon.line AS l ON l.line_id = f.line_id
JOIN recon.match_member AS m ON m.line_id = l.line_id AND m.side = 'external' AND m.live AND m.leg = 'ledger'
JOIN recon.match_group AS g ON g.group_id = m.group_id AND g.as_of < %(first)s

-- name: taken_ledger
-- Journal lines matched before the window that carry one of these references.
WITH found AS (
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_end_to_end = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_uetr = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_servicer = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_psp = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_payout = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_arn = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.ref_rrn = w.reference WHERE j.account = ANY(%(accounts)s)
    UNION
    SELECT j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j JOIN wanted_reference AS w ON j.batch_ref = w.reference WHERE j.account = ANY(%(accounts)s)
)
SELECT j.entry_id, j.line_no, j.entry_key, j.account, j.amount_minor, j.asset, j.kind, j.ref_end_to_end, j.ref_uetr,
    j.ref_servicer, j.ref_psp, j.ref_merchant, j.ref_payout, j.ref_arn, j.ref_rrn, j.ref_auth_code, j.batch_ref,
    j.counterparty, j.fx_rate::text AS fx_rate, j.fx_asset, j.fx_amount_minor, j.effective_at, j.description,
    coalesce(j.reverses_entry_key, j.corrects_entry_key) AS corrects_entry_key
FROM found AS f
JOIN ledger.journal_line_v1 AS j ON j.entry_id = f.entry_id AND j.line_no = f.line_no
JOIN recon.match_member AS m ON m.entry_id = j.entry_id AND m.line_no = j.line_no AND m.side = 'ledger' AND m.live AND m.leg = 'ledger'
JOIN recon.match_group AS g ON g.group_id = m.group_id AND g.as_of < %(first)s

-- name: statements
-- Current statements, for balances, sequences and the calendar of files.
SELECT s.account, s.asset, s.from_date, s.to_date, s.sequence_no, s.opening_minor, s.closing_minor
FROM recon.statement_v1 AS s
WHERE s.source_id = %(source)s AND s.to_date BETWEEN %(start_date)s AND %(last)s
ORDER BY s.account, s.to_date, s.sequence_no

-- name: refusals
-- Files that were refused; a later good file for the day makes them history.
SELECT d.delivery_id, d.file_name, d.for_date, d.refusal_code
FROM recon.delivery AS d
WHERE d.source_id = %(source)s AND d.outcome = 'rejected'
ORDER BY d.delivery_id

-- name: external_totals
-- Sum of the lines of each account that speak, before a day.
SELECT l.account, sum(l.amount_minor)::bigint AS amount_minor
FROM recon.line AS l
WHERE l.source_id = %(source)s AND l.booking_date >= %(start_date)s AND l.booking_date < %(first)s
  AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
GROUP BY l.account

-- name: allocation_differences
-- Sum of what live groups before the window explained as difference, by account of their external members.
SELECT m.account, sum(g.difference_minor)::bigint AS difference_minor
FROM recon.match_group AS g
JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.member_no = 1
WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.as_of < %(first)s AND g.difference_minor <> 0 AND m.live
GROUP BY m.account

-- name: excluded_before
-- Sums of the lines that decisions before the window left out, by account and side; a line that no longer speaks says nothing.
SELECT l.account, 'external', sum(l.amount_minor)::bigint AS amount_minor
FROM recon.decision AS x
JOIN recon.decision_member AS n ON n.decision_id = x.decision_id AND n.side = 'external'
JOIN recon.line AS l ON l.source_id = x.source_id AND l.line_key = n.line_key AND l.version = n.version
WHERE x.source_id = %(source)s AND x.kind = 'exclude' AND x.as_of < %(first)s
  AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
GROUP BY l.account
UNION ALL
SELECT j.account, 'ledger', sum(j.amount_minor)::bigint
FROM recon.decision AS x
JOIN recon.decision_member AS n ON n.decision_id = x.decision_id AND n.side = 'ledger'
JOIN ledger.journal_line_v1 AS j ON j.entry_key = n.entry_key AND j.line_no = n.line_no
WHERE x.source_id = %(source)s AND x.kind = 'exclude' AND x.as_of < %(first)s
GROUP BY j.account

-- name: lessons
-- What the days before the window confirmed of lags.
SELECT o.as_of, o.lag_business_days, o.observations
FROM recon.lag_observation AS o
WHERE o.source_id = %(source)s AND o.as_of >= %(remembered_from)s AND o.as_of < %(first)s
ORDER BY o.as_of, o.lag_business_days

-- name: last_in_runs
-- Per account the last ledger line that a run of a payout took before the window.
SELECT DISTINCT ON (j.account) j.entry_id, j.line_no, j.entry_key, j.account, j.amount_minor, j.asset, j.kind, j.ref_end_to_end, j.ref_uetr,
    j.ref_servicer, j.ref_psp, j.ref_merchant, j.ref_payout, j.ref_arn, j.ref_rrn, j.ref_auth_code, j.batch_ref,
    j.counterparty, j.fx_rate::text AS fx_rate, j.fx_asset, j.fx_amount_minor, j.effective_at, j.description,
    coalesce(j.reverses_entry_key, j.corrects_entry_key) AS corrects_entry_key
FROM recon.match_group AS g
JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.side = 'ledger' AND m.live
JOIN ledger.journal_line_v1 AS j ON j.entry_id = m.entry_id AND j.line_no = m.line_no
WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.match_pass = 'chained_run' AND g.as_of < %(first)s
ORDER BY j.account, j.effective_at DESC, j.entry_key COLLATE "C" DESC, j.line_no DESC

-- name: open_in_leg
-- Lines of a source that speak and are not taken in a leg before a day, nor by another source; all kinds if none is named.
SELECT l.line_id, l.line_key, l.version, l.booking_date, l.account, l.amount_minor, l.asset, l.fee_minor, l.original_amount_minor,
    l.original_asset, l.fx_rate, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout,
    l.ref_arn, l.ref_rrn, l.ref_auth_code, l.batch_ref, l.counterparty, l.kind, l.counterparty_account, l.text, l.fx_numerator, l.fx_denominator
FROM recon.line AS l
WHERE l.source_id = %(source)s AND l.booking_date BETWEEN %(start_date)s AND %(last)s
  AND (%(kind)s::text IS NULL OR l.kind = %(kind)s::text)
  AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
  AND NOT EXISTS (
      SELECT FROM recon.match_member AS m JOIN recon.match_group AS g ON g.group_id = m.group_id
      WHERE m.line_id = l.line_id AND m.side = 'external' AND m.live AND m.leg = %(leg)s
        AND (g.as_of < %(first)s OR g.source_id <> %(leg_of)s))

-- name: unexplained_before
-- What the bridges of the days before the window left unexplained, where they did.
SELECT p.account, p.business_date, p.unexplained_minor
FROM recon.balance_proof_v1 AS p
WHERE p.source = %(source)s AND p.business_date < %(first)s AND p.unexplained_minor <> 0

-- name: covered_from
-- Which days of which accounts a statement covers, from a day on.
SELECT DISTINCT s.account, s.from_date, s.to_date
FROM recon.statement_v1 AS s
WHERE s.source_id = %(source)s AND s.to_date >= %(first)s

-- name: gaps_told
-- Absent and unproved files that are open exceptions already; no account where one file serves all.
SELECT e.account, e.item_date
FROM recon.exception AS e
WHERE e.source_id = %(source)s AND e.item_date >= %(first)s AND e.kind IN ('missing_file', 'control_total') AND e.cleared_on IS NULL
