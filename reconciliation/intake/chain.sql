-- Whether statements continue each other. Runs after stage.sql has put what is told into temporary tables.

-- name: find_chain
-- Each told statement, and the first known one after it, beside the statement before it on the same account; days of a year
-- around what is told are enough. A statement without opening balance opens with its closing less its movements.
WITH account AS (
    SELECT t.account, min(t.from_date) - 400 AS first_day, max(t.to_date) + 400 AS last_day
    FROM pg_temp.told_statement AS t
    WHERE NOT t.interim
    GROUP BY t.account
), every AS (
    SELECT true AS told, t.account, t.asset, t.statement_ref, t.sequence_no, t.from_date, t.to_date, t.opening_minor, t.closing_minor,
        t.movement_minor
    FROM pg_temp.told_statement AS t
    WHERE NOT t.interim
    UNION ALL
    SELECT false, s.account, s.asset, s.statement_ref, s.sequence_no, s.from_date, s.to_date, s.opening_minor, s.closing_minor,
        s.movement_minor
    FROM account AS a
    JOIN recon.statement_v1 AS s ON s.source_id = %(source_id)s AND s.account = a.account AND s.to_date BETWEEN a.first_day AND a.last_day
    WHERE NOT EXISTS (
        SELECT FROM pg_temp.told_statement AS t
        WHERE t.account = s.account AND t.statement_ref = s.statement_ref AND t.to_date = s.to_date)
), chained AS (
    SELECT e.told, e.account, e.asset, e.from_date, e.to_date,
        coalesce(e.opening_minor, e.closing_minor - e.movement_minor) AS opening_minor,
        lag(e.told) OVER w AS told_before, lag(e.to_date) OVER w AS date_before, lag(e.closing_minor) OVER w AS closing_before
    FROM every AS e
    WHERE e.opening_minor IS NOT NULL OR e.closing_minor IS NOT NULL
    WINDOW w AS (PARTITION BY e.account ORDER BY e.to_date, e.from_date, e.sequence_no NULLS FIRST, e.statement_ref)
)
SELECT c.account, c.asset, c.to_date, c.opening_minor, c.date_before, c.closing_before
FROM chained AS c
WHERE c.told OR c.told_before
ORDER BY c.account, c.to_date, c.from_date

-- name: find_told_otherwise
-- The first told statement that was told already under another name: by another format, same account and day, from the same balance
-- to the same; or whole where its pages came one by one, or a page of what came whole.
SELECT t.statement_no, t.account, t.to_date, d.format_name, d.delivery_id, s.statement_ref
FROM pg_temp.told_statement AS t
JOIN recon.statement AS s ON s.source_id = %(source_id)s AND s.account = t.account AND s.to_date = t.to_date AND NOT EXISTS (
    SELECT FROM recon.statement AS n
    WHERE n.source_id = s.source_id AND n.account = s.account AND n.statement_ref = s.statement_ref AND n.to_date = s.to_date
      AND n.version > s.version)
JOIN recon.delivery AS d ON d.delivery_id = s.delivery_id
WHERE NOT t.interim AND (
    d.format_name <> %(format_name)s AND t.movement_minor <> 0 AND s.movement_minor = t.movement_minor
        AND coalesce(s.closing_minor, s.opening_minor + s.movement_minor) = coalesce(t.closing_minor, t.opening_minor + t.movement_minor)
    OR starts_with(s.statement_ref, t.statement_ref || '/page')
    OR starts_with(t.statement_ref, s.statement_ref || '/page'))
ORDER BY t.statement_no, d.delivery_id
LIMIT 1
