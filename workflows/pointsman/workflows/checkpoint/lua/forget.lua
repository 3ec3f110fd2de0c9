-- Takes out the checkpoints of the runs named.
local runs, gone = set(a.runs), {}
for _, name in ipairs(names('c')) do
  local at = string.sub(name, 3)
  if runs[checkpoint(at).run] then gone[at] = true end
end
for run in pairs(runs) do redis.call('HDEL', ROWS, row('x', run)) end
remove(gone)
