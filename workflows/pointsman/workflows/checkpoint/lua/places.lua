-- "ns NUL id" of checkpoints, of all namespaces or newest first of one: those before an id, at most so many.
if not a.ns then
  local found = {}
  for _, name in ipairs(names('c')) do found[#found + 1] = string.sub(name, 3) end
  return found
end
local from = row('c', a.ns)
local upto = a.before ~= '' and '(' .. row(from, a.before) or '(' .. from .. '\1'
local found = redis.call('ZREVRANGEBYLEX', ORDER, upto, '[' .. from .. S, 'LIMIT', 0, a.limit)
for i, name in ipairs(found) do found[i] = string.sub(name, 3) end
return found
