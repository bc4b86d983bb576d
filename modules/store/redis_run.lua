-- Of tasks that run. ARGV[1]: what is told.
--   beat LEASE, then ID HOLDER NUMBER PROGRESS TOKENS of each: 0: it is not his, 1: it is, 2: and its owner wants it to end
--   end, then ID HOLDER NUMBER STATE HAS RESULT ERROR USAGE TOKENS DELAY of each: 0: it is not his, 1: it is written. HAS: '101': there is a result and a usage

-- His task, as long as it runs; or false and what it is: 'ended' where he ended it.
local function his(id, holder, number)
  local is = call('HMGET', key('task:', id), 'state', 'holder', 'number', 'entry', 'cancelling', 'owner')
  if not is[1] or is[2] ~= holder or is[3] ~= number then
    return false
  elseif tonumber(is[1]) ~= RUNNING then
    return false, 'ended'
  end
  return is
end

-- Now it was last heard of. Where somebody has deleted the stream, or what is in it, it has an entry again: who runs it may die later.
local function is_alive(id, holder, entry)
  if call('EXISTS', stream) == 0 then
    make_stream()
  end
  if #call('XCLAIM', stream, GROUP, holder, 0, entry, 'JUSTID') == 0 then
    call('HSET', key('task:', id), 'entry', call('XADD', stream, '*', 'task', id, 'claim', ''))
    call('XREADGROUP', 'GROUP', GROUP, holder, 'STREAMS', stream, '>')
  end
end

local function beat(at)
  local id, holder = ARGV[at], ARGV[at + 1]
  local is = his(id, holder, ARGV[at + 2])
  if not is then
    return 0
  end
  if is[4] then
    is_alive(id, holder, is[4])
  end
  call('HSET', key('task:', id), 'lease_until', text(now + tonumber(ARGV[2])), 'progress', ARGV[at + 3], 'tokens', ARGV[at + 4])
  return is[5] == '1' and 2 or 1
end

local function has(at, i)
  return string.sub(ARGV[at + 4], i, i) == '1'
end

local function end_one(at)
  local id, state, delay = ARGV[at], tonumber(ARGV[at + 3]), tonumber(ARGV[at + 9])
  local is, ended = his(id, ARGV[at + 1], ARGV[at + 2])
  if not is then
    return ended and 1 or 0
  end
  leave(is[4])
  if state == PENDING and is[5] == '1' then -- its owner wants it to end: nobody is to run it again
    finish(id, is[6], RUNNING, CANCELLED, {'tokens', ARGV[at + 8]})
    return 1
  elseif state == PENDING then
    not_begun(id)
    put_back(id, is[6], delay > 0 and now + delay or 0)
    return 1
  end
  local fields = {'tokens', ARGV[at + 8]}
  for i, name in ipairs({'result', 'error', 'usage'}) do
    if has(at, i) then
      fields[#fields + 1] = name
      fields[#fields + 1] = ARGV[at + 4 + i]
    end
  end
  if state == COMPLETED then
    fields[#fields + 1] = 'progress'
    fields[#fields + 1] = 1
  end
  finish(id, is[6], RUNNING, state, fields)
  return 1
end

local said = {}
if ARGV[1] == 'beat' then
  for at = 3, #ARGV, 5 do
    said[#said + 1] = beat(at)
  end
else
  for at = 2, #ARGV, 10 do
    said[#said + 1] = end_one(at)
  end
end
return said
