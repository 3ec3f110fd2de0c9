-- The ancestors of a checkpoint, nearest first, as far as a channel asked for has no stored value yet.
-- Of each: the values found (channel, value) and the writes to channels still open.
local id = a.id ~= '' and a.id or get(row('h', a.ns)) or ''
local known = checkpoint(row(a.ns, id))
local open, left, found, been = set(a.channels), #a.channels, {}, {}
while known and known.parent ~= '' and left > 0 and not been[known.parent] do
  local at = row(a.ns, known.parent)
  been[known.parent] = true
  known = checkpoint(at)
  if known then
    local values, writes = {}, writes_of(at, open)
    for i = 1, #known.held, 2 do
      local channel, version = known.held[i], known.held[i + 1]
      if open[channel] then
        values[#values + 1] = { channel, get(row('b', a.ns, channel, version)) }
        open[channel] = nil
        left = left - 1
      end
    end
    found[#found + 1] = { values, writes }
  end
end
return found
