-- A worker takes a queued attempt. ARGV: task, attempt, lease until, event
local no = stopped() or not_attempt(ARGV[1], ARGV[2], 'queued')
if no then return no end
redis.call('HSET', STATUS, ARGV[1], 'running')
redis.call('ZADD', LEASES, ARGV[3], ARGV[1])
post(ARGV[4])
wake()
return { 'ok', redis.call('HGET', CALLS, ARGV[1]) }
