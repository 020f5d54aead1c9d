-- People: what may be read of them, and the doors that change them. Hashes are read by the doorkeeper alone.

-- name: person
SELECT p.login, p.name, p.roles, p.team, p.state, p.known_by, p.same_as, p.made_at FROM recon.person AS p WHERE p.login = %(login)s

-- name: people
SELECT p.login, p.name, p.roles, p.team, p.state, p.known_by, p.same_as, p.made_at FROM recon.person AS p ORDER BY p.login

-- name: anybody_by_users
SELECT EXISTS (SELECT FROM recon.person AS p WHERE p.known_by = 'users')

-- name: history
SELECT e.at, e.login, e.event, e.actor, e.before, e.after
FROM recon.person_event AS e
WHERE %(login)s::text IS NULL OR e.login = %(login)s::text
ORDER BY e.person_event_id

-- name: accounts_of
SELECT p.login FROM recon.person AS p WHERE p.same_as = %(login)s ORDER BY p.login

-- name: enrol
SELECT recon.enrol(%(login)s, %(name)s, %(roles)s::text[], %(known_by)s, %(team)s, %(same_as)s, %(by_whom)s)

-- name: change
SELECT recon.change_person(%(login)s, %(name)s, %(roles)s::text[], %(team)s, %(same_as)s, %(state)s, %(by_whom)s)

-- name: set_password_hash
SELECT recon.set_password_hash(%(login)s, %(password_hash)s, %(by_whom)s)

-- name: password_hash
SELECT c.password_hash FROM recon.credential AS c WHERE c.login = %(login)s

-- name: note_attempt
SELECT recon.note_attempt(%(login)s, %(outcome)s, %(channel)s)

-- name: refused_lately
SELECT count(*), coalesce(ceil(extract(epoch FROM clock_timestamp() - max(a.at))), 0)::bigint
FROM recon.login_attempt AS a
WHERE a.login = %(login)s AND a.outcome = 'refused' AND a.at > clock_timestamp() - make_interval(mins => %(minutes)s)
  AND a.attempt_id > coalesce(
      (SELECT max(o.attempt_id) FROM recon.login_attempt AS o WHERE o.login = %(login)s AND o.outcome = 'opened'), 0)
