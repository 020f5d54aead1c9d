-- What became of the items of a source that were first called this or that.

-- name: timing_items
-- Groups of items by their first label and its due date, and by the business date of the match that cleared them, unless
-- people made it: a file that comes late clears on the day it is for. Not counted: files and balances, which are no items;
-- charges, which clear because somebody books them.
WITH latest AS (
    SELECT max(r.business_date) AS day FROM recon.run AS r WHERE r.source_id = %(source)s AND r.state = 'succeeded'
),
item AS (
    SELECT e.exception_id, e.class, e.cleared_on AS closed_on, g.as_of AS cleared_on
    FROM recon.exception AS e
    LEFT JOIN recon.match_group AS g ON g.group_id = e.cleared_by_group AND g.match_pass <> 'decision'
    WHERE e.source_id = %(source)s AND e.class <> 'source_gap' AND e.kind NOT IN ('balance_break', 'unrecorded_charge', 'chargeback_unbooked')
      AND (e.line_key IS NOT NULL OR e.entry_key IS NOT NULL)
      AND e.item_date >= coalesce(%(from)s::date, '-infinity') AND e.item_date <= coalesce(%(to)s::date, 'infinity')
),
told AS (
    SELECT v.after ->> 'class' AS first_class, (v.after ->> 'due_on')::date AS due_on,
        i.cleared_on, i.closed_on IS NULL AND i.class = 'timing' AS is_timing
    FROM item AS i
    JOIN recon.exception_event AS v ON v.exception_id = i.exception_id AND v.event = 'opened'
)
SELECT t.first_class, t.is_timing AND coalesce(t.due_on < (SELECT l.day FROM latest AS l), false) AS is_waiting, t.due_on, t.cleared_on,
    count(*) AS item_count
FROM told AS t
GROUP BY 1, 2, 3, 4
ORDER BY 1, 2, 3, 4

-- name: latest_run
SELECT max(r.business_date) FROM recon.run AS r WHERE r.source_id = %(source)s AND r.state = 'succeeded'
