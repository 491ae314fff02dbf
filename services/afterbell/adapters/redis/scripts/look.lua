-- look: every fact about the queue in one read; changes nothing.
--
-- ARGV   2 window ms of the limiter
-- Returns  {now ms, waiting, active, due, dead, idle workers, starts in the window, oldest waiting age ms or -1,
--           next due in ms or -1, paused 0 or 1}
local summary = redis.pcall('XPENDING', READY, GROUP)
local active = summary.err and 0 or summary[1]
local waiting = redis.call('XLEN', READY) - active

-- The first entry no worker has read comes after the group's last delivered id. Deferred jobs re-enter at the end,
-- so this is the age of the wait that is going on, not of the job.
local function oldest_waiting_age()
  if waiting <= 0 then return -1 end
  local after = '-'
  if not summary.err then
    local info = redis.call('XINFO', 'GROUPS', READY)[1]
    for i = 1, #info, 2 do
      if info[i] == 'last-delivered-id' then after = '(' .. info[i + 1] end
    end
  end
  local first = redis.call('XRANGE', READY, after, '+', 'COUNT', 1)[1]
  if not first then return -1 end
  return NOW - tonumber(string.match(first[1], '^(%d+)'))
end

local next_due = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
return {
  NOW, waiting, active, redis.call('ZCARD', DUE), redis.call('ZCARD', DEAD), redis.call('SCARD', IDLE),
  redis.call('ZCOUNT', STARTS, NOW - ARGV[2], '+inf'), oldest_waiting_age(),
  next_due[2] and math.max(next_due[2] - NOW, 0) or -1,
  redis.call('HEXISTS', CONTROL, 'paused'),
}
