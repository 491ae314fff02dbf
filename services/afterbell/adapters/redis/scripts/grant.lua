-- Shared by take and settle: hand out what may start now to one worker.
--
-- o: worker, free (slots), lease_ms, starts_max (0 = no limiter), window_ms, deliveries_max, renewed (the caller has
--    just renewed what it runs; without that its own late entries may be running and are left alone)
local GATE_NONE, GATE_PAUSED, GATE_DRAINED, GATE_HOLD, GATE_LIMITER = '', 'paused', 'drained', 'hold', 'limiter'

local function promote_due()
  local due = redis.call('ZRANGEBYSCORE', DUE, '-inf', NOW, 'LIMIT', 0, 100)
  for _, id in ipairs(due) do
    redis.call('ZREM', DUE, id)
    if redis.call('EXISTS', job_key(id)) == 1 then make_ready(id) end
  end
end

-- Which rule forbids starts at this moment, for how long (ms, -1 = until told), and how many it leaves room for.
local function gate(o)
  local flags = redis.call('HMGET', CONTROL, 'paused', 'hold_until', 'drain:' .. o.worker)
  if flags[3] then return GATE_DRAINED, -1, 0 end
  if flags[1] then return GATE_PAUSED, -1, 0 end
  local hold_ms = (tonumber(flags[2]) or 0) - NOW
  if hold_ms > 0 then return GATE_HOLD, hold_ms, 0 end
  if o.starts_max == 0 then return GATE_NONE, -1, o.free end
  redis.call('ZREMRANGEBYSCORE', STARTS, '-inf', NOW - o.window_ms - 1)
  local room = o.starts_max - redis.call('ZCARD', STARTS)
  if room > 0 then return GATE_NONE, -1, room end
  -- The slot that frees room is the (starts_max)-th newest one, also after the limit was lowered.
  local blocking = redis.call('ZRANGE', STARTS, -o.starts_max, -o.starts_max, 'WITHSCORES')
  return GATE_LIMITER, blocking[2] + o.window_ms + 1 - NOW, 0
end

local function forget(entry)
  redis.call('XACK', READY, GROUP, entry)
  redis.call('XDEL', READY, entry)
end

local function bury(entry, id, reason)
  forget(entry)
  redis.call('HSET', job_key(id), 'state', 'dead', 'reason', reason, 'ended_ms', NOW)
  redis.call('ZADD', DEAD, NOW, id)
end

-- One delivered entry becomes a started job, or nil where the job itself was removed.
local function start(o, entry, id)
  local key = job_key(id)
  local payload = redis.call('HGET', key, 'payload')
  if not payload then
    forget(entry)
    return nil
  end
  local run = redis.call('HINCRBY', key, 'run', 1)
  redis.call('HSET', key, 'state', 'active', 'owner', o.worker, 'entry', entry, 'started_ms', NOW)
  if o.starts_max > 0 then
    redis.call('ZADD', STARTS, NOW, entry .. ':' .. run)
    redis.call('PEXPIRE', STARTS, o.window_ms * 2)
  end
  return {entry, id, payload, run, tonumber(redis.call('HGET', key, 'failures')) or 0}
end

-- Entries whose lease ran out: started again here while there is room, buried after too many lost deliveries.
local function reclaim(o, room, jobs, buried)
  local lost = redis.call('XPENDING', READY, GROUP, 'IDLE', o.lease_ms, '-', '+', o.free + 10)
  for _, p in ipairs(lost) do
    local entry, deliveries = p[1], p[4]
    local found = redis.call('XRANGE', READY, entry, entry)
    if #found == 0 then
      redis.call('XACK', READY, GROUP, entry)
    elseif p[2] == o.worker and not o.renewed then
      -- late, but maybe running: take decides
    elseif deliveries >= o.deliveries_max then
      local id = found[1][2][2]
      bury(entry, id, 'its worker was lost ' .. deliveries .. ' times while it ran')
      buried[#buried + 1] = id
    elseif #jobs < room then
      redis.call('XCLAIM', READY, GROUP, o.worker, o.lease_ms, entry)
      local job = start(o, entry, found[1][2][2])
      if job then jobs[#jobs + 1] = job end
    end
  end
end

local function read_new(o, room, jobs)
  while #jobs < room do
    local answer = redis.call('XREADGROUP', 'GROUP', GROUP, o.worker, 'COUNT', room - #jobs, 'STREAMS', READY, '>')
    if not answer then return end
    for _, e in ipairs(answer[1][2]) do
      local job = start(o, e[1], e[2][2])
      if job then jobs[#jobs + 1] = job end
    end
  end
end

-- Milliseconds until something may start that no bell announces: a due job, a limiter slot, another's lease.
local function come_back_in(o, waiting, closed, reopens_in_ms)
  if closed == GATE_PAUSED or closed == GATE_DRAINED then return -1 end
  local at = math.huge
  local next_due = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  if next_due[2] then at = math.min(at, next_due[2] - NOW) end
  for _, p in ipairs(redis.call('XPENDING', READY, GROUP, '-', '+', 100)) do
    if p[2] ~= o.worker then at = math.min(at, o.lease_ms - p[3]) end
  end
  if waiting > 0 and closed ~= GATE_NONE then at = math.min(at, reopens_in_ms) end
  if at == math.huge then return -1 end
  -- Before a closed gate reopens nothing can start, whatever is due.
  if closed ~= GATE_NONE then at = math.max(at, reopens_in_ms) end
  return math.max(at, 1)
end

-- Returns {jobs, buried, come back in ms (-1: only on a bell), the closed gate or ''}.
local function grant(o)
  pending_count()
  redis.call('SREM', IDLE, o.worker)
  promote_due()
  local closed, reopens_in_ms, room = gate(o)
  local jobs, buried = {}, {}
  room = math.min(room, o.free)
  reclaim(o, room, jobs, buried)
  if room > #jobs then read_new(o, room, jobs) end
  if #jobs == o.free then return {jobs, buried, -1, closed} end

  local waiting = redis.call('XLEN', READY) - pending_count()
  if closed == GATE_NONE and waiting > 0 then closed, reopens_in_ms = gate(o) end
  if closed ~= GATE_DRAINED then redis.call('SADD', IDLE, o.worker) end
  return {jobs, buried, come_back_in(o, waiting, closed, reopens_in_ms), closed}
end

local function grant_options(first)
  return {
    worker = ARGV[2], free = tonumber(ARGV[first]), lease_ms = tonumber(ARGV[first + 1]),
    starts_max = tonumber(ARGV[first + 2]), window_ms = tonumber(ARGV[first + 3]),
    deliveries_max = tonumber(ARGV[first + 4]),
  }
end
