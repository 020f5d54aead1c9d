-- Decisions of people that bind a run, by name.

-- name: rejected
-- Matches that people undid; what two people force afterwards is made by their decision and not by the engine.
SELECT DISTINCT d.content_key FROM recon.decision AS d WHERE d.source_id = %(source)s AND d.kind = 'reject_match'

-- name: forced
-- Members of the matches that people made, unless somebody undid them later; of several about the same lines the latest.
SELECT d.decision_id, d.as_of, d.reason, d.actor, d.approved_by, m.side, coalesce(m.line_key, m.entry_key), coalesce(m.version, m.line_no), m.role
FROM recon.decision AS d
JOIN recon.decision_member AS m ON m.decision_id = d.decision_id
WHERE d.source_id = %(source)s AND d.kind = 'force_match' AND d.as_of <= %(until)s
  AND NOT EXISTS (
      SELECT FROM recon.decision AS o
      WHERE o.source_id = d.source_id AND o.content_key = d.content_key AND o.decision_id > d.decision_id)
ORDER BY d.as_of, d.content_key, m.member_no

-- name: lines
-- Lines that are decided to be no duplicates, or left out. What was said of a version that speaks no more says nothing.
SELECT DISTINCT d.as_of, m.side, coalesce(m.line_key, m.entry_key) AS key, coalesce(m.version, m.line_no) AS number
FROM recon.decision AS d
JOIN recon.decision_member AS m ON m.decision_id = d.decision_id
WHERE d.source_id = %(source)s AND d.kind = %(kind)s AND d.as_of <= %(until)s
  AND NOT EXISTS (
      SELECT FROM recon.line AS l JOIN recon.line_closure AS c ON c.line_id = l.line_id
      WHERE m.side = 'external' AND l.source_id = d.source_id AND l.line_key = m.line_key AND l.version = m.version)
ORDER BY d.as_of, m.side, key, number
