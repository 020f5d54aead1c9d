-- Signatures under a day, by name.

-- name: obstacles
SELECT o.obstacle, o.said FROM recon.sign_off_obstacles(%(source)s, %(day)s) AS o ORDER BY o.obstacle, o.said

-- name: prepare
SELECT recon.prepare_sign_off(%(source)s, %(day)s, %(known_at)s::pg_snapshot, %(content)s, %(content_sha256)s, %(books_sha256)s, %(note)s)

-- name: review
SELECT recon.review_sign_off(%(sign_off)s, %(verdict)s, %(books_sha256)s, %(note)s)

-- name: sign_offs
SELECT s.sign_off_id, s.source_id, s.business_date AS day, s.known_at::text AS known_at, s.state, s.content_sha256, s.books_sha256, s.prepared_by,
    s.prepared_at, s.note, s.reviewed_by, s.reviewed_at, s.review_note
FROM recon.sign_off_v1 AS s
WHERE (%(source)s::text IS NULL OR s.source_id = %(source)s::text) AND (%(day)s::date IS NULL OR s.business_date = %(day)s::date)
  AND (%(sign_off)s::bigint IS NULL OR s.sign_off_id = %(sign_off)s::bigint)
ORDER BY s.source_id, s.business_date, s.sign_off_id

-- name: content
SELECT s.content FROM recon.sign_off AS s WHERE s.sign_off_id = %(sign_off)s

-- name: changed
SELECT recon.changed_since_sign_off(%(sign_off)s)
