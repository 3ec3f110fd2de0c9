-- The owner settles a task without an attempt: skipped, failed, cancelled, a collected loop, or a result
-- that a person gave. ARGV: epoch, task, status, event, at, value or '', salience, focus limit
local no = not_owner(ARGV[1])
if not no and ARGV[3] == 'done' then no = stopped() end
if no then return no end
local status = redis.call('HGET', STATUS, ARGV[2])
if not status or SETTLED[status] then return { 'refused', status or 'unknown' } end
if ARGV[6] ~= '' then write_slot(ARGV[2], ARGV[6]) end
if ARGV[3] == 'done' then attend(ARGV[2], ARGV[7], ARGV[8]) end
release(ARGV[2])
settle(ARGV[2], ARGV[3], ARGV[4], ARGV[5])
wake()
return { 'ok' }
