-- A heartbeat: keeps the lease of a running attempt, and may tell its progress.
-- ARGV: task, attempt, lease until, event or ''
if over() then return { 'over', over() } end
if redis.call('HEXISTS', RUN, 'cancel') == 1 then return { 'cancelled' } end
local status = redis.call('HGET', STATUS, ARGV[1])
if status ~= 'running' or redis.call('HGET', ATTEMPT, ARGV[1]) ~= ARGV[2] then
  return { 'refused', status or 'unknown' }
end
redis.call('ZADD', LEASES, ARGV[3], ARGV[1])
if ARGV[4] ~= '' then
  post(ARGV[4])
  wake()
end
return { 'ok' }
