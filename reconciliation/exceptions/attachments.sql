-- Files that people enclose, by name.

-- name: attach
SELECT recon.attach(%(exception)s, %(name)s, %(type)s, %(content)s)

-- name: attachments
SELECT a.attachment_id, a.exception_id, a.file_name, a.media_type, a.byte_count, a.sha256, a.uploaded_by, a.uploaded_at
FROM recon.attachment AS a
WHERE a.exception_id = %(exception)s
ORDER BY a.attachment_id

-- name: attachment
SELECT a.attachment_id, a.exception_id, a.file_name, a.media_type, a.byte_count, a.sha256, a.uploaded_by, a.uploaded_at
FROM recon.attachment AS a
WHERE a.attachment_id = %(attachment)s

-- name: content
SELECT c.content
FROM recon.attachment AS a
JOIN recon.attachment_content AS c ON c.sha256 = a.sha256
WHERE a.attachment_id = %(attachment)s
