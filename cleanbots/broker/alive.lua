-- A sign of life: restart the idle time of an entry, if it is still the consumer's.
--
-- KEYS[1]  the queue (stream)
-- ARGV[1]  the entry's id
-- ARGV[2]  the consumer
--
-- Answers 1, or 0 if the entry is finished or another's.
local GROUP = 'workers'
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local pending = redis.call('XPENDING', KEYS[1], GROUP, ARGV[1], ARGV[1], 1)[1]
if not pending or pending[2] ~= ARGV[2] then return 0 end
redis.call('XCLAIM', KEYS[1], GROUP, ARGV[2], 0, ARGV[1], 'JUSTID')
return 1
