-- Shared by every script; loaded in front of each one.
--
-- KEYS   1 lanes    zset   lane that has waiting jobs -> the tag it is served by; the lowest is next
--        2 ended    zset   lane that ran empty -> the tag it would have had, kept while that says anything
--        3 waiting  zset   job id -> the moment it began to wait (ms)
--        4 due      zset   job id -> the moment it may start (ms): retries, deferrals, scheduled jobs
--        5 leases   zset   id of a running job -> the moment its worker counts as gone (ms)
--        6 dead     zset   job id -> the moment it was given up (ms)
--        7 starts   zset   job id:run -> the moment it started (ms); the limiter's sliding log
--        8 idle     set    workers that have free slots and wait to be woken
--        9 watch    zset   worker -> the moment it comes back without being woken (ms)
--       10 control  hash   paused = 1; hold_until, limited_until = ms; drain:<worker or pod> = 1; tag:<class>; next_seq;
--                          probe_ms: after hold_until, one start each so many ms; troubled: names of models, one a line
--       11 spent    hash   day number (Unix time / 86400) -> commands that changed this queue on that day
-- ARGV   1 prefix   of what depends on an id: job:<id> (hash), lane:<lane> (zset: job id -> seq), wakeup:<worker> (channel)
--            of a model: model:<name> (hash: until, trips, probe_ms), verdicts:<name> (zset: failures and counts of
--            answers -> ms), sent:<name> (zset: call:tokens -> ms), flight:<name> (zset: call -> ms it counts until)
--
-- A wakeup channel says `watch <ms> <now ms>`: come back after so long unless you are woken earlier; `quiet <now ms>`: no
-- need to any more; anything else: come now. The moment tells whether it is newer than the answer to the worker's last poll.
-- The channel `wakeup` is everybody's; `facts` tells the load of the queue to whoever scales the workers.
--
-- A job's hash: payload, state (waiting due active completed dead cancelled), lane, seq (its place, kept over retries),
-- enqueued_ms, run (number of starts, the fencing token), failures (failed tries), lost (workers that vanished with it),
-- owner, started_ms, ended_ms, reason, cancel (1: somebody asked the running job to stop).
-- Time is Redis's own, so a skewed pod shifts nothing. Nothing newer than Redis 6.2 is used.
local LANES, ENDED, WAITING, DUE, LEASES, DEAD = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local STARTS, IDLE, WATCH, CONTROL, SPENT = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local PREFIX = ARGV[1]
local ENDED_KEPT_MS, DEAD_KEPT_MS = 3600 * 1000, 14 * 24 * 3600 * 1000
-- A watcher may be this late before it no longer counts, and another may be this late to count as well.
local WATCH_SLACK_MS = 500
-- A job that is due within this time wants a pod already: longer than a pod's start and the operator's tick together.
local DUE_SOON_MS = 150 * 1000
-- Between two classes of lanes; tags of one class never reach the next.
local CLASS_STEP = 2 ^ 40
local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- What the whole fleet sends is counted where it arrives, for a hosted Redis bills by command. A day's first command
-- drops the days before.
local TODAY = string.format('%d', math.floor(clock[1] / 86400))
local function count_command()
  local spent = redis.call('HINCRBY', SPENT, TODAY, 1)
  if spent == 1 then
    for _, day in ipairs(redis.call('HKEYS', SPENT)) do
      if day ~= TODAY then redis.call('HDEL', SPENT, day) end
    end
  end
  return spent
end

-- An answer as the list of its fields, in the order in which the Python side reads them: both have it from `answers.py`.
local function answer(name, values)
  local list = {}
  for place, field in ipairs(FIELDS[name]) do
    if values[field] == nil then error('the answer ' .. name .. ' lacks ' .. field) end
    list[place] = values[field]
  end
  return list
end

local function job_key(id) return PREFIX .. 'job:' .. id end
local function lane_key(lane) return PREFIX .. 'lane:' .. lane end

-- Wake one idle worker. PUBLISH counts receivers: 0 means that worker is gone, so the next one is tried.
local function wake_one()
  while true do
    local worker = redis.call('SPOP', IDLE)
    if not worker then return end
    if redis.call('PUBLISH', PREFIX .. 'wakeup:' .. worker, '1') > 0 then return end
  end
end

local function wake_all()
  for _ = 1, redis.call('SCARD', IDLE) do wake_one() end
end

