-- What the statement of a source's day is made of, as it was known at a snapshot. Evidence alone is read: nothing of
-- recon.exception but what never changes, nothing of match_member.live. `seen` is what was known, `judged` what the last run by
-- then saw and wrote.

-- name: runs
-- Every run of the source that was known: the last of them judged what there was, those that reached the day made its proofs.
SELECT r.run_id, r.xid::text AS xid, r.business_date, r.from_date, r.state, r.rules_digest, r.calendar_version, r.code_version,
    r.actor, r.started_at, r.finished_at, r.data_snapshot::text AS data_snapshot
FROM recon.run AS r
WHERE r.source_id = %(source)s AND pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot)
ORDER BY r.run_id

-- name: proofs
-- The last proof of each account that was known.
SELECT DISTINCT ON (p.account) p.account, p.asset, p.business_date, p.basis, p.opening_minor, p.movement_minor, p.closing_minor,
    p.ledger_minor, p.timing_external_minor, p.timing_ledger_minor, p.genuine_external_minor, p.genuine_ledger_minor,
    p.excluded_external_minor, p.excluded_ledger_minor, p.allocation_difference_minor, p.unexplained_minor, p.matched_count,
    p.timing_count, p.genuine_count, p.excluded_count, p.line_count
FROM recon.balance_proof AS p
WHERE p.source_id = %(source)s AND p.business_date = %(day)s AND pg_visible_in_snapshot(p.xid, %(seen)s::pg_snapshot)
ORDER BY p.account, p.proof_id DESC

-- name: open_external
-- Lines in play that no confirmed group of the day or before had taken, and no decision had left out.
WITH taken AS (
    SELECT m.line_id
    FROM recon.match_group AS g
    JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.side = 'external'
    WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.state = 'confirmed' AND g.as_of <= %(day)s
      AND pg_visible_in_snapshot(g.xid, %(seen)s::pg_snapshot)
      AND NOT EXISTS (SELECT FROM recon.match_revocation AS r
                      WHERE r.group_id = g.group_id AND pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot))
), excluded AS (
    SELECT DISTINCT n.line_key, n.version
    FROM recon.decision AS x JOIN recon.decision_member AS n ON n.decision_id = x.decision_id AND n.side = 'external'
    WHERE x.source_id = %(source)s AND x.kind = 'exclude' AND x.as_of <= %(day)s
      AND pg_visible_in_snapshot(x.xid, %(seen)s::pg_snapshot)
), freed AS (
    SELECT m.line_id
    FROM recon.match_revocation AS r
    JOIN recon.match_group AS g ON g.group_id = r.group_id AND g.source_id = %(source)s AND g.leg = 'ledger' AND g.state = 'confirmed'
    JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.side = 'external'
    WHERE pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot) AND NOT pg_visible_in_snapshot(r.xid, %(judged)s::pg_snapshot)
), open AS (
    SELECT l.line_id, l.line_key, l.version, l.booking_date, l.value_date, l.account, l.asset, l.amount_minor, l.counterparty,
        coalesce(l.ref_end_to_end, l.ref_psp, l.ref_payout, l.ref_arn, l.ref_rrn, l.batch_ref) AS reference,
        pg_visible_in_snapshot(l.xid, %(judged)s::pg_snapshot)
            AND NOT EXISTS (SELECT FROM freed AS f WHERE f.line_id = l.line_id) AS judged
    FROM recon.line AS l
    WHERE l.source_id = %(source)s AND l.booking_date BETWEEN %(start_date)s AND %(day)s
      AND pg_visible_in_snapshot(l.xid, %(seen)s::pg_snapshot)
      AND NOT EXISTS (SELECT FROM taken AS t WHERE t.line_id = l.line_id)
      AND NOT EXISTS (SELECT FROM recon.line_closure AS c
                      WHERE c.line_id = l.line_id AND pg_visible_in_snapshot(c.xid, %(seen)s::pg_snapshot))
      AND NOT EXISTS (SELECT FROM excluded AS x WHERE x.line_key = l.line_key AND x.version = l.version)
)
SELECT o.line_key AS key, o.version AS number, o.booking_date AS business_date, o.value_date, o.account, o.asset, o.amount_minor,
    o.reference, o.counterparty, o.judged, t.told_on, e.exception_key, e.opened_on, t.after ->> 'class' AS class, t.after ->> 'kind' AS kind,
    t.after ->> 'severity' AS severity, (t.after ->> 'due_on')::date AS due_on, t.after ->> 'reason' AS reason,
    t.after ->> 'assignee' AS assignee, t.after ->> 'carried_until' AS carried_until
