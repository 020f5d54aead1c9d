-- What somebody who gets past the triggers could do: name, statement, and all the alarms it raises.

-- fault: an amount of the tail changed
UPDATE ledger.journal_line SET amount_minor = 4 WHERE entry_id = @late AND line_no = 1;
-- alarms: asset_zero_sum entry_zero_sum

-- fault: both amounts changed
UPDATE ledger.journal_line SET amount_minor = amount_minor * 2 WHERE entry_id = (SELECT entry_id FROM ledger.journal_entry WHERE entry_key = 'right');
-- alarms: balance_spans balance_spent balance_sums

-- fault: a line gone
DELETE FROM ledger.journal_line WHERE entry_id = @late AND line_no = 1;
-- alarms: asset_zero_sum entry_complete entry_zero_sum

-- fault: all lines gone
DELETE FROM ledger.journal_line WHERE entry_id = @late;
-- alarms: entry_complete

-- fault: a header gone
DELETE FROM ledger.journal_entry WHERE entry_id = @late;
-- alarms: entry_complete

-- fault: lines renumbered
UPDATE ledger.journal_line SET line_no = 3 WHERE entry_id = @late AND line_no = 1;
-- alarms: entry_complete

-- fault: another time on a line
UPDATE ledger.journal_line SET effective_at = effective_at - interval '1 second' WHERE entry_id = @late AND line_no = 2;
-- alarms: entry_complete

-- fault: a line of another transaction
UPDATE ledger.journal_line SET xid = '5' WHERE entry_id = @typo AND line_no = 2;
-- alarms: entry_complete

-- fault: an entry moved between layers
UPDATE ledger.journal_line SET layer = 'planned' WHERE entry_id = @late AND line_no = 2;
-- alarms: asset_zero_sum entry_zero_sum

-- fault: a refusal gone
DELETE FROM ledger.refusal;
-- alarms: entry_outcome

-- fault: a refusal of what was posted
INSERT INTO ledger.refusal VALUES (@typo, 'x', 'x');
-- alarms: entry_outcome

-- fault: a refusal of nothing
INSERT INTO ledger.refusal VALUES (99999, 'x', 'x');
-- alarms: entry_outcome

-- fault: an account that became a summary
UPDATE ledger.account SET is_leaf = false WHERE code = 'assets:bank';
-- alarms: line_account

-- fault: a line on no account
UPDATE ledger.journal_line SET account_id = 99999 WHERE entry_id = @late AND line_no = 1;
-- alarms: asset_zero_sum entry_zero_sum line_account

-- fault: an account of another entity
UPDATE ledger.account SET entity = 'other' WHERE code = 'assets:bank';
-- alarms: asset_zero_sum entry_zero_sum

-- fault: details of no line
INSERT INTO ledger.journal_line_detail (entry_id, line_no) VALUES (@typo, 7);
-- alarms: line_detail

-- fault: a reversal of something else
UPDATE ledger.journal_entry SET reverses_entry_id = @late WHERE entry_key = 'reversal:typo';
-- alarms: reversal_mirror

-- fault: a reversal by nobody
UPDATE ledger.journal_entry SET authoriser = NULL WHERE entry_key = 'reversal:typo';
-- alarms: reversal_mirror

-- fault: a correction of nothing
UPDATE ledger.journal_entry SET corrects_entry_id = 99999 WHERE entry_key = 'right';
-- alarms: correction_exists

-- fault: money taken that is not there
SELECT public.plant_entry('robbed', 'liabilities:wallet', 'assets:bank', 100000, '2026-01-15 16:00Z');
-- alarms: balance_spent not_overdrawn

-- fault: a balance changed
UPDATE ledger.balance SET posted = posted + 1 WHERE account_id = @wallet;
-- alarms: balance_sums

-- fault: a balance gone
DELETE FROM ledger.balance WHERE account_id = (SELECT account_id FROM ledger.account WHERE code = 'assets:bank');
-- alarms: balance_spans

