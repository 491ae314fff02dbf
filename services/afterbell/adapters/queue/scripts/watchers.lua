-- watchers: a distributed alarm clock, in front of poll.lua. Some things happen without an enqueue: a due job's moment
-- comes, the limiter or a hold opens, a lease runs out. For each of them two idle workers are told when to come back, by the
-- answer to their poll or on their wakeup channel, so that nobody polls on a clock and an idle fleet sends no commands.
--
-- A worker with a free slot is in IDLE, and in WATCH too where it has promised to come back at a moment:
--
--                       poll leaves a slot free
--        working ------------------------------------> asleep (IDLE)
--           ^                                            |      ^
--           | poll: woken, or its moment came            | watch | quiet: its moment was used up
--           |                                            v      |
--           +--------------------------------------- watching (IDLE, WATCH)
--
--   promise   in how many ms a worker must come back; nobody where two others watch for the event already
--   appoint   after a poll: move watchers on from a used-up moment, and tell idle workers of one that nobody watches
--   release   nothing waits, is due or runs: nobody need come back
--
-- Reads LEASES, DUE, WAITING and jobs; writes WATCH, and takes workers that are gone out of IDLE.
-- `poller`: who polls now; `known`: ids of the jobs it is known to run (one that it owns and does not name got lost with an
-- answer); a job that `suspect_from` workers vanished with shares its worker with no other such job.
local watching = {poller = '', known = {}, suspect_from = 1}

-- Whether a worker must leave a job that ran out to others, or to its own next exchange: both are suspect.
local suspects_of
local function must_leave(worker, id)
  if (tonumber(redis.call('HGET', job_key(id), 'lost')) or 0) + 1 < watching.suspect_from then return false end
  if not suspects_of then
    suspects_of = {}
    for _, running in ipairs(redis.call('ZRANGEBYSCORE', LEASES, '(' .. NOW, '+inf', 'LIMIT', 0, 100)) do
      local job = redis.call('HMGET', job_key(running), 'owner', 'lost')
      if job[1] and (tonumber(job[2]) or 0) >= watching.suspect_from then suspects_of[job[1]] = true end
    end
  end
  return suspects_of[worker] == true
end

-- The next moment at which something may start that nobody is woken for, as far as this worker can notice it, and the
-- workers that cannot notice all of it: a due job, the gate's opening, another worker's lease (its owner cannot watch
-- that one, and leases that run out together are one event).
local function next_event(worker, opens)
  local at, owners = math.huge, {}
  local due = redis.call('ZRANGE', DUE, 0, 0, 'WITHSCORES')
  if due[2] then at = tonumber(due[2]) end
  if opens and redis.call('ZCARD', WAITING) > 0 then at = math.min(at, opens) end
  local leases = redis.call('ZRANGE', LEASES, 0, 50, 'WITHSCORES')
  for i = 1, #leases, 2 do
    local expires = tonumber(leases[i + 1])
    if expires > at + WATCH_SLACK_MS then break end
    local holder = redis.call('HGET', job_key(leases[i]), 'owner') or ''
    local others = holder ~= worker or (worker == watching.poller and not watching.known[leases[i]])
    if others and not (expires <= NOW and must_leave(worker, leases[i])) then
      at = math.min(at, expires)
      owners[holder] = true
    end
  end
  -- Before a closed gate opens nothing can start, whatever is due.
  if opens then at = math.max(at, opens) end
  return at, owners
end

-- In how many ms this worker must come back, -1: not before it is woken. Two of the idle ones watch for each event, the
-- second a little later: should the first be gone, the job still starts. The others sleep, which keeps an idle fleet free.
function watching.promise(worker, opens)
  local at, owners = next_event(worker, opens)
  if at == math.huge then return -1 end
  owners[worker] = true
  local others = count_watching(at, owners)
  if others >= 2 then return -1 end
  -- Come later only where another watcher is on time: otherwise a start could stay unused for WATCH_SLACK_MS.
  if others == 1 and count_watching(at - WATCH_SLACK_MS / 2, owners) == 1 then at = at + WATCH_SLACK_MS end
  at = math.max(at, NOW + 1)
  local before = tonumber(redis.call('ZSCORE', WATCH, worker))
  if before and before >= NOW - WATCH_SLACK_MS and before <= at then return -1 end
  redis.call('ZADD', WATCH, at, worker)
  return at - NOW
end

local function publish_to(worker, message)
  return redis.call('PUBLISH', PREFIX .. 'wakeup:' .. worker, message .. ' ' .. NOW) > 0
end

-- An idle worker knows nothing of what began after its last poll: a job that this worker runs, say, whose lease somebody
-- must watch. It is told on its wakeup channel, which costs no poll. False where nobody is subscribed: it is gone.
local function set_watch(worker, opens)
  local in_ms = watching.promise(worker, opens)
  if in_ms == -1 or publish_to(worker, 'watch ' .. in_ms) then return true end
  redis.call('SREM', IDLE, worker)
  redis.call('ZREM', WATCH, worker)
  return false
end

-- A watcher of a moment that this poll has used up, the second one at the gate's opening, say, would come in vain. It is
-- told the next moment instead.
local function postpone(opens)
  for _, worker in ipairs(redis.call('ZRANGEBYSCORE', WATCH, NOW + 1, '+inf', 'LIMIT', 0, 10)) do
    local wanted = next_event(worker, opens)
    if worker ~= watching.poller and redis.call('ZSCORE', WATCH, worker) + WATCH_SLACK_MS < wanted then
      redis.call('ZREM', WATCH, worker)
      local in_ms = watching.promise(worker, opens)
      publish_to(worker, in_ms == -1 and 'quiet' or 'watch ' .. in_ms)
    end
  end
end

-- Have two idle workers watch for the next event. `opens`: when the closed gate does, nil where none is closed.
function watching.appoint(opens)
  postpone(opens)
  repeat
    local all_there = true
    for _, worker in ipairs(redis.call('SRANDMEMBER', IDLE, 3)) do
      if worker ~= watching.poller then all_there = set_watch(worker, opens) and all_there end
    end
  until all_there
end

-- With nothing left to watch for, those who were told to come back need not.
function watching.release()
  for _, worker in ipairs(redis.call('ZRANGE', WATCH, 0, -1)) do
    publish_to(worker, 'quiet')
  end
  redis.call('DEL', WATCH)
end
