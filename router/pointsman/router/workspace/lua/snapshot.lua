-- All of a run at one moment. ARGV: none
local status = redis.call('HGET', RUN, 'status')
if not status then return { 'over', 'missing' } end
local newest = redis.call('XREVRANGE', BUS, '+', '-', 'COUNT', 1)
return { 'ok', newest[1] and newest[1][1] or '0-0', redis.call('HGETALL', RUN),
  redis.call('HGETALL', STATUS), redis.call('HGETALL', ATTEMPT), redis.call('HGETALL', SLOTS),
  redis.call('HGETALL', VERSIONS), redis.call('ZREVRANGE', FOCUS, 0, -1),
  redis.call('HGETALL', EFFECTS), redis.call('HGETALL', APPROVALS), redis.call('HGETALL', BUDGET),
  redis.call('ZRANGE', LEASES, 0, -1, 'WITHSCORES') }
