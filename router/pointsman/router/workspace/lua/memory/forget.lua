-- Runs and a plan leave the memory for good. ARGV: at, key or '', tombstone or '', most tombstones, runs...
local at, key = ARGV[1], ARGV[2]
local gone = 0
for i = 5, #ARGV do
  gone = gone + drop(ARGV[i])
  redis.call('ZREM', DUE, ARGV[i])
  redis.call('ZADD', SHUT, at, ARGV[i])
end
redis.call('ZREMRANGEBYSCORE', SHUT, '-inf', tonumber(at) - 30 * 24 * 3600)
if key ~= '' then
  gone = gone + unput(key)
  redis.call('HDEL', AGREED, key)
  if ARGV[3] ~= '' then bury(key, ARGV[3], '', at, ARGV[4]) end
end
return { 'ok', gone }
