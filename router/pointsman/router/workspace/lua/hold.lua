-- A ready task waits for a person. ARGV: epoch, task, approval, entry, event
local no = not_owner(ARGV[1]) or stopped()
if no then return no end
local status = redis.call('HGET', STATUS, ARGV[2])
if status ~= 'ready' then return { 'refused', status or 'unknown' } end
redis.call('HSET', STATUS, ARGV[2], 'held')
redis.call('HSET', APPROVALS, ARGV[3], ARGV[4])
post(ARGV[5])
wake()
return { 'ok' }
