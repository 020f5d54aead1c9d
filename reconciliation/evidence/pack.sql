-- What a pack is made of, by name. `seen` is the snapshot that was known, `until` the instant of it, for what has no transaction
-- of its own; `first` and `last` bound the business dates, both included.

-- name: now
SELECT clock_timestamp()

-- name: proved_days
SELECT DISTINCT p.source_id, p.business_date
FROM recon.balance_proof AS p
WHERE p.source_id = ANY (%(sources)s::text[]) AND p.business_date BETWEEN %(first)s::date AND %(last)s::date
  AND pg_visible_in_snapshot(p.xid, %(seen)s::pg_snapshot)
ORDER BY p.source_id, p.business_date

-- name: balances
SELECT DISTINCT ON (p.source_id, p.business_date, p.account) p.source_id, p.business_date, p.account, p.asset, p.basis, p.opening_minor,
    p.movement_minor, p.closing_minor, p.ledger_minor, p.timing_external_minor, p.timing_ledger_minor, p.genuine_external_minor,
    p.genuine_ledger_minor, p.excluded_external_minor, p.excluded_ledger_minor, p.allocation_difference_minor, p.unexplained_minor,
    p.line_count, p.matched_count, p.timing_count, p.genuine_count, p.excluded_count,
    p.line_count = p.matched_count + p.timing_count + p.genuine_count + p.excluded_count AS counts_hold, p.unexplained_minor = 0 AS tied_out,
    p.run_id, p.proved_at
FROM recon.balance_proof AS p
WHERE p.source_id = ANY (%(sources)s::text[]) AND p.business_date BETWEEN %(first)s::date AND %(last)s::date
  AND pg_visible_in_snapshot(p.xid, %(seen)s::pg_snapshot)
ORDER BY p.source_id, p.business_date, p.account, p.proof_id DESC

-- name: runs
SELECT r.run_id, r.source_id, r.business_date, r.from_date, r.state, r.actor, r.started_at, r.finished_at, r.rules_digest, r.calendar_version,
    r.code_version, r.counts
FROM recon.run AS r
WHERE r.source_id = ANY (%(sources)s::text[]) AND r.business_date >= %(first)s::date AND r.from_date <= %(last)s::date
  AND pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot)
ORDER BY r.run_id

-- name: deliveries
SELECT d.delivery_id, d.source_id, d.file_name, d.file_sha256, d.byte_count, d.for_date, d.outcome, d.same_as, d.format_name, d.format_version,
    d.line_count, d.added_count, d.changed_count, d.unchanged_count, d.withdrawn_count,
    d.line_count = d.added_count + d.changed_count + d.unchanged_count AS counts_hold, d.refusal_code, d.refusal_place, d.refusal_expected,
    d.refusal_found, d.refusal_remedy, array_to_string(d.notes, '; ') AS notes, d.received_at, d.received_by
FROM recon.delivery AS d
WHERE d.source_id = ANY (%(sources)s::text[]) AND pg_visible_in_snapshot(d.xid, %(seen)s::pg_snapshot) AND (
    d.for_date BETWEEN %(first)s::date AND %(last)s::date
    OR (d.received_at AT TIME ZONE 'UTC')::date BETWEEN %(first)s::date AND %(last)s::date
    OR EXISTS (SELECT FROM recon.statement AS s WHERE s.delivery_id = d.delivery_id AND s.from_date <= %(last)s::date AND s.to_date >= %(first)s::date))
ORDER BY d.delivery_id

-- name: received_statements
SELECT s.source_id, s.account, s.statement_ref, s.version, s.asset, s.sequence_no, s.from_date, s.to_date, s.opening_minor, s.movement_minor,
    s.closing_minor, s.line_count, array_to_string(s.proofs, '; ') AS proofs, array_to_string(s.flags, '; ') AS flags, s.delivery_id
FROM recon.statement AS s
JOIN recon.delivery AS d ON d.delivery_id = s.delivery_id
WHERE s.source_id = ANY (%(sources)s::text[]) AND s.from_date <= %(last)s::date AND s.to_date >= %(first)s::date
  AND pg_visible_in_snapshot(d.xid, %(seen)s::pg_snapshot)
ORDER BY s.source_id, s.account, s.to_date, s.statement_ref, s.version

-- name: releases
SELECT r.release_id, r.source_id, r.delivery_id, d.file_name, r.code, r.reason, r.actor, r.released_at
FROM recon.release AS r
JOIN recon.delivery AS d ON d.delivery_id = r.delivery_id
WHERE r.source_id = ANY (%(sources)s::text[]) AND pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot)
  AND (r.released_at AT TIME ZONE 'UTC')::date BETWEEN %(first)s::date AND %(last)s::date
