-- ARGV: id, owner. Returns {'ok', task}, {'gone'}, {'notfound'}.

local id, owner = ARGV[1], ARGV[2]
local how, task = read(id, owner, MANY)

if how ~= 'ok' then
  return {how}
end
local is = call('HMGET', key('task:', id), 'state', 'priority', 'created')
if tonumber(is[1]) == PENDING then
  dequeue(owner, place(id, is[2], is[3]))
  call('ZREM', key('task-later'), id)
  finish(id, owner, PENDING, CANCELLED, {})
elseif tonumber(is[1]) == RUNNING then
  call('HSET', key('task:', id), 'cancelling', 1)
else
  return {how, task}
end
return {how, task_of(id, MANY)}
