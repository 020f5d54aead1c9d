-- What is read to carry out what was approved, by name.

-- name: last_reconciled
SELECT max(r.business_date) FROM recon.run AS r WHERE r.source_id = %(source)s AND r.state = 'succeeded'
