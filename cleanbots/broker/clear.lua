-- Delete a run of entries that nobody holds: those that were never handed out.
--
-- KEYS[1]  hash    depths: '<queue>:events', '<queue>:bytes' -> number
-- KEYS[2]  the queue (stream)
-- ARGV[1]  the queue's name
-- ARGV[2]  the last entry to delete, or '' for the newest there is now
--
-- Answers {items deleted, the last entry to delete, 1 if there may be more}.
local RUN = 100
if redis.call('EXISTS', KEYS[2]) == 0 then return {0, '', 0} end
local last = ARGV[2]
if last == '' then
  local newest = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
  if not newest then return {0, '', 0} end
  last = newest[1]
end
local group = redis.call('XINFO', 'GROUPS', KEYS[2])[1]
local handed_out
for i = 1, #group, 2 do
  if group[i] == 'last-delivered-id' then handed_out = group[i + 1] end
end
local entries = redis.call('XRANGE', KEYS[2], '(' .. handed_out, last, 'COUNT', RUN)
local events, bytes = 0, 0
for _, entry in ipairs(entries) do
  redis.call('XDEL', KEYS[2], entry[1])
  bytes = bytes + #entry[2][2]
  events = events + tonumber(entry[2][4])
end
if redis.call('XLEN', KEYS[2]) == 0 then
  redis.call('HDEL', KEYS[1], ARGV[1] .. ':events', ARGV[1] .. ':bytes')
elseif #entries > 0 then
  redis.call('HINCRBY', KEYS[1], ARGV[1] .. ':events', 0 - events)
  redis.call('HINCRBY', KEYS[1], ARGV[1] .. ':bytes', 0 - bytes)
end
return {events, last, #entries == RUN and 1 or 0}
