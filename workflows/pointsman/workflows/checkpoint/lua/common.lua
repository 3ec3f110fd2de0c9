-- Prepended to every script. A thread is two keys: a hash of rows and a sorted set of their names, all of
-- score 0, so that rows are found by the start of their name. Names are joined by NUL:
--   c ns id            a checkpoint without its channel values
--   m ns id            its metadata
--   f ns id            what the scripts need to know of it, as JSON
--   b ns channel version   a channel's value
--   w ns id task index     a write: channel NUL path NUL sequence NUL reader NUL value
--   h ns, r ns         the head, and the reader who put it
--   x run              there is, or was, a checkpoint of this run
--   fence, seq         the highest fence, the number of writes
local ROWS, ORDER, THREADS = KEYS[1], KEYS[2], KEYS[3]
local S = '\0'
local a = cjson.decode(ARGV[1])

local function row(...)
  return table.concat({ ... }, S)
end

local function get(name)
  return redis.call('HGET', ROWS, name)
end

local function facts(at)
  local packed = get(row('f', at))
  return packed and cjson.decode(packed)
end

-- Names that start so, in order.
local function names(start)
  return redis.call('ZRANGEBYLEX', ORDER, '[' .. start .. S, '(' .. start .. '\1')
end

-- The thread expires as one, and the list of threads says when.
local function keep()
  local expiry = '+inf'
  local now = tonumber(redis.call('TIME')[1])
  if a.keep > 0 then
    expiry = now + a.keep + 1
    redis.call('EXPIRE', ROWS, a.keep)
    redis.call('EXPIRE', ORDER, a.keep)
  else
    redis.call('PERSIST', ROWS)
    redis.call('PERSIST', ORDER)
  end
  redis.call('ZREMRANGEBYSCORE', THREADS, '-inf', '(' .. now)
  redis.call('ZADD', THREADS, expiry, a.thread)
end

-- Highest fence wins; a lower one is told the highest.
local function fenced_off()
  if a.fence == '' then return false end
  local highest = get('fence')
  if highest and tonumber(a.fence) < tonumber(highest) then return { 'fence', highest } end
  if a.fence ~= highest then
    redis.call('HSET', ROWS, 'fence', a.fence)
    keep()
  end
  return false
end

-- channel, path, sequence, reader of a stored write
local function write_head(value)
  local found, from = {}, 1
  for i = 1, 4 do
    local at = string.find(value, S, from, true)
    found[i] = string.sub(value, from, at - 1)
    from = at + 1
  end
  return unpack(found)
end

local function set(list)
  local found = {}
  for _, item in ipairs(list) do found[item] = true end
  return found
end

-- Takes checkpoints out, with their writes and the values that no other checkpoint holds.
local function remove(gone)
  if not next(gone) then return end
  local held, left, heads = {}, {}, {}
  for _, name in ipairs(names('c')) do
    local at = string.sub(name, 3)
    local known = facts(at) or { held = {} }
    local ns = string.match(at, '^([^%z]*)%z')
    for _, pair in ipairs(known.held) do
      local blob = row('b', ns, pair[1], pair[2])
      if gone[at] then held[blob] = held[blob] or false else held[blob] = true end
    end
    if gone[at] then
      for _, write in ipairs(names(row('w', at))) do
        redis.call('HDEL', ROWS, write)
        redis.call('ZREM', ORDER, write)
      end
      redis.call('HDEL', ROWS, name, row('m', at), row('f', at))
      redis.call('ZREM', ORDER, name)
      heads[ns] = heads[ns] or ''
    else
      left[at] = true
      heads[ns] = string.sub(at, #ns + 2)
    end
  end
  for blob, used in pairs(held) do
    if not used then redis.call('HDEL', ROWS, blob) end
  end
  for ns, newest in pairs(heads) do
    local head = get(row('h', ns))
    if newest == '' then
      redis.call('HDEL', ROWS, row('h', ns), row('r', ns))
    elseif head and not left[row(ns, head)] then
      redis.call('HSET', ROWS, row('h', ns), newest, row('r', ns), '')
    end
  end
  if not next(left) then
    redis.call('DEL', ROWS, ORDER)
    redis.call('ZREM', THREADS, a.thread)
  end
end
