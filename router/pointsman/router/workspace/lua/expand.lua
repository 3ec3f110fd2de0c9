-- Makes the children of a for_each task. ARGV: epoch, task, event, at, children as JSON [id, ...]
if over() then return { 'over', over() } end
if not_owner(ARGV[1]) then return { 'stale' } end
local status = redis.call('HGET', STATUS, ARGV[2])
if status ~= 'ready' then return { 'refused', status or 'unknown' } end
redis.call('HSET', STATUS, ARGV[2], 'running')
post(ARGV[3])
for _, child in ipairs(cjson.decode(ARGV[5])) do
  redis.call('HSET', STATUS, child, 'ready')
  redis.call('HSET', ATTEMPT, child, 0)
  post(cjson.encode({ type = 'task.ready', task = child, at = tonumber(ARGV[4]) }))
end
wake()
return { 'ok' }
