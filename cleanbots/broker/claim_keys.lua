-- Claim keys for their owners, unless somebody claimed them within the window.
--
-- KEYS[1]  hash    the index: bucket -> number of its keys. The shards' names are derived from it: '<index>:<bucket>:<0 to
--                  63>', a hash of key digest -> owner digest; they carry the same hash tag and so lie on the same node.
-- ARGV[1]  for each key 15 bytes: key digest (9), owner digest (6)
-- ARGV[2]  a bucket's length in milliseconds
-- ARGV[3]  how many buckets before the current one are looked through
--
-- Answers {keys that others claimed: 0-based place, owner digest, place, …; how many keys all buckets have}.
--
-- Commands cost more than what they do, so a shard's keys are read and written by one each. There are shards at all so
-- that none is ever so large that its end stops the server for long.
--
-- The first write is one that 'maxmemory' allows, so that a full server can be drained; the keys' number has its own
-- limit (see seen.py).
local KEY, RECORD, SHARDS = 9, 15, 64
local index, length, back, records = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[1]
local call, sub, byte = redis.call, string.sub, string.byte
local time = call('TIME')
local current = math.floor((time[1] * 1000 + time[2] / 1000) / length)
local expiry = string.format('%d', (current + back + 1) * length)

local total, older, sizes = 0, {}, call('HGETALL', index)
call('HDEL', index, '')
for i = 1, #sizes, 2 do
  local bucket = tonumber(sizes[i])
  if bucket < current - back then
    call('HDEL', index, sizes[i])
  else
    total = total + sizes[i + 1]
    if bucket ~= current then older[#older + 1] = index .. ':' .. sizes[i] .. ':' end
  end
end
local newest = string.format('%s:%d:', index, current)

local places = {}  -- shard -> where its records begin
for at = 1, #records, RECORD do
  local shard = byte(records, at) % SHARDS
  local there = places[shard]
  if there then there[#there + 1] = at else places[shard] = {at} end
end

local others, new = {}, 0
for shard, there in pairs(places) do
  local keys, puts, mine = {}, {}, {}
  for i, at in ipairs(there) do keys[i] = sub(records, at, at + KEY - 1) end
  local holders = call('HMGET', newest .. shard, unpack(keys))
  for _, bucket in ipairs(older) do
    local known = call('HMGET', bucket .. shard, unpack(keys))
    for i = 1, #keys do holders[i] = holders[i] or known[i] end
  end
  for i, at in ipairs(there) do
    local key, owner = keys[i], sub(records, at + KEY, at + RECORD - 1)
    local holder = holders[i] or mine[key]
    if not holder then
      mine[key] = owner
      puts[#puts + 1] = key
      puts[#puts + 1] = owner
    elseif holder ~= owner then
      others[#others + 1] = (at - 1) / RECORD
      others[#others + 1] = holder
    end
  end
  if #puts > 0 then
    new = new + call('HSET', newest .. shard, unpack(puts))
    if call('HLEN', newest .. shard) == #puts / 2 then call('PEXPIREAT', newest .. shard, expiry) end
  end
end
if new > 0 then
  call('HINCRBY', index, string.format('%d', current), new)
  call('PEXPIREAT', index, expiry)
end
return {others, total + new}
