-- Keeps the vectors of plans that are still there. ARGV: key, vector, key, vector, ...
local kept = 0
for i = 1, #ARGV, 2 do
  if redis.call('HEXISTS', PLANS, ARGV[i]) == 1 then
    redis.call('HSET', VECTORS, ARGV[i], ARGV[i + 1])
    kept = kept + 1
  end
end
return { 'ok', kept }
