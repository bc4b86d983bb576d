-- Tasks to run. ARGV: holder, max, lease, the name of this claim; then those of earlier ones of this holder whose answer was lost: what they were given is given now.
-- Returns {more, tasks}. more: 1: there may be more, but this answer is long enough.

local LATER = 100       -- of those whose time has come, in one step
local NEWEST = 500      -- entries of the stream where lost answers are looked for
local BYTES = 8388608   -- of requests in one answer: 8 MiB

local holder, max, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local tasks, bytes = {}, 0

-- It is this holder's now, by this claim.
local function hold(id)
  local entry = call('XADD', stream, '*', 'task', id, 'claim', ARGV[4])
  call('HSET', key('task:', id), 'holder', holder, 'lease_until', text(now + lease), 'entry', entry)
end

local function give(id)
  local task = task_of(id, MANY)
  bytes = bytes + #(task[#FEW + 1] or '')
  tasks[#tasks + 1] = task
end

-- What a lost answer had in it, the oldest first. What is too much now is handed back.
local function find_lost()
  local lost, entries = {}, call('XREVRANGE', stream, '+', '-', 'COUNT', NEWEST)
  for i = 5, #ARGV do
    lost[ARGV[i]] = true
  end
  for i = #entries, 1, -1 do
    local entry, id, claim = entries[i][1], entries[i][2][2], entries[i][2][4]
    local is = lost[claim] and call('HMGET', key('task:', id), 'state', 'entry', 'owner')
    if is and tonumber(is[1]) == RUNNING and is[2] == entry then
      leave(entry)
      if #tasks < max and bytes < BYTES then
        hold(id)
        give(id)
      else
        not_begun(id)
        put_back(id, is[3], 0)
      end
    end
  end
end

local function move_due()
  for _, id in ipairs(call('ZRANGEBYSCORE', key('task-later'), '-inf', text(now), 'LIMIT', 0, LATER)) do
    local is = call('HMGET', key('task:', id), 'owner', 'priority', 'created', 'state')
    if tonumber(is[4]) == PENDING then
      enqueue(is[1], place(id, is[2], is[3]))
    end
    call('ZREM', key('task-later'), id)
  end
end

-- It is this owner's turn: his next task begins.
local function begin(owner, member, served)
  local id = string.sub(member, -ID)
  local key_of = key('task:', id)
  local started = call('HGET', key_of, 'started')
  if started then
    hold(id)
    call('HSET', key_of, 'state', RUNNING, 'started', started == '0' and text(now) or started)
    call('HINCRBY', key_of, 'attempts', 1)
    call('HINCRBY', key_of, 'number', 1)
    call('ZADD', key('task-served'), text(served), owner)
    call('ZADD', key('task-turns'), text(served), owner)
    count(PENDING, RUNNING)
    give(id)
  end
  dequeue(owner, member)
end

local function take_turns()
  local last = call('ZREVRANGE', key('task-served'), 0, 0, 'WITHSCORES')
  local served, turns = math.max(now, (tonumber(last[2]) or 0) + 1), 0
  while #tasks < max and bytes < BYTES and turns < 2 * max do
    local owner = call('ZRANGE', key('task-turns'), 0, 0)[1]
    if not owner then
      break
    end
    local member = call('ZRANGE', key('task-queue:', owner), 0, 0)[1]
    if member then
      begin(owner, member, served + turns)
    else
      call('ZREM', key('task-turns'), owner)
    end
    turns = turns + 1
  end
end

if #ARGV > 4 then
  find_lost()
end
move_due()
if call('EXISTS', key('task-turns')) == 1 then
  if call('EXISTS', stream) == 0 then
    make_stream()
  end
  take_turns()
end
if #tasks > 0 then -- what was added is this holder's: he is what Redis calls a consumer
  call('XREADGROUP', 'GROUP', GROUP, holder, 'STREAMS', stream, '>')
  call('ZADD', key('task-consumers'), text(now), holder)
end
return {bytes >= BYTES and #tasks < max and 1 or 0, tasks}
