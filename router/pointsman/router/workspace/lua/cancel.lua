-- ARGV: reason, event
local ended = over()
if ended then return { 'over', ended } end
if redis.call('HEXISTS', RUN, 'cancel') == 1 then return { 'ok' } end
redis.call('HSET', RUN, 'cancel', ARGV[1])
post(ARGV[2])
wake()
redis.call('PUBLISH', 'pm:cancel', redis.call('HGET', RUN, 'id'))
return { 'ok' }
