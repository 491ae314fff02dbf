-- control: what an operator or an administrator does to the queue. Every verb is idempotent.
--
-- ARGV   2 verb   3.. arguments
--   pause | resume                    the whole queue
--   hold ms                           no starts for so long (the provider asked to wait); the longest asked counts
--   drain worker | undrain worker     one worker starts nothing more; the name of a pod stands for every worker in it.
--                                     From then on no take of it is granted a job, so what it runs can only get less
--   retry id ... | promote id ...     dead letters, or due jobs: wait for a start now
--   cancel id ...                     waiting and due jobs end as cancelled; a running one is told to stop
--   remove id ...                     ended, waiting and due jobs vanish; a running one is left alone
--   retry_dead until-ms skip count ':'tenant-or-'' text-or-''
--                                     dead letters given up by then, oldest first: skip some, look at count of them
-- Returns  pause..undrain: 1. retry..remove: one word an id: `ok`, or the state that forbids it, or `unknown`.
--          retry_dead: {retried, looked at}; fewer looked at than asked for means that was all
local VERB = ARGV[2]
local FLEET_MAX = 10000

local function is_in_pod(worker, pod)
  return #worker == #pod + 9 and string.sub(worker, 1, #pod + 1) == pod .. '-' and not string.find(worker, '%X', #pod + 2)
end

local function forget(id)
  redis.call('DEL', job_key(id))
  return 'ok'
end

-- Out of whatever holds a job that does not run. Returns its state, nil where it is unknown.
local function lift_out(id)
  local job = redis.call('HMGET', job_key(id), 'state', 'lane')
  if job[1] == 'waiting' then leave_lane(id, job[2]) end
  if job[1] == 'due' then redis.call('ZREM', DUE, id) end
  if job[1] == 'dead' then redis.call('ZREM', DEAD, id) end
  return job[1]
end

local function state_of(id) return redis.call('HGET', job_key(id), 'state') or 'unknown' end

local function retry(id)
  if state_of(id) ~= 'dead' then return state_of(id) end
  redis.call('ZREM', DEAD, id)
  redis.call('HDEL', job_key(id), 'failures', 'lost', 'cancel', 'ended_ms')
  redis.call('PERSIST', job_key(id))
  make_ready(id)
  ring_if_useful()
  return 'ok'
end

local each = {
  retry = retry,
  promote = function(id)
    if state_of(id) ~= 'due' then return state_of(id) end
    redis.call('ZREM', DUE, id)
    make_ready(id)
    ring_if_useful()
    return 'ok'
  end,
  cancel = function(id)
    local state = state_of(id)
    if state == 'active' then
      redis.call('HSET', job_key(id), 'cancel', 1)
      redis.call('PUBLISH', PREFIX .. 'bell:' .. redis.call('HGET', job_key(id), 'owner'), 'cancel')
      return 'ok'
    end
    if state ~= 'waiting' and state ~= 'due' then return state end
    lift_out(id)
    finish(id, 'cancelled')
    return 'ok'
  end,
  remove = function(id)
    local state = state_of(id)
    if state == 'active' or state == 'unknown' then return state end
    lift_out(id)
    return forget(id)
  end,
}

local function matches(id, tenant, text)
  if tenant == '' and text == '' then return true end
  local job = redis.call('HMGET', job_key(id), 'lane', 'reason')
  if tenant ~= '' and string.sub(job[1], 2) ~= tenant then return false end
  return text == '' or (job[2] and string.find(job[2], text, 1, true) ~= nil)
end

local function retry_dead(until_ms, skip, count, tenant, text)
  local found = redis.call('ZRANGE', DEAD, skip, skip + count - 1, 'WITHSCORES')
  local retried, looked = 0, 0
  for i = 1, #found, 2 do
    if tonumber(found[i + 1]) > until_ms then break end
    looked = looked + 1
    if matches(found[i], tenant, text) and retry(found[i]) == 'ok' then retried = retried + 1 end
  end
  return {retried, looked}
end

local whole = {
  pause = function() redis.call('HSET', CONTROL, 'paused', 1) end,
  resume = function()
    redis.call('HDEL', CONTROL, 'paused')
    ring_all()
  end,
  hold = function()
    local longest = math.max(NOW + ARGV[3], tonumber(redis.call('HGET', CONTROL, 'hold_until')) or 0)
    redis.call('HSET', CONTROL, 'hold_until', longest)
  end,
  drain = function()
    redis.call('HSET', CONTROL, 'drain:' .. ARGV[3], 1)
    for _, worker in ipairs(redis.call('SRANDMEMBER', IDLE, FLEET_MAX)) do
      if worker == ARGV[3] or is_in_pod(worker, ARGV[3]) then
        redis.call('SREM', IDLE, worker)
        redis.call('PUBLISH', PREFIX .. 'bell:' .. worker, 'drain')
      end
    end
  end,
  undrain = function()
    redis.call('HDEL', CONTROL, 'drain:' .. ARGV[3])
    redis.call('PUBLISH', PREFIX .. 'bell:' .. ARGV[3], 'undrain')
    -- Which workers a pod has is not known while they are drained.
    redis.call('PUBLISH', PREFIX .. 'bell', 'undrain')
  end,
}

count_command()
if VERB == 'retry_dead' then
  local answer = retry_dead(tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6], ARGV[7])
  tell_load()
  return answer
end
if whole[VERB] then
  whole[VERB]()
  tell_load()
  return 1
end
local answers = {}
for i = 3, #ARGV do answers[#answers + 1] = each[VERB](ARGV[i]) end
tell_load()
return answers
