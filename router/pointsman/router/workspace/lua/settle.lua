-- The owner settles a task without an attempt: skipped, failed, cancelled, or a collected loop.
-- ARGV: epoch, task, status, event, at, value or ''
if over() then return { 'over', over() } end
if not_owner(ARGV[1]) then return { 'stale' } end
local status = redis.call('HGET', STATUS, ARGV[2])
if not status or SETTLED[status] then return { 'refused', status or 'unknown' } end
if ARGV[6] ~= '' then write_slot(ARGV[2], ARGV[6]) end
settle(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
wake()
return { 'ok' }