FROM open AS o
LEFT JOIN LATERAL (
    -- what explained it on the day; else, when the line came later, what explained it first
    SELECT n.exception_id, n.as_of FROM recon.exception_line AS n
    WHERE n.line_id = o.line_id AND n.side = 'external' AND pg_visible_in_snapshot(n.xid, %(seen)s::pg_snapshot)
    ORDER BY n.as_of > %(day)s, CASE WHEN n.as_of > %(day)s THEN n.place ELSE -n.place END
    LIMIT 1
) AS n ON true
LEFT JOIN recon.exception AS e ON e.exception_id = n.exception_id
LEFT JOIN LATERAL (
    SELECT v.after, v.as_of AS told_on FROM recon.exception_event AS v
    WHERE v.exception_id = n.exception_id AND v.after IS NOT NULL AND pg_visible_in_snapshot(v.xid, %(seen)s::pg_snapshot)
    ORDER BY v.as_of > %(day)s, CASE WHEN v.as_of > %(day)s THEN v.event_id ELSE -v.event_id END
    LIMIT 1
) AS t ON true

-- name: open_ledger
-- The same of journal lines on the source's accounts.
WITH taken AS (
    SELECT m.entry_id, m.line_no
    FROM recon.match_group AS g
    JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.side = 'ledger'
    WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.state = 'confirmed' AND g.as_of <= %(day)s
      AND pg_visible_in_snapshot(g.xid, %(seen)s::pg_snapshot)
      AND NOT EXISTS (SELECT FROM recon.match_revocation AS r
                      WHERE r.group_id = g.group_id AND pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot))
), excluded AS (
    SELECT DISTINCT n.entry_key, n.line_no
    FROM recon.decision AS x JOIN recon.decision_member AS n ON n.decision_id = x.decision_id AND n.side = 'ledger'
    WHERE x.source_id = %(source)s AND x.kind = 'exclude' AND x.as_of <= %(day)s
      AND pg_visible_in_snapshot(x.xid, %(seen)s::pg_snapshot)
), freed AS (
    SELECT m.entry_id, m.line_no
    FROM recon.match_revocation AS r
    JOIN recon.match_group AS g ON g.group_id = r.group_id AND g.source_id = %(source)s AND g.leg = 'ledger' AND g.state = 'confirmed'
    JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.side = 'ledger'
    WHERE pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot) AND NOT pg_visible_in_snapshot(r.xid, %(judged)s::pg_snapshot)
), open AS (
    SELECT j.entry_id, j.line_no, j.entry_key, j.effective_at, j.account, j.asset, j.amount_minor, j.counterparty,
        coalesce(j.ref_end_to_end, j.ref_psp, j.ref_payout, j.ref_arn, j.ref_rrn, j.batch_ref) AS reference,
        pg_visible_in_snapshot(j.xid, %(judged)s::pg_snapshot)
            AND NOT EXISTS (SELECT FROM freed AS f WHERE f.entry_id = j.entry_id AND f.line_no = j.line_no) AS judged
    FROM ledger.journal_line_v1 AS j
    WHERE j.layer = 'posted' AND j.account = ANY (%(accounts)s) AND j.effective_at >= %(from)s AND j.effective_at < %(before)s
      AND pg_visible_in_snapshot(j.xid, %(seen)s::pg_snapshot)
      AND NOT EXISTS (SELECT FROM taken AS t WHERE t.entry_id = j.entry_id AND t.line_no = j.line_no)
      AND NOT EXISTS (SELECT FROM excluded AS x WHERE x.entry_key = j.entry_key AND x.line_no = j.line_no)
)
SELECT o.entry_key AS key, o.line_no AS number, o.effective_at, o.account, o.asset, o.amount_minor,
    o.reference, o.counterparty, o.judged, t.told_on, e.exception_key, e.opened_on, t.after ->> 'class' AS class, t.after ->> 'kind' AS kind,
    t.after ->> 'severity' AS severity, (t.after ->> 'due_on')::date AS due_on, t.after ->> 'reason' AS reason,
    t.after ->> 'assignee' AS assignee, t.after ->> 'carried_until' AS carried_until
