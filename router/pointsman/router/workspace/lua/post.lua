-- A fact of the run's owner. ARGV: epoch, event, then field/value pairs of the run's hash
local no = not_owner(ARGV[1])
if no then return no end
for i = 3, #ARGV, 2 do redis.call('HSET', RUN, ARGV[i], ARGV[i + 1]) end
local id = post(ARGV[2])
wake()
return { 'ok', id }
