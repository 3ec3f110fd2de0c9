-- "ns NUL id" of every checkpoint of a thread, or of one namespace.
local found = {}
for _, name in ipairs(names(a.ns and row('c', a.ns) or 'c')) do found[#found + 1] = string.sub(name, 3) end
return found
