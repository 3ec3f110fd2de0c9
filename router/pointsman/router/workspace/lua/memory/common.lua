-- Prepended to every script of the memory. All its keys share the hash tag {memory}: one node holds them.
local TRACES, AGE, JUDGED, KEYED, PLANS, USED, VECTORS, RECORD, AGREED, OF, TOMBS, TOMBS_AGE, STATE, DUE,
  SHUT = unpack(KEYS)

local function changed()
  redis.call('HINCRBY', STATE, 'version', 1)
end

-- A remembered plan and all that hangs on it.
local function unput(key)
  local plan = redis.call('HGET', PLANS, key)
  if not plan then return 0 end
  redis.call('HINCRBY', STATE, 'plan_bytes', -string.len(plan))
  redis.call('HDEL', PLANS, key)
  redis.call('ZREM', USED, key)
  redis.call('HDEL', VECTORS, key)
  redis.call('HDEL', RECORD, key .. '|whole', key .. '|not')
  local run = redis.call('HGET', OF, key)
  if run then redis.call('HDEL', OF, key, 'run:' .. run) end
  changed()
  return 1
end

-- Remembers a plan; the least recently used ones make room. limits: plans, bytes.
local function put(key, plan, run, at, plans, bytes)
  if redis.call('HEXISTS', PLANS, key) == 1 then return end
  redis.call('HSET', PLANS, key, plan)
  redis.call('HSET', OF, key, run, 'run:' .. run, key)
  redis.call('ZADD', USED, at, key)
  redis.call('HINCRBY', STATE, 'plan_bytes', string.len(plan))
  changed()
  while redis.call('ZCARD', USED) > 1 and (redis.call('ZCARD', USED) > tonumber(plans)
      or tonumber(redis.call('HGET', STATE, 'plan_bytes')) > tonumber(bytes)) do
    local oldest = redis.call('ZRANGE', USED, 0, 1)
    unput(oldest[1] == key and oldest[2] or oldest[1])
  end
end

-- A trace and what counts on it.
local function drop(run)
  local trace = redis.call('HGET', TRACES, run)
  if not trace then return 0 end
  redis.call('HINCRBY', STATE, 'bytes', -string.len(trace))
  redis.call('HDEL', TRACES, run)
  redis.call('HDEL', JUDGED, run)
  redis.call('ZREM', AGE, run)
  local key = redis.call('HGET', KEYED, run)
  if key then
    redis.call('HDEL', KEYED, run)
    if redis.call('HINCRBY', AGREED, key, -1) <= 0 then redis.call('HDEL', AGREED, key) end
  end
  return 1
end

-- A plan that is not to come back; of too many, the oldest tombstones go. run: who may take it back, or ''.
local function bury(key, tomb, run, at, most)
  redis.call('HSET', TOMBS, key, run .. '|' .. tomb)
  redis.call('ZADD', TOMBS_AGE, at, key)
  local extra = redis.call('ZCARD', TOMBS_AGE) - tonumber(most)
  if extra > 0 then
    for _, old in ipairs(redis.call('ZRANGE', TOMBS_AGE, 0, extra - 1)) do
      redis.call('HDEL', TOMBS, old)
      redis.call('ZREM', TOMBS_AGE, old)
    end
  end
  changed()
end
