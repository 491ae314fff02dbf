-- take: one exchange between a worker and the queue. The worker says what became of the jobs that ended and which
-- still run; it gets the jobs that may start now.
--
-- ARGV   2 worker   3 free slots, those of the ended jobs included   4 lease ms   5 starts a window (0 = no limiter)
--        6 window ms   7 a job that this many workers vanished with is dead; one short of that it shares its worker with
--        no other such job, so that a job that kills its process takes no neighbour along   8 how many jobs ended, e
--        9..   e fives: job id, run, outcome (done | retry | defer | dead | cancelled | handback), delay ms, reason
--        then  pairs of a running job: job id, run
-- Returns  {started jobs {id, payload, run, failures}, ids given up, come back in ms (-1: on a bell), closed gate or '',
--           ids now run by another worker, ids Redis does not know any more, ids to cancel,
--           commands the fleet has sent today, now ms, models in trouble (names, one a line)}
-- A worker's name is its pod's, or that with a dash and 8 hexadecimal digits; a drained pod drains both.
local POD = string.match(ARGV[2], '^(.+)%-%x%x%x%x%x%x%x%x$') or ARGV[2]
local WORKER, FREE, LEASE_MS = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local STARTS_MAX, WINDOW_MS = tonumber(ARGV[5]), tonumber(ARGV[6])
local LOST_MAX, ENDED_COUNT = tonumber(ARGV[7]), tonumber(ARGV[8])
local GATE_NONE, GATE_PAUSED, GATE_DRAINED, GATE_HOLD, GATE_LIMITER = '', 'paused', 'drained', 'hold', 'limiter'
local FIRST_RUNNING = 9 + 5 * ENDED_COUNT
local SUSPECT_FROM = math.max(LOST_MAX - 1, 1)
local jobs, given_up, lost, unknown, cancelled = {}, {}, {}, {}, {}
local holds_suspect = false
-- Ids of the jobs this worker is known to run. One that it owns and does not name got lost with an answer.
local mine = {}

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
  -- Another worker hears of it too: should this one vanish, the job still starts on time.
  ring()
end

local act = {
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
    ring()
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
    act[outcome](id, tonumber(ARGV[first + 3]), ARGV[first + 4])
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
    mine[id] = true
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
    if redis.call('EXISTS', job_key(id)) == 1 then make_ready(id) end
  end
end

-- Which rule forbids starts at this moment, until when (ms, nil = until told), and how many it leaves room for.
local PROBE_MS
local function gate_of_queue()
  local flags = redis.call('HMGET', CONTROL, 'paused', 'hold_until', 'probe_ms')
  if flags[1] then return GATE_PAUSED, nil, 0 end
  local hold_until = tonumber(flags[2]) or 0
  if hold_until > NOW then return GATE_HOLD, hold_until, 0 end
  PROBE_MS = tonumber(flags[3])
  local most = PROBE_MS and 1 or math.huge
  if STARTS_MAX == 0 then return GATE_NONE, nil, most end
  redis.call('ZREMRANGEBYSCORE', STARTS, '-inf', NOW - WINDOW_MS - 1)
  local room = STARTS_MAX - redis.call('ZCARD', STARTS)
  if room > 0 then return GATE_NONE, nil, math.min(room, most) end
  -- Room comes when the (STARTS_MAX)-th newest start leaves the window, also after the limit was lowered.
  local blocking = redis.call('ZRANGE', STARTS, -STARTS_MAX, -STARTS_MAX, 'WITHSCORES')
  local opens = blocking[2] + WINDOW_MS + 1
  redis.call('HSET', CONTROL, 'limited_until', opens)
  return GATE_LIMITER, opens, 0
end

local function gate()
  local drained = redis.call('HMGET', CONTROL, 'drain:' .. WORKER, 'drain:' .. POD)
  if drained[1] or drained[2] then return GATE_DRAINED, nil, 0 end
  return gate_of_queue()
end

local function start(id)
  local key = job_key(id)
  local job = redis.call('HMGET', key, 'payload', 'failures')
  if not job[1] then return end
  local run = redis.call('HINCRBY', key, 'run', 1)
  redis.call('HSET', key, 'state', 'active', 'owner', WORKER, 'started_ms', NOW)
  redis.call('ZADD', LEASES, NOW + LEASE_MS, id)
  if STARTS_MAX > 0 then
    redis.call('ZADD', STARTS, NOW, id .. ':' .. run)
    redis.call('PEXPIRE', STARTS, WINDOW_MS * 2)
  end
  -- The start that finds out whether the models answer again: nobody else starts before it could have found out.
  if PROBE_MS then redis.call('HSET', CONTROL, 'hold_until', NOW + PROBE_MS) end
  mine[id] = true
  jobs[#jobs + 1] = {id, job[1], run, tonumber(job[2]) or 0}
end

-- Jobs whose worker went silent: started again here while there is room, given up after too many lost workers.
local function reclaim(room)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '-inf', NOW, 'LIMIT', 0, FREE + 10)) do
    local job = redis.call('HMGET', job_key(id), 'lost', 'cancel')
    local count = (tonumber(job[1]) or 0) + 1
    if job[2] then
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
      start(id)
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
    redis.call('ZREM', WAITING, popped[1])
    start(popped[1])
  end
end

-- Whether a worker must leave a job that ran out to others, or to its own next exchange: both are suspect.
local suspects_of
local function leaves(worker, id)
  if (tonumber(redis.call('HGET', job_key(id), 'lost')) or 0) + 1 < SUSPECT_FROM then return false end
  if not suspects_of then
    suspects_of = {}
    for _, running in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '(' .. NOW, '+inf', 'LIMIT', 0, 100)) do
      local job = redis.call('HMGET', job_key(running), 'owner', 'lost')
      if job[1] and (tonumber(job[2]) or 0) >= SUSPECT_FROM then suspects_of[job[1]] = true end
    end
  end
  return suspects_of[worker] == true
