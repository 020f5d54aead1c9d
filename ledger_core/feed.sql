-- name: relay
SELECT ledger.relay()

-- name: read
SELECT f.position, f.entry_key, f.event::text
FROM ledger.read_feed(%(after)s, %(limit)s) AS f

-- name: newest
SELECT ledger.feed_position()

-- name: acknowledged
SELECT ledger.feed_position(%(consumer)s)

-- name: acknowledge
SELECT ledger.acknowledge_feed(%(consumer)s, %(position)s, %(rewind)s)
