-- An attempt failed: the task is ready for another one. ARGV: task, attempt, event
local no = over()
if no then return no end
local status = redis.call('HGET', STATUS, ARGV[1])
local attempt = redis.call('HGET', ATTEMPT, ARGV[1])
-- an attempt that is open has its call; a loop that runs has none
if (status ~= 'running' and status ~= 'queued') or attempt ~= ARGV[2]
    or redis.call('HEXISTS', CALLS, ARGV[1]) == 0 then
  return { 'refused', (status or 'unknown') .. ' at attempt ' .. (attempt or '0') }
end
redis.call('HSET', STATUS, ARGV[1], 'ready')
redis.call('ZREM', LEASES, ARGV[1])
release(ARGV[1])
spend(0, 0)
post(ARGV[3])
wake()
return { 'ok' }
