-- A checkpoint, the channel values it brings, the head, the fence, the lists and the expiry: one act.
-- ARGV: header, checkpoint, metadata, then channel, version, value for each new value.
local refused = fenced_off()
if refused then return refused end

local at = row(a.ns, a.id)
local head = get(row('h', a.ns)) or ''
local again = get(row('c', at)) == ARGV[2] and get(row('m', at)) == ARGV[3]
local moves = true

-- A write to the parent that this writer has not seen, in a channel whose value is to be had from writes.
local function unseen()
  if #a.open == 0 or a.parent == '' then return false end
  local parent = row(a.ns, a.parent)
  if not redis.call('HEXISTS', ROWS, row('c', parent)) then return true end
  local open = set(a.open)
  for _, name in ipairs(names(row('w', parent))) do
    local channel, _, sequence, reader = write_head(get(name))
    if open[channel] and tonumber(sequence) > a.seen_seq and reader ~= a.reader then return true end
  end
  return false
end

if again then
  moves = false
elseif a.fenced then
  if head ~= a.parent and (a.seen == '' or head ~= a.seen) then
    -- A root without channels carries nothing that could be lost: it is kept beside the head.
    if a.parent ~= '' or a.seen ~= '' or #a.versions > 0 then return { 'stale', head } end
    moves = false
  end
  if unseen() then return { 'writes', head } end
end

for i = 4, #ARGV, 3 do
  redis.call('HSETNX', ROWS, row('b', a.ns, ARGV[i], ARGV[i + 1]), ARGV[i + 2])
end
local held, missing, valued = {}, {}, set(a.valued)
for _, pair in ipairs(a.versions) do
  if redis.call('HEXISTS', ROWS, row('b', a.ns, pair[1], pair[2])) == 1 then
    held[#held + 1] = pair
  elseif valued[pair[1]] then
    missing[#missing + 1] = pair[1]
  end
end
if #missing > 0 then return { 'missing', missing } end

redis.call('HSET', ROWS, row('c', at), ARGV[2], row('m', at), ARGV[3],
  row('f', at), cjson.encode({ parent = a.parent, run = a.run, held = held, open = a.open }))
redis.call('ZADD', ORDER, 0, row('c', at))
if a.run ~= '' then redis.call('HSET', ROWS, row('x', a.run), 1) end
if moves then redis.call('HSET', ROWS, row('h', a.ns), a.id, row('r', a.ns), a.reader) end
keep()
return { 'ok', tonumber(get('seq') or 0) }