ORDER BY r.release_id

-- name: exceptions
-- Exceptions that were open on some day of the range, as they were known.
WITH told AS (
    SELECT DISTINCT ON (v.exception_id) v.exception_id, v.after, v.as_of,
        count(*) OVER (PARTITION BY v.exception_id) AS changes, max(v.at) OVER (PARTITION BY v.exception_id) AS changed_at
    FROM recon.exception_event AS v
    WHERE v.after IS NOT NULL AND pg_visible_in_snapshot(v.xid, %(seen)s::pg_snapshot)
    ORDER BY v.exception_id, v.event_id DESC
), known AS (
    SELECT e.exception_id, e.exception_key, e.source_id, e.opened_on, e.opened_at, e.item_date, e.account, e.asset, t.after, t.changes, t.changed_at,
        CASE WHEN t.after ->> 'status' IN ('cleared', 'resolved') THEN t.as_of END AS closed_on
    FROM told AS t
    JOIN recon.exception AS e ON e.exception_id = t.exception_id
    WHERE e.source_id = ANY (%(sources)s::text[]) AND e.opened_on <= %(last)s::date
)
SELECT e.exception_id, e.exception_key, e.source_id, e.opened_on, e.opened_at, e.item_date, e.account, e.after ->> 'class' AS class,
    e.after ->> 'kind' AS kind, e.after ->> 'severity' AS severity, e.after ->> 'status' AS status, (e.after ->> 'amount_minor')::bigint AS amount_minor,
    (e.after ->> 'difference_minor')::bigint AS difference_minor, e.asset, (e.after ->> 'due_on')::date AS due_on,
    (e.after ->> 'sla_due_on')::date AS sla_due_on, e.after ->> 'assignee' AS assignee, e.after ->> 'team' AS team, e.after ->> 'reason' AS reason,
    (e.after ->> 'cycle')::integer AS cycle, (e.after ->> 'carried_until')::date AS carried_until, (e.after ->> 'cleared_by_group')::bigint AS cleared_by_group,
    e.closed_on, coalesce(e.closed_on, %(last)s::date) - e.item_date AS age_days, e.changes, e.changed_at
FROM known AS e
WHERE e.closed_on IS NULL OR e.closed_on >= %(first)s::date
ORDER BY e.exception_id

-- name: exception_lines
SELECT n.exception_id, n.side, l.line_key, l.version, j.entry_key, n.line_no, coalesce(l.amount_minor, j.amount_minor) AS amount_minor,
    coalesce(l.asset, j.asset) AS asset, n.as_of
FROM recon.exception_line AS n
LEFT JOIN recon.line AS l ON n.side = 'external' AND l.line_id = n.line_id
LEFT JOIN ledger.journal_line_v1 AS j ON n.side = 'ledger' AND j.entry_id = n.entry_id AND j.line_no = n.line_no
WHERE n.exception_id = ANY (%(exceptions)s::bigint[]) AND pg_visible_in_snapshot(n.xid, %(seen)s::pg_snapshot)
ORDER BY n.exception_id, n.place

