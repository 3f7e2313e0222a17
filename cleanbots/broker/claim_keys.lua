-- Claim keys for their owners, unless somebody claimed them within the window.
--
-- KEYS[1]  hash    the index: bucket -> number of its keys. The shards' names are derived from it, as there are far
--                  more than a call could declare: '<index>:<bucket>:<2 bytes>', a hash of key digest -> owner digest;
--                  they carry the same hash tag and so lie on the same node.
-- ARGV[1]  for each key 15 bytes: shard (2), key digest (7), owner digest (6)
-- ARGV[2]  a bucket's length in milliseconds
-- ARGV[3]  how many buckets before the current one are looked through
--
-- Answers {the owners' digests joined, how many keys all buckets have}.
--
-- The first write is one that 'maxmemory' allows, so that a full server can be drained; the keys' number has its own
-- limit (see seen.py).
local index, length, back = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local call, sub = redis.call, string.sub
local time = call('TIME')
local current = math.floor((time[1] * 1000 + time[2] / 1000) / length)
local expiry = string.format('%d', (current + back + 1) * length)

local total, sizes = 0, call('HGETALL', index)
call('HDEL', index, '')
local newest, older = string.format('%s:%d:', index, current), {}
for i = 1, #sizes, 2 do
  local bucket = tonumber(sizes[i])
  if bucket < current - back then
    call('HDEL', index, sizes[i])
  else
    total = total + sizes[i + 1]
    if bucket ~= current then older[#older + 1] = index .. ':' .. sizes[i] .. ':' end
  end
end

local owners, new, records = {}, 0, ARGV[1]
for at = 1, #records, 15 do
  local shard, field, owner = sub(records, at, at + 1), sub(records, at + 2, at + 8), sub(records, at + 9, at + 14)
  local known
  for i = 1, #older do
    known = call('HGET', older[i] .. shard, field)
    if known then break end
  end
  if not known then
    local key = newest .. shard
    if call('HSETNX', key, field, owner) == 1 then
      known, new = owner, new + 1
      if call('HLEN', key) == 1 then call('PEXPIREAT', key, expiry) end
    else
      known = call('HGET', key, field)
    end
  end
  owners[#owners + 1] = known
end
if new > 0 then
  call('HINCRBY', index, string.format('%d', current), new)
  call('PEXPIREAT', index, expiry)
end
return {table.concat(owners), total + new}
