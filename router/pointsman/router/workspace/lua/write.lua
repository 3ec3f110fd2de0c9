-- Compare-and-set of a slot that is not a task's result. ARGV: slot, expected version, value
local no = stopped()
if no then return no end
if redis.call('HEXISTS', STATUS, ARGV[1]) == 1 then return { 'conflict', '-1' } end
local version = redis.call('HGET', VERSIONS, ARGV[1]) or '0'
if version ~= ARGV[2] then return { 'conflict', version } end
return { 'ok', write_slot(ARGV[1], ARGV[3]) }
