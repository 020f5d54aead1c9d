-- What was set aside, in its new place; ids, keys, times and transaction numbers as they were.
INSERT INTO ledger.asset (code, exponent, recorded_at) SELECT a.code, a.exponent, a.recorded_at FROM kept_asset AS a;
INSERT INTO ledger.account (account_id, code, name, type, asset, entity, may_overdraw, is_leaf, recorded_at, opened_by)
OVERRIDING SYSTEM VALUE
SELECT a.account_id, a.code, a.name, a.type, s.code, 'main', a.may_overdraw, true, a.recorded_at, a.opened_by
FROM kept_account AS a JOIN kept_asset AS s ON s.asset_id = a.asset_id;
INSERT INTO ledger.account_closure (account_id, reason, authoriser, recorded_at, closed_by)
SELECT c.account_id, c.reason, c.authoriser, c.recorded_at, c.closed_by FROM kept_account_closure AS c;
INSERT INTO ledger.journal_entry (entry_id, xid, effective_at, recorded_at, line_count, hash_version, entry_key, request_hash, posted_by,
  reverses_entry_id, reason, authoriser)
OVERRIDING SYSTEM VALUE
SELECT e.entry_id, e.xid, e.effective_at, e.recorded_at, e.line_count, e.hash_version, e.entry_key, e.request_hash, e.posted_by,
       e.reverses_entry_id, e.reason, e.authoriser
FROM kept_journal_entry AS e ORDER BY e.entry_id;
INSERT INTO ledger.journal_line (entry_id, xid, account_id, amount_minor, effective_at, line_no)
SELECT l.entry_id, l.xid, l.account_id, l.amount_minor, l.effective_at, l.line_no FROM kept_journal_line AS l ORDER BY l.entry_id, l.line_no;
INSERT INTO ledger.journal_line_detail
SELECT l.kind, l.description, l.counterparty, l.batch_ref, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant, l.ref_payout,
       l.ref_arn, l.ref_rrn, l.ref_auth_code, l.fx_rate, l.fx_asset, l.fx_amount_minor, l.metadata, l.line_no, l.entry_id
FROM kept_journal_line AS l
WHERE num_nonnulls(l.kind, l.description, l.counterparty, l.batch_ref, l.ref_end_to_end, l.ref_uetr, l.ref_servicer, l.ref_psp, l.ref_merchant,
  l.ref_payout, l.ref_arn, l.ref_rrn, l.ref_auth_code, l.fx_rate, l.fx_asset, l.fx_amount_minor, l.metadata) > 0
ORDER BY l.entry_id, l.line_no;
INSERT INTO ledger.balance (account_id, spent)
SELECT a.account_id, coalesce(sum(abs(l.amount_minor)), 0)
FROM ledger.account AS a
LEFT JOIN ledger.journal_line AS l ON l.account_id = a.account_id AND sign(l.amount_minor) = -a.normal_sign
WHERE NOT a.may_overdraw
GROUP BY a.account_id;
SELECT setval(pg_get_serial_sequence('ledger.account', 'account_id'), max(a.account_id)) FROM ledger.account AS a HAVING count(*) > 0;
SELECT setval(pg_get_serial_sequence('ledger.journal_entry', 'entry_id'), max(e.entry_id)) FROM ledger.journal_entry AS e HAVING count(*) > 0;
