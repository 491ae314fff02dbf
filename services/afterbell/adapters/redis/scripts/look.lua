-- look: every fact about the queue in one read; changes nothing, so that it also answers where Redis is full or read-only.
--
-- ARGV   2 window ms of the limiter   3 1: the fleet as well
-- Returns  {load as the prelude lists it, dead, idle workers, starts in the window, lanes with waiting jobs, commands the
--           fleet has sent today, owners of the running jobs (one entry a job), drained workers and pods,
--           bytes of memory in use and at the most (0: no limit); -1 where the user of this connection may not ask}
local function owners()
  local found = {}
  for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    found[#found + 1] = redis.call('HGET', job_key(id), 'owner') or nil
  end
  return found
end

local function memory()
  local told = redis.pcall('INFO', 'memory')
  if type(told) ~= 'string' then return -1, 0 end
  return tonumber(told:match('used_memory:(%d+)')) or -1, tonumber(told:match('maxmemory:(%d+)')) or 0
end

local of_fleet = ARGV[3] == '1'
local used, most = -1, 0
if of_fleet then used, most = memory() end
return {
  load_of_queue(), redis.call('ZCARD', DEAD), redis.call('SCARD', IDLE), redis.call('ZCOUNT', STARTS, NOW - ARGV[2], '+inf'),
  redis.call('ZCARD', LANES), tonumber(redis.call('HGET', SPENT, TODAY)) or 0,
  of_fleet and owners() or {}, of_fleet and drained() or {}, used, most,
}
