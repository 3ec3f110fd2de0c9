-- Opens an attempt of a ready task. ARGV: epoch, task, attempt, event, call
if over() then return { 'over', over() } end
if not_owner(ARGV[1]) then return { 'stale' } end
if redis.call('HEXISTS', RUN, 'cancel') == 1 then return { 'cancelled' } end
local status = redis.call('HGET', STATUS, ARGV[2])
local attempt = tonumber(redis.call('HGET', ATTEMPT, ARGV[2]) or '0')
if status ~= 'ready' or attempt + 1 ~= tonumber(ARGV[3]) then
  return { 'refused', (status or 'unknown') .. ' at attempt ' .. attempt }
end
redis.call('HSET', STATUS, ARGV[2], 'queued')
redis.call('HSET', ATTEMPT, ARGV[2], ARGV[3])
redis.call('HSET', CALLS, ARGV[2], ARGV[5])
post(ARGV[4])
wake()
return { 'ok' }
