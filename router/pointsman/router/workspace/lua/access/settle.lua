-- What a piece of work has cost in truth, once. KEYS: holds, settled, the day it was let in on.
-- ARGV: name of the work, cost, tokens, seconds to keep.
if redis.call('SET', KEYS[2], '1', 'NX', 'EX', 3600) == false then return { 'again' } end
local held = redis.call('HGET', KEYS[1], ARGV[1])
if held then
  local cost, tokens = string.match(held, '|(%-?%d+)|(%-?%d+)$')
  redis.call('HINCRBY', KEYS[3], 'held:cost', string.format('%d', -tonumber(cost)))
  redis.call('HINCRBY', KEYS[3], 'held:tokens', string.format('%d', -tonumber(tokens)))
  redis.call('HDEL', KEYS[1], ARGV[1])
end
redis.call('HINCRBY', KEYS[3], 'cost', ARGV[2])
redis.call('HINCRBY', KEYS[3], 'tokens', ARGV[3])
redis.call('EXPIRE', KEYS[3], ARGV[4])
return { 'ok' }
