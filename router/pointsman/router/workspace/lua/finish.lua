-- The last event of a run; from here on it expires as one unit.
-- ARGV: epoch, status, event, ended, usage, error or '', seconds to keep
local ended = over()
if ended then return { 'over', ended } end
if not_owner(ARGV[1]) then return { 'stale' } end
redis.call('HSET', RUN, 'status', ARGV[2], 'ended', ARGV[4], 'usage', ARGV[5], 'error', ARGV[6])
post(ARGV[3])
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[7]) end
wake()
return { 'ok' }
