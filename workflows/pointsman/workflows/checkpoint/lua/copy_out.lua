-- A whole thread as of one moment, and the runs in it.
local runs, list = {}, {}
for _, name in ipairs(names('c')) do
  local known = facts(string.sub(name, 3))
  if known and known.run ~= '' and not runs[known.run] then
    runs[known.run] = true
    list[#list + 1] = known.run
  end
end
return { redis.call('DUMP', ROWS), redis.call('DUMP', ORDER), list }
