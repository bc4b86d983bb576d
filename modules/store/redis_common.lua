-- What the scripts of the Redis store (store_redis.c) have in common; it stands before each of them. Each is one step: nothing else happens in Redis meanwhile. The time is Redis's own.
--
-- KEYS[1] is the stream; the names of all other keys begin like it:
--
--   tasks               a stream with the consumer group "tasks": an entry for each task that runs, pending at its holder. It says which task ("task"), and in which claim it was given ("claim")
--   task:ID             hash: one task, as in aigw_store.h, and its lease: holder, number, lease_until, entry (of the stream, while it runs)
--   task-queue:OWNER    sorted set, by name: what waits of an owner's: the more urgent first, then the older
--   task-turns          sorted set: owners of whom something waits, by when they were served (a time, but never the same twice)
--   task-served         the same of all that were served in the last hour
--   task-later          sorted set: what waits and is not to run before a time, by that time
--   task-page:OWNER     sorted set, by name: an owner's tasks by age
--   task-owners         hash: how many unfinished tasks each owner has
--   task-counts         hash: how many tasks there are in each state
--   task-expire         sorted set: finished tasks, by when they go
--   task-consumers      sorted set: who has taken tasks in the last hour, by when
--   task-gone:ID        the owner of a task that was there. It expires
--   task-once:…         what was made with an idempotency key: the task's ID, and the fingerprint. It expires
--   callbacks           sorted set: tasks of which somebody wants to be told, by when to try
--   callback:ID         hash: the callback of a task
--   store:version       of all this
--
-- A script that fails is not undone: so each looks first and writes then, and what cannot be written (no memory, a replica) is refused with the first write.
--
-- Numbers are doubles: microseconds since 1970 are at 2^51, and so exact.

local VERSION = 1
local GROUP = 'tasks'
local PENDING, RUNNING, COMPLETED, CANCELLED = 0, 1, 2, 4
local DAY = 86400000 -- milliseconds
local ID = 32        -- characters
local FEW = {'id', 'owner', 'server', 'identity', 'endpoint', 'model', 'priority', 'state', 'attempts', 'cancelling', 'progress', 'tokens', 'error', 'usage', 'created', 'started', 'completed', 'expires', 'ttl', 'callback_url', 'number'}
local MANY = {unpack(FEW)}
MANY[#MANY + 1] = 'request'
MANY[#MANY + 1] = 'result'

local call = redis.call
local prefix = string.sub(KEYS[1], 1, -6)
local stream = KEYS[1]
local time = call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function key(name, of)
  return prefix .. name .. (of or '')
end

local version = call('GET', key('store:version'))
if version and tonumber(version) ~= VERSION then
  return redis.error_reply('AIGWVERSION ' .. version)
end

local function text(n)
  return string.format('%.0f', n)
end

local function task_of(id, fields)
  return call('HMGET', key('task:', id), unpack(fields))
end

-- Its TTL is over, whether it was swept away or not.
local function is_over(task)
  local expires = tonumber(task[18])
  return expires > 0 and expires <= now
end

-- 'ok' and the task; 'gone'; 'notfound', also where it is another's.
local function read(id, owner, fields)
  local task = task_of(id, fields)
  if task[2] then
    if task[2] == owner and not is_over(task) then
      return 'ok', task
    elseif task[2] == owner and tonumber(task[18]) > now - DAY * 1000 then
      return 'gone'
    end
  elseif call('GET', key('task-gone:', id)) == owner then
    return 'gone'
  end
  return 'notfound'
end

-- From one state to another; false: from none, or to none.
local function count(from, to)
  if from then
    call('HINCRBY', key('task-counts'), from, -1)
  end
  if to then
    call('HINCRBY', key('task-counts'), to, 1)
  end
end

-- Where it stands in its owner's queue.
local function place(id, priority, created)
  return string.format('%03d%016.0f', 100 - math.max(-100, math.min(100, tonumber(priority))), tonumber(created)) .. id
end

local function enqueue(owner, member)
  call('ZADD', key('task-queue:', owner), 0, member)
  if not call('ZSCORE', key('task-turns'), owner) then
    call('ZADD', key('task-turns'), call('ZSCORE', key('task-served'), owner) or 0, owner)
  end
end

local function dequeue(owner, member)
  call('ZREM', key('task-queue:', owner), member)
  if call('EXISTS', key('task-queue:', owner)) == 0 then
    call('ZREM', key('task-turns'), owner)
  end
end

local function make_stream()
  call('XGROUP', 'CREATE', stream, GROUP, '0', 'MKSTREAM')
end

-- It runs no more. This writes even where memory is full, and whatever follows may, too: what was begun can end.
local function leave(entry)
  if entry then
    call('XACK', stream, GROUP, entry)
    call('XDEL', stream, entry)
  end
end

-- This attempt was none.
local function not_begun(id)
  if call('HINCRBY', key('task:', id), 'attempts', -1) <= 0 then
    call('HSET', key('task:', id), 'started', 0)
  end
end

-- From running to pending. later: not before then; 0: at once.
local function put_back(id, owner, later)
  local key_of = key('task:', id)
  call('HSET', key_of, 'state', PENDING, 'progress', 0, 'tokens', -1)
  call('HDEL', key_of, 'entry')
  count(RUNNING, PENDING)
  if later > 0 then
    call('ZADD', key('task-later'), text(later), id)
  else
    local order = call('HMGET', key_of, 'priority', 'created')
    enqueue(owner, place(id, order[1], order[2]))
  end
end

-- It is over; fields is what else is to be written of it.
local function finish(id, owner, from, state, fields)
  local key_of = key('task:', id)
  local more = call('HMGET', key_of, 'ttl', 'callback_url')
  local expires = text(now + tonumber(more[1]))
  call('HSET', key_of, 'state', state, 'completed', text(now), 'expires', expires, unpack(fields))
  call('HDEL', key_of, 'entry', 'request') -- what it was asked nobody needs any more
  call('ZADD', key('task-expire'), expires, id)
  count(from, state)
  if call('HINCRBY', key('task-owners'), owner, -1) <= 0 then
    call('HDEL', key('task-owners'), owner)
  end
  if more[2] and call('EXISTS', key('callback:', id)) == 0 then
    call('HSET', key('callback:', id), 'id', 'msg_' .. id, 'url', more[2], 'attempts', 0, 'first', text(now), 'lease', 0)
    call('ZADD', key('callbacks'), text(now), id)
  end
end
