-- Writes a plan's tasks: who waits for whom, and what is ready at once. What is done stays done; and what was
-- begun before the first plan was whole (grow.lua) stays as it is.
-- ARGV: epoch, version, at, tasks as JSON [[id, [input ids]], ...],
--   kept as JSON [[id, value, event], ...]: results that come from another run, focus limit
local no = not_owner(ARGV[1])
if no then return no end
if tonumber(ARGV[2]) <= tonumber(redis.call('HGET', RUN, 'version') or '0') then
  return { 'refused', 'written' }
end
local tasks = cjson.decode(ARGV[4])
local first = redis.call('HGET', RUN, 'version') == false
local begun = {}
for _, entry in ipairs(tasks) do
  local status = redis.call('HGET', STATUS, entry[1])
  begun[entry[1]] = first and status or nil
  if not first and (status == 'queued' or status == 'running' or status == 'held') then
    return { 'refused', entry[1] .. ' is ' .. status }
  end
end
redis.call('HSET', RUN, 'version', ARGV[2])
-- what another run gave is a result too: none is committed after a cancel
local kept = redis.call('HEXISTS', RUN, 'cancel') == 1 and {} or cjson.decode(ARGV[5])
for _, entry in ipairs(kept) do
  redis.call('HSET', STATUS, entry[1], 'done')
  redis.call('HSET', ATTEMPT, entry[1], 0)
  write_slot(entry[1], entry[2])
  attend(entry[1], 0, ARGV[6])
  post(entry[3])
end
-- what was begun and is over is not waited for, though it may have no result
local function open_inputs(inputs)
  local open = {}
  for _, input in ipairs(inputs) do
    if not SETTLED[begun[input] or ''] then open[#open + 1] = input end
  end
  return open
end
local dependants = {}
local fresh = {}
for _, entry in ipairs(tasks) do
  local id, inputs = entry[1], entry[2]
  if redis.call('HGET', STATUS, id) ~= 'done' and not begun[id] then
    fresh[#fresh + 1] = id
    local waits = 0
    for _, input in ipairs(open_inputs(inputs)) do
      if redis.call('HGET', STATUS, input) ~= 'done' then
        waits = waits + 1
        dependants[input] = dependants[input] or {}
        table.insert(dependants[input], id)
      end
    end
    redis.call('HSET', PENDING, id, waits)
    redis.call('HSET', STATUS, id, 'waiting')
    -- the fence goes on across plan versions: a late commit of an old attempt stays refused
    if redis.call('HEXISTS', ATTEMPT, id) == 0 then redis.call('HSET', ATTEMPT, id, 0) end
    redis.call('HDEL', DEPENDANTS, id)
  end
end
for input, list in pairs(dependants) do
  local before = begun[input] and redis.call('HGET', DEPENDANTS, input)
  for _, other in ipairs(before and cjson.decode(before) or {}) do table.insert(list, other) end
  redis.call('HSET', DEPENDANTS, input, cjson.encode(list))
end
for _, id in ipairs(fresh) do
  if redis.call('HGET', PENDING, id) == '0' then
    redis.call('HSET', STATUS, id, 'ready')
    post(cjson.encode({ type = 'task.ready', task = id, at = tonumber(ARGV[3]) }))
  end
end
wake()
return { 'ok' }
