-- Prepended to every script. A thread is two keys: a hash of rows and a sorted set of their names, all of
-- score 0, so that rows are found by the start of their name. Names are joined by NUL:
--   c ns id                a checkpoint: parent, run, open, held, metadata, body (see `checkpoint`)
--   b ns channel version   a channel's value
--   w ns id task           a task's writes to it: {index, channel, path, number, reader, value}, ...
--   h ns, r ns             the head, and the reader who put it
--   x run                  there is, or was, a checkpoint of this run
--   fence, writes          the highest fence, the number of the last write
-- The sorted set has the names that begin with c and w.
local ROWS, ORDER, THREADS = KEYS[1], KEYS[2], KEYS[3]
local S = '\0'
local a = cjson.decode(ARGV[1])

local function row(...)
  return table.concat({ ... }, S)
end

local function get(name)
  return redis.call('HGET', ROWS, name)
end

local function unpacked(name)
  local packed = get(name)
  local whole, value = pcall(cmsgpack.unpack, packed or '')
  return whole and type(value) == 'table' and value
end

-- nil where there is none; `broken` where there is one that cannot be read.
-- held: channel, version, ... with a value; open: delta channels whose value is to be had from ancestors.
local function checkpoint(at)
  local name = row('c', at)
  local found = unpacked(name)
  if not found then
    if redis.call('HEXISTS', ROWS, name) == 0 then return nil end
    return { broken = true, parent = '', run = '', open = {}, held = {} }
  end
  local parent, run, open, held, metadata, body = unpack(found)
  return { parent = parent, run = run, open = open, held = held, metadata = metadata, body = body }
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
  redis.call('ZREMRANGEBYSCORE', THREADS, '-inf', now)
  redis.call('ZADD', THREADS, expiry, a.thread)
end

-- The highest fence wins; a lower one is told the highest.
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

local function set(list)
  local found = {}
  for _, item in ipairs(list) do found[item] = true end
  return found
end

local function space_of(at)
  return string.match(at, '^([^%z]*)%z')
end
