-- What one exception, the matches it may have, a proposal and a match are read from, by name. Every list has a bound.

-- name: exception
SELECT e.exception_id, e.source_id AS source, e.opened_on, e.as_of, e.class AS exception_class, e.kind, e.severity, e.status, e.side,
    e.line_key, e.entry_key, e.line_no, e.account, e.amount_minor, e.difference_minor, e.asset, e.item_date, e.due_on, e.sla_due_on,
    e.expected_clear_on, e.age_business_days, e.assignee, e.team, e.snoozed_until, e.carried_until, e.reason, e.cycle, e.cleared_by_group,
    e.cleared_on, e.factors, e.version, e.reference, e.counterparty,
    (SELECT max(v.event_id) FROM recon.exception_event AS v WHERE v.exception_id = e.exception_id) AS last_event
FROM recon.exception AS e
WHERE e.exception_id = %(exception)s

-- name: own_lines
-- The lines that an exception explains; of one that explains none any more, or a closed one, the line it is named after.
WITH mine AS (
    SELECT m.side, m.line_id, m.entry_id, m.line_no FROM recon.exception_member AS m WHERE m.exception_id = %(exception)s
    ORDER BY m.side, m.line_id, m.entry_id, m.line_no
    LIMIT %(most)s
), named AS (
    SELECT m.side, m.line_id, m.entry_id, m.line_no FROM mine AS m
    UNION
    SELECT e.side, e.line_id, e.entry_id, e.line_no FROM recon.exception AS e
    WHERE e.exception_id = %(exception)s AND coalesce(e.line_id, e.entry_id) IS NOT NULL AND NOT EXISTS (SELECT FROM mine)
)
SELECT n.side, n.line_id, n.entry_id, n.line_no FROM named AS n

-- name: member_count
SELECT count(*) FROM recon.exception_member AS m WHERE m.exception_id = %(exception)s

-- name: external_lines
-- Lines of the source by number, with what stands in the way of matching them.
SELECT l.line_id, NULL::bigint AS entry_id, NULL::integer AS line_no, 'external' AS side, l.line_key AS key, l.version AS number, l.account, l.asset, l.amount_minor, l.booking_date AS day, l.value_date, l.kind,
    l.counterparty, l.text, l.fee_minor, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout, l.ref_arn,
    l.ref_rrn, l.ref_auth_code, l.batch_ref, o.exception_id,
    d.file_name || ', record ' || l.record_no AS origin,
    CASE WHEN c.line_id IS NOT NULL THEN 'was ' || c.reason
         WHEN m.group_id IS NOT NULL THEN 'is in match ' || m.group_id END AS problem
FROM unnest(%(lines)s::bigint[]) AS w (line_id)
JOIN recon.line AS l ON l.line_id = w.line_id
JOIN recon.statement AS s ON s.statement_id = l.statement_id
JOIN recon.delivery AS d ON d.delivery_id = s.delivery_id
LEFT JOIN recon.line_closure AS c ON c.line_id = l.line_id
LEFT JOIN recon.match_member AS m ON m.line_id = l.line_id AND m.side = 'external' AND m.live AND m.leg = 'ledger'
LEFT JOIN recon.exception_member AS o ON o.line_id = l.line_id

-- name: ledger_lines
-- Journal lines by entry and number, likewise. The day is the one the daily run would give them, by the source's zone.
SELECT NULL::bigint AS line_id, j.entry_id, j.line_no, 'ledger' AS side, j.entry_key AS key, j.line_no AS number, j.account, j.asset, j.amount_minor,
    (j.effective_at AT TIME ZONE %(zone)s)::date AS day, NULL::date AS value_date, j.kind, j.counterparty, j.description AS text, 0::bigint AS fee_minor,
    j.ref_end_to_end, j.ref_uetr, j.ref_servicer, j.ref_psp, j.ref_merchant, j.ref_payout, j.ref_arn, j.ref_rrn, j.ref_auth_code, j.batch_ref,
    o.exception_id, 'posted by ' || j.posted_by AS origin,
    CASE WHEN m.group_id IS NOT NULL THEN 'is in match ' || m.group_id END AS problem
FROM unnest(%(entries)s::bigint[], %(numbers)s::integer[]) AS w (entry_id, line_no)
JOIN ledger.journal_line_v1 AS j ON j.entry_id = w.entry_id AND j.line_no = w.line_no
LEFT JOIN recon.match_member AS m ON m.entry_id = j.entry_id AND m.line_no = j.line_no AND m.side = 'ledger' AND m.live AND m.leg = 'ledger'
LEFT JOIN recon.exception_member AS o ON o.entry_id = j.entry_id AND o.line_no = j.line_no

