-- Forget the oldest deduplication bucket.
--
-- KEYS[1]  hash    the index: bucket -> number of its keys; the shards' names are derived as in claim_keys.lua
-- KEYS[2]  hash    statistics
-- ARGV[1]  the counter of forgotten keys
local SHARDS = 64
local sizes = redis.call('HGETALL', KEYS[1])
local oldest, keys
for i = 1, #sizes, 2 do
  if not oldest or tonumber(sizes[i]) < tonumber(oldest) then oldest, keys = sizes[i], sizes[i + 1] end
end
if not oldest then return end
for shard = 0, SHARDS - 1 do redis.call('UNLINK', KEYS[1] .. ':' .. oldest .. ':' .. shard) end
redis.call('HDEL', KEYS[1], oldest)
redis.call('HINCRBY', KEYS[2], ARGV[1], keys)
