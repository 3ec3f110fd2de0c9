-- The owner lets go of a run in which everything waits for people. Refused when something has happened
-- that the owner has not seen. ARGV: epoch, last event seen
local no = not_owner(ARGV[1])
if no then return no end
local newest = redis.call('XREVRANGE', BUS, '+', '-', 'COUNT', 1)
if newest[1] and newest[1][1] ~= ARGV[2] then return { 'refused', 'the bus has grown' } end
redis.call('HSET', RUN, 'owner', '', 'lease', '0', 'epoch', tostring(tonumber(ARGV[1]) + 1))
return { 'ok' }
