-- From here on nothing starts, nothing is committed and no decision counts. ARGV: reason, event
local no = over()
if no then return no end
if redis.call('HEXISTS', RUN, 'cancel') == 1 then return { 'ok' } end
redis.call('HSET', RUN, 'cancel', ARGV[1])
post(ARGV[2])
wake()
redis.call('PUBLISH', 'pm:cancel', ID)
return { 'ok' }
