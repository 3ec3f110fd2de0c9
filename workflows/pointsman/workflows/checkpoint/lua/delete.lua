redis.call('DEL', ROWS, ORDER)
redis.call('ZREM', THREADS, a.thread)
