-- put: add jobs, each once. A job that Redis already knows is left as it is, so putting again is always safe.
--
-- ARGV   2..  triples: job id, payload (the taskiq message), delay in ms (0 = may start now)
-- Returns     one word a job: `put`, or the state of the job that is already there.
local answers = {}
for i = 2, #ARGV, 3 do
  local id, payload, delay_ms = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local state = redis.call('HGET', job_key(id), 'state')
  if state then
    answers[#answers + 1] = state
  else
    redis.call('HSET', job_key(id), 'payload', payload, 'put_ms', NOW, 'run', 0, 'failures', 0)
    if delay_ms > 0 then
      redis.call('HSET', job_key(id), 'state', 'due')
      redis.call('ZADD', DUE, NOW + delay_ms, id)
    else
      make_ready(id)
    end
    -- A due job rings too: the woken worker learns when to come back for it.
    ring()
    answers[#answers + 1] = 'put'
  end
end
return answers
