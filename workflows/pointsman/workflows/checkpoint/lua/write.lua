-- Writes of one task to a checkpoint. The first write of an index stays; special ones (below 0) are replaced.
-- ARGV: header, then the values.
local refused = fenced_off()
if refused then return refused end

local at = row(a.ns, a.id)
local head = get(row('h', a.ns)) or ''
if a.fenced and head ~= a.id and head ~= a.seen and redis.call('HEXISTS', ROWS, row('c', at)) == 1
    and get(row('r', a.ns)) ~= a.reader then
  return { 'stale', head }
end
local sequence = redis.call('HINCRBY', ROWS, 'seq', 1)
for i, write in ipairs(a.writes) do
  local index, channel = write[1], write[2]
  local name = row('w', at, a.task, index)
  local value = row(channel, a.path, sequence, a.reader, ARGV[i + 1])
  redis.call(index < 0 and 'HSET' or 'HSETNX', ROWS, name, value)
  redis.call('ZADD', ORDER, 0, name)
end
keep()
return { 'ok' }