FROM open AS o
LEFT JOIN LATERAL (
    SELECT n.exception_id, n.as_of FROM recon.exception_line AS n
    WHERE n.entry_id = o.entry_id AND n.line_no = o.line_no AND n.side = 'ledger'
      AND pg_visible_in_snapshot(n.xid, %(seen)s::pg_snapshot)
    ORDER BY n.as_of > %(day)s, CASE WHEN n.as_of > %(day)s THEN n.place ELSE -n.place END
    LIMIT 1
) AS n ON true
LEFT JOIN recon.exception AS e ON e.exception_id = n.exception_id
LEFT JOIN LATERAL (
    SELECT v.after, v.as_of AS told_on FROM recon.exception_event AS v
    WHERE v.exception_id = n.exception_id AND v.after IS NOT NULL AND pg_visible_in_snapshot(v.xid, %(seen)s::pg_snapshot)
    ORDER BY v.as_of > %(day)s, CASE WHEN v.as_of > %(day)s THEN v.event_id ELSE -v.event_id END
    LIMIT 1
) AS t ON true

-- name: without_lines
-- Open exceptions of the day that name no open line: absent files, breaks of balances, bounds that were met, withdrawn lines.
WITH withdrawn AS (
    SELECT DISTINCT l.line_key FROM recon.line_closure AS c JOIN recon.line AS l ON l.line_id = c.line_id
    WHERE c.reason = 'withdrawn' AND l.source_id = %(source)s AND pg_visible_in_snapshot(c.xid, %(seen)s::pg_snapshot)
), chosen AS MATERIALIZED (
    SELECT e.exception_id, e.exception_key, e.account, e.asset, e.item_date, e.opened_on, e.line_key
    FROM recon.exception AS e
    WHERE e.source_id = %(source)s AND e.opened_on <= %(day)s
      AND (e.line_key IS NULL AND e.entry_key IS NULL OR e.side = 'external' AND e.line_key IN (SELECT w.line_key FROM withdrawn AS w))
)
SELECT e.exception_key, e.account, e.asset, e.item_date, e.line_key, t.after ->> 'class' AS class, t.after ->> 'kind' AS kind,
    t.after ->> 'severity' AS severity, (t.after ->> 'amount_minor')::bigint AS amount_minor,
    (t.after ->> 'difference_minor')::bigint AS difference_minor, e.opened_on,
    (t.after ->> 'due_on')::date AS due_on
FROM chosen AS e
JOIN LATERAL (
    SELECT v.after FROM recon.exception_event AS v
    WHERE v.exception_id = e.exception_id AND v.after IS NOT NULL AND v.as_of <= %(day)s
      AND pg_visible_in_snapshot(v.xid, %(seen)s::pg_snapshot)
    ORDER BY v.event_id DESC LIMIT 1
) AS t ON t.after ->> 'status' NOT IN ('cleared', 'resolved')
WHERE e.line_key IS NULL OR t.after ->> 'kind' = 'withdrawn'
ORDER BY e.exception_key

-- name: excluded
-- Lines that people had left out by the day, with who decided; a line that no longer speaks says nothing.
SELECT l.account, l.asset, 'external' AS side, l.line_key AS key, l.version AS number, l.amount_minor, x.as_of, x.reason, x.actor AS proposed_by,
    x.approved_by, l.booking_date AS business_date, NULL::timestamptz AS effective_at
FROM recon.decision AS x
JOIN recon.decision_member AS n ON n.decision_id = x.decision_id AND n.side = 'external'
JOIN recon.line AS l ON l.source_id = x.source_id AND l.line_key = n.line_key AND l.version = n.version
WHERE x.source_id = %(source)s AND x.kind = 'exclude' AND x.as_of <= %(day)s AND l.booking_date BETWEEN %(start_date)s AND %(day)s
  AND pg_visible_in_snapshot(x.xid, %(seen)s::pg_snapshot)
  AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id AND pg_visible_in_snapshot(c.xid, %(seen)s::pg_snapshot))
