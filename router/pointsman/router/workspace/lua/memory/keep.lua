-- Keeps the trace of a run that has ended; again it changes nothing. The oldest make room.
-- ARGV: run, trace, at, limits of traces (count, bytes), key or '', remembered plan or '', whole ('1' or ''),
--   runs that must agree (0: never), limits of plans (count, bytes), run whose plan it used or ''
local run, at, key = ARGV[1], ARGV[3], ARGV[6]
redis.call('ZREM', DUE, run)
if redis.call('ZSCORE', SHUT, run) then return { 'refused' } end
if redis.call('HEXISTS', TRACES, run) == 1 then return { 'ok', 'there' } end
redis.call('HSET', TRACES, run, ARGV[2])
redis.call('ZADD', AGE, at, run)
redis.call('HINCRBY', STATE, 'bytes', string.len(ARGV[2]))
local used = ARGV[12] ~= '' and redis.call('HGET', OF, 'run:' .. ARGV[12])
if used then
  redis.call('ZADD', USED, at, used)
  redis.call('HINCRBY', RECORD, used .. (ARGV[8] == '1' and '|whole' or '|not'), 1)
  if ARGV[8] ~= '1' then changed() end
end
if key ~= '' and ARGV[8] == '1' then
  redis.call('HSET', KEYED, run, key)
  local agreed = redis.call('HINCRBY', AGREED, key, 1)
  local enough = tonumber(ARGV[9])
  if enough > 0 and agreed >= enough and redis.call('HEXISTS', TOMBS, key) == 0 then
    put(key, ARGV[7], run, at, ARGV[10], ARGV[11])
  end
end
while redis.call('ZCARD', AGE) > 1 and (redis.call('ZCARD', AGE) > tonumber(ARGV[4])
    or tonumber(redis.call('HGET', STATE, 'bytes')) > tonumber(ARGV[5])) do
  drop(redis.call('ZRANGE', AGE, 0, 0)[1])
end
return { 'ok', 'kept' }
