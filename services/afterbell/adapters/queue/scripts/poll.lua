-- poll: one exchange between a worker and the queue. The worker says what became of the jobs that ended and which
-- still run; it gets the jobs that may start now.
--
-- ARGV   2 worker   3 free slots, those of the ended jobs included   4 lease ms   5 starts a window (0 = no limiter)
--        6 window ms   7 a job that this many workers vanished with is dead; one short of that it shares its worker with
--        no other such job, so that a job that kills its process takes no neighbour along   8 how many jobs ended, e
--        9..   e fives: job id, run, outcome (done | retry | defer | dead | cancelled | handback), delay ms, reason
--        then  pairs of a running job: job id, run
-- Returns  `poll` of answers.py, with `job` for each that was started. `come_back_ms` -1: when it is woken; `gate`: the rule
--          that is closed, or ''; `lost`: ids now run by another worker; `unknown`: ids Redis does not know any more;
--          `troubled`: names of models in trouble, one a line
-- A worker's name is its pod's, or that with a dash and 8 hexadecimal digits; a drained pod drains both.
local POD = string.match(ARGV[2], '^(.+)%-%x%x%x%x%x%x%x%x$') or ARGV[2]
local WORKER, FREE, LEASE_MS = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local LOST_MAX, ENDED_COUNT = tonumber(ARGV[7]), tonumber(ARGV[8])
local FIRST_RUNNING = 9 + 5 * ENDED_COUNT
local SUSPECT_FROM = math.max(LOST_MAX - 1, 1)
local jobs, given_up, lost, unknown, cancelled = {}, {}, {}, {}, {}
local holds_suspect = false
watching.poller, watching.suspect_from = WORKER, SUSPECT_FROM
limiter.starts_max, limiter.window_ms = tonumber(ARGV[5]), tonumber(ARGV[6])

-- 'own' where this worker runs the job under this run, else why not.
local function standing(id, run)
  local job = redis.call('HMGET', job_key(id), 'owner', 'run', 'state', 'cancel', 'lost')
  if not job[3] then return 'unknown' end
  if job[3] ~= 'active' or job[1] ~= WORKER or job[2] ~= run then return 'lost' end
  return 'own', job[4], tonumber(job[5]) or 0
end

local function wait_until_due(id, delay_ms, reason)
  redis.call('HSET', job_key(id), 'state', 'due', 'reason', reason)
  redis.call('ZADD', DUE, NOW + delay_ms, id)
  -- Another worker learns of it too: should this one vanish, the job still starts on time.
  wake_one()
end

local settle_as = {
  done = function(id) finish(id, 'completed') end,
  cancelled = function(id) finish(id, 'cancelled') end,
  retry = function(id, delay_ms, reason)
    redis.call('HINCRBY', job_key(id), 'failures', 1)
    wait_until_due(id, delay_ms, reason)
  end,
  defer = wait_until_due,
  dead = function(id, _, reason) give_up(id, reason) end,
  handback = function(id)
    make_ready(id)
    wake_one()
  end,
}

-- Outcomes that lead to another start, which a cancelled job does not get.
local AGAIN = {retry = true, defer = true, handback = true}

