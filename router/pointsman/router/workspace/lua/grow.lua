-- Begins tasks of a plan that is still being written: those whose inputs are settled are ready at once.
-- ARGV: epoch, event, at, tasks as JSON [[id, [input ids]], ...], inputs first
local no = not_owner(ARGV[1]) or stopped()
if no then return no end
if redis.call('HEXISTS', RUN, 'proposed') == 1 then return { 'refused', 'the plan is whole' } end
post(ARGV[2])
for _, entry in ipairs(cjson.decode(ARGV[4])) do
  local id, inputs = entry[1], entry[2]
  if redis.call('HEXISTS', STATUS, id) == 0 then
    enlist(id, inputs, ARGV[3])
  end
end
wake()
return { 'ok' }
