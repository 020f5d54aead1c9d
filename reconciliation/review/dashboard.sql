-- What the dashboard reads of open exceptions, by name.

-- name: open_figures
-- What is open, counted and summed in every way the dashboard shows it, in one pass over the open rows: first into cells of all
-- columns at once, which are few, then over the cells. `shown` names the column that was not summed over, `value` is what it holds.
WITH cell AS MATERIALIZED (
    SELECT e.source_id, e.asset, e.class, e.kind, e.severity, e.status, e.assignee,
        width_bucket(e.age_business_days, %(ages)s::integer[]) AS age_band, e.due_key < %(today)s AS is_late,
        count(*) AS item_count, sum(e.value_minor) AS value_minor, max(e.age_business_days) AS age_max
    FROM recon.exception AS e
    WHERE {condition}
    GROUP BY e.source_id, e.asset, e.class, e.kind, e.severity, e.status, e.assignee, age_band, is_late
)
SELECT c.asset,
    CASE GROUPING(c.class, c.severity, c.age_band, c.kind, c.source_id, c.assignee, c.status, c.is_late)
        WHEN 127 THEN 'class' WHEN 191 THEN 'severity' WHEN 223 THEN 'age' WHEN 239 THEN 'kind' WHEN 247 THEN 'source'
        WHEN 251 THEN 'owner' WHEN 253 THEN 'status' WHEN 254 THEN 'late' WHEN 63 THEN 'class and severity'
        WHEN 231 THEN 'kind and source' WHEN 55 THEN 'class, severity and source' ELSE 'all' END AS shown,
    concat_ws(' ', c.class, c.severity, c.age_band, c.kind, c.source_id, c.assignee, c.status, c.is_late) AS value,
    sum(c.item_count)::bigint AS item_count, sum(c.value_minor) AS value_minor, max(c.age_max) AS age_max
FROM cell AS c
GROUP BY GROUPING SETS ((c.asset), (c.asset, c.class), (c.asset, c.severity), (c.asset, c.age_band), (c.asset, c.kind),
    (c.asset, c.source_id), (c.asset, c.assignee), (c.asset, c.status), (c.asset, c.is_late), (c.asset, c.class, c.severity),
    (c.asset, c.kind, c.source_id), (c.asset, c.class, c.severity, c.source_id))