-- name: suggestions
-- What the engine suggests for any of these lines, the best first.
WITH held AS (
    SELECT m.group_id FROM unnest(%(lines)s::bigint[]) AS w (line_id)
    JOIN recon.match_member AS m ON m.line_id = w.line_id AND m.side = 'external' AND NOT m.live AND m.leg = 'ledger'
    UNION
    SELECT m.group_id FROM unnest(%(entries)s::bigint[], %(numbers)s::integer[]) AS w (entry_id, line_no)
    JOIN recon.match_member AS m ON m.entry_id = w.entry_id AND m.line_no = w.line_no AND m.side = 'ledger' AND NOT m.live AND m.leg = 'ledger'
)
SELECT g.group_id, g.match_pass, g.evidence
FROM held AS h
JOIN recon.match_group AS g ON g.group_id = h.group_id
WHERE g.source_id = %(source)s AND g.state = 'suggested' AND NOT EXISTS (SELECT FROM recon.match_revocation AS r WHERE r.group_id = g.group_id)
ORDER BY g.evidence_millibits DESC NULLS LAST, g.group_key
LIMIT %(most)s

-- name: group_members
SELECT m.group_id, m.side, m.line_id, m.entry_id, m.line_no, m.role
FROM recon.match_member AS m
WHERE m.group_id = ANY(%(groups)s)
ORDER BY m.group_id, m.member_no

-- name: near_lines
-- Open lines of the other side with about this amount, not far in time: by the index of open exceptions on their value. Of very many
-- the first so many of exactly the amount and of about it are looked at, which is told.
WITH near AS (
    (SELECT e.exception_id, e.item_date
     FROM recon.exception AS e
     WHERE e.cleared_on IS NULL AND e.source_id = %(source)s AND e.value_minor = abs(%(wanted)s)
       AND e.item_date BETWEEN %(first)s AND %(last)s AND e.exception_id <> %(exception)s
     ORDER BY e.exception_id
     LIMIT %(looked_at)s)
    UNION
    (SELECT e.exception_id, e.item_date
     FROM recon.exception AS e
     WHERE e.cleared_on IS NULL AND e.source_id = %(source)s AND e.value_minor BETWEEN %(least)s AND %(largest)s
       AND e.item_date BETWEEN %(first)s AND %(last)s AND e.exception_id <> %(exception)s
     ORDER BY e.value_minor DESC, e.exception_id
     LIMIT %(looked_at)s)
)
SELECT m.side, m.line_id, m.entry_id, m.line_no, (SELECT count(*) FROM near) AS looked_at
FROM near AS n
JOIN recon.exception_member AS m ON m.exception_id = n.exception_id AND m.side = ANY(%(sides)s)
LEFT JOIN recon.line AS l ON l.line_id = m.line_id
LEFT JOIN ledger.journal_line_v1 AS j ON j.entry_id = m.entry_id AND j.line_no = m.line_no
WHERE coalesce(l.amount_minor, j.amount_minor) BETWEEN %(lowest)s AND %(highest)s AND coalesce(l.asset, j.asset) = %(asset)s
ORDER BY abs(coalesce(l.amount_minor, j.amount_minor) - %(wanted)s), abs(n.item_date - %(day)s::date), coalesce(l.line_key, j.entry_key), m.line_no
LIMIT %(most)s

