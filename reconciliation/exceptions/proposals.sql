-- What people propose and judge, by name. Everything is written through the doors of the schema.

-- name: propose
SELECT recon.propose(%(exception)s, %(version)s::integer, %(action)s, %(members)s, %(reason_code)s, %(reason)s, %(expires_on)s::date,
    %(entry)s::jsonb, %(suggestion)s::bigint)

-- name: judge
SELECT recon.judge_proposal(%(proposal)s, %(verdict)s, %(note)s, %(acts_from)s::date)

-- name: proposal
SELECT p.proposal_id, p.source, p.exception_id, p.action, p.state, p.members, p.reason_code, p.reason, p.proposed_by, p.proposed_at, p.expires_on,
    p.judged_by, p.note, p.judged_at, p.acts_from, p.entry, p.stake_minor, p.asset, p.posting, p.posting_said
FROM recon.proposal_v1 AS p
WHERE p.proposal_id = %(proposal)s

-- name: proposals
SELECT p.proposal_id, p.source, p.exception_id, p.action, p.state, p.members, p.reason_code, p.reason, p.proposed_by, p.proposed_at, p.expires_on,
    p.judged_by, p.note, p.judged_at, p.acts_from, p.entry, p.stake_minor, p.asset, p.posting, p.posting_said
FROM recon.proposal_v1 AS p
WHERE (%(source)s::text IS NULL OR p.source = %(source)s::text) AND (%(with_judged)s OR p.state = 'waiting')
ORDER BY p.proposal_id

-- name: asset_of
SELECT e.asset FROM recon.exception AS e WHERE e.exception_id = %(exception)s

-- name: chart
SELECT a.account, a.asset, a.closed_at IS NULL AS is_open, a.is_leaf FROM ledger.account_v1 AS a WHERE a.account = ANY(%(codes)s)

-- name: last_days
-- Up to which day a source is reconciled, and up to which it is signed.
SELECT (SELECT max(r.business_date) FROM recon.run AS r WHERE r.source_id = %(source)s AND r.state = 'succeeded'),
    (SELECT max(s.business_date) FROM recon.sign_off_v1 AS s WHERE s.source_id = %(source)s AND s.state = 'signed')
