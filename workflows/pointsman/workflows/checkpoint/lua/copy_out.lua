-- A whole thread as of one moment.
return { redis.call('DUMP', ROWS), redis.call('DUMP', ORDER) }
