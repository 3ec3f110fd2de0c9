-- Prepended to every script of a run. All keys of a run share a hash tag, so they live on one node.
local RUN, BUS, STATUS, ATTEMPT, PENDING, DEPENDANTS, SLOTS, VERSIONS, CALLS, LEASES = unpack(KEYS)
local WAKE = 'pm:wake'

local function post(event)
  return redis.call('XADD', BUS, '*', 'e', event)
end

local function wake()
  redis.call('PUBLISH', WAKE, redis.call('HGET', RUN, 'id') or '')
end

local function over()
  local status = redis.call('HGET', RUN, 'status')
  if not status then return 'missing' end
  if status == 'done' or status == 'failed' or status == 'refused' or status == 'cancelled' then
    return status
  end
  return false
end

local SETTLED = { done = true, failed = true, skipped = true, cancelled = true }

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

local function write_slot(slot, value)
  redis.call('HSET', SLOTS, slot, value)
  return redis.call('HINCRBY', VERSIONS, slot, 1)
end

-- The fence of a run's owner: a controller that lost its lease is refused everywhere.
local function not_owner(epoch)
  return redis.call('HGET', RUN, 'epoch') ~= epoch
end
