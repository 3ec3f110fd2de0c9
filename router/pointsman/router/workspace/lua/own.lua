-- Takes a run over, or renews its lease. ARGV: owner, epoch held ('' to take), now, lease until
local no = over()
if no then return no end
local owner, epoch, lease = unpack(redis.call('HMGET', RUN, 'owner', 'epoch', 'lease'))
if ARGV[2] ~= '' then
  if epoch ~= ARGV[2] then return { 'stale' } end
  redis.call('HSET', RUN, 'lease', ARGV[4])
  return { 'ok', epoch }
end
if owner ~= '' and owner ~= ARGV[1] and tonumber(lease) > tonumber(ARGV[3]) then
  return { 'held', owner, lease }
end
epoch = tostring(tonumber(epoch) + 1)
redis.call('HSET', RUN, 'owner', ARGV[1], 'epoch', epoch, 'lease', ARGV[4], 'status', 'running')
return { 'ok', epoch }
