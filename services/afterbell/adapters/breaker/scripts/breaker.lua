-- breaker: what the fleet knows about the models it calls: breakers, pauses, quotas. Nothing is asked or updated here while
-- all is well and no quota is set: then a report costs no command for its model.
--
-- It stands behind the queue's prelude and shares its hash tag, for three things must change in one step: where no model may
-- be called, the queue is held (`hold_until`, `probe_ms` in CONTROL, which poll.lua obeys); polls bring the names of models
-- in trouble to every worker for nothing (`troubled` in CONTROL); and a model that is back wakes the fleet.
--
-- ARGV   2 verb   3 model   4.. numbers, then the other names of the chain the worker would turn to
--   ask call tokens requests-max tokens-max flight-max lease-ms
--                              may the model be called now? 0 = no such limit; counts the call where it may
--   failed answered window-ms failures-min first-ms longest-ms probe chain ...
--                              a call failed; answered: calls of this worker that did not, since its last update
--   broken longest-ms chain ...   the key, the name or the account is wrong: every call fails
--   wait ms answered first-ms longest-ms chain ...    the provider asked to wait; answered as above
--   ok                         a probe was answered
--   ended call reserved-tokens used-tokens     only for a call that `ask` counted
--   usage                      changes nothing: `usage` of answers.py, of the last minute
-- Returns  `permit` of answers.py: ms until this model may be called (0 = now), ms until any of the chain may, and 1 where
--          the call is a probe
--
-- A breaker is open until `until`. Then one call may try, and moves `until` on by as long as the breaker would be open
-- next, so that there is one probe an interval, also where the prober vanishes. Where no model of the chain may be
-- called, the queue itself is held (`hold_until`), and begins again with one job (`probe_ms`).
local VERB, MODEL = ARGV[2], ARGV[3]
local MINUTE_MS = 60600 -- one percent more: what leaves us a moment apart may arrive in one minute
local FLIGHT_AGAIN_MS = 2000
local CALM_MS = 60000 -- a model that asked for nothing for so long begins anew
local STATE_KEPT_MS = 86400000 -- a day; a model that nobody calls any more leaves nothing behind

local function permit(wait_ms, any_wait_ms, is_probe)
  return answer('permit', {wait_ms = wait_ms, any_wait_ms = any_wait_ms, is_probe = is_probe and 1 or 0})
end

local function model_key(name) return PREFIX .. 'model:' .. name end
local STATE, VERDICTS = model_key(MODEL), PREFIX .. 'verdicts:' .. MODEL
local SENT, FLIGHT = PREFIX .. 'sent:' .. MODEL, PREFIX .. 'flight:' .. MODEL

local function number(field) return tonumber(redis.call('HGET', STATE, field)) or 0 end

