-- Takes out the checkpoints of the runs named.
local runs, gone = set(a.runs), {}
for _, name in ipairs(names('c')) do
  local at = string.sub(name, 3)
  local known = facts(at)
  if known and runs[known.run] then gone[at] = true end
end
for _, run in ipairs(a.runs) do redis.call('HDEL', ROWS, row('x', run)) end
remove(gone)
