-- Lines of a source by what people call them, by name.

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

-- name: members
-- Amounts and accounts of named lines, and by which references an external one is found.
SELECT w.side, coalesce(l.line_key, j.entry_key) AS key, coalesce(l.account, j.account) AS account, coalesce(l.asset, j.asset) AS asset,
    coalesce(l.amount_minor, j.amount_minor) AS amount_minor,
    jsonb_strip_nulls(jsonb_build_object('ref_end_to_end', l.ref_end_to_end, 'ref_uetr', l.ref_uetr, 'ref_servicer', l.ref_servicer,
        'ref_psp', l.ref_psp, 'ref_merchant', l.ref_merchant, 'ref_payout', l.ref_payout, 'ref_arn', l.ref_arn, 'ref_rrn', l.ref_rrn,
        'ref_auth_code', l.ref_auth_code, 'batch_ref', l.batch_ref)) AS reference_columns
FROM ROWS FROM (jsonb_to_recordset(%(named)s) AS (side text, line_key text, version integer, entry_key text, line_no integer))
    WITH ORDINALITY AS w (side, line_key, version, entry_key, line_no, place)
LEFT JOIN recon.line AS l ON w.side = 'external' AND l.source_id = %(source)s AND l.line_key = w.line_key AND l.version = w.version
LEFT JOIN ledger.journal_line_v1 AS j ON w.side = 'ledger' AND j.entry_key = w.entry_key AND j.line_no = w.line_no AND j.layer = 'posted'
    AND j.account = ANY(%(accounts)s)
WHERE l.line_id IS NOT NULL OR j.entry_id IS NOT NULL
ORDER BY w.place
