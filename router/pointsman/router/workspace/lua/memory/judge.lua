-- What a person says of a run. Right: its plan is remembered; wrong: it leaves and does not come back.
-- ARGV: run, judgement, right ('1' or '0'), at, key or '', remembered plan or '', tombstone or '',
--   limits of plans (count, bytes), most tombstones
local run, key = ARGV[1], ARGV[5]
if redis.call('HEXISTS', TRACES, run) == 0 then return { 'missing' } end
redis.call('HSET', JUDGED, run, ARGV[2])
if key == '' then return { 'ok', 'noted' } end
if ARGV[3] == '0' then
  unput(key)
  local tomb = redis.call('HGET', TOMBS, key)
  if not tomb then bury(key, ARGV[7], run, ARGV[4], ARGV[10]) end
  return { 'ok', 'barred' }
end
local tomb = redis.call('HGET', TOMBS, key)
if tomb and string.sub(tomb, 1, string.len(run) + 1) == run .. '|' then
  redis.call('HDEL', TOMBS, key)
  redis.call('ZREM', TOMBS_AGE, key)
  changed()
  tomb = false
end
if tomb then return { 'ok', 'barred' } end
if ARGV[6] == '' then return { 'ok', 'noted' } end
put(key, ARGV[6], run, ARGV[4], ARGV[8], ARGV[9])
return { 'ok', 'remembered' }
