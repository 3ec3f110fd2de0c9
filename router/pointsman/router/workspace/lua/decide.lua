-- A person's decision on exactly what was asked. The last three are given when the arguments are edited:
-- the request is closed, another one with the new arguments takes its place, and the task stays held.
-- ARGV: approval, digest, decision, at, by, note, event, [approval, entry, event]
local no = stopped()
if no then return no end
local found = redis.call('HGET', APPROVALS, ARGV[1])
if not found then return { 'missing' } end
local entry = cjson.decode(found)
if entry.decision then return { 'refused', 'it was ' .. entry.decision .. ' by ' .. entry.by } end
if entry.digest ~= ARGV[2] then return { 'refused', 'its arguments are not those that were seen' } end
if ARGV[3] ~= 'expired' and tonumber(ARGV[4]) > entry.expires then
  return { 'refused', 'it has expired' }
end
if redis.call('HGET', STATUS, entry.task) ~= 'held' then return { 'refused', 'its task is not held' } end
entry.decision, entry.at, entry.by, entry.note = ARGV[3], tonumber(ARGV[4]), ARGV[5], ARGV[6]
redis.call('HSET', APPROVALS, ARGV[1], cjson.encode(entry))
-- a person who lets an unknown effect be called again clears it; one who says that it happened closes it
if ARGV[3] == 'approved' or ARGV[3] == 'done' then
  local field = entry.task .. '/0'
  local effect = redis.call('HGET', EFFECTS, field)
  if effect then
    effect = cjson.decode(effect)
    if effect.state ~= 'done' then
      effect.state = ARGV[3] == 'done' and 'done' or 'cleared'
      effect.ended, effect.note = tonumber(ARGV[4]), 'by ' .. ARGV[5]
      redis.call('HSET', EFFECTS, field, cjson.encode(effect))
    end
  end
end
post(ARGV[7])
if ARGV[8] then
  redis.call('HSET', APPROVALS, ARGV[8], ARGV[9])
  post(ARGV[10])
else
  redis.call('HSET', STATUS, entry.task, 'ready')
end
wake()
return { 'ok' }
