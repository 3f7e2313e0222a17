-- Give the ledger's position of a report, and remember that its source still shows it.
--
-- KEYS[1]  the ledger's shard (hash: id -> '<day> <position>')
-- ARGV[1]  the report's id
--
-- Answers the position, '' if unknown. The day moves on at most once a day; at 'maxmemory' it stays.
local known = redis.call('HGET', KEYS[1], ARGV[1])
if not known then return '' end
local day, position = known:match('^(%d+) (.*)$')
local today = string.format('%d', math.floor(tonumber(redis.call('TIME')[1]) / 86400))
if day ~= today then redis.pcall('HSET', KEYS[1], ARGV[1], today .. ' ' .. position) end
return position