local function settle(first)
  local id = ARGV[first]
  local how, cancel = standing(id, ARGV[first + 1])
  if how == 'own' then
    local outcome = ARGV[first + 2]
    if cancel and AGAIN[outcome] then outcome = 'cancelled' end
    redis.call('ZREM', LEASES, id)
    settle_as[outcome](id, tonumber(ARGV[first + 3]), ARGV[first + 4])
  elseif how == 'lost' then
    lost[#lost + 1] = id
  else
    unknown[#unknown + 1] = id
  end
end

local function renew(id, run)
  local how, cancel, workers_lost = standing(id, run)
  if how == 'own' then
    redis.call('ZADD', LEASES, NOW + LEASE_MS, id)
    watching.known[id] = true
    if workers_lost >= SUSPECT_FROM then holds_suspect = true end
    if cancel then cancelled[#cancelled + 1] = id end
  elseif how == 'lost' then
    lost[#lost + 1] = id
  else
    unknown[#unknown + 1] = id
  end
end

local function promote_due()
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', DUE, '-inf', NOW, 'LIMIT', 0, 100)) do
    redis.call('ZREM', DUE, id)
    if redis.call('HGET', job_key(id), 'state') == 'due' then make_ready(id) end
  end
end

-- A job whose hash was lost, and that was enqueued again since, may be held in two places: only where its state is the one
-- of the place it comes from does it start.
local function start(id, state)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'payload', 'failures', 'state')
  if not job[1] or job[3] ~= state then return end
  local run = redis.call('HINCRBY', key, 'run', 1)
  redis.call('HSET', key, 'state', 'active', 'owner', WORKER, 'started_ms', NOW)
  redis.call('ZADD', LEASES, NOW + LEASE_MS, id)
  limiter.count_start(id, run)
  watching.known[id] = true
  jobs[#jobs + 1] = answer('job', {job_id = id, payload = job[1], run = run, failures = tonumber(job[2]) or 0})
end

-- Jobs whose worker went silent: started again here while there is room, given up after too many lost workers.
local function reclaim(room)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', NOW, 'LIMIT', 0, FREE + 10)) do
    local job = redis.call('HMGET', job_key(id), 'lost', 'cancel', 'state')
    local count = (tonumber(job[1]) or 0) + 1
    if job[3] ~= 'active' then
      redis.call('ZREM', LEASES, id)
    elseif job[2] then
      redis.call('ZREM', LEASES, id)
      finish(id, 'cancelled')
    elseif count >= LOST_MAX then
      redis.call('ZREM', LEASES, id)
      give_up(id, 'its worker was lost ' .. count .. ' times while it ran')
      given_up[#given_up + 1] = id
    elseif #jobs < room and not (holds_suspect and count >= SUSPECT_FROM) then
      holds_suspect = holds_suspect or count >= SUSPECT_FROM
      redis.call('HSET', job_key(id), 'lost', count)
      redis.call('ZREM', LEASES, id)
      start(id, 'active')
    end
  end
end

local function start_waiting(room)
  while #jobs < room do
    local top = redis.call('ZRANGE', LANES, 0, 0, 'WITHSCORES')
    if not top[1] then return end
    local lane, tag = top[1], tonumber(top[2])
    local class = string.sub(lane, 1, 1)
    local popped = redis.call('ZPOPMIN', lane_key(lane))
    if redis.call('EXISTS', lane_key(lane)) == 1 then
      redis.call('ZADD', LANES, tag + 1, lane)
    else
      redis.call('ZREM', LANES, lane)
      redis.call('ZADD', ENDED, tag + 1, lane)
    end
    redis.call('HSET', CONTROL, 'tag:' .. class, tag)
    redis.call('ZREMRANGEBYSCORE', ENDED, tonumber(class) * CLASS_STEP, tag)
    -- A lane that was lost held nothing; the sweeper puts its jobs back.
    if popped[1] then
      redis.call('ZREM', WAITING, popped[1])
      start(popped[1], 'waiting')
    end
  end
end

-- A full Redis refuses a script whose first change needs memory, and lets one finish that has begun: so this comes first,
-- and running jobs can end.
redis.call('SREM', IDLE, WORKER)
local spent_today = count_command()
for i = 9, FIRST_RUNNING - 1, 5 do settle(i) end
for i = FIRST_RUNNING, #ARGV, 2 do renew(ARGV[i], ARGV[i + 1]) end
promote_due()
forget_old_dead_letters()
local closed, opens, room = limiter.gate(WORKER, POD)
reclaim(math.min(room, FREE))
start_waiting(math.min(room, FREE))
local comes_back_in = -1
redis.call('ZREM', WATCH, WORKER)
redis.call('ZREMRANGEBYSCORE', WATCH, '-inf', NOW - 60000)
if #jobs == FREE then
  if room > FREE and redis.call('ZCARD', WAITING) > 0 then wake_one() end
else
  if closed == limiter.OPEN then closed, opens = limiter.gate(WORKER, POD) end
  -- A drained worker may have been woken before it was drained: the wakeup goes on to the next.
  if closed ~= limiter.DRAINED then redis.call('SADD', IDLE, WORKER)
  elseif redis.call('EXISTS', WAITING) == 1 then wake_one_if_useful() end
  if closed ~= limiter.DRAINED and closed ~= limiter.PAUSED then comes_back_in = watching.promise(WORKER, opens) end
end
if redis.call('EXISTS', WAITING, DUE, LEASES) == 0 then
  watching.release()
else
  local closed_to_all, opens_to_all = limiter.gate_of_queue()
  if closed_to_all ~= limiter.PAUSED then watching.appoint(opens_to_all) end
end
if ENDED_COUNT > 0 or #given_up > 0 then publish_load() end
return answer('poll', {
  jobs = jobs,
  given_up = given_up,
  come_back_ms = comes_back_in,
  gate = closed,
  lost = lost,
  unknown = unknown,
  cancelled = cancelled,
  commands_today = spent_today,
  at_ms = NOW,
  troubled = redis.call('HGET', CONTROL, 'troubled') or '',
})
