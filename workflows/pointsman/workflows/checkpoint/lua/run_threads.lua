-- The keys are sets of threads here, one of each run.
return redis.call('SUNION', unpack(KEYS))
