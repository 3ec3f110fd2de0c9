-- A worker takes a queued attempt. ARGV: task, attempt, lease until, event
if over() then return { 'over', over() } end
if redis.call('HEXISTS', RUN, 'cancel') == 1 then return { 'cancelled' } end
local status = redis.call('HGET', STATUS, ARGV[1])
local attempt = redis.call('HGET', ATTEMPT, ARGV[1])
if status ~= 'queued' or attempt ~= ARGV[2] then
  return { 'refused', (status or 'unknown') .. ' at attempt ' .. (attempt or '0') }
end
redis.call('HSET', STATUS, ARGV[1], 'running')
redis.call('ZADD', LEASES, ARGV[3], ARGV[1])
post(ARGV[4])
wake()
return { 'ok', redis.call('HGET', CALLS, ARGV[1]) }
