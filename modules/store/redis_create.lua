-- A new task. ARGV: id, owner, server, identity, endpoint, model, request, priority, ttl, has callback_url, callback_url, max, has a key, key, fingerprint, keep (milliseconds).
-- Returns {'ok', task}, {'exists', task}, {'mismatch'}, {'full'}, {'taken'}, {'gone'}, {'notfound'}. The same once more is the same task, and not a second one.

local id, owner = ARGV[1], ARGV[2]
local once = ARGV[13] == '1' and key('task-once:', #owner .. ':' .. owner .. ':' .. ARGV[14])
local before = once and call('GET', once)

if before then
  if string.sub(before, ID + 1) ~= ARGV[15] then
    return {'mismatch'}
  end
  local first = string.sub(before, 1, ID)
  local how, task = read(first, owner, MANY)
  return {how == 'ok' and first ~= id and 'exists' or how, task}
end

local there = task_of(id, FEW)
if there[2] then
  return there[2] == owner and {'ok', there} or {'taken'}
end

local max = tonumber(ARGV[12])
if max > 0 and tonumber(call('HGET', key('task-owners'), owner) or 0) >= max then
  return {'full'}
end

call('HSET', key('task:', id), 'id', id, 'owner', owner, 'server', ARGV[3], 'identity', ARGV[4], 'endpoint', ARGV[5], 'model', ARGV[6], 'request', ARGV[7], 'priority', ARGV[8], 'ttl', ARGV[9],
  'state', PENDING, 'attempts', 0, 'cancelling', 0, 'progress', 0, 'tokens', -1, 'created', text(now), 'started', 0, 'completed', 0, 'expires', 0, 'number', 0)
if ARGV[10] == '1' then
  call('HSET', key('task:', id), 'callback_url', ARGV[11])
end
if not version then
  call('SET', key('store:version'), VERSION)
end
call('ZADD', key('task-page:', owner), 0, string.format('%016.0f', now) .. id)
enqueue(owner, place(id, ARGV[8], now))
call('HINCRBY', key('task-owners'), owner, 1)
count(false, PENDING)
if once then
  call('SET', once, id .. ARGV[15], 'PX', ARGV[16])
end
return {'ok', task_of(id, FEW)}
