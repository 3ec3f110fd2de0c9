-- Keeps the head of each namespace, and the ancestors from which its open channels are rebuilt.
local kept, gone, newest = {}, {}, {}
for _, name in ipairs(names('c')) do
  local at = string.sub(name, 3)
  local ns = space_of(at)
  gone[at] = true
  newest[ns] = string.sub(at, #ns + 2)
end
for ns, last in pairs(newest) do
  local head = get(row('h', ns))
  local at = row(ns, head and gone[row(ns, head)] and head or last)
  local known = checkpoint(at)
  local open, left = set(known.open), #known.open
  kept[at] = true
  while left > 0 and known and known.parent ~= '' and not kept[row(ns, known.parent)] do
    at = row(ns, known.parent)
    known = checkpoint(at)
    kept[at] = true
    for i = 1, known and #known.held or 0, 2 do
      if open[known.held[i]] then
        open[known.held[i]] = nil
        left = left - 1
      end
    end
  end
end
for at in pairs(kept) do gone[at] = nil end
remove(gone)
