-- What the Redis store of limits (limit_redis.c) has done in Redis, each time in one step: decide, settle and renew. The time is Redis's own.
--
-- KEYS: of decide and settle two for each limit: what was used of it (a string; of slots the set of them), and its reservations. ARGV[1]: what to do.
-- Reservations and slots are members of sorted sets; the score is when they expire (microseconds). Of what a reservation has charged its name tells: "ID:charged at:x:y".
--
-- Numbers are doubles. All of them are integers below 2^53 and so exact: microseconds since 1970 are at 2^51. A quotient that is rounded down is exact as well. Amounts are pairs x, y: of a window how
-- many, and 0; of a bucket the time they take to flow in, microseconds and nanoseconds (0..999), which the caller has worked out: it has the bits for it.
--
-- Any key may be gone at any time (it expired, Redis was restarted): then nothing was used.

local SLICES = 16                     -- of a window: fifteen and the present one (aigw_window.h)
local SLICE_MAX = 562949953421312     -- 2^49, what one of them counts at most: the sum of all is exact
local MISSING_MAX = 4503599627370496  -- 2^52 microseconds: 142 years
local COLLECT = 1000                  -- expired reservations of a limit that one step gives back
local GRACE = 1000                    -- milliseconds that keys live longer than they matter

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function text(n)
  return string.format('%.0f', n)
end

-- Microseconds to milliseconds of PEXPIRE.
local function ttl(us)
  return math.ceil(us / 1000) + GRACE
end

-- ---------------------------------------------------------------- sliding windows: x is the amount, y the length of a slice

-- "NUMBER OF THE NEWEST SLICE, ITS COUNT, THE COUNT OF THE ONE BEFORE, …"; counts[0] is the newest after it. The newest becomes the present one. Where the clock has stepped back, all stays as it is,
-- under other numbers.
local function window_load(limit)
  local stored, age = redis.call('GET', limit.key), nil
  limit.number, limit.counts, limit.used = math.floor(now / limit.y), {}, 0
  for i = 0, SLICES - 1 do
    limit.counts[i] = 0
  end
  for word in string.gmatch(stored or '', '%d+') do
    local n = tonumber(word)
    if not age then
      age = math.max(limit.number - n, 0)
    else
      if age < SLICES then
        limit.counts[age] = n
        limit.used = limit.used + n
      end
      age = age + 1
    end
  end
end

local function window_wait(limit, cost)
  local sum, allowed, age = limit.used, limit.x - math.min(cost, limit.x), SLICES - 1
  if sum <= allowed then
    return 0
  end
  while age > 0 and sum - limit.counts[age] > allowed do
    sum = sum - limit.counts[age]
    age = age - 1
  end
  return (limit.number + SLICES - age) * limit.y - now
end

local function window_take(limit, x)
  local was = limit.counts[0]
  limit.counts[0] = math.min(was + x, SLICE_MAX)
  limit.used = limit.used + limit.counts[0] - was
end

local function window_give(limit, x, _, at)
  local age = math.max(limit.number - math.floor(at / limit.y), 0)
  if age < SLICES then
    x = math.min(x, limit.counts[age])
    limit.counts[age] = limit.counts[age] - x
    limit.used = limit.used - x
  end
end

local function window_store(limit)
  if limit.used == 0 then
    redis.call('DEL', limit.key)
    return
  end
  local words, oldest = {text(limit.number)}, SLICES - 1
  while limit.counts[oldest] == 0 do
    oldest = oldest - 1
  end
  for age = 0, oldest do
    words[age + 2] = text(limit.counts[age])
  end
  redis.call('SET', limit.key, table.concat(words, ' '), 'PX', text(ttl(window_wait(limit, limit.x))))
end

local window = {
  load = window_load, wait = window_wait, take = window_take, give = window_give, store = window_store,
  enough = function(limit, x) return x == 0 or limit.used + x <= limit.x end,
  level = function(limit) return math.max(limit.x - limit.used, 0), 0 end,
  reset = function(limit) return window_wait(limit, limit.x) end,
}

-- ---------------------------------------------------------------- token buckets: x and y are the time in which all of it flows in

