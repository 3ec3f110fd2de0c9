-- ARGV: id, spec, created, event, caps as JSON {"cost": n, ...}, tenant, id of the API key that pays or ''
if redis.call('EXISTS', RUN) == 1 then return { 'exists' } end
redis.call('HSET', RUN, 'id', ARGV[1], 'spec', ARGV[2], 'created', ARGV[3], 'status', 'queued',
  'epoch', '0', 'owner', '', 'lease', '0', 'tenant', ARGV[6], 'key', ARGV[7])
for what, cap in pairs(cjson.decode(ARGV[5])) do
  redis.call('HSET', BUDGET, 'cap:' .. what, cap)
end
post(ARGV[4])
wake()
return { 'ok' }
