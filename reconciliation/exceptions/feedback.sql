-- What people made of suggestions, by name.

-- name: feedback
-- A suggestion that comes again and again is one content; of what was said about it the last word holds.
WITH suggested AS (
    SELECT DISTINCT ON (g.group_key) g.group_key, g.match_pass, g.evidence
    FROM recon.match_group AS g
    WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.state = 'suggested'
    ORDER BY g.group_key, g.group_id DESC
), judged AS (
    SELECT s.match_pass,
        coalesce((
            SELECT string_agg(DISTINCT format('%%s = %%s', r.value ->> 'external', r.value ->> 'ledger'), ', ')
            FROM jsonb_array_elements(CASE jsonb_typeof(s.evidence -> 'references') WHEN 'array' THEN s.evidence -> 'references' ELSE '[]' END) AS r
        ), 'no reference') AS rule,
        CASE WHEN (s.evidence -> 'bits' ->> 'total')::numeric < (s.evidence -> 'bits' ->> 'needed')::numeric THEN 'confirm_bits'
             WHEN s.evidence -> 'bits' ->> 'margin' IS NOT NULL THEN 'margin_bits'
             ELSE 'other' END AS held_by,
        CASE WHEN d.kind = 'force_match' THEN 'accepted'
             WHEN d.kind = 'reject_match' THEN 'turned_down'
             WHEN EXISTS (
                 SELECT FROM recon.proposal AS p JOIN recon.proposal_verdict AS v ON v.proposal_id = p.proposal_id AND v.verdict = 'approved'
                 WHERE p.source_id = %(source)s AND p.suggestion_key = s.group_key) THEN 'altered'
             WHEN EXISTS (
                 SELECT FROM recon.match_group AS g
                 WHERE g.group_key = s.group_key AND g.source_id = %(source)s AND g.state = 'suggested'
                   AND NOT EXISTS (SELECT FROM recon.match_revocation AS r WHERE r.group_id = g.group_id)) THEN 'waiting'
             ELSE 'gone' END AS verdict
    FROM suggested AS s
    LEFT JOIN LATERAL (
        SELECT x.kind FROM recon.decision AS x
        WHERE x.source_id = %(source)s AND x.content_key = s.group_key
        ORDER BY x.decision_id DESC LIMIT 1
    ) AS d ON true
)
SELECT j.match_pass, j.rule, j.held_by, count(*) FILTER (WHERE j.verdict = 'accepted') AS accepted,
    count(*) FILTER (WHERE j.verdict = 'altered') AS altered, count(*) FILTER (WHERE j.verdict = 'turned_down') AS turned_down,
    count(*) FILTER (WHERE j.verdict = 'waiting') AS waiting, count(*) FILTER (WHERE j.verdict = 'gone') AS gone
FROM judged AS j
GROUP BY j.match_pass, j.rule, j.held_by
ORDER BY j.match_pass, j.rule COLLATE "C", j.held_by
