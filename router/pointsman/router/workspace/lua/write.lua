-- Compare-and-set of a slot that is not a task's result. ARGV: slot, expected version, value
if over() then return { 'over', over() } end
local version = redis.call('HGET', VERSIONS, ARGV[1]) or '0'
if version ~= ARGV[2] then return { 'conflict', version } end
return { 'ok', write_slot(ARGV[1], ARGV[3]) }
