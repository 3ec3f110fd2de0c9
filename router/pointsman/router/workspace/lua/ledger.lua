-- The ledger, after an effect: what is known of it now, whoever owns the task by then; a fact is not fenced.
-- ARGV: field, attempt of the intent, state (done, unknown, cleared), at, note, value as JSON or ''
local found = redis.call('HGET', EFFECTS, ARGV[1])
if not found then return { 'refused', 'no intent' } end
local entry = cjson.decode(found)
if entry.state == 'done' then return { 'refused', 'done' } end
if tostring(entry.attempt) ~= ARGV[2] then
  -- an attempt before the present one: that it happened is kept beside the present one's state
  if ARGV[3] == 'done' then
    entry.also = tonumber(ARGV[2])
    redis.call('HSET', EFFECTS, ARGV[1], cjson.encode(entry))
  end
  return { 'refused', 'another attempt' }
end
local state = ARGV[3]
if state == 'cleared' and entry.open then state = 'unknown' end
entry.state, entry.ended, entry.note = state, tonumber(ARGV[4]), ARGV[5]
if ARGV[6] ~= '' then entry.value = ARGV[6] end
redis.call('HSET', EFFECTS, ARGV[1], cjson.encode(entry))
return { 'ok' }