-- name: events
-- Every event of those exceptions, with the link that it is, and the one before it.
SELECT v.event_id, v.exception_id, e.source_id, to_char(v.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at, v.as_of, v.event, v.actor,
    v.reason, v.note, v.before::text, v.after::text, l.origin, l.chain_no, encode(coalesce(b.hash, sha256('')), 'hex') AS hash_before,
    encode(l.hash, 'hex') AS hash
FROM recon.exception_event AS v
JOIN recon.exception AS e ON e.exception_id = v.exception_id
LEFT JOIN recon.event_link AS l ON l.event_id = v.event_id
LEFT JOIN recon.event_link AS b ON b.source_id = l.source_id AND b.origin = l.origin AND b.chain_no = l.chain_no - 1
WHERE v.exception_id = ANY (%(exceptions)s::bigint[]) AND pg_visible_in_snapshot(v.xid, %(seen)s::pg_snapshot)
ORDER BY v.exception_id, v.event_id

-- name: attachments
SELECT a.attachment_id, a.exception_id, a.file_name, a.media_type, a.byte_count, a.sha256, a.uploaded_by, a.uploaded_at
FROM recon.attachment AS a
WHERE a.exception_id = ANY (%(exceptions)s::bigint[]) AND a.uploaded_at <= %(until)s::timestamptz
ORDER BY a.attachment_id

-- name: proposals
-- What waited on some day of the range, with who proposed and who judged.
SELECT p.proposal_id, p.source_id, p.exception_id, p.action, coalesce(v.verdict, 'not judged') AS verdict, p.reason_code, p.reason, p.stake_minor, p.asset,
    p.members::text, p.entry::text, p.proposed_by, p.proposed_at, p.expires_on, v.actor AS judged_by, v.at AS judged_at, v.note
FROM recon.proposal AS p
LEFT JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id AND pg_visible_in_snapshot(v.xid, %(seen)s::pg_snapshot)
WHERE p.source_id = ANY (%(sources)s::text[]) AND pg_visible_in_snapshot(p.xid, %(seen)s::pg_snapshot) AND (
    p.exception_id = ANY (%(exceptions)s::bigint[])
    OR (p.proposed_at AT TIME ZONE 'UTC')::date BETWEEN %(first)s::date AND %(last)s::date
    OR (v.at AT TIME ZONE 'UTC')::date BETWEEN %(first)s::date AND %(last)s::date)
ORDER BY p.proposal_id

-- name: adjustments
SELECT p.proposal_id, p.source_id, p.exception_id, p.action, p.reason_code, p.reason, p.stake_minor, p.asset, p.entry::text, p.proposed_by,
    v.actor AS approved_by, v.at AS approved_at, 'proposal:' || p.proposal_id AS entry_key, a.outcome, a.said, a.recorded_at
FROM recon.proposal AS p
JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id AND v.verdict = 'approved' AND pg_visible_in_snapshot(v.xid, %(seen)s::pg_snapshot)
LEFT JOIN recon.adjustment AS a ON a.proposal_id = p.proposal_id AND pg_visible_in_snapshot(a.xid, %(seen)s::pg_snapshot)
WHERE p.source_id = ANY (%(sources)s::text[]) AND p.entry IS NOT NULL AND pg_visible_in_snapshot(p.xid, %(seen)s::pg_snapshot) AND (
    p.exception_id = ANY (%(exceptions)s::bigint[])
    OR (v.at AT TIME ZONE 'UTC')::date BETWEEN %(first)s::date AND %(last)s::date)
ORDER BY p.proposal_id

-- name: decisions
SELECT x.decision_id, x.source_id, x.kind, x.content_key, n.side, n.line_key, n.version, n.entry_key, n.line_no, n.role, n.allocated_minor,
    coalesce(l.asset, j.asset) AS asset, x.reason, x.actor, x.approved_by, x.proposal_id, x.as_of, x.decided_at
FROM recon.decision AS x
LEFT JOIN recon.decision_member AS n ON n.decision_id = x.decision_id
LEFT JOIN recon.line AS l ON l.source_id = x.source_id AND l.line_key = n.line_key AND l.version = n.version
LEFT JOIN ledger.journal_line_v1 AS j ON j.entry_key = n.entry_key AND j.line_no = n.line_no AND j.layer = 'posted'
WHERE x.source_id = ANY (%(sources)s::text[]) AND pg_visible_in_snapshot(x.xid, %(seen)s::pg_snapshot)
  AND coalesce(x.as_of, (x.decided_at AT TIME ZONE 'UTC')::date) BETWEEN %(first)s::date AND %(last)s::date
ORDER BY x.decision_id, n.member_no

-- name: undone_matches
SELECT g.group_id, g.source_id, g.match_pass, g.as_of, r.reason, r.actor, r.revoked_at
FROM recon.match_revocation AS r
JOIN recon.match_group AS g ON g.group_id = r.group_id
WHERE g.source_id = ANY (%(sources)s::text[]) AND g.as_of BETWEEN %(first)s::date AND %(last)s::date
  AND pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot)
ORDER BY g.group_id

-- name: sign_offs
SELECT s.sign_off_id, s.source_id, s.business_date, coalesce(v.verdict, 'prepared') AS state, s.prepared_by, s.prepared_at, s.note,
    v.actor AS reviewed_by, v.at AS reviewed_at, v.note AS review_note, s.content_sha256, s.books_sha256, s.known_at::text,
    (SELECT min(o.sign_off_id) FROM recon.sign_off AS o
     WHERE o.source_id = s.source_id AND o.business_date = s.business_date AND o.sign_off_id > s.sign_off_id
       AND pg_visible_in_snapshot(o.xid, %(seen)s::pg_snapshot)) AS followed_by
FROM recon.sign_off AS s
LEFT JOIN recon.sign_off_verdict AS v ON v.sign_off_id = s.sign_off_id AND pg_visible_in_snapshot(v.xid, %(seen)s::pg_snapshot)
WHERE s.source_id = ANY (%(sources)s::text[]) AND s.business_date BETWEEN %(first)s::date AND %(last)s::date
  AND pg_visible_in_snapshot(s.xid, %(seen)s::pg_snapshot)