-- name: lines_found
-- Lines of a source by what a person typed: a line key, an entry key, or any reference, each by its own index.
SELECT f.side, f.line_id, f.entry_id, f.line_no FROM (
    SELECT 'external' AS side, l.line_id, NULL::bigint AS entry_id, NULL::integer AS line_no FROM recon.line AS l
    WHERE l.source_id = %(source)s AND l.line_key = %(word)s
    UNION
    SELECT 'external', l.line_id, NULL, NULL FROM recon.line AS l
    WHERE hashtextextended(l.ref_end_to_end, 0) = hashtextextended(%(word)s, 0) AND l.ref_end_to_end = %(word)s AND l.source_id = %(source)s
    UNION
    SELECT 'external', l.line_id, NULL, NULL FROM recon.line AS l
    WHERE hashtextextended(l.ref_psp, 0) = hashtextextended(%(word)s, 0) AND l.ref_psp = %(word)s AND l.source_id = %(source)s
    UNION
    SELECT 'external', l.line_id, NULL, NULL FROM recon.line AS l
    WHERE hashtextextended(l.ref_payout, 0) = hashtextextended(%(word)s, 0) AND l.ref_payout = %(word)s AND l.source_id = %(source)s
    UNION
    SELECT 'external', l.line_id, NULL, NULL FROM recon.line AS l
    WHERE hashtextextended(l.ref_arn, 0) = hashtextextended(%(word)s, 0) AND l.ref_arn = %(word)s AND l.source_id = %(source)s
    UNION
    SELECT 'external', l.line_id, NULL, NULL FROM recon.line AS l
    WHERE hashtextextended(l.batch_ref, 0) = hashtextextended(%(word)s, 0) AND l.batch_ref = %(word)s AND l.source_id = %(source)s
    UNION
    SELECT 'ledger', NULL, j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j
    WHERE j.entry_key = %(word)s AND j.account = ANY(%(accounts)s) AND j.layer = 'posted'
    UNION
    SELECT 'ledger', NULL, j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j
    WHERE j.ref_end_to_end = %(word)s AND j.account = ANY(%(accounts)s) AND j.layer = 'posted'
    UNION
    SELECT 'ledger', NULL, j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j
    WHERE j.ref_psp = %(word)s AND j.account = ANY(%(accounts)s) AND j.layer = 'posted'
    UNION
    SELECT 'ledger', NULL, j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j
    WHERE j.ref_payout = %(word)s AND j.account = ANY(%(accounts)s) AND j.layer = 'posted'
    UNION
    SELECT 'ledger', NULL, j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j
    WHERE j.ref_arn = %(word)s AND j.account = ANY(%(accounts)s) AND j.layer = 'posted'
    UNION
    SELECT 'ledger', NULL, j.entry_id, j.line_no FROM ledger.journal_line_v1 AS j
    WHERE j.batch_ref = %(word)s AND j.account = ANY(%(accounts)s) AND j.layer = 'posted'
    UNION
    SELECT m.side, m.line_id, m.entry_id, m.line_no FROM recon.exception AS e
    JOIN recon.exception_member AS m ON m.exception_id = e.exception_id
    WHERE e.cleared_on IS NULL AND e.source_id = %(source)s AND e.reference = %(word)s
) AS f
LIMIT %(most)s

-- name: lines_named
-- Lines by content: line key and version, or entry key and line number.
SELECT 'external' AS side, l.line_id, NULL::bigint AS entry_id, NULL::integer AS line_no
FROM unnest(%(line_keys)s::text[], %(versions)s::integer[]) AS w (line_key, version)
JOIN recon.line AS l ON l.source_id = %(source)s AND l.line_key = w.line_key AND l.version = w.version
UNION
SELECT 'ledger', NULL, j.entry_id, j.line_no
FROM unnest(%(entry_keys)s::text[], %(line_numbers)s::integer[]) AS w (entry_key, line_no)
JOIN ledger.journal_line_v1 AS j ON j.entry_key = w.entry_key AND j.line_no = w.line_no
WHERE j.account = ANY(%(accounts)s) AND j.layer = 'posted'

-- name: events
-- The life of an exception, the newest first, with the link that each event has in its chain.
SELECT v.event_id, v.event, v.actor, v.as_of, v.before, v.after, v.reason, v.note, v.at, encode(k.hash, 'hex') AS hash, k.origin, k.chain_no
FROM recon.exception_event AS v
LEFT JOIN recon.event_link AS k ON k.event_id = v.event_id
WHERE v.exception_id = %(exception)s AND v.event_id > %(after)s
ORDER BY v.event_id DESC
LIMIT %(most)s

-- name: proposals_of
-- What was proposed about an exception, the newest first.
SELECT p.proposal_id, p.action, p.state, p.proposed_by, p.proposed_at, p.judged_by, p.judged_at, p.reason, p.reason_code, p.note, p.posting
FROM recon.proposal_v1 AS p
WHERE p.exception_id = %(exception)s
ORDER BY p.proposal_id DESC
LIMIT 20

-- name: people
-- Whom work can be given to.
SELECT p.login, p.name, p.team FROM recon.person AS p
WHERE p.state = 'active' AND recon.permits(p.roles, 'work')
ORDER BY p.login
LIMIT 500

-- name: accounts
-- Where the missing entry could be booked: open accounts without others below them, on the paths that the source allows.
SELECT a.account, a.name FROM ledger.account_v1 AS a
WHERE a.asset = %(asset)s AND a.closed_at IS NULL AND a.is_leaf AND a.account <> ALL(%(reconciled)s)
  AND (cardinality(%(allowed)s::text[]) = 0 OR EXISTS (
      SELECT FROM unnest(%(allowed)s::text[]) AS p (path) WHERE a.account = p.path OR starts_with(a.account, p.path || ':')))
ORDER BY a.account
LIMIT 1000

-- name: proposals_waiting
-- What waits for a verdict, with whether it is of the person who asks; by the money it moves.
WITH waiting AS (
    SELECT p.proposal_id FROM recon.proposal AS p
    WHERE NOT EXISTS (SELECT FROM recon.proposal_verdict AS v WHERE v.proposal_id = p.proposal_id)
    ORDER BY p.proposal_id
    LIMIT %(most)s
)
SELECT p.proposal_id, p.source, p.exception_id, p.action, p.state, p.reason_code, p.reason, p.proposed_by, p.proposed_at, p.expires_on, p.stake_minor,
    p.asset, p.judged_by, p.judged_at, p.posting, e.kind, e.severity, recon.human(p.proposed_by) = recon.human(%(me)s) AS is_own
