-- The one effective result of a task: fence check, slot, broadcast, countdown, ready: one act.
-- ARGV: task, attempt, value, event, at
if over() then return { 'over', over() } end
if redis.call('HEXISTS', RUN, 'cancel') == 1 then return { 'cancelled' } end
local status = redis.call('HGET', STATUS, ARGV[1])
local attempt = redis.call('HGET', ATTEMPT, ARGV[1])
if status ~= 'running' or attempt ~= ARGV[2] then
  return { 'refused', (status or 'unknown') .. ' at attempt ' .. (attempt or '0') }
end
local version = write_slot(ARGV[1], ARGV[3])
settle(ARGV[1], 'done', ARGV[4], ARGV[5])
wake()
return { 'ok', version }
