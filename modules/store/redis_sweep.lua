-- What nobody else does. ARGV: attempts, error, idle (milliseconds: no lease is shorter), where to go on among those that run ('0-0': at the first). Returns {more, where to go on}; '0-0': that was all.

local AT_ONCE = 100
local HOUR = 3600000000 -- microseconds
local SWEEPER = 'sweep' -- a consumer of the group that has nothing for longer than this step

local more = 0

local function due(name, before)
  local members = call('ZRANGEBYSCORE', key(name), '-inf', text(before), 'LIMIT', 0, AT_ONCE)
  more = #members == AT_ONCE and 1 or more
  return members
end

-- Its TTL is over. First of all, and what is large first: it makes room where memory is full.
local function drop(id)
  local is = call('HMGET', key('task:', id), 'owner', 'created', 'state', 'expires')
  call('UNLINK', key('task:', id))
  call('ZREM', key('task-expire'), id)
  if is[1] then
    call('ZREM', key('task-page:', is[1]), string.format('%016.0f', tonumber(is[2])) .. id)
    count(is[3], false)
    -- a day from its end, whenever it is swept: who was told 404 is not told 410 again
    local still = math.floor((tonumber(is[4]) - now) / 1000) + DAY
    if still > 0 then
      call('SET', key('task-gone:', id), is[1], 'PX', text(still))
    end
  end
end

-- Whoever ran it has not been heard of for longer than its lease. The number counts up, so that he knows that it is lost, whatever comes.
local function take_back(entry, id, is)
  local cancelling = is[4] == '1'
  leave(entry)
  call('HINCRBY', key('task:', id), 'number', 1)
  if cancelling then
    finish(id, is[1], RUNNING, CANCELLED, {})
  elseif tonumber(is[3]) >= tonumber(ARGV[1]) then
    finish(id, is[1], RUNNING, 3, {'error', ARGV[2]})
  else
    put_back(id, is[1], 0)
  end
end

local function sweep_running()
  local found = call('XAUTOCLAIM', stream, GROUP, SWEEPER, ARGV[3], ARGV[4], 'COUNT', AT_ONCE)
  for _, entry in ipairs(found[2]) do
    local id = entry and entry[2] and entry[2][2]
    local is = id and call('HMGET', key('task:', id), 'owner', 'state', 'attempts', 'cancelling', 'entry', 'lease_until', 'holder')
    if not is or tonumber(is[2]) ~= RUNNING or is[5] ~= entry[1] then
      leave(entry and entry[1])
    elseif tonumber(is[6]) < now then
      take_back(entry[1], id, is)
    else
      call('XCLAIM', stream, GROUP, is[7], 0, entry[1], 'JUSTID')
    end
  end
  return found[1]
end

for _, id in ipairs(due('task-expire', now)) do
  drop(id)
end
local has_stream = call('EXISTS', stream) == 1
local cursor = has_stream and sweep_running() or '0-0'
-- who comes again within the hour waits for his turn like everybody else
for _, owner in ipairs(due('task-served', now - HOUR)) do
  call('ZREM', key('task-served'), owner)
end
for _, consumer in ipairs(has_stream and due('task-consumers', now - HOUR) or {}) do
  if #call('XPENDING', stream, GROUP, '-', '+', 1, consumer) == 0 then
    call('XGROUP', 'DELCONSUMER', stream, GROUP, consumer)
    call('ZREM', key('task-consumers'), consumer)
  else -- it has run something for an hour
    call('ZADD', key('task-consumers'), text(now), consumer)
  end
end
return {more, cursor}
