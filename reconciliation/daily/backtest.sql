-- What the books hold of days that other rules are tried on, by name. Nothing here writes.

-- name: history
-- Members of the live groups that touch the days of the trial.
SELECT g.group_key, g.match_pass, m.side, m.line_id, m.entry_id, m.line_no
FROM recon.match_group AS g
JOIN recon.match_member AS m ON m.group_id = g.group_id AND m.live
WHERE g.source_id = %(source)s AND g.leg = 'ledger' AND g.as_of >= %(first)s AND g.state = 'confirmed'
