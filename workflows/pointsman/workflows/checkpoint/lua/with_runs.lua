-- The keys are rows of several threads here. The numbers of those that have checkpoints of a run named.
local found = {}
for i, rows in ipairs(KEYS) do
  for _, run in ipairs(a.runs) do
    if redis.call('HEXISTS', rows, row('x', run)) == 1 then
      found[#found + 1] = i - 1
      break
    end
  end
end
return found
