-- why: what may keep work from starting, in one read; changes nothing, so that it also answers where Redis is full.
--
-- ARGV   2 window ms of the limiter   3 starts the limiter allows in it, 0 = no limiter
-- Returns  `why` of answers.py, with `model` for each model in trouble. Times are ms, 0 where nothing holds. `there`: workers
--          that are there, `idle` of them; `owners` of running jobs; `lost_most`: the most workers one running job has lost
-- Who is there is known by who is subscribed: the set of idle workers also holds those that vanished. The names of models
-- in trouble and their `model:<name>` are the breaker's, see breaker.lua.
local WINDOW_MS, STARTS_MAX, LOOKED_MAX = tonumber(ARGV[2]), tonumber(ARGV[3]), 200

local function subscribers(channel) return redis.call('PUBSUB', 'NUMSUB', PREFIX .. channel)[2] end

local function ms_left(until_ms) return math.max((tonumber(until_ms) or 0) - NOW, 0) end

local function limiter()
  local since = '(' .. (NOW - WINDOW_MS - 1)
  local started = redis.call('ZCOUNT', STARTS, since, '+inf')
  if STARTS_MAX == 0 or started < STARTS_MAX then return started, 0 end
  local blocking = redis.call('ZRANGE', STARTS, -STARTS_MAX, -STARTS_MAX, 'WITHSCORES')
  return started, ms_left(blocking[2] + WINDOW_MS + 1)
end

local function idle_there()
  local count = 0
  for _, worker in ipairs(redis.call('SRANDMEMBER', IDLE, LOOKED_MAX)) do
    if subscribers('wakeup:' .. worker) > 0 then count = count + 1 end
  end
  return count
end

local function running()
  local owners, lost_most = {}, 0
  for _, id in ipairs(redis.call('ZRANGE', LEASES, 0, LOOKED_MAX - 1)) do
    local job = redis.call('HMGET', job_key(id), 'owner', 'lost')
    owners[#owners + 1] = job[1] or nil
    lost_most = math.max(lost_most, tonumber(job[2]) or 0)
  end
  return owners, lost_most
end

local function troubled()
  local found = {}
  for name in string.gmatch(redis.call('HGET', CONTROL, 'troubled') or '', '[^\n]+') do
    local model = redis.call('HMGET', PREFIX .. 'model:' .. name, 'trips', 'until')
    found[#found + 1] = answer('model', {name = name, trips = tonumber(model[1]) or 0, wait_ms = ms_left(model[2])})
  end
  return found
end

local started, opens_in = limiter()
local owners, lost_most = running()
return answer('why', {
  load = load_of_queue(),
  held_ms = ms_left(redis.call('HGET', CONTROL, 'hold_until')),
  starts_in_window = started,
  opens_in_ms = opens_in,
  there = subscribers('wakeup'),
  idle = idle_there(),
  owners = owners,
  drained = drained(),
  lost_most = lost_most,
  models = troubled(),
})
