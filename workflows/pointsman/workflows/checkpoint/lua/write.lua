-- Writes of one task to a checkpoint. The first write of an index stays; special ones (below 0) are replaced.
-- ARGV: header, then the values.
local refused = fenced_off()
if refused then return refused end

local at = row(a.ns, a.id)
local head = get(row('h', a.ns)) or ''
if a.fenced and head ~= a.id and head ~= a.seen and get(row('r', a.ns)) ~= a.reader
    and redis.call('HEXISTS', ROWS, row('c', at)) == 1 then
  return { 'stale', head }
end
local number = redis.call('HINCRBY', ROWS, 'writes', 1)
local name = row('w', at, a.task)
local writes, places = unpacked(name) or {}, {}
for place, write in ipairs(writes) do places[write[1]] = place end
for i, write in ipairs(a.writes) do
  local index, channel = write[1], write[2]
  local place = places[index]
  if index < 0 or not place then
    place = place or #writes + 1
    places[index] = place
    writes[place] = { index, channel, a.path, number, a.reader, ARGV[i + 1] }
  end
end
redis.call('HSET', ROWS, name, cmsgpack.pack(writes))
redis.call('ZADD', ORDER, 0, name)
keep()
return { 'ok' }
