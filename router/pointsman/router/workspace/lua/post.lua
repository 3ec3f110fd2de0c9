-- A fact of the run's owner. ARGV: epoch, event, then field/value pairs of the run's hash
if over() then return { 'over', over() } end
if not_owner(ARGV[1]) then return { 'stale' } end
for i = 3, #ARGV, 2 do redis.call('HSET', RUN, ARGV[i], ARGV[i + 1]) end
local id = post(ARGV[2])
wake()
return { 'ok', id }
