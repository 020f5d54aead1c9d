-- Who is at work: the doors of sessions. A token travels as a bound value only and is never in a message.

-- name: enter
SELECT pg_catalog.set_config('tieout.session', %(token)s, true)

-- name: visitor
SELECT v.login, v.name, v.roles, v.team, v.session_id, v.channel, v.opened_at FROM recon.visitor() AS v

-- name: touch
SELECT recon.touch_session()

-- name: leave
SELECT recon.leave()

-- name: open
SELECT recon.open_session(%(login)s, %(token_sha256)s, %(channel)s, %(idle_minutes)s, %(absolute_minutes)s)

-- name: end
SELECT recon.end_session(%(session_id)s, %(by_whom)s)

-- name: end_all_of
SELECT recon.end_sessions_of(%(login)s, %(by_whom)s)

-- name: live
SELECT s.session_id, s.login, s.channel, s.opened_at, s.seen_at, s.idle_until, s.expires_at
FROM recon.session AS s
WHERE s.ended_at IS NULL AND s.idle_until > clock_timestamp() AND s.expires_at > clock_timestamp()
  AND (%(login)s::text IS NULL OR s.login = %(login)s::text)
ORDER BY s.login, s.session_id
