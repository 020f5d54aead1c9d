-- name: verify
SELECT f.code, f.offences, f.first_offence
FROM ledger.verify(%(pass)s) AS f
