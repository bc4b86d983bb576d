-- ARGV[1]: what is to be done.
--   claim MAX LEASE             a list of {task, id, url, attempts, first, lease}: those that are due
--   tried TASK LEASE NEXT       by who has that lease: again in so many microseconds; 0: never

local function claim(max, lease)
  local all = {}
  for _, id in ipairs(call('ZRANGEBYSCORE', key('callbacks'), '-inf', text(now), 'LIMIT', 0, max)) do
    local key_of = key('callback:', id)
    call('ZADD', key('callbacks'), text(now + lease), id)
    local attempts, number = call('HINCRBY', key_of, 'attempts', 1), call('HINCRBY', key_of, 'lease', 1)
    local is = call('HMGET', key_of, 'id', 'url', 'first')
    all[#all + 1] = {id, is[1], is[2], text(attempts), is[3], text(number)}
  end
  return all
end

local function tried(id, lease, next)
  if call('HGET', key('callback:', id), 'lease') ~= lease then
    return 0
  end
  if next > 0 then
    call('ZADD', key('callbacks'), text(now + next), id)
  else
    call('DEL', key('callback:', id))
    call('ZREM', key('callbacks'), id)
  end
  return 1
end

if ARGV[1] == 'claim' then
  return claim(tonumber(ARGV[2]), tonumber(ARGV[3]))
end
return tried(ARGV[2], ARGV[3], tonumber(ARGV[4]))
