-- One atomic step: if the guard holds and every receiving queue has room, do all of it; otherwise nothing.
--
-- KEYS[1]  hash    statistics: '<bot>:<what>' -> number
-- KEYS[2]  hash    depths of queues: '<queue>:events', '<queue>:bytes' -> number
-- KEYS[3]  hash    depths of failed queues, likewise
-- KEYS[4]  of the guard    entry: the queue (stream)    report: the ledger's shard (hash: id -> '<day> <position>')
--                          tick: slots (hash: bot -> slot)    failed: the failed queue (stream)
-- KEYS[5]  of the guard    entry: its marks (hash: entry id -> mark)    report: cursors (hash)    else unused
-- KEYS[6…] the receiving queues (streams), then the receiving failed queues (streams), then the states (hashes)
--
-- ARGV[1]  MessagePack of {guard, outputs, failed, limits, failed_limits, counters, states}
-- ARGV[2…] the frames of outputs, then of failed, then the values that states put
--
-- Answers {'committed' | 'lost'}, or {'full' | 'failed full', name}.
--
-- The first write decides what happens at 'maxmemory': XACK, XDEL and XCLAIM are allowed there, and after one of them
-- the rest of the script is too. So work that frees memory in the end goes on, and new reports and ticks are refused.
local stats, depths, failed_depths, source, beside = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local GROUP = 'workers'
local work = cmsgpack.unpack(ARGV[1])
local guard = work.guard

-- Lua's own '<' sorts by the server's locale.
local function later(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

local function grow(hash, name, events, bytes)
  redis.call('HINCRBY', hash, name .. ':events', events)
  redis.call('HINCRBY', hash, name .. ':bytes', bytes)
end

local function shrink(hash, name, stream)
  if redis.call('EXISTS', stream) == 0 or redis.call('XLEN', stream) == 0 then
    redis.call('HDEL', hash, name .. ':events', name .. ':bytes')
  else
    grow(hash, name, 0 - guard.count, 0 - guard.size)  -- '-0' is no integer to HINCRBY
  end
end

local consumer  -- who holds the guarded entry

local holds = {
  entry = function()
    local pending = redis.call('XPENDING', source, GROUP, guard.id, guard.id, 1)[1]
    if not pending or (redis.call('HGET', beside, guard.id) or '') ~= guard.mark then return false end
    consumer = pending[2]
    return true
  end,
  report = function()
    local known = redis.call('HGET', source, guard.report)
    return (known and known:match('^%d+ (.*)$') or '') == guard.position
  end,
  tick = function()
    local last = redis.call('HGET', source, guard.bot) or ''
    return later(guard.slot, last) or (last ~= '' and last == guard.instead)
  end,
  failed = function() return #redis.call('XRANGE', source, guard.id, guard.id) == 1 end,
}

local advance = {
  entry = function()
    if guard.unfinished then
      redis.call('XCLAIM', source, GROUP, consumer, 0, guard.id, 'JUSTID')
      redis.call('HSET', beside, guard.id, guard.to)
      return
    end
    redis.call('XACK', source, GROUP, guard.id)
    redis.call('XDEL', source, guard.id)
    redis.call('HDEL', beside, guard.id)
    shrink(depths, guard.queue, source)
  end,
  report = function()
    local day = math.floor(tonumber(redis.call('TIME')[1]) / 86400)
    redis.call('HSET', source, guard.report, string.format('%d %s', day, guard.to))
    if guard.moved then redis.call('HSET', beside, guard.collector, guard.cursor) end
  end,
  tick = function() redis.call('HSET', source, guard.bot, guard.slot) end,
  failed = function()
    redis.call('XDEL', source, guard.id)
    shrink(failed_depths, guard.bot, source)
  end,
}

local function full(hash, limits)
  for _, limit in ipairs(limits) do
    local name, events, bytes = unpack(limit)
    local depth = redis.call('HMGET', hash, name .. ':events', name .. ':bytes')
    if tonumber(depth[1] or 0) >= events or tonumber(depth[2] or 0) >= bytes then return name end
  end
end

if not holds[guard.kind]() then return {'lost'} end
local name = full(depths, work.limits)
if name then return {'full', name} end
name = full(failed_depths, work.failed_limits)
if name then return {'failed full', name} end

advance[guard.kind]()

local key, frame = 5, 1  -- the last ones used of KEYS and ARGV
for _, output in ipairs(work.outputs) do
  key, frame = key + 1, frame + 1
  -- A queue has its group from birth, so that it can be drained at 'maxmemory', where XGROUP CREATE is refused.
  if redis.call('EXISTS', KEYS[key]) == 0 then redis.call('XGROUP', 'CREATE', KEYS[key], GROUP, '0', 'MKSTREAM') end
  redis.call('XADD', KEYS[key], '*', 'd', ARGV[frame], 'n', output[2])
  grow(depths, output[1], output[2], #ARGV[frame])
end
for _, output in ipairs(work.failed) do
  key, frame = key + 1, frame + 1
  redis.call('XADD', KEYS[key], '*', 'd', ARGV[frame], 'n', output[2])
  grow(failed_depths, output[1], output[2], #ARGV[frame])
end
for _, state in ipairs(work.states) do
  key = key + 1
  for _, field in ipairs(state.gone) do redis.call('HDEL', KEYS[key], field) end
  for _, field in ipairs(state.puts) do
    frame = frame + 1
    redis.call('HSET', KEYS[key], field, ARGV[frame])
  end
end
for _, counter in ipairs(work.counters) do redis.call('HINCRBY', stats, counter[1], counter[2]) end
return {'committed'}
