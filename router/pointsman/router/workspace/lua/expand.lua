-- Makes the children of a for_each task; they are ready with it.
-- ARGV: epoch, task, event, children as JSON [id, ...]
local no = not_owner(ARGV[1])
if no then return no end
local status = redis.call('HGET', STATUS, ARGV[2])
if status ~= 'ready' then return { 'refused', status or 'unknown' } end
redis.call('HSET', STATUS, ARGV[2], 'running')
post(ARGV[3])
for _, child in ipairs(cjson.decode(ARGV[4])) do
  redis.call('HSET', STATUS, child, 'ready')
  redis.call('HSET', ATTEMPT, child, 0)
end
wake()
return { 'ok' }
