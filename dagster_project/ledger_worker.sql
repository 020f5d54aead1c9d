-- name: enter
SELECT pg_catalog.set_config('role', 'tieout_poster', false),
       pg_catalog.set_config('lock_timeout', '30s', false),
       pg_catalog.set_config('statement_timeout', '900s', false)

-- name: fold
SELECT ledger.fold(%s)

-- name: expire_holds
SELECT ledger.expire_holds()