local function trouble(is_troubled)
  local names, was_troubled = {}, false
  for name in string.gmatch(redis.call('HGET', CONTROL, 'troubled') or '', '[^\n]+') do
    if name == MODEL then was_troubled = true else names[#names + 1] = name end
  end
  if is_troubled then
    names[#names + 1] = MODEL
    redis.call('PEXPIRE', STATE, STATE_KEPT_MS)
  end
  if is_troubled ~= was_troubled then redis.call('HSET', CONTROL, 'troubled', table.concat(names, '\n')) end
end

local function open_ms(trips, first_ms, longest_ms)
  return math.min(first_ms * 2 ^ math.min(trips - 1, 30), longest_ms)
end

-- Until the soonest of the chain may be called. Holds the queue as long, where that is not now.
local function hold(first_name, probe_ms)
  local soonest = number('until')
  for i = first_name, #ARGV do
    soonest = math.min(soonest, tonumber(redis.call('HGET', model_key(ARGV[i]), 'until')) or 0)
  end
  if soonest <= NOW then return 0 end
  local before = tonumber(redis.call('HGET', CONTROL, 'hold_until')) or 0
  redis.call('HSET', CONTROL, 'hold_until', math.max(before, soonest))
  if probe_ms then redis.call('HSET', CONTROL, 'probe_ms', probe_ms) end
  return soonest - NOW
end

local function trip(first_ms, longest_ms, first_name)
  local trips = redis.call('HINCRBY', STATE, 'trips', 1)
  local until_ms = NOW + open_ms(trips, first_ms, longest_ms)
  local next_ms = open_ms(trips + 1, first_ms, longest_ms)
  redis.call('HSET', STATE, 'until', until_ms, 'probe_ms', next_ms)
  redis.call('DEL', VERDICTS)
  trouble(true)
  return permit(until_ms - NOW, hold(first_name, next_ms))
end

-- Failures and answers of the last window, this one included.
local function count_verdicts(answered, window_ms)
  redis.call('ZREMRANGEBYSCORE', VERDICTS, '-inf', NOW - window_ms)
  -- Within one millisecond nothing leaves the window, so its length names an entry.
  local serial = NOW .. ':' .. redis.call('ZCARD', VERDICTS)
  redis.call('ZADD', VERDICTS, NOW, 'f:' .. serial)
  if answered > 0 then redis.call('ZADD', VERDICTS, NOW, 'a:' .. serial .. ':' .. answered) end
  redis.call('PEXPIRE', VERDICTS, window_ms)
  local failures, answers = 0, 0
  for _, one in ipairs(redis.call('ZRANGE', VERDICTS, 0, -1)) do
    local count = string.match(one, '^a:%d+:%d+:(%d+)$')
    if count then answers = answers + tonumber(count) else failures = failures + 1 end
  end
  return failures, answers
end

-- Until a window that holds `list` (member, score, ...) has room again after its first `leave` entries left.
local function until_left(list, leave)
  local last = list[leave * 2]
  return last and math.max(last + MINUTE_MS + 1 - NOW, 1) or 1
end

local function tokens_of(member) return tonumber(string.match(member, ':(%d+)$')) end

local function over_quota(tokens, requests_max, tokens_max, flight_max)
  redis.call('ZREMRANGEBYSCORE', FLIGHT, '-inf', NOW)
  if flight_max > 0 and redis.call('ZCARD', FLIGHT) >= flight_max then return FLIGHT_AGAIN_MS end
  redis.call('ZREMRANGEBYSCORE', SENT, '-inf', NOW - MINUTE_MS)
  local list = redis.call('ZRANGE', SENT, 0, -1, 'WITHSCORES')
  local sent = #list / 2
  if requests_max > 0 and sent >= requests_max then return until_left(list, sent - requests_max + 1) end
  if tokens_max == 0 or sent == 0 then return 0 end
  local sum = tokens
  for i = 1, #list, 2 do sum = sum + tokens_of(list[i]) end
  local leave = 0
  while sum > tokens_max and leave < sent do
    leave = leave + 1
    sum = sum - tokens_of(list[leave * 2 - 1])
  end
  return leave == 0 and 0 or until_left(list, leave)
end

local function ask(call, tokens, requests_max, tokens_max, flight_max, lease_ms)
  local until_ms = number('until')
  if until_ms > NOW then return permit(until_ms - NOW, until_ms - NOW) end
  local wait_ms = over_quota(tokens, requests_max, tokens_max, flight_max)
  if wait_ms > 0 then return permit(wait_ms, wait_ms) end
  if requests_max + tokens_max + flight_max > 0 then
    redis.call('ZADD', SENT, NOW, call .. ':' .. tokens)
    redis.call('PEXPIRE', SENT, MINUTE_MS)
    redis.call('ZADD', FLIGHT, NOW + lease_ms, call)
    redis.call('PEXPIRE', FLIGHT, lease_ms)
  end
  if number('trips') == 0 then
    trouble(false) -- a pause that is over
    return permit(0, 0)
  end
  redis.call('HSET', STATE, 'until', NOW + number('probe_ms'))
  return permit(0, 0, true)
end

-- How long a model is left alone that asks to wait again and again: twice as long each time that nothing was answered
-- since. A provider that says "half a second" for ever would be called once a second by one report after the other.
local function again_ms()
  local answered, first_ms, longest_ms = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
  local last = number('until')
  if NOW < last then return 0 end -- another call of the same moment
  if answered > 0 or NOW - last > CALM_MS then redis.call('HDEL', STATE, 'waits') end
  local waits = redis.call('HINCRBY', STATE, 'waits', 1)
  return math.min(first_ms * 2 ^ math.min(waits - 1, 30), longest_ms)
end

local verbs = {
  ask = function()
    return ask(ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9]))
  end,
  failed = function()
    local first_ms, longest_ms = tonumber(ARGV[7]), tonumber(ARGV[8])
    if ARGV[9] == '1' then return trip(first_ms, longest_ms, 10) end
    local until_ms = number('until')
    if number('trips') > 0 then return permit(math.max(until_ms - NOW, 0), hold(10)) end
    local failures, answers = count_verdicts(tonumber(ARGV[4]), tonumber(ARGV[5]))
    if failures < tonumber(ARGV[6]) or failures < answers then return permit(0, 0) end
    return trip(first_ms, longest_ms, 10)
  end,
  broken = function() return trip(tonumber(ARGV[4]), tonumber(ARGV[4]), 5) end,
  wait = function()
    local until_ms = math.max(number('until'), NOW + math.max(tonumber(ARGV[4]), again_ms()))
    redis.call('HSET', STATE, 'until', until_ms)
    trouble(true)
    return permit(until_ms - NOW, hold(8))
  end,
  ok = function()
    redis.call('DEL', STATE, VERDICTS)
    trouble(false)
    redis.call('HDEL', CONTROL, 'hold_until', 'probe_ms')
    wake_all()
    return permit(0, 0)
  end,
  ended = function()
    local member = ARGV[4] .. ':' .. ARGV[5]
    local at = redis.call('ZSCORE', SENT, member)
    redis.call('ZREM', FLIGHT, ARGV[4])
    if at then
      redis.call('ZREM', SENT, member)
      redis.call('ZADD', SENT, at, ARGV[4] .. ':' .. ARGV[6])
    end
    return permit(0, 0)
  end,
}

local function usage()
  local calls, tokens = redis.call('ZRANGEBYSCORE', SENT, NOW - MINUTE_MS, '+inf'), 0
  for _, member in ipairs(calls) do tokens = tokens + tonumber(string.match(member, ':(%d+)$')) end
  return answer('usage', {requests = #calls, tokens = tokens, in_flight = redis.call('ZCOUNT', FLIGHT, NOW, '+inf')})
end

if VERB == 'usage' then return usage() end
count_command()
return verbs[VERB]()
