-- One checkpoint with its values and writes, as of one moment. No id: the head. A higher fence is noted.
fenced_off()
local head = get(row('h', a.ns)) or ''
local id = a.id ~= '' and a.id or head
local at = row(a.ns, id)
local known = id ~= '' and checkpoint(at)
if not known then return { 'none' } end
if known.broken then return { 'broken', id } end
local values = {}
for i = 1, #known.held, 2 do
  local channel, version = known.held[i], known.held[i + 1]
  values[#values + 1] = { channel, get(row('b', a.ns, channel, version)) }
end
local number = tonumber(get('writes') or 0)
return { 'ok', id, head, number, known.body, known.metadata, known.parent, values, writes_of(at) }
