-- settle: say what became of one running job, and in the same call take what may start next.
--
-- ARGV   2 worker   3 entry   4 job id   5 run
--        6 outcome: done | retry | defer | dead | cancelled | handback   7 delay ms   8 reason   9 keep ms (ended jobs)
--        10..14 as take's 3..7; free slots -1 = take nothing
-- Returns  {1 or 0 (0 = this worker does not own that run any more, nothing was changed), grant's answer or false}
local worker, entry, id, run, outcome = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local key = job_key(id)

local function owned()
  if pending_count() == 0 then return false end
  local p = redis.call('XPENDING', READY, GROUP, entry, entry, 1)[1]
  return p and p[2] == worker and redis.call('HGET', key, 'run') == run
end

local function wait_until_due(delay_ms)
  redis.call('HSET', key, 'state', 'due', 'reason', ARGV[8])
  redis.call('ZADD', DUE, NOW + delay_ms, id)
  -- Another worker hears of it too: should this one vanish, the job still starts on time.
  ring()
end

local function finish(state)
  redis.call('HDEL', key, 'payload')
  redis.call('HSET', key, 'state', state, 'ended_ms', NOW)
  redis.call('PEXPIRE', key, ARGV[9])
end

local act = {
  done = function() finish('completed') end,
  cancelled = function() finish('cancelled') end,
  retry = function()
    redis.call('HINCRBY', key, 'failures', 1)
    wait_until_due(ARGV[7])
  end,
  defer = function() wait_until_due(ARGV[7]) end,
  dead = function()
    redis.call('HSET', key, 'state', 'dead', 'reason', ARGV[8], 'ended_ms', NOW)
    redis.call('ZADD', DEAD, NOW, id)
  end,
  handback = function()
    make_ready(id)
    ring()
  end,
}

local settled = 0
if owned() and redis.call('XACK', READY, GROUP, entry) == 1 then
  redis.call('XDEL', READY, entry)
  act[outcome]()
  settled = 1
end
if ARGV[10] == '-1' then return {settled, false} end
return {settled, grant(grant_options(10))}
