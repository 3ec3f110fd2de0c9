-- The one effective result of a task: fence, effect, slot, focus, broadcast, countdown, ready: one act.
-- ARGV: task, attempt, value, event, at, cost, tokens, salience, focus limit
local no = stopped()
if no then return no end
local task = ARGV[1]
no = not_attempt(task, ARGV[2], 'running')
if no then
  -- the answer to this very commit was lost on its way: it is told again
  if no[2] == 'done at attempt ' .. ARGV[2] and redis.call('HGET', SLOTS, task) == ARGV[3] then
    return { 'ok', redis.call('HGET', VERSIONS, task) }
  end
  return no
end
local effect = redis.call('HGET', EFFECTS, task .. '/0')
if effect then
  local entry = cjson.decode(effect)
  entry.state, entry.ended = 'done', tonumber(ARGV[5])
  redis.call('HSET', EFFECTS, task .. '/0', cjson.encode(entry))
end
local version = write_slot(task, ARGV[3])
attend(task, ARGV[8], ARGV[9])
release(task)
spend(ARGV[6], ARGV[7])
settle(task, 'done', ARGV[4], ARGV[5])
wake()
return { 'ok', version }