-- "LAST CHANGE, MICROSECONDS, NANOSECONDS": what was missing then. While the clock is behind the last change, nothing flows in.
local function bucket_load(limit)
  local last, us, ns = string.match(redis.call('GET', limit.key) or '', '^(%d+) (%d+) (%d+)$')
  limit.us, limit.ns = 0, 0
  if last then
    us = tonumber(us) - math.max(now - tonumber(last), 0)
    if us >= 0 then
      limit.us, limit.ns = us, tonumber(ns)
    end
  end
end

local function bucket_take(limit, us, ns)
  limit.us, limit.ns = limit.us + us, limit.ns + ns
  if limit.ns >= 1000 then
    limit.us, limit.ns = limit.us + 1, limit.ns - 1000
  end
  limit.us = math.min(limit.us, MISSING_MAX)
end

local function bucket_give(limit, us, ns)
  limit.us, limit.ns = limit.us - us, limit.ns - ns
  if limit.ns < 0 then
    limit.us, limit.ns = limit.us - 1, limit.ns + 1000
  end
  if limit.us < 0 then
    limit.us, limit.ns = 0, 0
  end
end

-- us, ns: of the cost, or of a full bucket where it costs more.
local function bucket_wait(limit, us, ns)
  us, ns = us + limit.us - limit.x, ns + limit.ns - limit.y
  return math.max(us + math.ceil(ns / 1000), 0)
end

local function bucket_reset(limit)
  return limit.us + (limit.ns > 0 and 1 or 0)
end

local function bucket_store(limit)
  if limit.us == 0 and limit.ns == 0 then
    redis.call('DEL', limit.key)
  else
    redis.call('SET', limit.key, text(now) .. ' ' .. text(limit.us) .. ' ' .. text(limit.ns), 'PX', text(ttl(bucket_reset(limit))))
  end
end

local bucket = {
  load = bucket_load, wait = bucket_wait, take = bucket_take, give = bucket_give, store = bucket_store, reset = bucket_reset,
  enough = function(limit, us, ns) return us + ns == 0 or bucket_wait(limit, us, ns) == 0 end,
  level = function(limit) return limit.us, limit.ns end, -- what is missing: the caller knows how much that is
}

-- ---------------------------------------------------------------- slots: x is how many there are

local slots = {
  load = function(limit)
    redis.call('ZREMRANGEBYSCORE', limit.key, '-inf', text(now))
    limit.used = redis.call('ZCARD', limit.key)
  end,
  enough = function(limit, x) return x == 0 or limit.used < limit.x end,
  level = function(limit) return math.max(limit.x - limit.used, 0), 0 end,
  wait = function() return 0 end,
  reset = function() return 0 end,
}

local kinds = {w = window, b = bucket, s = slots}

-- ---------------------------------------------------------------- what is held open

-- The set must be there for as long as somebody has to be given back to.
local function keep(key, ms)
  if redis.call('PTTL', key) < ms then
    redis.call('PEXPIRE', key, text(ms))
  end
end

-- Gives back what nobody has renewed.
local function collect(limit)
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', limit.holds, '-inf', text(now), 'LIMIT', 0, COLLECT)) do
    local at, x, y = string.match(member, ':(%d+):(%d+):(%d+)$')
    redis.call('ZREM', limit.holds, member)
    limit.kind.give(limit, tonumber(x), tonumber(y), tonumber(at))
    limit.dirty = true
  end
end

local function hold(limit, id, lease)
  if id == '' or limit.cost_x + limit.cost_y == 0 then
    return
  elseif limit.kind == slots then
    redis.call('ZADD', limit.key, text(now + lease), id)
    keep(limit.key, ttl(2 * lease))
    limit.used = limit.used + 1
  else
    redis.call('ZADD', limit.holds, text(now + lease), id .. ':' .. text(now) .. ':' .. text(limit.cost_x) .. ':' .. text(limit.cost_y))
    keep(limit.holds, ttl(math.max(limit.kind.reset(limit), lease) + lease))
  end
end

-- ---------------------------------------------------------------- decide

