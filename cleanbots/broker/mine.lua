-- Give all entries that a consumer holds, oldest first, in the order of the queues.
--
-- KEYS[1]  hash    statistics: '<queue>:vanished' counts held entries that somebody deleted by hand
-- KEYS[2…] for each queue: the queue (stream), its marks (hash: entry id -> mark)
-- ARGV[1]  the consumer
-- ARGV[2…] the queues' names
--
-- Answers a list of {n, id, fields, mark} with n = 0-based place of the queue.
local GROUP = 'workers'
local held = {}
for n = 1, #ARGV - 1 do
  local queue, marks = KEYS[2 * n], KEYS[2 * n + 1]
  local after = '0'
  while redis.call('EXISTS', queue) == 1 do
    local streams = redis.call('XREADGROUP', 'GROUP', GROUP, ARGV[1], 'COUNT', 100, 'STREAMS', queue, after)
    local entries = streams and streams[1][2] or {}
    if #entries == 0 then break end
    for _, entry in ipairs(entries) do
      after = entry[1]
      if entry[2] then
        held[#held + 1] = {n - 1, entry[1], entry[2], redis.call('HGET', marks, entry[1]) or ''}
      else
        redis.call('XACK', queue, GROUP, entry[1])
        redis.call('HDEL', marks, entry[1])
        redis.call('HINCRBY', KEYS[1], ARGV[n + 1] .. ':vanished', 1)
      end
    end
  end
end
return held
