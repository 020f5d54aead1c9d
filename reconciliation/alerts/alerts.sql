-- name: write_alerts
-- One row for each cause. A cause that was told before is told again only when it has grown.
WITH told AS (
    SELECT n.cause_key, n.source_id, n.business_date, n.severity, n.title, n.body, n.item_count, n.sums,
        (SELECT max(a.item_count) FROM recon.alert AS a
         WHERE a.source_id = n.source_id AND (a.cause_key = n.cause_key OR starts_with(a.cause_key, n.cause_key || ':grown:'))) AS known_count
    FROM jsonb_to_recordset(%(alerts)s::jsonb) AS n (cause_key text, source_id text, business_date date, severity text, title text,
        body text, item_count bigint, sums jsonb)
)
INSERT INTO recon.alert (cause_key, source_id, business_date, severity, title, body, item_count, sums)
SELECT CASE WHEN t.known_count IS NULL THEN t.cause_key ELSE t.cause_key || ':grown:' || t.item_count END,
    t.source_id, t.business_date, t.severity, t.title, t.body, t.item_count, t.sums
FROM told AS t
WHERE t.known_count IS NULL OR t.item_count > t.known_count
ON CONFLICT ON CONSTRAINT one_alert_per_cause DO NOTHING

-- name: waiting
-- Alerts and the channels they wait for, oldest first. An alert waits for every channel until one has it; from then on only for
-- those that failed, so that a new channel is not told old news. After a failure it waits longer each time, an hour at most.
-- A source with routes goes by them alone; one without goes by every channel.
SELECT a.alert_id, array_agg(c.name ORDER BY c.name) AS channels
FROM recon.alert AS a
CROSS JOIN unnest(%(channels)s::text[]) AS c (name)
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE t.outcome = 'sent') AS sent_count,
        count(*) FILTER (WHERE t.outcome = 'sent' AND t.channel = c.name) AS sent_here,
        count(*) FILTER (WHERE t.outcome = 'failed' AND t.channel = c.name) AS failed_here,
        max(t.attempted_at) FILTER (WHERE t.outcome = 'failed' AND t.channel = c.name) AS failed_at
    FROM recon.alert_attempt AS t
    WHERE t.alert_id = a.alert_id
) AS t
WHERE t.sent_here = 0
  AND (t.sent_count = 0 OR t.failed_here > 0)
  AND (t.failed_at IS NULL
       OR t.failed_at + least(%(retry_seconds)s::integer * power(2, least(t.failed_here, 20)), 3600) * interval '1 second' <= clock_timestamp())
  AND (%(routes)s::jsonb -> a.source_id IS NULL OR (%(routes)s::jsonb -> a.source_id) ? c.name)
  AND (%(alert_id)s::bigint IS NULL OR a.alert_id = %(alert_id)s::bigint)
GROUP BY a.alert_id
ORDER BY a.alert_id
LIMIT %(alerts_max)s

-- name: read_alert
SELECT a.title, a.body FROM recon.alert AS a WHERE a.alert_id = %(alert_id)s

-- name: mark
INSERT INTO recon.alert_attempt (alert_id, channel, outcome) VALUES (%(alert_id)s, %(channel)s, %(outcome)s)
