-- put: add jobs, each once. A job that Redis already knows is left as it is, so putting again is always safe.
--
-- ARGV   2..  fours: job id, payload (the taskiq message), lane (class digit, ':', tenant), delay in ms (0 = now)
-- Returns     one word a job: `put`, or the state of the job that is already there.
count_command()
local answers, added = {}, false
for i = 2, #ARGV, 4 do
  local id, delay_ms = ARGV[i], tonumber(ARGV[i + 3])
  local state = redis.call('HGET', job_key(id), 'state')
  if not state then
    added = true
    local seq = redis.call('HINCRBY', CONTROL, 'next_seq', 1)
    redis.call('HSET', job_key(id), 'payload', ARGV[i + 1], 'lane', ARGV[i + 2], 'put_ms', NOW, 'state', 'due', 'seq', seq)
    -- The first job of an empty Redis: whoever was idle before it was emptied is on no list any more.
    if seq == 1 then redis.call('PUBLISH', PREFIX .. 'bell', '1') end
    if delay_ms > 0 then redis.call('ZADD', DUE, NOW + delay_ms, id) else make_ready(id) end
    -- A due job rings too: the woken worker learns when to come back for it.
    ring_if_useful()
  end
  answers[#answers + 1] = state or 'put'
end
if added then tell_load() end
return answers
