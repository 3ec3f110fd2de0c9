-- Prepended to every script of a run. All keys of a run share a hash tag, so they live on one node.
local RUN, BUS, STATUS, ATTEMPT, PENDING, DEPENDANTS, SLOTS, VERSIONS, CALLS, LEASES, EFFECTS,
  APPROVALS, FOCUS, BUDGET = unpack(KEYS)
local WAKE = 'pm:wake'
local ID = string.match(RUN, '{(.-)}')

local OVER = { done = true, failed = true, refused = true, cancelled = true }
local SETTLED = { done = true, failed = true, skipped = true, cancelled = true }

local function post(event)
  return redis.call('XADD', BUS, '*', 'e', event)
end

local function wake()
  redis.call('PUBLISH', WAKE, ID)
end

-- The answer to give when the run has ended or never was; else nil.
local function over()
  local status = redis.call('HGET', RUN, 'status')
  if not status then return { 'over', 'missing' } end
  if OVER[status] then return { 'over', status } end
end

-- The same, and also when the run is being cancelled: then nothing starts and nothing is committed.
local function stopped()
  local found = redis.call('HMGET', RUN, 'status', 'cancel')
  if not found[1] then return { 'over', 'missing' } end
  if OVER[found[1]] then return { 'over', found[1] } end
  if found[2] then return { 'cancelled' } end
end

-- The same for an act of the run's owner: a controller that lost its lease is refused everywhere.
local function not_owner(epoch)
  local found = redis.call('HMGET', RUN, 'status', 'epoch')
  if not found[1] then return { 'over', 'missing' } end
  if OVER[found[1]] then return { 'over', found[1] } end
  if found[2] ~= epoch then return { 'stale' } end
end

-- The fence of an attempt: the answer to give when it is not the one that is `wanted` (a status).
local function not_attempt(task, attempt, wanted)
  local status = redis.call('HGET', STATUS, task)
  local current = redis.call('HGET', ATTEMPT, task)
  if status ~= wanted or current ~= attempt then
    return { 'refused', (status or 'unknown') .. ' at attempt ' .. (current or '0') }
  end
end

-- What an open attempt may cost is set aside from the run's budget, when it has one.
local function release(task)
  local cost = redis.call('HGET', BUDGET, 'open:' .. task)
  if cost then
    redis.call('HDEL', BUDGET, 'open:' .. task)
    redis.call('HINCRBY', BUDGET, 'held:cost', string.format('%d', -tonumber(cost)))
    redis.call('HINCRBY', BUDGET, 'held:calls', -1)
  end
end

local function spend(cost, tokens)
  if redis.call('EXISTS', BUDGET) == 0 then return end
  redis.call('HINCRBY', BUDGET, 'spent:calls', 1)
  redis.call('HINCRBY', BUDGET, 'spent:cost', cost)
  redis.call('HINCRBY', BUDGET, 'spent:tokens', tokens)
end

-- Settles a task and, in the same act, counts its dependants down and posts those that became ready.
local function settle(task, status, event, at)
  redis.call('HSET', STATUS, task, status)
  redis.call('ZREM', LEASES, task)
  redis.call('HDEL', CALLS, task)
  post(event)
  local dependants = redis.call('HGET', DEPENDANTS, task)
  if dependants then
    for _, other in ipairs(cjson.decode(dependants)) do
      if redis.call('HINCRBY', PENDING, other, -1) == 0
          and redis.call('HGET', STATUS, other) == 'waiting' then
        redis.call('HSET', STATUS, other, 'ready')
        post(cjson.encode({ type = 'task.ready', task = other, at = tonumber(at) }))
      end
    end
  end
end

-- The answer to a commit whose first answer was lost on its way; nil when it is another's.
local function told_again(task, attempt, value)
  if redis.call('HGET', STATUS, task) == 'done' and redis.call('HGET', ATTEMPT, task) == attempt
      and redis.call('HGET', SLOTS, task) == value then
    return { 'ok', redis.call('HGET', VERSIONS, task) }
  end
end

-- Writes down a task that is new: how many of its inputs are open, and that those count it down.
local function enlist(task, inputs, at)
  local waits = 0
  for _, input in ipairs(inputs) do
    if not SETTLED[redis.call('HGET', STATUS, input) or ''] then
      waits = waits + 1
      local found = redis.call('HGET', DEPENDANTS, input)
      local list = found and cjson.decode(found) or {}
      list[#list + 1] = task
      redis.call('HSET', DEPENDANTS, input, cjson.encode(list))
    end
  end
  redis.call('HSET', PENDING, task, waits)
  redis.call('HSET', ATTEMPT, task, 0)
  redis.call('HSET', STATUS, task, waits == 0 and 'ready' or 'waiting')
  if waits == 0 then
    post(cjson.encode({ type = 'task.ready', task = task, at = tonumber(at) }))
  end
end

local function write_slot(slot, value)
  redis.call('HSET', SLOTS, slot, value)
  return redis.call('HINCRBY', VERSIONS, slot, 1)
end

-- Attention is bounded: the `limit` most salient results stay in focus, the others only in their slots.
local function attend(task, salience, limit)
  redis.call('ZADD', FOCUS, salience, task)
  redis.call('ZREMRANGEBYRANK', FOCUS, 0, -(tonumber(limit) + 1))
end

-- The result of an attempt takes effect. ARGV: task, attempt, value, event, at, cost, tokens, salience, limit
local function effective()
  local task = ARGV[1]
  local version = write_slot(task, ARGV[3])
  attend(task, ARGV[8], ARGV[9])
  release(task)
  spend(ARGV[6], ARGV[7])
  settle(task, 'done', ARGV[4], ARGV[5])
  wake()
  return { 'ok', version }
end
