-- look: every fact about the queue in one read; changes nothing, so that it also answers where Redis is full or read-only.
--
-- ARGV   2 window ms of the limiter
-- Returns  {now ms, waiting, active, due, dead, idle workers, starts in the window, oldest waiting age ms or -1,
--           next due in ms or -1, paused 0 or 1, lanes with waiting jobs, running jobs whose lease ran out,
--           commands the fleet has sent today}
local first = redis.call('ZRANGE', WAITING, 0, 0, 'WITHSCORES')
local next_due = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
return {
  NOW, redis.call('ZCARD', WAITING), redis.call('ZCARD', LEASES), redis.call('ZCARD', DUE), redis.call('ZCARD', DEAD),
  redis.call('SCARD', IDLE), redis.call('ZCOUNT', STARTS, NOW - ARGV[2], '+inf'),
  first[2] and NOW - first[2] or -1, next_due[2] and math.max(next_due[2] - NOW, 0) or -1,
  redis.call('HEXISTS', CONTROL, 'paused'), redis.call('ZCARD', LANES), redis.call('ZCOUNT', LEASES, '-inf', NOW),
  tonumber(redis.call('HGET', SPENT, TODAY)) or 0,
}
