-- Sets aside what a piece of work may cost today. KEYS: record, holds, day.
-- ARGV: name of the work, day, cost wanted or -1, tokens wanted or -1, seconds to keep, share.
-- Where nothing is said the work gets a share of the day's budget, or what is left of it.
local wanted = { cost = tonumber(ARGV[3]), tokens = tonumber(ARGV[4]) }
local got, holds = { -1, -1 }, false
for i, what in ipairs({ 'cost', 'tokens' }) do
  local cap = tonumber(redis.call('HGET', KEYS[1], what) or '-1')
  if cap >= 0 then
    local spent = redis.call('HMGET', KEYS[3], what, 'held:' .. what)
    local left = cap - tonumber(spent[1] or '0') - tonumber(spent[2] or '0')
    if left <= 0 then return { 'spent', what } end
    local asked = wanted[what]
    if asked < 0 then asked = math.max(1, math.floor(cap / tonumber(ARGV[6]))) end
    got[i], holds = math.min(asked, left), true
  end
end
if holds and redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then
  local cost, tokens = math.max(got[1], 0), math.max(got[2], 0)
  redis.call('HSET', KEYS[2], ARGV[1], ARGV[2] .. '|' .. cost .. '|' .. tokens)
  redis.call('HINCRBY', KEYS[3], 'held:cost', cost)
  redis.call('HINCRBY', KEYS[3], 'held:tokens', tokens)
  redis.call('EXPIRE', KEYS[3], ARGV[5])
end
return { 'ok', got[1], got[2] }
