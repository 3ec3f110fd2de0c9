-- Cancels tasks that were begun and are in no plan any more. What a call that is under way may cost counts as
-- spent. ARGV: epoch, 'idle' (only tasks that no expert has) or 'all', at, ids as JSON, dependants first
local no = not_owner(ARGV[1])
if no then return no end
local dropped = { 'ok' }
for _, id in ipairs(cjson.decode(ARGV[4])) do
  local status = redis.call('HGET', STATUS, id)
  local idle = status == 'waiting' or status == 'ready'
  if status and not SETTLED[status] and (idle or ARGV[2] == 'all') then
    local cost = redis.call('HGET', BUDGET, 'open:' .. id) or '0'
    release(id)
    if status == 'running' and redis.call('HEXISTS', CALLS, id) == 1 then spend(cost, 0) end
    settle(id, 'cancelled', cjson.encode({ type = 'task.cancelled', task = id, at = tonumber(ARGV[3]) }), ARGV[3])
    dropped[#dropped + 1] = id
  end
end
-- workers look at their leases when they hear this, and stop what they do not hold any more
redis.call('PUBLISH', 'pm:cancel', ID)
wake()
return dropped
