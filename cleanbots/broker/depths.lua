-- Tell how full queues are, in one look.
--
-- KEYS[1]  hash    depths: '<queue>:events', '<queue>:bytes' -> number
-- KEYS[2…] the queues (streams); a stream without the group (a failed queue) has nothing pending
-- ARGV     the queues' names
--
-- Answers a list of {events, bytes, entries, pending}.
local GROUP = 'workers'
local answer = {}
for n, name in ipairs(ARGV) do
  local queue = KEYS[n + 1]
  local depth = redis.call('HMGET', KEYS[1], name .. ':events', name .. ':bytes')
  local pending = redis.pcall('XPENDING', queue, GROUP)
  answer[n] = {
    tonumber(depth[1] or 0), tonumber(depth[2] or 0), redis.call('XLEN', queue), pending.err and 0 or pending[1],
  }
end
return answer
