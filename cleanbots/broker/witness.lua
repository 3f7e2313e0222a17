-- Keep how far something outside of the server has come; tell how far it was known to have come before.
--
-- KEYS[1]  hash  what -> the highest number that was told of it
-- ARGV[1]  what
-- ARGV[2]  how far it is now
--
-- Answers the highest number so far. At 'maxmemory' it stays.
local known = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if tonumber(ARGV[2]) > known then
  redis.pcall('HSET', KEYS[1], ARGV[1], ARGV[2])
end
return known
