-- Opens an attempt of a ready task, and sets aside what it may cost.
-- On one server the offer is part of the act; on a cluster the queue is elsewhere, and the offer follows.
-- ARGV: epoch, task, attempt, event, call, cost, what the offer tells of the call ("": nothing).
-- KEYS[15]: the expert's queue, or none
local no = not_owner(ARGV[1]) or stopped()
if no then return no end
local task = ARGV[2]
local status = redis.call('HGET', STATUS, task)
local attempt = tonumber(redis.call('HGET', ATTEMPT, task) or '0')
if status ~= 'ready' or attempt + 1 ~= tonumber(ARGV[3]) then
  return { 'refused', (status or 'unknown') .. ' at attempt ' .. attempt }
end
if redis.call('EXISTS', BUDGET) == 1 then
  for what, more in pairs({ cost = tonumber(ARGV[6]), calls = 1 }) do
    local found = redis.call('HMGET', BUDGET, 'cap:' .. what, 'spent:' .. what, 'held:' .. what)
    if found[1] then
      local left = tonumber(found[1]) - tonumber(found[2] or '0') - tonumber(found[3] or '0')
      if more > left then return { 'budget', what, tostring(more), tostring(left) } end
    end
  end
  redis.call('HSET', BUDGET, 'open:' .. task, ARGV[6])
  redis.call('HINCRBY', BUDGET, 'held:cost', ARGV[6])
  redis.call('HINCRBY', BUDGET, 'held:calls', 1)
end
redis.call('HSET', STATUS, task, 'queued')
redis.call('HSET', ATTEMPT, task, ARGV[3])
redis.call('HSET', CALLS, task, ARGV[5])
if KEYS[15] then
  redis.call('XADD', KEYS[15], '*', 'run', ID, 'task', task, 'attempt', ARGV[3], 'call', ARGV[7])
end
post(ARGV[4])
wake()
return { 'ok' }
