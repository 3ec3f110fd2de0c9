-- {task, index, channel, path, value} of a checkpoint's writes; {task} where they cannot be read.
local function writes_of(at, only)
  local found = {}
  for _, name in ipairs(names(row('w', at))) do
    local task = string.match(name, '[^%z]*$')
    local writes = unpacked(name)
    for _, write in ipairs(writes or {}) do
      local index, channel, path, _, _, value = unpack(write)
      if not only or only[channel] then found[#found + 1] = { task, index, channel, path, value } end
    end
    if not writes then found[#found + 1] = { task } end
  end
  return found
end
