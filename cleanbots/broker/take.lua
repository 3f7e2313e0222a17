-- Hand out the oldest new entry of the first queue that has one.
--
-- KEYS     the queues (streams), in the order in which they are served
-- ARGV[1]  the consumer
--
-- Answers {n, id, fields} with n = 0-based place of the queue in KEYS, or nil. A queue that nobody wrote to yet is empty.
local GROUP = 'workers'
for n, queue in ipairs(KEYS) do
  if redis.call('EXISTS', queue) == 1 then
    local streams = redis.call('XREADGROUP', 'GROUP', GROUP, ARGV[1], 'COUNT', 1, 'STREAMS', queue, '>')
    if streams then
      local entry = streams[1][2][1]
      return {n - 1, entry[1], entry[2]}
    end
  end
end
return nil