-- ARGV: the ID of what is held open ('': nothing is), its lease; for each limit: kind, 1: a dry run, 1: there may be reservations, x, y, the cost's x, y, 1: it can be had at all.
-- Returns now, 1: all is charged, and for each limit: 1: there is enough, what is left (two numbers), the wait, the reset.
local function limit_of(i, at)
  local limit = {
    kind = kinds[ARGV[at]], soft = ARGV[at + 1] == '1', key = KEYS[2 * i - 1], holds = KEYS[2 * i], x = tonumber(ARGV[at + 3]), y = tonumber(ARGV[at + 4]),
    cost_x = tonumber(ARGV[at + 5]), cost_y = tonumber(ARGV[at + 6]),
  }
  limit.kind.load(limit)
  if ARGV[at + 2] == '1' and limit.kind ~= slots then
    collect(limit)
  end
  limit.enough = ARGV[at + 7] == '1' and limit.kind.enough(limit, limit.cost_x, limit.cost_y)
  limit.wait = limit.kind.wait(limit, limit.cost_x, limit.cost_y)
  return limit
end

local function take(limit, id, lease)
  if limit.kind ~= slots then
    limit.kind.take(limit, limit.cost_x, limit.cost_y)
    limit.dirty = limit.dirty or limit.cost_x + limit.cost_y > 0
  end
  hold(limit, id, lease)
end

local function decide()
  local id, lease, limits, yes = ARGV[2], tonumber(ARGV[3]), {}, true
  for i = 1, #KEYS / 2 do
    limits[i] = limit_of(i, 4 + (i - 1) * 8)
    yes = yes and (limits[i].enough or limits[i].soft)
  end
  local reply = {now, yes and 1 or 0}
  for _, limit in ipairs(limits) do
    if yes and limit.enough then
      take(limit, id, lease)
    end
    if limit.dirty then
      limit.kind.store(limit)
    end
    reply[#reply + 1] = limit.enough and 1 or 0
    reply[#reply + 1], reply[#reply + 2] = limit.kind.level(limit)
    reply[#reply + 1] = limit.wait
    reply[#reply + 1] = limit.kind.reset(limit)
  end
  return reply
end

-- ---------------------------------------------------------------- settle

-- ARGV for each limit: kind, x, y, the member ('': nothing was held), charged at, more (x, y), less (x, y), all that was used (x, y), 1: it may have been settled already.
-- Takes what is more and gives back what is less than was charged. Of a reservation that is gone, because nobody renewed it, all was given back already: takes all that was used.
local function settle_one(i, at)
  local limit = {kind = kinds[ARGV[at]], key = KEYS[2 * i - 1], holds = KEYS[2 * i], x = tonumber(ARGV[at + 1]), y = tonumber(ARGV[at + 2])}
  local member = ARGV[at + 3]
  local function pair(k)
    return tonumber(ARGV[at + k]), tonumber(ARGV[at + k + 1])
  end
  if limit.kind == slots then
    redis.call('ZREM', limit.key, member)
    return
  end
  limit.kind.load(limit)
  if member == '' or redis.call('ZREM', limit.holds, member) == 1 then
    local x, y = pair(7)
    limit.kind.take(limit, pair(5))
    limit.kind.give(limit, x, y, tonumber(ARGV[at + 4]))
  elseif ARGV[at + 11] ~= '1' then
    limit.kind.take(limit, pair(9))
  end
  collect(limit)
  limit.kind.store(limit)
end

local function settle()
  for i = 1, #KEYS / 2 do
    settle_one(i, 2 + (i - 1) * 12)
  end
  return #KEYS / 2
end

-- ---------------------------------------------------------------- renew

-- ARGV: the lease; for each key (the set of slots, or of reservations): kind, member. A slot that is gone comes back, for it is in use; a reservation does not, for it was given back.
local function renew()
  local lease, found = tonumber(ARGV[2]), 0
  for i, key in ipairs(KEYS) do
    local kind, member = ARGV[1 + 2 * i], ARGV[2 + 2 * i]
    if kind == 's' or redis.call('ZSCORE', key, member) then
      redis.call('ZADD', key, text(now + lease), member)
      keep(key, ttl(2 * lease))
      found = found + 1
    end
  end
  return found
end

return ({decide = decide, settle = settle, renew = renew})[ARGV[1]]()
