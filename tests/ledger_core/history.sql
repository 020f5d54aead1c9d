-- Everything once: several layers, a refusal, a reversal, a correction, details, a transaction in every state, closed periods.
SELECT ledger.open_accounts(ARRAY['assets:clearing'], ARRAY['Clearing'], ARRAY['asset'], ARRAY['EUR'], ARRAY[true]);
SELECT ledger.reverse_entry('typo', 'booked twice', 'Ada', '2026-01-15 13:00Z');
SELECT ledger.post_entries(ARRAY['right', 'right'], ARRAY['2026-01-15 13:00Z', '2026-01-15 13:00Z']::timestamptz[],
  ARRAY['assets:bank', 'income:sales'], ARRAY[7, -7], ARRAY['EUR', 'EUR'], p_corrects => ARRAY['typo', 'typo'],
  p_detail => ARRAY[jsonb_populate_record(NULL::ledger.line_detail, '{"kind": "fee", "metadata": {"rail": "sepa"}}'), NULL]);
SELECT ledger.move_transaction(t, t || ':i', 'initiated', 'Ada', '2026-01-15 13:00Z') FROM unnest(ARRAY['t1', 't2', 't3', 't4']) AS t;
SELECT ledger.move_transaction(t, t || ':h', 'held', 'Ada', '2026-01-15 13:00Z', ARRAY['liabilities:wallet', 'assets:clearing'], ARRAY[20, -20], ARRAY['EUR', 'EUR'])
FROM unnest(ARRAY['t1', 't2', 't3']) AS t;
SELECT ledger.move_transaction('t1', 't1:p', 'partly_released', 'Ada', '2026-01-15 14:00Z', ARRAY['liabilities:wallet', 'assets:clearing'], ARRAY[5, -5], ARRAY['EUR', 'EUR']);
SELECT ledger.move_transaction('t2', 't2:s', 'settled', 'Ada', '2026-01-15 14:00Z', ARRAY['liabilities:wallet', 'assets:bank'], ARRAY[12, -12], ARRAY['EUR', 'EUR']);
SELECT ledger.move_transaction('t2', 't2:r', 'reversed', 'Ada', '2026-01-15 15:00Z', p_reason => 'returned');
SELECT ledger.move_transaction('t3', 't3:f', 'released', 'Ada', '2026-01-15 14:00Z');
SELECT ledger.close_period('2026-01-01Z', 'December', 'Ada');
SELECT ledger.close_period('2026-01-10Z', 'early January', 'Ada');