-- How many workers, without those in the set `except`, come back by then without being woken. One that is subscribed no
-- more is gone, and so is its promise.
local function count_watching(by_ms, except)
  local count = 0
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', WATCH, NOW - WATCH_SLACK_MS, by_ms + WATCH_SLACK_MS)) do
    if redis.call('PUBSUB', 'NUMSUB', PREFIX .. 'wakeup:' .. worker)[2] == 0 then
      redis.call('ZREM', WATCH, worker)
    elseif not (except and except[worker]) then
      count = count + 1
    end
  end
  return count
end

-- A wakeup would be in vain while the limiter is closed and somebody watches for its opening.
local function wake_one_if_useful()
  local limited_until = tonumber(redis.call('HGET', CONTROL, 'limited_until'))
  if limited_until and limited_until > NOW and count_watching(limited_until) > 0 then return end
  wake_one()
end

-- Into its lane, at the place its seq gives it: a retried job stands where it stood.
-- Lanes are served by start-time fair queueing (Goyal, Vin, Cheng 1996): a lane's tag is the larger of its class's
-- virtual time and its own last tag + 1, so who queued a thousand and who queued one take turns.
local function make_ready(id)
  local job = redis.call('HMGET', job_key(id), 'lane', 'seq')
  local lane = job[1]
  redis.call('HSET', job_key(id), 'state', 'waiting')
  redis.call('ZADD', WAITING, NOW, id)
  redis.call('ZADD', lane_key(lane), job[2], id)
  if not redis.call('ZSCORE', LANES, lane) then
    local class = string.sub(lane, 1, 1)
    local tag = tonumber(redis.call('HGET', CONTROL, 'tag:' .. class)) or tonumber(class) * CLASS_STEP
    local own = tonumber(redis.call('ZSCORE', ENDED, lane))
    redis.call('ZADD', LANES, own and math.max(own, tag) or tag, lane)
  end
end

local function leave_lane(id, lane)
  redis.call('ZREM', WAITING, id)
  redis.call('ZREM', lane_key(lane), id)
  if redis.call('EXISTS', lane_key(lane)) == 0 then
    local tag = redis.call('ZSCORE', LANES, lane)
    if tag then redis.call('ZADD', ENDED, tag, lane) end
    redis.call('ZREM', LANES, lane)
  end
end

-- A dead letter leaves the list when its hash expires.
local function forget_old_dead_letters() redis.call('ZREMRANGEBYSCORE', DEAD, '-inf', NOW - DEAD_KEPT_MS) end

local function give_up(id, reason)
  redis.call('HSET', job_key(id), 'state', 'dead', 'reason', reason, 'ended_ms', NOW)
  redis.call('PEXPIRE', job_key(id), DEAD_KEPT_MS)
  redis.call('ZADD', DEAD, NOW, id)
end

-- What the queue asks of its workers; ages and waits are ms, -1 where there is none. `due_soon`: due within DUE_SOON_MS;
-- `overdue`: running jobs whose lease ran out; `puts`: jobs ever enqueued, which falls only if Redis lost its data.
local function load_of_queue()
  local first = redis.call('ZRANGE', WAITING, 0, 0, 'WITHSCORES')
  local next_due = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  return answer('load', {
    at_ms = NOW,
    waiting = redis.call('ZCARD', WAITING),
    active = redis.call('ZCARD', LEASES),
    due = redis.call('ZCARD', DUE),
    due_soon = redis.call('ZCOUNT', DUE, '-inf', NOW + DUE_SOON_MS),
    oldest_waiting_age_ms = first[2] and NOW - first[2] or -1,
    next_due_in_ms = next_due[2] and math.max(next_due[2] - NOW, 0) or -1,
    paused = redis.call('HEXISTS', CONTROL, 'paused'),
    overdue = redis.call('ZCOUNT', LEASES, '-inf', NOW),
    puts = tonumber(redis.call('HGET', CONTROL, 'next_seq')) or 0,
  })
end

-- Workers and pods that start nothing more.
local function drained()
  local found = {}
  for _, field in ipairs(redis.call('HKEYS', CONTROL)) do
    if string.sub(field, 1, 6) == 'drain:' then found[#found + 1] = string.sub(field, 7) end
  end
  return found
end

-- A subscriber costs no command, so the operator learns of every change without asking.
local function publish_load() redis.call('PUBLISH', PREFIX .. 'facts', table.concat(load_of_queue(), ' ')) end

-- The job's work is over; its hash is kept a while so that enqueueing it again changes nothing.
local function finish(id, state)
  redis.call('HDEL', job_key(id), 'payload')
  redis.call('HSET', job_key(id), 'state', state, 'ended_ms', NOW)
  redis.call('PEXPIRE', job_key(id), ENDED_KEPT_MS)
end
