-- The ancestors of a checkpoint, nearest first, as far as a channel asked for has no stored value yet.
-- Of each: the values found (channel, value) and the writes (name, value) to channels still open.
local id = a.id ~= '' and a.id or get(row('h', a.ns)) or ''
local known = facts(row(a.ns, id))
local open, left, found, seen = set(a.channels), #a.channels, {}, {}
while known and known.parent ~= '' and left > 0 and not seen[known.parent] do
  local at = row(a.ns, known.parent)
  seen[known.parent] = true
  known = facts(at)
  if known then
    local values, writes = {}, {}
    for _, name in ipairs(names(row('w', at))) do
      local value = get(name)
      if value and open[(write_head(value))] then
        writes[#writes + 1] = name
        writes[#writes + 1] = value
      end
    end
    for _, pair in ipairs(known.held) do
      if open[pair[1]] then
        values[#values + 1] = pair[1]
        values[#values + 1] = get(row('b', a.ns, pair[1], pair[2]))
        open[pair[1]] = nil
        left = left - 1
      end
    end
    found[#found + 1] = { values, writes }
  end
end
return found
