-- The ledger, before an effect: refused when an attempt before this one may have had it.
-- ARGV: task, attempt, field, entry, effect class
local no = stopped() or not_attempt(ARGV[1], ARGV[2], 'running')
if no then return no end
local found = redis.call('HGET', EFFECTS, ARGV[3])
if found then
  local entry = cjson.decode(found)
  if entry.state == 'done' then return { 'done', found } end
  if entry.state ~= 'cleared' then
    if ARGV[5] ~= 'keyed' then return { 'unknown', found } end
    -- the attempt before may have had the effect, whatever this one will say of itself
    local fresh = cjson.decode(ARGV[4])
    fresh.open = true
    redis.call('HSET', EFFECTS, ARGV[3], cjson.encode(fresh))
    return { 'ok' }
  end
end
redis.call('HSET', EFFECTS, ARGV[3], ARGV[4])
return { 'ok' }
