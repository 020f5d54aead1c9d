-- The chains of events, by name. `known_at` null means all that is there.

-- name: links
-- Links of a chain from one number up to another, with what their events say, in their order.
SELECT l.chain_no, l.event_id, encode(l.hash, 'hex') AS hash, v.event_id IS NULL AS gone, e.source_id AS of_source, l.event_id::text AS event_no,
    v.exception_id::text, v.event, v.actor, to_char(v.as_of, 'YYYY-MM-DD') AS as_of, v.before::text, v.after::text, v.reason, v.note,
    to_char(v.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at
FROM recon.event_link AS l
LEFT JOIN recon.exception_event AS v ON v.event_id = l.event_id
LEFT JOIN recon.exception AS e ON e.exception_id = v.exception_id
WHERE l.source_id = %(chain_source)s AND l.origin = %(chain_origin)s AND l.chain_no >= %(from_no)s AND l.chain_no < %(before_no)s
  AND (%(known_at)s::text IS NULL OR pg_visible_in_snapshot(l.xid, %(known_at)s::text::pg_snapshot))
ORDER BY l.chain_no

-- name: unlinked
-- Events that are in no chain.
SELECT e.source_id, v.event_id
FROM recon.exception_event AS v
JOIN recon.exception AS e ON e.exception_id = v.exception_id
WHERE (%(source)s::text IS NULL OR e.source_id = %(source)s::text)
  AND (%(known_at)s::text IS NULL OR pg_visible_in_snapshot(v.xid, %(known_at)s::text::pg_snapshot))
  AND NOT EXISTS (SELECT FROM recon.event_link AS l WHERE l.event_id = v.event_id)
ORDER BY e.source_id, v.event_id

-- name: kept_heads
-- The ends of the chains as they are kept.
SELECT c.source_id, c.origin, c.length, encode(c.head, 'hex') AS hash
FROM recon.event_chain AS c
WHERE %(source)s::text IS NULL OR c.source_id = %(source)s::text
ORDER BY c.source_id, c.origin

-- name: heads
-- The ends of the chains as they were known.
SELECT DISTINCT ON (l.source_id, l.origin) l.source_id, l.origin, l.chain_no AS length, encode(l.hash, 'hex') AS hash
FROM recon.event_link AS l
WHERE (%(source)s::text IS NULL OR l.source_id = %(source)s::text)
  AND (%(known_at)s::text IS NULL OR pg_visible_in_snapshot(l.xid, %(known_at)s::text::pg_snapshot))
ORDER BY l.source_id, l.origin, l.chain_no DESC

-- name: witnesses
-- What sign-offs say where the chains of their source ended.
SELECT s.source_id, h.origin, h.length, h.head AS hash
FROM recon.sign_off AS s
CROSS JOIN LATERAL jsonb_to_recordset(s.content::jsonb -> 'record' -> 'chains') AS h (origin text, length bigint, head text)
WHERE (%(source)s::text IS NULL OR s.source_id = %(source)s::text)
  AND (%(known_at)s::text IS NULL OR pg_visible_in_snapshot(s.xid, %(known_at)s::text::pg_snapshot))
ORDER BY s.source_id, s.sign_off_id, h.origin