ORDER BY s.sign_off_id

-- name: signed_content
SELECT s.content FROM recon.sign_off AS s WHERE s.sign_off_id = %(sign_off)s

-- name: alerts
SELECT a.alert_id, a.source_id, a.business_date, a.severity, a.title, a.item_count, a.sums::text, a.written_at,
    (SELECT min(t.attempted_at) FROM recon.alert_attempt AS t
     WHERE t.alert_id = a.alert_id AND t.outcome = 'sent' AND t.attempted_at <= %(until)s::timestamptz) AS sent_at
FROM recon.alert AS a
WHERE a.source_id = ANY (%(sources)s::text[]) AND a.business_date BETWEEN %(first)s::date AND %(last)s::date
  AND pg_visible_in_snapshot(a.xid, %(seen)s::pg_snapshot)
ORDER BY a.alert_id

-- name: rules
-- Every version of the rules that was loaded, with the runs of the range that used it.
SELECT s.source_id, s.rules_digest, s.loaded_at, s.loaded_by,
    (SELECT count(*) FROM recon.run AS r
     WHERE r.source_id = s.source_id AND r.rules_digest = s.rules_digest AND r.business_date >= %(first)s::date AND r.from_date <= %(last)s::date
       AND pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot)) AS runs_of_range
FROM recon.source_version AS s
WHERE s.source_id = ANY (%(sources)s::text[]) AND s.loaded_at <= %(until)s::timestamptz
ORDER BY s.source_id, s.loaded_at, s.rules_digest

-- name: rule_texts
SELECT s.source_id, s.rules_digest, s.loaded_at, s.loaded_by, s.definition
FROM recon.source_version AS s
WHERE s.source_id = ANY (%(sources)s::text[]) AND s.loaded_at <= %(until)s::timestamptz
ORDER BY s.source_id, s.loaded_at, s.rules_digest

-- name: calendars
SELECT r.source_id, r.calendar_version, r.code_version, min(r.run_id) AS first_run, max(r.run_id) AS last_run, min(r.business_date) AS first_date,
    max(r.business_date) AS last_date, count(*) AS runs
FROM recon.run AS r
WHERE r.source_id = ANY (%(sources)s::text[]) AND r.business_date >= %(first)s::date AND r.from_date <= %(last)s::date
  AND pg_visible_in_snapshot(r.xid, %(seen)s::pg_snapshot)
GROUP BY r.source_id, r.calendar_version, r.code_version
ORDER BY r.source_id, first_run

-- name: people
-- Persons as they were known, and with what roles at the end of the range; nothing there for who came later.
SELECT t.login, t.after ->> 'name' AS name, (SELECT string_agg(r, ' ' ORDER BY r) FROM jsonb_array_elements_text(t.after -> 'roles') AS r) AS roles,
    t.after ->> 'team' AS team, t.after ->> 'same_as' AS same_as, t.after ->> 'state' AS state, t.after ->> 'known_by' AS known_by, t.at AS since,
    (SELECT string_agg(r, ' ' ORDER BY r) FROM jsonb_array_elements_text(o.after -> 'roles') AS r) AS roles_at_end, o.after ->> 'state' AS state_at_end
FROM (
    SELECT DISTINCT ON (v.login) v.login, v.after, v.at
    FROM recon.person_event AS v
    WHERE v.after IS NOT NULL AND v.at <= %(until)s::timestamptz
    ORDER BY v.login, v.person_event_id DESC
) AS t
LEFT JOIN LATERAL (
    SELECT v.after FROM recon.person_event AS v
    WHERE v.login = t.login AND v.after IS NOT NULL AND v.at <= %(until)s::timestamptz AND v.at < (%(last)s::date + 1)::timestamp AT TIME ZONE 'UTC'
    ORDER BY v.person_event_id DESC LIMIT 1
) AS o ON true
ORDER BY t.login

-- name: people_events
SELECT v.person_event_id, v.login, v.event, v.actor, v.before::text, v.after::text, v.at
FROM recon.person_event AS v
WHERE v.at <= %(until)s::timestamptz
ORDER BY v.person_event_id

-- name: who_could_do_what
SELECT t.login, d.deed, recon.permits(ARRAY(SELECT jsonb_array_elements_text(t.after -> 'roles')), d.deed) AND t.after ->> 'state' = 'active' AS could,
    o.after IS NOT NULL AND recon.permits(ARRAY(SELECT jsonb_array_elements_text(o.after -> 'roles')), d.deed) AND o.after ->> 'state' = 'active' AS could_at_end
