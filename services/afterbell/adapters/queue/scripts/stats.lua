-- stats: every fact about the queue in one read; changes nothing, so that it also answers where Redis is full or read-only.
--
-- ARGV   2 window ms of the limiter   3 1: the fleet as well
-- Returns  `stats` of answers.py. `owners` has one entry a running job; `drained` are workers and pods; memory is bytes in
--          use and at the most (0: no limit), -1 where the user of this connection may not ask; `evicts` is 1 where the server
--          would delete keys of ours to stay below the most
local function owners_of_running()
  local owners = {}
  for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, -1)) do
    owners[#owners + 1] = redis.call('HGET', job_key(id), 'owner') or nil
  end
  return owners
end

local function memory()
  local info = redis.pcall('INFO', 'memory')
  if type(info) ~= 'string' then return -1, 0, 0 end
  local used, most = tonumber(info:match('used_memory:(%d+)')) or -1, tonumber(info:match('maxmemory:(%d+)')) or 0
  local policy = info:match('maxmemory_policy:([%w-]+)') or 'noeviction'
  return used, most, (most > 0 and policy ~= 'noeviction') and 1 or 0
end

local with_fleet = ARGV[3] == '1'
local used, most, evicts = -1, 0, 0
if with_fleet then used, most, evicts = memory() end
return answer('stats', {
  load = load_of_queue(),
  dead = redis.call('ZCOUNT', DEAD, '(' .. NOW - DEAD_KEPT_MS, '+inf'),
  idle_workers = redis.call('SCARD', IDLE),
  starts_in_window = redis.call('ZCOUNT', STARTS, NOW - ARGV[2], '+inf'),
  lanes = redis.call('ZCARD', LANES),
  commands_today = tonumber(redis.call('HGET', SPENT, TODAY)) or 0,
  owners = with_fleet and owners_of_running() or {},
  drained = with_fleet and drained() or {},
  memory_bytes = used,
  memory_max_bytes = most,
  evicts = evicts,
})
