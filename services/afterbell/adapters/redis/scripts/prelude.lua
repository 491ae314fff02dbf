-- Shared by every script; loaded in front of each one.
--
-- KEYS   1 ready    stream    field id = job id; group `workers`; waiting = XLEN - pending, running = pending
--        2 due      zset      job id -> the moment it may start (ms): retries, deferrals, scheduled jobs
--        3 dead     zset      job id -> the moment it was given up (ms)
--        4 starts   zset      stream entry:run -> the moment it started (ms); the limiter's sliding log
--        5 idle     set       workers that have free slots and wait for their bell
--        6 control  hash      paused = 1, hold_until = ms (provider pause), drain:<worker> = 1
-- ARGV   1 prefix   of the keys and channels that depend on an id: job:<id> (hash), bell:<worker> (channel)
--
-- A job's hash: payload, state (waiting due active completed dead cancelled), put_ms, run (number of starts, the
-- fencing token), failures (failed tries), owner, entry, started_ms, ended_ms, reason.
-- Time is Redis's own, so a skewed pod shifts nothing. Nothing newer than Redis 6.2 is used.
local READY, DUE, DEAD, STARTS, IDLE, CONTROL = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local GROUP, PREFIX = 'workers', ARGV[1]
local clock = redis.call('TIME')
local NOW = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function job_key(id) return PREFIX .. 'job:' .. id end

-- The stream's group may be missing: first use, or a wiped Redis. Returns how many entries are pending.
local function pending_count()
  local summary = redis.pcall('XPENDING', READY, GROUP)
  if not summary.err then return summary[1] end
  redis.call('XGROUP', 'CREATE', READY, GROUP, '0', 'MKSTREAM')
  return 0
end

-- Wake one idle worker. PUBLISH counts receivers: 0 means that worker is gone, so the next one is tried.
local function ring()
  while true do
    local worker = redis.call('SPOP', IDLE)
    if not worker then return end
    if redis.call('PUBLISH', PREFIX .. 'bell:' .. worker, '1') > 0 then return end
  end
end

local function make_ready(id)
  redis.call('HSET', job_key(id), 'state', 'waiting')
  redis.call('XADD', READY, '*', 'id', id)
end
