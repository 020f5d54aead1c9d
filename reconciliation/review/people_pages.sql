-- What auditors ask about people, by name. No hash and no token is read: the role of this page may not.

-- name: last_sessions
-- Each login's last session.
SELECT DISTINCT ON (s.login) s.login, s.opened_at AS last_opened_at, s.seen_at AS last_seen_at, s.channel AS last_channel
FROM recon.session AS s
ORDER BY s.login, s.session_id DESC

-- name: refused_attempts
-- Tries to come in that were refused in the last days, by login; also of logins that nobody has.
SELECT a.login, count(*) AS refused_count, max(a.at) AS last_at
FROM recon.login_attempt AS a
WHERE a.outcome = 'refused' AND a.at > %(now)s - make_interval(days => %(days)s)
GROUP BY a.login
ORDER BY count(*) DESC, a.login
LIMIT 50

-- name: changes
-- What was changed of people, the newest first.
SELECT e.at, e.login, e.event, e.actor, e.before, e.after
FROM recon.person_event AS e
ORDER BY e.person_event_id DESC
LIMIT %(limit)s
