-- Lets a request in, or says why not. KEYS: record, rate, day.
-- ARGV: digest, "1" when it asks for work, seconds to keep a day's counts, day.
local told = redis.call('HMGET', KEYS[1], 'digest', 'old', 'old_until', 'expires', 'revoked', 'rate',
  'cost', 'tokens', 'calls')
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1e6
if not told[1] then return { 'unknown' } end
if told[1] ~= ARGV[1] and not (told[2] == ARGV[1] and now < tonumber(told[3] or '0')) then
  return { 'unknown' }
end
if told[5] then return { 'revoked' } end
if told[4] and now >= tonumber(told[4]) then return { 'expired' } end

-- The generic cell rate algorithm (ITU-T I.371, annex A), with the whole minute as its burst.
local left, wait = -1, 0
local rate = tonumber(told[6] or '0')
if rate > 0 then
  local gap = 60 / rate
  local due = math.max(tonumber(redis.call('GET', KEYS[2]) or '0'), now)
  wait = due + gap - now - 60
  if wait > 1e-6 then return { 'rate', tostring(wait), rate, 0, tostring(due - now) } end
  redis.call('SET', KEYS[2], string.format('%.6f', due + gap), 'EX', 120)
  left, wait = math.floor((60 - (due + gap - now)) / gap + 1e-6), due + gap - now
end

if ARGV[2] == '1' then
  local spent = redis.call('HMGET', KEYS[3], 'cost', 'tokens', 'calls', 'held:cost', 'held:tokens')
  if told[9] and tonumber(spent[3] or '0') >= tonumber(told[9]) then return { 'spent', 'calls' } end
  for i, what in ipairs({ 'cost', 'tokens' }) do
    local cap = told[6 + i]
    local gone = tonumber(spent[i] or '0') + tonumber(spent[3 + i] or '0')
    if cap and gone >= tonumber(cap) then return { 'spent', what } end
  end
  redis.call('HINCRBY', KEYS[3], 'calls', 1)
  redis.call('EXPIRE', KEYS[3], ARGV[3])
end
return { 'ok', rate, left, tostring(wait), redis.call('HGETALL', KEYS[1]) }