FROM waiting AS w
JOIN recon.proposal_v1 AS p ON p.proposal_id = w.proposal_id
LEFT JOIN recon.exception AS e ON e.exception_id = p.exception_id
ORDER BY p.state DESC, p.stake_minor DESC NULLS LAST, p.proposal_id

-- name: proposals_judged
WITH judged AS (
    SELECT v.proposal_id FROM recon.proposal_verdict AS v ORDER BY v.proposal_id DESC LIMIT %(most)s
)
SELECT p.proposal_id, p.source, p.exception_id, p.action, p.state, p.reason_code, p.reason, p.proposed_by, p.proposed_at, p.expires_on, p.stake_minor,
    p.asset, p.judged_by, p.judged_at, p.posting, e.kind, e.severity, recon.human(p.proposed_by) = recon.human(%(me)s) AS is_own
FROM judged AS w
JOIN recon.proposal_v1 AS p ON p.proposal_id = w.proposal_id
LEFT JOIN recon.exception AS e ON e.exception_id = p.exception_id
ORDER BY p.judged_at DESC, p.proposal_id DESC

-- name: next_waiting
SELECT min(p.proposal_id) FROM recon.proposal AS p
WHERE p.proposal_id > %(proposal)s AND recon.human(p.proposed_by) <> recon.human(%(me)s)
  AND NOT EXISTS (SELECT FROM recon.proposal_verdict AS v WHERE v.proposal_id = p.proposal_id)

-- name: judging
-- What stands between a person and a verdict: whether it is their own, and up to how much they may approve.
SELECT recon.human(%(proposer)s) = recon.human(%(me)s) AS is_own,
    recon.judging_limit(%(source)s, %(roles)s::text[], %(asset)s, %(action)s, %(reason)s) AS limit_minor

-- name: match
SELECT g.group_id, g.group_key, g.source_id AS source, g.leg, g.match_pass, g.as_of, g.asset, g.external_minor, g.ledger_minor, g.difference_minor,
    g.evidence, g.run_id, g.made_at, g.evidence_millibits, g.margin_millibits, g.solutions,
    CASE WHEN r.group_id IS NULL THEN g.state ELSE 'revoked' END AS state, g.state AS made_as, r.reason AS undone_why, r.actor AS undone_by,
    r.revoked_at AS undone_at, n.business_date AS run_for, n.actor AS run_by, n.rules_digest, n.code_version
FROM recon.match_group AS g
LEFT JOIN recon.match_revocation AS r ON r.group_id = g.group_id
LEFT JOIN recon.run AS n ON n.run_id = g.run_id
WHERE g.group_id = %(group)s

-- name: exceptions_of_match
-- Exceptions that explain the lines of a match, or did so before it.
SELECT x.exception_id FROM recon.match_member AS m JOIN recon.exception_line AS x ON x.line_id = m.line_id AND x.side = 'external'
WHERE m.group_id = %(group)s AND m.side = 'external'
UNION
SELECT x.exception_id FROM recon.match_member AS m
JOIN recon.exception_line AS x ON x.entry_id = m.entry_id AND x.line_no = m.line_no AND x.side = 'ledger'
WHERE m.group_id = %(group)s AND m.side = 'ledger'
ORDER BY 1
LIMIT 20

-- name: bulk_items
-- What a selection holds as it is now, beside the versions that were seen.
SELECT count(e.exception_id) AS found, count(*) FILTER (WHERE e.cleared_on IS NOT NULL) AS closed,
    count(*) FILTER (WHERE e.cleared_on IS NULL AND e.version <> w.version) AS changed, count(*) FILTER (WHERE e.exception_id IS NULL) AS absent
FROM unnest(%(ids)s::bigint[], %(versions)s::integer[]) AS w (exception_id, version)
LEFT JOIN recon.exception AS e ON e.exception_id = w.exception_id

-- name: bulk_money
SELECT e.asset, count(*) AS count, sum(e.value_minor) AS value_minor, sum(e.amount_minor) AS amount_minor
FROM recon.exception AS e
WHERE e.exception_id = ANY(%(ids)s)
GROUP BY e.asset
ORDER BY e.asset NULLS LAST

-- name: bulk_statuses
SELECT e.status, e.severity, count(*) AS count
FROM recon.exception AS e
WHERE e.exception_id = ANY(%(ids)s)
GROUP BY e.status, e.severity, e.severity_rank
ORDER BY e.severity_rank DESC, e.status
