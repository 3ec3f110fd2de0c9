-- The one effective result of a task: fence, effect, slot, focus, broadcast, countdown, ready: one act.
-- ARGV: task, attempt, value, event, at, cost, tokens, salience, focus limit
local no = stopped()
if no then return no end
local task = ARGV[1]
no = not_attempt(task, ARGV[2], 'running')
if no then return told_again(task, ARGV[2], ARGV[3]) or no end
local effect = redis.call('HGET', EFFECTS, task .. '/0')
if effect then
  local entry = cjson.decode(effect)
  entry.state, entry.ended = 'done', tonumber(ARGV[5])
  redis.call('HSET', EFFECTS, task .. '/0', cjson.encode(entry))
end
return effective()
