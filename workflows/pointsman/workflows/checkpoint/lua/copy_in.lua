-- A thread from a snapshot, with its own fence. ARGV: header, rows, order.
if #names('c') > 0 then return { 'exists' } end
redis.call('RESTORE', ROWS, 0, ARGV[2], 'REPLACE')
redis.call('RESTORE', ORDER, 0, ARGV[3], 'REPLACE')
redis.call('HDEL', ROWS, 'fence')
keep()
return { 'ok' }
