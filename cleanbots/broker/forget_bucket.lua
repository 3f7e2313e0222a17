-- Forget the oldest deduplication bucket.
--
-- KEYS[1]  hash    the index: '<bucket>:<level>' -> number of keys in that page; see claim_keys.lua
-- KEYS[2]  hash    statistics
-- ARGV[1]  the counter of forgotten keys
local sizes = redis.call('HGETALL', KEYS[1])
local oldest
for i = 1, #sizes, 2 do
  local bucket = tonumber(string.match(sizes[i], '^%d+'))
  if not oldest or bucket < oldest then oldest = bucket end
end
for i = 1, #sizes, 2 do
  if tonumber(string.match(sizes[i], '^%d+')) == oldest then
    redis.call('UNLINK', KEYS[1] .. ':' .. sizes[i])
    redis.call('HDEL', KEYS[1], sizes[i])
    redis.call('HINCRBY', KEYS[2], ARGV[1], sizes[i + 1])
  end
end