UNION ALL
SELECT j.account, j.asset, 'ledger', j.entry_key, j.line_no, j.amount_minor, x.as_of, x.reason, x.actor, x.approved_by, NULL, j.effective_at
FROM recon.decision AS x
JOIN recon.decision_member AS n ON n.decision_id = x.decision_id AND n.side = 'ledger'
JOIN ledger.journal_line_v1 AS j ON j.entry_key = n.entry_key AND j.line_no = n.line_no AND j.layer = 'posted' AND j.account = ANY (%(accounts)s)
WHERE x.source_id = %(source)s AND x.kind = 'exclude' AND x.as_of <= %(day)s AND j.effective_at >= %(from)s AND j.effective_at < %(before)s
  AND pg_visible_in_snapshot(x.xid, %(seen)s::pg_snapshot) AND pg_visible_in_snapshot(j.xid, %(seen)s::pg_snapshot)

-- name: passes
-- Groups of the day by account and pass, with their lines of both sides; and what groups up to the day explained as difference.
WITH known AS (
    SELECT g.group_id, g.match_pass, g.difference_minor, g.as_of > %(after)s AS of_day
    FROM recon.match_group AS g
    WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.state = 'confirmed' AND g.as_of <= %(day)s
      AND (g.as_of > %(after)s OR g.difference_minor <> 0)
      AND pg_visible_in_snapshot(g.xid, %(seen)s::pg_snapshot)
      AND NOT EXISTS (SELECT FROM recon.match_revocation AS r
                      WHERE r.group_id = g.group_id AND pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot))
)
SELECT m.account, k.match_pass,
    count(*) FILTER (WHERE k.of_day AND m.member_no = 1) AS groups,
    count(*) FILTER (WHERE k.of_day AND m.side = 'external') AS external_lines,
    count(*) FILTER (WHERE k.of_day AND m.side = 'ledger') AS ledger_lines,
    coalesce(sum(m.allocated_minor) FILTER (WHERE k.of_day AND m.side = 'external'), 0)::bigint AS external_minor,
    coalesce(sum(m.allocated_minor) FILTER (WHERE k.of_day AND m.side = 'ledger'), 0)::bigint AS ledger_minor,
    coalesce(sum(k.difference_minor) FILTER (WHERE k.of_day AND m.member_no = 1), 0)::bigint AS difference_of_day_minor,
    coalesce(sum(k.difference_minor) FILTER (WHERE m.member_no = 1), 0)::bigint AS difference_minor
FROM known AS k
JOIN recon.match_member AS m ON m.group_id = k.group_id
GROUP BY m.account, k.match_pass
ORDER BY m.account, k.match_pass

-- name: statements
-- Reports that cover a date of the day's step, each in the version that was known last.
SELECT DISTINCT ON (s.account, s.statement_ref, s.to_date) s.account, s.statement_ref, s.version, s.sequence_no, s.asset, s.from_date,
    s.to_date, s.opening_minor, s.closing_minor, s.movement_minor, s.line_count, s.flags, d.file_name, d.file_sha256, d.outcome
FROM recon.statement AS s
JOIN recon.delivery AS d ON d.delivery_id = s.delivery_id
WHERE s.source_id = %(source)s AND s.from_date <= %(day)s AND s.to_date > %(after)s
  AND pg_visible_in_snapshot(d.xid, %(seen)s::pg_snapshot)
ORDER BY s.account, s.statement_ref, s.to_date, s.version DESC

-- name: deliveries
-- Every file that concerns the day, whatever became of it.
SELECT d.file_name, d.file_sha256, d.outcome, d.for_date, d.refusal_code, d.refusal_place, d.refusal_expected, d.refusal_found,
    d.line_count, d.added_count, d.changed_count, d.withdrawn_count, d.received_at, d.received_by
FROM recon.delivery AS d
WHERE d.source_id = %(source)s AND pg_visible_in_snapshot(d.xid, %(seen)s::pg_snapshot) AND (
    d.for_date > %(after)s AND d.for_date <= %(day)s
    OR EXISTS (SELECT FROM recon.statement AS s WHERE s.delivery_id = d.delivery_id AND s.from_date <= %(day)s AND s.to_date > %(after)s))
