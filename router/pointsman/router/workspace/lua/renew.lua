-- A heartbeat: keeps the lease of a running attempt, and may tell its progress.
-- ARGV: task, attempt, lease until, event or ''
local no = stopped() or not_attempt(ARGV[1], ARGV[2], 'running')
if no then return no end
redis.call('ZADD', LEASES, ARGV[3], ARGV[1])
if ARGV[4] ~= '' then
  post(ARGV[4])
  wake()
end
return { 'ok' }
