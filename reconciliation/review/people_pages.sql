-- What auditors ask about people, by name. Read as the doorkeeper, for sessions are nobody else's to see.

-- name: last_sessions
-- Each login's last session and how many are alive.
SELECT s.login, max(s.opened_at) AS last_opened_at, max(s.seen_at) AS last_seen_at,
    (array_agg(s.channel ORDER BY s.session_id DESC))[1] AS last_channel,
    count(*) FILTER (WHERE s.ended_at IS NULL AND s.idle_until > %(now)s AND s.expires_at > %(now)s) AS live_count
FROM recon.session AS s
GROUP BY s.login

-- name: refused_attempts
-- Tries to come in that were refused in the last days, by login; also of logins that nobody has.
SELECT a.login, count(*) AS refused_count, max(a.at) AS last_at
FROM recon.login_attempt AS a
WHERE a.outcome = 'refused' AND a.at > %(now)s - make_interval(days => %(days)s)
GROUP BY a.login
ORDER BY count(*) DESC, a.login
LIMIT 50

-- name: changes
-- What was changed of people, the newest first; one more than is shown, to tell whether there are older ones.
SELECT e.at, e.login, e.event, e.by_whom, e.before, e.after
FROM recon.person_event AS e
WHERE %(before)s::bigint IS NULL OR e.event_id < %(before)s::bigint
ORDER BY e.event_id DESC
LIMIT %(limit)s
