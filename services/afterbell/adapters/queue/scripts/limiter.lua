-- limiter: whether a job may start at this moment, in front of poll.lua. Nothing starts while the queue is paused or held,
-- on a worker that is drained, or once the window is full of starts: an exact sliding log over all workers.
--
--   gate            which rule forbids starts on a worker, until when (ms, nil: until told), and for how many there is room
--   gate_of_queue   the same for any worker
--   count_start     a job starts now: it takes its place in the window
--
-- Reads CONTROL; writes STARTS, and `limited_until` and `hold_until` of CONTROL. `starts_max` 0: no limit.
local limiter = {
  OPEN = '', PAUSED = 'paused', DRAINED = 'drained', HELD = 'hold', FULL = 'limiter',
  starts_max = 0, window_ms = 0,
}
local probe_ms

function limiter.gate_of_queue()
  local flags = redis.call('HMGET', CONTROL, 'paused', 'hold_until', 'probe_ms')
  if flags[1] then return limiter.PAUSED, nil, 0 end
  local hold_until = tonumber(flags[2]) or 0
  if hold_until > NOW then return limiter.HELD, hold_until, 0 end
  probe_ms = tonumber(flags[3])
  local most = probe_ms and 1 or math.huge
  if limiter.starts_max == 0 then return limiter.OPEN, nil, most end
  redis.call('ZREMRANGEBYSCORE', STARTS, '-inf', NOW - limiter.window_ms - 1)
  local room = limiter.starts_max - redis.call('ZCARD', STARTS)
  if room > 0 then return limiter.OPEN, nil, math.min(room, most) end
  -- Room comes when the (starts_max)-th newest start leaves the window, also after the limit was lowered.
  local blocking = redis.call('ZRANGE', STARTS, -limiter.starts_max, -limiter.starts_max, 'WITHSCORES')
  local opens = blocking[2] + limiter.window_ms + 1
  redis.call('HSET', CONTROL, 'limited_until', opens)
  return limiter.FULL, opens, 0
end

function limiter.gate(worker, pod)
  local drained = redis.call('HMGET', CONTROL, 'drain:' .. worker, 'drain:' .. pod)
  if drained[1] or drained[2] then return limiter.DRAINED, nil, 0 end
  return limiter.gate_of_queue()
end

function limiter.count_start(id, run)
  if limiter.starts_max > 0 then
    redis.call('ZADD', STARTS, NOW, id .. ':' .. run)
    redis.call('PEXPIRE', STARTS, limiter.window_ms * 2)
  end
  -- The start that finds out whether the models answer again: nobody else starts before it could have found out.
  if probe_ms then redis.call('HSET', CONTROL, 'hold_until', NOW + probe_ms) end
end

