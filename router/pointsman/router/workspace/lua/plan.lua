-- Writes a plan whole: its tasks, who waits for whom, and what is ready at once.
-- ARGV: epoch, plan event, plan, version, at, tasks as JSON [[id, [input ids]], ...]
if over() then return { 'over', over() } end
if not_owner(ARGV[1]) then return { 'stale' } end
if tonumber(ARGV[4]) <= tonumber(redis.call('HGET', RUN, 'version') or '0') then
  return { 'stale' }
end
redis.call('HSET', RUN, 'plan', ARGV[3], 'version', ARGV[4])
post(ARGV[2])
local tasks = cjson.decode(ARGV[6])
local dependants = {}
local fresh = {}
for _, entry in ipairs(tasks) do
  local id, inputs = entry[1], entry[2]
  if redis.call('HGET', STATUS, id) ~= 'done' then
    fresh[#fresh + 1] = id
    local waits = 0
    for _, input in ipairs(inputs) do
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
  redis.call('HSET', DEPENDANTS, input, cjson.encode(list))
end
for _, id in ipairs(fresh) do
  if redis.call('HGET', PENDING, id) == '0' then
    redis.call('HSET', STATUS, id, 'ready')
    post(cjson.encode({ type = 'task.ready', task = id, at = tonumber(ARGV[5]) }))
  end
end
wake()
return { 'ok' }
