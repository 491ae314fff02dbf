-- take: renew the leases of the jobs a worker runs, then hand it what may start now.
--
-- ARGV   2 worker   3 free slots   4 lease ms   5 starts a window (0 = no limiter)   6 window ms
--        7 deliveries after which a job whose workers vanish is dead
--        8..  pairs of a running job: stream entry, run
-- Returns  grant's answer, then the entries lost to another worker, then the entries Redis does not know any more.
local options = grant_options(3)
options.renewed = true
local known = pending_count() > 0
local lost, unknown = {}, {}
for i = 8, #ARGV, 2 do
  local entry, run = ARGV[i], ARGV[i + 1]
  local p = known and redis.call('XPENDING', READY, GROUP, entry, entry, 1)[1]
  local found = p and redis.call('XRANGE', READY, entry, entry)[1]
  if not found then
    unknown[#unknown + 1] = entry
  elseif p[2] ~= options.worker or redis.call('HGET', job_key(found[2][2]), 'run') ~= run then
    lost[#lost + 1] = entry
  else
    redis.call('XCLAIM', READY, GROUP, options.worker, 0, entry, 'JUSTID')
  end
end
local answer = grant(options)
answer[5], answer[6] = lost, unknown
return answer