FROM (
    SELECT DISTINCT ON (v.login) v.login, v.after
    FROM recon.person_event AS v
    WHERE v.after IS NOT NULL AND v.at <= %(until)s::timestamptz
    ORDER BY v.login, v.person_event_id DESC
) AS t
LEFT JOIN LATERAL (
    SELECT v.after FROM recon.person_event AS v
    WHERE v.login = t.login AND v.after IS NOT NULL AND v.at <= %(until)s::timestamptz AND v.at < (%(last)s::date + 1)::timestamp AT TIME ZONE 'UTC'
    ORDER BY v.person_event_id DESC LIMIT 1
) AS o ON true
CROSS JOIN unnest(%(deeds)s::text[]) WITH ORDINALITY AS d (deed, place)
ORDER BY t.login, d.place

-- name: permissions
SELECT r.role, d.deed, recon.permits(ARRAY[r.role], d.deed) AS may
FROM unnest(%(roles)s::text[]) WITH ORDINALITY AS r (role, place)
CROSS JOIN unnest(%(deeds)s::text[]) WITH ORDINALITY AS d (deed, place)
ORDER BY r.place, d.place

-- name: log_ins
-- Log-ins of the range by day, login and outcome.
SELECT (a.at AT TIME ZONE 'UTC')::date AS on_date, a.login, a.channel, a.outcome, count(*) AS attempts
FROM recon.login_attempt AS a
WHERE a.at <= %(until)s::timestamptz AND (a.at AT TIME ZONE 'UTC')::date BETWEEN %(first)s::date AND %(last)s::date
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4

-- name: grants
-- What each role of the database may do with which table, column, function or sequence of the two schemas.
SELECT g.grantee, g.kind, g.object, g.column_name, g.privilege
FROM (
    SELECT a.grantee::regrole::text AS grantee, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind,
        c.oid::regclass::text AS object, NULL::text AS column_name, a.privilege_type AS privilege
    FROM pg_class AS c CROSS JOIN aclexplode(c.relacl) AS a
    WHERE c.relnamespace::regnamespace::text IN ('ledger', 'recon') AND a.grantee <> 0
    UNION ALL
    SELECT a.grantee::regrole::text, 'column', c.oid::regclass::text, t.attname, a.privilege_type
    FROM pg_class AS c JOIN pg_attribute AS t ON t.attrelid = c.oid CROSS JOIN aclexplode(t.attacl) AS a
    WHERE c.relnamespace::regnamespace::text IN ('ledger', 'recon') AND a.grantee <> 0
    UNION ALL
    SELECT CASE a.grantee WHEN 0 THEN 'public' ELSE a.grantee::regrole::text END, 'function', p.oid::regprocedure::text, NULL, a.privilege_type
    FROM pg_proc AS p CROSS JOIN aclexplode(p.proacl) AS a
    WHERE p.pronamespace::regnamespace::text IN ('ledger', 'recon')
) AS g
ORDER BY g.grantee, g.kind, g.object, g.column_name NULLS FIRST, g.privilege

-- name: database_roles
-- Roles of the product, who is a member of them, and what they are besides.
SELECT r.rolname, r.rolcanlogin, r.rolsuper, r.rolcreaterole, r.rolbypassrls,
    (SELECT string_agg(m.member::regrole::text, ' ' ORDER BY m.member::regrole::text) FROM (
        SELECT DISTINCT g.member FROM pg_auth_members AS g WHERE g.roleid = r.oid) AS m) AS members
FROM pg_roles AS r
WHERE r.rolname LIKE 'tieout%%' OR r.rolsuper OR r.rolname = current_database()
   OR r.oid IN (SELECT g.member FROM pg_auth_members AS g JOIN pg_roles AS o ON o.oid = g.roleid WHERE o.rolname LIKE 'tieout%%')
ORDER BY r.rolname

-- name: settings
-- What the server writes down, what it keeps safe, and how it protects connections.
SELECT s.name, s.setting, s.unit, s.source
FROM pg_settings AS s
WHERE s.name IN ('debug_print_parse', 'log_checkpoints', 'log_connections', 'log_destination', 'log_disconnections', 'log_duration', 'log_error_verbosity',
    'log_hostname', 'log_line_prefix', 'log_lock_waits', 'log_min_duration_statement', 'log_min_error_statement', 'log_min_messages',
    'log_parameter_max_length', 'log_parameter_max_length_on_error', 'log_statement', 'log_timezone', 'logging_collector',
    'data_checksums', 'fsync', 'full_page_writes', 'synchronous_commit', 'password_encryption', 'row_security', 'server_version', 'ssl',
    'ssl_min_protocol_version', 'wal_level')
ORDER BY s.name
