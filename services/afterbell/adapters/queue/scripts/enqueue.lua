-- enqueue: add jobs, each once. A job that Redis already knows is left as it is, so enqueueing again is always safe. What
-- its hash says is compared with what really holds it: where an eviction, a stray DEL or a failover took that away, the job
-- is put back.
--
-- ARGV   2 lease ms: how long a running job that no lease holds is left to its worker, which renews it if it lives
--        3 1: these jobs begin anew where Redis calls them ended, for the record calls them unfinished
--        4..  fours: job id, payload (the taskiq message), lane (class digit, ':', tenant), delay in ms (0 = now)
-- Returns     one word a job: `enqueued`, `repaired`, or the state of the job that is already there.
local LEASE_MS, ANEW = tonumber(ARGV[2]), ARGV[3] == '1'
local ENDED_STATES = {completed = true, cancelled = true}

local is_held = {
  waiting = function(id, lane)
    return redis.call('ZSCORE', WAITING, id) and redis.call('ZSCORE', lane_key(lane), id) and redis.call('ZSCORE', LANES, lane)
  end,
  due = function(id) return redis.call('ZSCORE', DUE, id) end,
  active = function(id) return redis.call('ZSCORE', LEASES, id) end,
}

-- The moment of a due job went with the set it was in: now.
local put_back = {
  waiting = make_ready,
  due = function(id) redis.call('ZADD', DUE, NOW, id) end,
  active = function(id) redis.call('ZADD', LEASES, NOW + LEASE_MS, id) end,
}

local function add(id, payload, lane, delay_ms)
  local seq = redis.call('HINCRBY', CONTROL, 'next_seq', 1)
  redis.call('HSET', job_key(id), 'payload', payload, 'lane', lane, 'enqueued_ms', NOW, 'state', 'due', 'seq', seq)
  -- The first job of an empty Redis: whoever was idle before it was emptied is on no list any more.
  if seq == 1 then redis.call('PUBLISH', PREFIX .. 'wakeup', '1') end
  if delay_ms > 0 then redis.call('ZADD', DUE, NOW + delay_ms, id) else make_ready(id) end
end

-- `run` stays, so that nothing an earlier start still says counts for a later one.
local function forget_end(id)
  redis.call('HDEL', job_key(id), 'failures', 'lost', 'cancel', 'ended_ms', 'reason', 'owner')
  redis.call('PERSIST', job_key(id))
end

local function enqueue(id, payload, lane, delay_ms)
  local job = redis.call('HMGET', job_key(id), 'state', 'lane')
  local state = job[1]
  if state and not (ANEW and ENDED_STATES[state]) then
    if not is_held[state] or is_held[state](id, job[2]) then return state end
    put_back[state](id)
    return 'repaired'
  end
  if state then forget_end(id) end
  add(id, payload, lane, delay_ms)
  return 'enqueued'
end

count_command()
local answers, changed = {}, false
for i = 4, #ARGV, 4 do
  local word = enqueue(ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]))
  if word == 'enqueued' or word == 'repaired' then
    changed = true
    -- A due job or a lease wakes a worker too, which learns when to come back for it.
    wake_one_if_useful()
  end
  answers[#answers + 1] = word
end
if changed then publish_load() end
return answers
