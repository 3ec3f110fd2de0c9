-- The last event of a run; from here on it expires as one unit, and what only a live run needs is dropped.
-- ARGV: epoch, status, event, ended, usage, error or '', seconds to keep
local no = not_owner(ARGV[1])
if no then return no end
redis.call('HSET', RUN, 'status', ARGV[2], 'ended', ARGV[4], 'usage', ARGV[5], 'error', ARGV[6])
post(ARGV[3])
redis.call('DEL', PENDING, DEPENDANTS, CALLS, LEASES)
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[7]) end
wake()
local paying = redis.call('HMGET', RUN, 'key', 'created')
return { 'ok', paying[1] or '', paying[2] }
