-- Nothing is written here. ARGV[1]: what is asked.
--   get ID OWNER WITH                {'ok', task}, {'gone'}, {'notfound'}
--   look ID…                         a task each, or nil
--   list OWNER STATE WANTED MAX      {tasks, where to go on}: at most so many, of one state (or -1), behind MAX ("+": from the first); '': that was all. It looks at SCAN of them at most
--   count                            how many in each state, and callbacks

local SCAN = 300

local function look()
  local tasks = {}
  for i = 2, #ARGV do
    local task = task_of(ARGV[i], FEW)
    tasks[i - 1] = task[1] and task
  end
  return tasks
end

local function list(owner, state, wanted, max)
  local tasks, last = {}, ''
  local members = call('ZREVRANGEBYLEX', key('task-page:', owner), max, '-', 'LIMIT', 0, SCAN)
  for i = 1, #members do
    local id = string.sub(members[i], -ID)
    if #tasks == wanted then
      return {tasks, last}
    end
    last = members[i]
    if state == '-1' or call('HGET', key('task:', id), 'state') == state then
      local task = task_of(id, FEW)
      if task[1] and not is_over(task) then
        tasks[#tasks + 1] = task
      end
    end
  end
  return {tasks, #members < SCAN and '' or last}
end

local asked = ARGV[1]
if asked == 'get' then
  local how, task = read(ARGV[2], ARGV[3], ARGV[4] == '1' and MANY or FEW)
  return {how, task}
elseif asked == 'look' then
  return look()
elseif asked == 'list' then
  return list(ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5])
end
local counts = call('HMGET', key('task-counts'), 0, 1, 2, 3, 4)
for i = 1, 5 do
  counts[i] = tonumber(counts[i] or 0)
end
counts[6] = call('ZCARD', key('callbacks'))
return counts
