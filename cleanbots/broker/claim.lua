-- Take over one entry that its consumer has held without a sign of life for too long.
--
-- KEYS[1]  hash    statistics: '<queue>:vanished' counts held entries that somebody deleted by hand
-- KEYS[2…] for each queue: the queue (stream), its marks (hash: entry id -> mark)
-- ARGV[1]  the consumer that takes over
-- ARGV[2]  how long, in milliseconds
-- ARGV[3…] the queues' names
--
-- Answers {n, id, fields, mark} with n = 0-based place of the queue, or nil.
local GROUP = 'workers'
for n = 1, #ARGV - 2 do
  local queue, marks = KEYS[2 * n], KEYS[2 * n + 1]
  local cursor = '0-0'
  while redis.call('EXISTS', queue) == 1 do
    local reply = redis.call('XAUTOCLAIM', queue, GROUP, ARGV[1], ARGV[2], cursor, 'COUNT', 1)
    for _, id in ipairs(reply[3]) do
      redis.call('HDEL', marks, id)
      redis.call('HINCRBY', KEYS[1], ARGV[n + 2] .. ':vanished', 1)
    end
    local entry = reply[2][1]
    if entry then return {n - 1, entry[1], entry[2], redis.call('HGET', marks, entry[1]) or ''} end
    cursor = reply[1]
    if cursor == '0-0' then break end
  end
end
return nil
