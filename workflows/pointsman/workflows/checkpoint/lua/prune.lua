-- Keeps the head of each namespace, and the ancestors from which its open channels are rebuilt.
local kept, gone, newest = {}, {}, {}
for _, name in ipairs(names('c')) do
  local at = string.sub(name, 3)
  local ns = string.match(at, '^([^%z]*)%z')
  gone[at] = true
  newest[ns] = string.sub(at, #ns + 2)
end
for ns, last in pairs(newest) do
  local head = get(row('h', ns))
  local at = row(ns, head and gone[row(ns, head)] and head or last)
  local known = facts(at)
  kept[at] = true
  local open, left = {}, 0
  for _, channel in ipairs(known and known.open or {}) do
    open[channel] = true
    left = left + 1
  end
  while left > 0 and known and known.parent ~= '' and not kept[row(ns, known.parent)] do
    at = row(ns, known.parent)
    known = facts(at)
    kept[at] = true
    for _, pair in ipairs(known and known.held or {}) do
      if open[pair[1]] then
        open[pair[1]] = nil
        left = left - 1
      end
    end
  end
end
for at in pairs(kept) do gone[at] = nil end
remove(gone)
