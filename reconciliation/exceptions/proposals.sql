-- What people propose and judge, by name. Everything is written through the doors of the schema.

-- name: source_of
SELECT e.source_id FROM recon.exception AS e WHERE e.exception_id = %(exception)s

-- name: exception_lines
-- What an exception is about, the lines that speak.
SELECT m.side, coalesce(l.line_key, j.entry_key), coalesce(l.version, j.line_no), 'principal'
FROM recon.exception_member AS m
LEFT JOIN recon.line AS l ON l.line_id = m.line_id
LEFT JOIN ledger.journal_line_v1 AS j ON j.entry_id = m.entry_id AND j.line_no = m.line_no
WHERE m.exception_id = %(exception)s
ORDER BY 1, 2, 3

-- name: suggested_lines
-- What a suggestion puts together, as long as it is one.
SELECT m.side, coalesce(l.line_key, m.entry_key), coalesce(l.version, m.line_no), m.role
FROM recon.match_group AS g
JOIN recon.match_member AS m ON m.group_id = g.group_id
LEFT JOIN recon.line AS l ON l.line_id = m.line_id
WHERE g.group_id = %(group)s AND g.source_id = %(source)s AND g.leg = 'ledger' AND g.state = 'suggested'
  AND NOT EXISTS (SELECT FROM recon.match_revocation AS r WHERE r.group_id = g.group_id)
ORDER BY 1, 2, 3

-- name: lines_called
-- Lines of a source that a person's word may mean: a line key, an entry key, or an entry key with a line number.
SELECT 'external' AS side, l.line_key AS key, l.version AS number
FROM recon.line AS l
WHERE %(side)s IN ('external', 'either') AND l.source_id = %(source)s AND l.line_key = %(word)s
  AND NOT EXISTS (SELECT FROM recon.line_closure AS c WHERE c.line_id = l.line_id)
UNION ALL
SELECT 'ledger', j.entry_key, j.line_no
FROM ledger.journal_line_v1 AS j
WHERE %(side)s IN ('ledger', 'either') AND j.account = ANY(%(accounts)s) AND j.layer = 'posted'
  AND (j.entry_key = %(word)s OR j.entry_key = %(entry_key)s AND j.line_no = %(line_no)s)
ORDER BY side, key, number

-- name: propose
SELECT recon.propose(%(source)s, %(exception)s, %(action)s, %(members)s, %(reason)s, %(actor)s, %(expires_on)s::date)

-- name: judge
SELECT recon.judge_proposal(%(proposal)s, %(verdict)s, %(actor)s, %(note)s, %(acts_from)s::date)

-- name: proposal
SELECT p.proposal_id, p.source, p.exception_id, p.action, p.state, p.members, p.reason, p.proposed_by, p.proposed_at, p.expires_on,
    p.judged_by, p.note, p.judged_at, p.acts_from
FROM recon.proposal_v1 AS p
WHERE p.proposal_id = %(proposal)s

-- name: proposals
SELECT p.proposal_id, p.source, p.exception_id, p.action, p.state, p.members, p.reason, p.proposed_by, p.proposed_at, p.expires_on,
    p.judged_by, p.note, p.judged_at, p.acts_from
FROM recon.proposal_v1 AS p
WHERE (%(source)s::text IS NULL OR p.source = %(source)s::text) AND (%(with_judged)s OR p.state = 'waiting')
ORDER BY p.proposal_id