end

-- The next moment at which something may start that no bell announces, as far as this worker can notice it, and the
-- workers that cannot notice all of it: a due job, the gate's opening, another worker's lease (its owner cannot watch
-- that one, and leases that run out together are one event).
local function next_event(worker, opens)
  local at, owners = math.huge, {}
  local due = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  if due[2] then at = tonumber(due[2]) end
  if opens and redis.call('ZCARD', WAITING) > 0 then at = math.min(at, opens) end
  local leases = redis.call('ZRANGE', LEASES, 0, 50, 'WITHSCORES')
  for i = 1, #leases, 2 do
    local expires = tonumber(leases[i + 1])
    if expires > at + WATCH_SLACK_MS then break end
    local holder = redis.call('HGET', job_key(leases[i]), 'owner') or ''
    local others = holder ~= worker or (worker == WORKER and not mine[leases[i]])
    if others and not (expires <= NOW and leaves(worker, leases[i])) then
      at = math.min(at, expires)
      owners[holder] = true
    end
  end
  -- Before a closed gate opens nothing can start, whatever is due.
  if opens then at = math.max(at, opens) end
  return at, owners
end

-- When this worker must come back. Two of the idle ones watch for each event, the second a little later: should the
-- first be gone, the job still starts. The others sleep until their bell, which keeps an idle fleet free.
local function promise(worker, opens)
  local at, owners = next_event(worker, opens)
  if at == math.huge then return -1 end
  owners[worker] = true
  local others = watchers(at, owners)
  if others >= 2 then return -1 end
  -- Second is only who has a prompt first: two that both come late would leave a limited start unused for that long.
  if others == 1 and watchers(at - WATCH_SLACK_MS / 2, owners) == 1 then at = at + WATCH_SLACK_MS end
  at = math.max(at, NOW + 1)
  local before = tonumber(redis.call('ZSCORE', WATCH, worker))
  if before and before >= NOW - WATCH_SLACK_MS and before <= at then return -1 end
  redis.call('ZADD', WATCH, at, worker)
  return at - NOW
end

local function tell(worker, notice)
  return redis.call('PUBLISH', PREFIX .. 'bell:' .. worker, notice .. ' ' .. NOW) > 0
end

-- An idle worker knows nothing of what began after its last exchange: a job that this worker runs, say, whose lease
-- somebody must watch. It is told by its bell, which costs no exchange. Nobody heard it: it is gone.
local function appoint(worker, opens)
  local in_ms = promise(worker, opens)
  if in_ms == -1 or tell(worker, 'watch ' .. in_ms) then return true end
  redis.call('SREM', IDLE, worker)
  redis.call('ZREM', WATCH, worker)
  return false
end

-- Who is to come for a moment that this exchange has used up, the second one at the gate's opening, say, would come in
-- vain. It is told the next moment instead.
local function postpone_watchers(opens)
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', WATCH, NOW + 1, '+inf', 'LIMIT', 0, 10)) do
    local wanted = next_event(worker, opens)
    if worker ~= WORKER and redis.call('ZSCORE', WATCH, worker) + WATCH_SLACK_MS < wanted then
      redis.call('ZREM', WATCH, worker)
      local in_ms = promise(worker, opens)
      tell(worker, in_ms == -1 and 'quiet' or 'watch ' .. in_ms)
    end
  end
end

local function appoint_watchers()
  local closed, opens = gate_of_queue()
  if closed == GATE_PAUSED then return end
  postpone_watchers(opens)
  repeat
    local all_there = true
    for _, worker in ipairs(redis.call('SRANDMEMBER', IDLE, 3)) do
      if worker ~= WORKER then all_there = appoint(worker, opens) and all_there end
    end
  until all_there
end

-- With nothing left to watch for, those who were told to come back need not.
local function release_watchers()
  for _, worker in ipairs(redis.call('ZRANGE', WATCH, 0, -1)) do
    tell(worker, 'quiet')
  end
  redis.call('DEL', WATCH)
end

-- A full Redis refuses a script whose first change needs memory, and lets one finish that has begun: so this comes first,
-- and running jobs can end.
redis.call('SREM', IDLE, WORKER)
local spent_today = count_command()
for i = 9, FIRST_RUNNING - 1, 5 do settle(i) end
for i = FIRST_RUNNING, #ARGV, 2 do renew(ARGV[i], ARGV[i + 1]) end
promote_due()
local closed, opens, room = gate()
reclaim(math.min(room, FREE))
start_waiting(math.min(room, FREE))
local comes_back_in = -1
redis.call('ZREM', WATCH, WORKER)
redis.call('ZREMRANGEBYSCORE', WATCH, '-inf', NOW - 60000)
if #jobs == FREE then
  if room > FREE and redis.call('ZCARD', WAITING) > 0 then ring() end
else
  if closed == GATE_NONE then closed, opens = gate() end
  -- A drained worker may have been called before it was drained: the call goes on to the next.
  if closed ~= GATE_DRAINED then redis.call('SADD', IDLE, WORKER)
  elseif redis.call('EXISTS', WAITING) == 1 then ring_if_useful() end
  if closed ~= GATE_DRAINED and closed ~= GATE_PAUSED then comes_back_in = promise(WORKER, opens) end
end
if redis.call('EXISTS', WAITING, DUE, LEASES) == 0 then release_watchers() else appoint_watchers() end
if ENDED_COUNT > 0 or #given_up > 0 then tell_load() end
return {jobs, given_up, comes_back_in, closed, lost, unknown, cancelled, spent_today, NOW,
        redis.call('HGET', CONTROL, 'troubled') or ''}
