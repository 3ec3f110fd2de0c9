-- KEYS[1] is a list of threads here: those that have not expired.
return redis.call('ZRANGEBYSCORE', KEYS[1], redis.call('TIME')[1], '+inf')
