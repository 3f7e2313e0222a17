-- Tell which data lies here; if it is what the caller knows, note how far in time it reaches.
--
-- KEYS[1]  string  the epoch
-- KEYS[2]  string  the mark: the server's time of the last look, in seconds since 1970
-- KEYS[3]  set     epochs that an operator gave up in favour of this one
-- ARGV[1]  the epoch that the caller knows, or ''
-- ARGV[2]  the least mark with which it may be the same data
--
-- Answers {the epoch or '', the mark, 1 if the caller's epoch was given up}. At 'maxmemory' the mark stays.
local epoch = redis.call('GET', KEYS[1]) or ''
local mark = tonumber(redis.call('GET', KEYS[2]) or 0)
local now = tonumber(redis.call('TIME')[1])
if epoch == ARGV[1] and mark >= tonumber(ARGV[2]) and now > mark then
  local set = redis.pcall('SET', KEYS[2], string.format('%d', now))
  if set.ok then mark = now end
end
return {epoch, mark, redis.call('SISMEMBER', KEYS[3], ARGV[1])}
