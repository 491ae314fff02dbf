-- control: switch the queue's flags. Idempotent; wakes every idle worker where starts become possible again.
--
-- ARGV   2 verb: pause | resume | hold | drain | undrain   3 argument: ms for hold, the worker for drain and undrain
-- Returns  1
local verb, argument = ARGV[2], ARGV[3]

local function ring_all()
  for _ = 1, redis.call('SCARD', IDLE) do ring() end
end

local act = {
  pause = function() redis.call('HSET', CONTROL, 'paused', 1) end,
  resume = function()
    redis.call('HDEL', CONTROL, 'paused')
    ring_all()
  end,
  hold = function() redis.call('HSET', CONTROL, 'hold_until', NOW + argument) end,
  drain = function()
    redis.call('HSET', CONTROL, 'drain:' .. argument, 1)
    redis.call('SREM', IDLE, argument)
    redis.call('PUBLISH', PREFIX .. 'bell:' .. argument, 'drain')
  end,
  undrain = function()
    redis.call('HDEL', CONTROL, 'drain:' .. argument)
    redis.call('PUBLISH', PREFIX .. 'bell:' .. argument, 'undrain')
  end,
}
act[verb]()
return 1
