-- A checkpoint, the channel values it brings, the head, the fence, the lists and the expiry: one act.
-- ARGV: header, body, metadata, then channel, version, value for each new value.
local refused = fenced_off()
if refused then return refused end

local at = row(a.ns, a.id)
local head = get(row('h', a.ns)) or ''
local body, metadata = ARGV[2], ARGV[3]
local before = checkpoint(at)

-- A write to the parent that this writer has not seen, in a channel whose value is to be had from writes.
local function unseen()
  if #a.open == 0 or a.parent == '' then return false end
  local parent = row(a.ns, a.parent)
  if not checkpoint(parent) then return true end
  local open = set(a.open)
  for _, name in ipairs(names(row('w', parent))) do
    for _, write in ipairs(unpacked(name) or {}) do
      local _, channel, _, number, reader = unpack(write)
      if open[channel] and number > a.seen_writes and reader ~= a.reader then return true end
    end
  end
  return false
end

local moves = true
if before and before.body == body and before.metadata == metadata then
  moves = false -- the same put again, after its reply was lost
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
  local channel, version = pair[1], pair[2]
  if redis.call('HEXISTS', ROWS, row('b', a.ns, channel, version)) == 1 then
    held[#held + 1] = channel
    held[#held + 1] = version
  elseif valued[channel] then
    missing[#missing + 1] = channel
  end
end
if #missing > 0 then return { 'missing', missing } end

redis.call('HSET', ROWS, row('c', at),
  cmsgpack.pack({ a.parent, a.run, a.open, held, metadata, body }))
redis.call('ZADD', ORDER, 0, row('c', at))
if a.run ~= '' then redis.call('HSET', ROWS, row('x', a.run), 1) end
if moves then redis.call('HSET', ROWS, row('h', a.ns), a.id, row('r', a.ns), a.reader) end
keep()
return { 'ok', tonumber(get('writes') or 0) }
