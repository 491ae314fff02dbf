-- apply: what an operator or an administrator does to the queue or to jobs. Every verb is idempotent.
--
-- ARGV   2 verb   3.. arguments
--   pause | resume                    the whole queue
--   drain worker | undrain worker     one worker starts nothing more; the name of a pod stands for every worker in it.
--                                     From then on no poll of it is granted a job, so what it runs can only get less
--   retry id ... | promote id ...     dead letters, or due jobs: wait for a start now
--   cancel id ...                     waiting and due jobs end as cancelled; a running one is told to stop
--   remove id ...                     ended, waiting and due jobs vanish; a running one is left alone
-- Returns  pause..undrain: 1. retry..remove: one word an id: `ok`, or the state that forbids it, or `unknown`.
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

-- Of a job whose hash has expired or was lost nothing is known, so nothing holds it any more.
local function state_of(id)
  local state = redis.call('HGET', job_key(id), 'state')
  if not state then redis.call('ZREM', DEAD, id) end
  return state or 'unknown'
end

local function retry(id)
  if state_of(id) ~= 'dead' then return state_of(id) end
  redis.call('ZREM', DEAD, id)
  redis.call('HDEL', job_key(id), 'failures', 'lost', 'cancel', 'ended_ms')
  redis.call('PERSIST', job_key(id))
  make_ready(id)
  wake_one_if_useful()
  return 'ok'
end

local each = {
  retry = retry,
  promote = function(id)
    if state_of(id) ~= 'due' then return state_of(id) end
    redis.call('ZREM', DUE, id)
    make_ready(id)
    wake_one_if_useful()
    return 'ok'
  end,
  cancel = function(id)
    local state = state_of(id)
    if state == 'active' then
      redis.call('HSET', job_key(id), 'cancel', 1)
      redis.call('PUBLISH', PREFIX .. 'wakeup:' .. redis.call('HGET', job_key(id), 'owner'), 'cancel')
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

local whole = {
  pause = function() redis.call('HSET', CONTROL, 'paused', 1) end,
  resume = function()
    redis.call('HDEL', CONTROL, 'paused')
    wake_all()
  end,
  drain = function()
    redis.call('HSET', CONTROL, 'drain:' .. ARGV[3], 1)
    for _, worker in ipairs(redis.call('SRANDMEMBER', IDLE, FLEET_MAX)) do
      if worker == ARGV[3] or is_in_pod(worker, ARGV[3]) then
        redis.call('SREM', IDLE, worker)
        redis.call('PUBLISH', PREFIX .. 'wakeup:' .. worker, 'drain')
      end
    end
  end,
  undrain = function()
    redis.call('HDEL', CONTROL, 'drain:' .. ARGV[3])
    redis.call('PUBLISH', PREFIX .. 'wakeup:' .. ARGV[3], 'undrain')
    -- Which workers a pod has is not known while they are drained.
    redis.call('PUBLISH', PREFIX .. 'wakeup', 'undrain')
  end,
}

count_command()
forget_old_dead_letters()
if whole[VERB] then
  whole[VERB]()
  publish_load()
  return 1
end
local answers = {}
for i = 3, #ARGV do answers[#answers + 1] = each[VERB](ARGV[i]) end
publish_load()
return answers
