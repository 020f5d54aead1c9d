-- Invented exceptions for the benchmark of the review app: a tenth of them open, of two sources, as people see them.

-- name: fill
INSERT INTO recon.exception (exception_key, source_id, opened_on, as_of, class, kind, severity, status, side, line_key, amount_minor, difference_minor,
    asset, item_date, age_business_days, assignee, team, cleared_on, sla_due_on, reference, counterparty, candidates, best_millibits, factors)
SELECT 'bench ' || n, CASE n %% 3 WHEN 0 THEN 'stripe' ELSE 'bank' END, m.day, date '2026-11-09', m.class,
    (ARRAY['missing_in_ledger', 'missing_at_source', 'amount_mismatch', 'fee_variance', 'unrecorded_charge'])[1 + n %% 5],
    CASE m.class WHEN 'timing' THEN 'info' ELSE (ARRAY['low', 'low', 'low', 'medium', 'medium', 'high', 'critical'])[1 + n / 10 %% 7] END,
    CASE WHEN n %% 10 > 0 THEN 'cleared' WHEN n %% 40 = 0 THEN 'taken' ELSE 'open' END, 'external', 'L-' || n,
    (hashint4(n) / 100)::bigint, CASE n %% 4 WHEN 0 THEN (hashint4(n) / 9000)::bigint ELSE 0 END, (ARRAY['EUR', 'EUR', 'JPY', 'KWD'])[1 + n / 7 %% 4],
    m.day, (date '2026-11-09' - m.day) * 5 / 7, CASE WHEN n %% 40 = 0 THEN 'ada' END, CASE WHEN n %% 90 = 0 THEN 'disputes' END,
    CASE WHEN n %% 10 > 0 THEN m.day + 3 END, CASE WHEN m.class <> 'timing' THEN m.day + 5 + n %% 9 END, 'INV-2026-' || (hashint4(n)::bigint + 2147483648),
    (ARRAY['Sakura Foods Inc.', 'Brot & Söhne GmbH', 'Čedomir Jurić', 'Lumen Software OÜ'])[1 + n / 3 %% 4], CASE n %% 30 WHEN 0 THEN 2 ELSE 0 END,
    CASE n %% 30 WHEN 0 THEN 9000 + n %% 9000 END, jsonb_build_object('why', 'invented')
FROM generate_series(1, %(rows)s) AS n
CROSS JOIN LATERAL (SELECT date '2026-11-09' - ((hashint4(n)::bigint + 2147483648) %% 60)::integer AS day, CASE n / 10 %% 3 WHEN 0 THEN 'genuine' ELSE 'timing' END AS class) AS m

-- name: analyze
ANALYZE recon.exception, recon.exception_event, recon.event_link

-- name: open_ids
SELECT e.exception_id, e.version FROM recon.exception AS e WHERE e.cleared_on IS NULL ORDER BY e.exception_id

-- name: first_page
-- What a page must read, and nothing else of a list.
SELECT e.exception_id, e.kind, e.amount_minor, e.asset, e.reference FROM recon.exception AS e
WHERE e.cleared_on IS NULL ORDER BY e.severity_rank DESC, e.value_minor DESC, e.exception_id LIMIT 51

-- name: change
UPDATE recon.exception SET age_business_days = age_business_days + 1, version = version + 1 WHERE exception_id = ANY(%(ids)s)
