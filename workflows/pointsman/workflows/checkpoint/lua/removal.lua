-- Takes checkpoints out, with their writes and the values that no other checkpoint holds.
local function remove(gone)
  if not next(gone) then return end
  local held, left, newest = {}, {}, {}
  for _, name in ipairs(names('c')) do
    local at = string.sub(name, 3)
    local ns, known = space_of(at), checkpoint(at)
    for i = 1, #known.held, 2 do
      local blob = row('b', ns, known.held[i], known.held[i + 1])
      held[blob] = held[blob] or not gone[at]
    end
    if gone[at] then
      for _, write in ipairs(names(row('w', at))) do
        redis.call('HDEL', ROWS, write)
        redis.call('ZREM', ORDER, write)
      end
      redis.call('HDEL', ROWS, name)
      redis.call('ZREM', ORDER, name)
      newest[ns] = newest[ns] or ''
    else
      left[at] = true
      newest[ns] = string.sub(at, #ns + 2)
    end
  end
  for blob, used in pairs(held) do
    if not used then redis.call('HDEL', ROWS, blob) end
  end
  for ns, id in pairs(newest) do
    local head = get(row('h', ns))
    if id == '' then
      redis.call('HDEL', ROWS, row('h', ns), row('r', ns))
    elseif not head or not left[row(ns, head)] then
      redis.call('HSET', ROWS, row('h', ns), id, row('r', ns), '')
    end
  end
  if not next(left) then
    redis.call('DEL', ROWS, ORDER)
    redis.call('ZREM', THREADS, a.thread)
  end
end
