-- What somebody who gets past the triggers could change in sealed periods.

-- fault: a word of the details
UPDATE ledger.journal_line_detail SET kind = 'other' WHERE entry_id = @said;
-- alarms: period_seals

-- fault: a zero at the end of a rate
UPDATE ledger.journal_line_detail SET fx_rate = 1.1 WHERE entry_id = @said;
-- alarms: period_seals

-- fault: a word of the metadata
UPDATE ledger.journal_line_detail SET metadata = metadata || '{"rail": "card"}' WHERE entry_id = @said;
-- alarms: period_seals

-- fault: details taken away
DELETE FROM ledger.journal_line_detail WHERE entry_id = @said;
-- alarms: period_seals

-- fault: details added
INSERT INTO ledger.journal_line_detail (entry_id, line_no) SELECT entry_id, 2 FROM ledger.journal_entry WHERE entry_key = 'early-3';
-- alarms: period_seals

-- fault: both amounts
UPDATE ledger.journal_line SET amount_minor = amount_minor * 2 WHERE entry_id = @said;
-- alarms: period_seals

-- fault: lines swapped
UPDATE ledger.journal_line SET account_id = 3 - account_id WHERE entry_id = @said;
-- alarms: period_seals

-- fault: the layer
UPDATE ledger.journal_line SET layer = 'planned' WHERE entry_id = @said;
-- alarms: period_seals

-- fault: a line inserted
INSERT INTO ledger.journal_line (entry_id, account_id, amount_minor, effective_at, line_no) VALUES (@said, 1, 1, '2026-01-15Z', 3);
-- alarms: period_seals

-- fault: a line removed
DELETE FROM ledger.journal_line WHERE entry_id = @said AND line_no = 2;
-- alarms: period_seals

-- fault: an account's name in the path
UPDATE ledger.account SET code = 'assets:bank2' WHERE code = 'assets:bank';
-- alarms: period_seals

-- fault: the time of effect
UPDATE ledger.journal_entry SET effective_at = effective_at - interval '1 second' WHERE entry_id = @said;
-- alarms: period_seals

-- fault: the time of record
UPDATE ledger.journal_entry SET recorded_at = recorded_at - interval '1 second' WHERE entry_id = @said;
-- alarms: period_seals

-- fault: the poster
UPDATE ledger.journal_entry SET posted_by = 'mallory' WHERE entry_id = @said;
-- alarms: period_seals

-- fault: the key
UPDATE ledger.journal_entry SET entry_key = 'other' WHERE entry_id = @said;
-- alarms: period_seals

-- fault: the request
UPDATE ledger.journal_entry SET request_hash = sha256('') WHERE entry_id = @said;
-- alarms: period_seals

-- fault: what it corrects
UPDATE ledger.journal_entry SET corrects_entry_id = NULL WHERE entry_id = @said;
-- alarms: period_seals

-- fault: the reason
UPDATE ledger.journal_entry SET reason = 'other' WHERE entry_key = 'reversal:said';
-- alarms: period_seals

-- fault: the authoriser
UPDATE ledger.journal_entry SET authoriser = 'Bo' WHERE entry_key = 'reversal:said';
-- alarms: period_seals

-- fault: moved to the next period
UPDATE ledger.journal_entry SET effective_at = '2026-01-16Z' WHERE entry_id = @said;
-- alarms: period_seals

-- fault: an entry removed
DELETE FROM ledger.journal_entry WHERE entry_id = @said;
-- alarms: period_seals

-- fault: an entry inserted
SELECT public.plant_entry('slipped', 'assets:bank', 'income:sales', 5, '2026-01-05Z');
-- alarms: period_seals

-- fault: the newest entries cut off
WITH f AS (DELETE FROM ledger.feed WHERE position > 11 RETURNING entry_id), l AS (DELETE FROM ledger.journal_line WHERE entry_id IN (SELECT entry_id FROM f)) DELETE FROM ledger.journal_entry WHERE entry_id IN (SELECT entry_id FROM f);
-- alarms: period_seals

-- fault: two positions exchanged
UPDATE ledger.feed SET entry_id = CASE position WHEN 1 THEN 999 ELSE 1 END WHERE position IN (1, 2);
-- alarms: period_seals

-- fault: the count of a seal
UPDATE ledger.period_seal SET entry_count = 5 WHERE entry_count = 7;
-- alarms: period_seals

-- fault: the root of a seal
UPDATE ledger.period_seal SET root = sha256('x') WHERE entry_count = 6;
-- alarms: period_seals

-- fault: the seal itself
UPDATE ledger.period_seal SET seal = sha256('x') WHERE entry_count = 6;
-- alarms: period_seals

-- fault: its format
UPDATE ledger.period_seal SET format_version = 2 WHERE entry_count = 6;
-- alarms: period_seals

-- fault: a seal before others
DELETE FROM ledger.period_seal WHERE entry_count = 7;
-- alarms: period_seals

-- fault: the end of a period
WITH p AS (UPDATE ledger.period SET ends_at = '2026-01-17Z' WHERE ends_at = '2026-01-16Z') UPDATE ledger.period_seal SET ends_at = '2026-01-17Z' WHERE ends_at = '2026-01-16Z';
-- alarms: period_seals