ORDER BY d.delivery_id

-- name: decisions
-- What two people decided that acts from the day on.
SELECT x.kind, x.content_key, x.as_of, x.reason, x.actor AS proposed_by, x.approved_by,
    (SELECT jsonb_agg(jsonb_build_object('side', n.side, 'key', coalesce(n.line_key, n.entry_key), 'number', coalesce(n.version, n.line_no),
        'role', n.role, 'amount_minor', n.allocated_minor) ORDER BY n.member_no)
     FROM recon.decision_member AS n WHERE n.decision_id = x.decision_id) AS members
FROM recon.decision AS x
WHERE x.source_id = %(source)s AND x.as_of > %(after)s AND x.as_of <= %(day)s AND pg_visible_in_snapshot(x.xid, %(seen)s::pg_snapshot)
ORDER BY x.as_of, x.kind, x.content_key, x.decision_id

-- name: alerts
SELECT a.severity, a.title, a.item_count, a.sums, a.written_at
FROM recon.alert AS a
WHERE a.source_id = %(source)s AND a.business_date > %(after)s AND a.business_date <= %(day)s
  AND pg_visible_in_snapshot(a.xid, %(seen)s::pg_snapshot)
ORDER BY a.alert_id

-- name: deeds
-- What people did about exceptions while the day was the last one reconciled, each step with what it changed.
SELECT v.at, v.actor, v.event, v.reason, v.note, e.exception_key, v.before, v.after
FROM recon.event_link AS n
JOIN recon.exception_event AS v ON v.event_id = n.event_id
JOIN recon.exception AS e ON e.exception_id = v.exception_id
WHERE n.source_id = %(source)s AND n.origin = 'people' AND v.as_of > %(after)s AND v.as_of <= %(day)s
  AND pg_visible_in_snapshot(v.xid, %(seen)s::pg_snapshot)
ORDER BY n.chain_no

-- name: undone
-- Matches of the day or before that people undid, and that no run undid.
SELECT r.revoked_at, r.actor, r.reason, g.group_key, g.match_pass, g.as_of
FROM recon.match_revocation AS r
JOIN recon.match_group AS g ON g.group_id = r.group_id
JOIN recon.decision AS x ON x.source_id = g.source_id AND x.kind = 'reject_match' AND x.content_key = g.group_key AND x.xid = r.xid
WHERE g.source_id = %(source)s AND g.state = 'confirmed' AND g.as_of <= %(day)s AND pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot)
ORDER BY r.revoked_at, g.group_key

-- name: proposals
-- Proposals that nobody had judged, and what was judged that books an entry for the day.
SELECT p.action, p.reason_code, p.reason, p.proposed_by, p.proposed_at, p.expires_on, p.stake_minor, p.asset, p.entry, e.exception_key,
    v.verdict, v.actor AS judged_by, v.note, v.at AS judged_at, a.entry_key, a.outcome AS posting, a.said AS posting_said
FROM recon.proposal AS p
LEFT JOIN recon.exception AS e ON e.exception_id = p.exception_id
LEFT JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id AND pg_visible_in_snapshot(v.xid, %(seen)s::pg_snapshot)
LEFT JOIN recon.adjustment AS a ON a.proposal_id = p.proposal_id AND pg_visible_in_snapshot(a.xid, %(seen)s::pg_snapshot)
WHERE p.source_id = %(source)s AND pg_visible_in_snapshot(p.xid, %(seen)s::pg_snapshot)
  AND (v.verdict IS NULL AND (p.expires_on IS NULL OR p.expires_on >= %(day)s)
       OR v.verdict = 'approved' AND (p.entry ->> 'effective_date')::date > %(after)s AND (p.entry ->> 'effective_date')::date <= %(day)s)
ORDER BY p.proposal_id

-- name: chains
-- The last link of each chain of events that was known.
SELECT DISTINCT ON (n.origin) n.origin, n.chain_no AS length, encode(n.hash, 'hex') AS head
FROM recon.event_link AS n
WHERE n.source_id = %(source)s AND pg_visible_in_snapshot(n.xid, %(seen)s::pg_snapshot)
ORDER BY n.origin, n.chain_no DESC