-- fault: a balance of no account
INSERT INTO ledger.balance (account_id, posted) VALUES (99999, 1);
-- alarms: balance_sums

-- fault: less spent than was
UPDATE ledger.balance SET spent = spent - 1 WHERE account_id = @wallet;
-- alarms: balance_spent

-- fault: more received than was
UPDATE ledger.balance SET received = received + 1 WHERE account_id = @wallet;
-- alarms: balance_spent

-- fault: a snapshot that shows too much
UPDATE ledger.balance SET snap = pg_current_snapshot();
-- alarms: balance_spans balance_spent balance_sums

-- fault: an hour changed
UPDATE ledger.balance_span SET outgoing = outgoing + 1 WHERE NOT is_day AND account_id = @wallet;
-- alarms: balance_spans

-- fault: a day gone
DELETE FROM ledger.balance_span WHERE is_day AND account_id = @wallet;
-- alarms: balance_spans

-- fault: no mark
DELETE FROM ledger.fold_mark;
-- alarms: fold_mark

-- fault: a hold raised
UPDATE ledger.open_hold SET held_minor = held_minor * 2;
-- alarms: open_hold

-- fault: a hold forgotten
DELETE FROM ledger.open_hold;
-- alarms: open_hold

-- fault: a hold made to expire
UPDATE ledger.open_hold SET expires_at = '2026-01-16Z';
-- alarms: open_hold

-- fault: a release that released something else
UPDATE ledger.transaction_event SET entry_id = @late WHERE event_key = 't3:f';
-- alarms: hold_residue

-- fault: a step gone
DELETE FROM ledger.transaction_event WHERE event_key = 't4:i' OR event_key = 't1:i';
-- alarms: transaction_chain

-- fault: a step without its entry
UPDATE ledger.transaction_event SET entry_id = 99999 WHERE event_key = 't2:s';
-- alarms: transaction_chain

-- fault: a step that no state allows
UPDATE ledger.transaction_event SET previous_state = 'partly_released' WHERE event_key = 't3:f';
-- alarms: transaction_chain

-- fault: the end of the feed cut off
DELETE FROM ledger.feed WHERE position = (SELECT max(position) FROM ledger.feed);
-- alarms: feed_complete feed_dense

-- fault: a hole in the feed
UPDATE ledger.feed SET position = position + 100 WHERE position = 2;
-- alarms: feed_dense

-- fault: something else in the feed
UPDATE ledger.feed SET entry_id = 99999 WHERE position = 2;
-- alarms: feed_complete

-- fault: the refused one in the feed
UPDATE ledger.feed SET entry_id = (SELECT entry_id FROM ledger.refusal) WHERE position = 2;
-- alarms: feed_complete

-- fault: a batch gone
DELETE FROM ledger.feed_batch;
-- alarms: feed_complete feed_dense

-- fault: an entry slipped into a closed period
SELECT public.plant_entry('slipped', 'assets:bank', 'income:sales', 5, '2026-01-05Z');
-- alarms: period_respected

-- fault: a period that starts earlier
UPDATE ledger.period SET starts_at = '2025-12-31Z' WHERE ends_at = '2026-01-10Z';
-- alarms: period_chain

-- fault: a period gone
DELETE FROM ledger.period WHERE ends_at = '2026-01-01Z';
-- alarms: period_chain

-- fault: an account below one with lines
INSERT INTO ledger.account (code, name, type, asset, entity, may_overdraw, is_leaf) VALUES ('assets:bank:x', 'x', 'asset', 'EUR', 'main', true, true);
-- alarms: account_leaf

-- fault: an entry on a closed account
SELECT public.plant_entry('revived', 'assets:old', 'income:sales', 5, '2026-01-15 16:00Z');
-- alarms: account_closed

-- fault: a snapshot of another server
UPDATE ledger.fold_mark SET snap = '9999999999:9999999999:';
-- alarms: xid_current

-- fault: rows of another server
UPDATE ledger.journal_entry SET xid = '9999999999' WHERE entry_key = 'refused';
-- alarms: xid_current
