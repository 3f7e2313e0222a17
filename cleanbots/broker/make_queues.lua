-- Make the queues that are not there yet, so that somebody can wait for them.
--
-- KEYS[1]  hash    depths of queues
-- KEYS[2…] the queues (streams)
--
-- The first write is one that 'maxmemory' allows, so that a worker can wait on a full server, too.
local GROUP = 'workers'
redis.call('HDEL', KEYS[1], '')
for n = 2, #KEYS do
  if redis.call('EXISTS', KEYS[n]) == 0 then redis.call('XGROUP', 'CREATE', KEYS[n], GROUP, '0', 'MKSTREAM') end
end
