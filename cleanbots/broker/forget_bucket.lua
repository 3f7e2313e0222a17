-- Take the oldest deduplication bucket out of the index.
--
-- KEYS[1]  hash    the index: bucket -> number of its keys
-- KEYS[2]  hash    statistics
-- ARGV[1]  the counter of forgotten keys
--
-- Answers the bucket, whose shards the caller deletes, or nil.
local sizes = redis.call('HGETALL', KEYS[1])
local oldest, keys
for i = 1, #sizes, 2 do
  if not oldest or tonumber(sizes[i]) < tonumber(oldest) then oldest, keys = sizes[i], sizes[i + 1] end
end
if not oldest then return nil end
redis.call('HDEL', KEYS[1], oldest)
redis.call('HINCRBY', KEYS[2], ARGV[1], keys)
return oldest
