-- ARGV: id, spec, created, event
if redis.call('EXISTS', RUN) == 1 then return { 'exists' } end
redis.call('HSET', RUN, 'id', ARGV[1], 'spec', ARGV[2], 'created', ARGV[3], 'status', 'queued',
  'epoch', '0', 'owner', '', 'lease', '0')
post(ARGV[4])
wake()
return { 'ok' }
