-- workers: who runs jobs or waits for them, in one read when an administrator asks; changes nothing.
--
-- ARGV   2 lease ms
-- Returns  `workers` of answers.py, with `worker` for each; at most 200 idle ones and 1000 jobs. `jobs` it runs; `idle`: 1
--          with a free slot; `there`: 1 while it is subscribed; ms since its last renewal, and until it comes back without
--          being woken, -1 where there is none
local LEASE_MS, IDLE_MAX, JOBS_MAX = tonumber(ARGV[2]), 200, 1000
local seen, order = {}, {}

local function worker_of(name)
  if not seen[name] then
    seen[name] = {jobs = 0, idle = 0, renewed = -1}
    order[#order + 1] = name
  end
  return seen[name]
end

local leases = redis.call('ZRANGE', LEASES, 0, JOBS_MAX - 1, 'WITHSCORES')
for i = 1, #leases, 2 do
  local owner = redis.call('HGET', job_key(leases[i]), 'owner')
  if owner then
    local worker, ago = worker_of(owner), math.max(NOW - (leases[i + 1] - LEASE_MS), 0)
    worker.jobs = worker.jobs + 1
    worker.renewed = worker.renewed < 0 and ago or math.min(worker.renewed, ago)
  end
end
for _, name in ipairs(redis.call('SRANDMEMBER', IDLE, IDLE_MAX)) do worker_of(name).idle = 1 end

local found = {}
for i, name in ipairs(order) do
  local worker, back_at = seen[name], tonumber(redis.call('ZSCORE', WATCH, name))
  found[i] = answer('worker', {
    name = name,
    jobs = worker.jobs,
    idle = worker.idle,
    there = math.min(redis.call('PUBSUB', 'NUMSUB', PREFIX .. 'wakeup:' .. name)[2], 1),
    renewed_ms_ago = worker.renewed,
    back_in_ms = back_at and math.max(back_at - NOW, 0) or -1,
  })
end
return answer('workers', {workers = found, drained = drained()})
