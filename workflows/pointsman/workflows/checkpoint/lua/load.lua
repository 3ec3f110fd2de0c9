-- One checkpoint with its values and writes, as of one moment. No id: the head. A higher fence is noted.
fenced_off()
local head = get(row('h', a.ns)) or ''
local id = a.id ~= '' and a.id or head
local at = row(a.ns, id)
local checkpoint = id ~= '' and get(row('c', at))
if not checkpoint then return { 'none' } end
local known = facts(at)
if not known then return { 'ok', id, head, 0, checkpoint, false, '', {}, {} } end
local values, writes = {}, {}
for _, pair in ipairs(known.held) do
  values[#values + 1] = pair[1]
  values[#values + 1] = get(row('b', a.ns, pair[1], pair[2]))
end
for _, name in ipairs(names(row('w', at))) do
  writes[#writes + 1] = name
  writes[#writes + 1] = get(name)
end
local seq = tonumber(get('seq') or 0)
return { 'ok', id, head, seq, checkpoint, get(row('m', at)), known.parent, values, writes }
