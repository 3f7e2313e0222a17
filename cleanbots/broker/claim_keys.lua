-- Claim keys for their owners, unless somebody claimed them within the window.
--
-- KEYS[1]  hash    the index: '<bucket>:<level>' -> number of keys in that page. The pages' names are derived from it:
--                  '<index>:<bucket>:<level>', a hash of a digest's first bits -> records; they carry the same hash tag
--                  and so lie on the same node. A record is 14 bytes: the rest of a key's digest (8), its owner's (6).
-- ARGV[1]  for each key 15 bytes: its digest (9), its owner's digest (6)
-- ARGV[2]  a bucket's length in milliseconds
-- ARGV[3]  how many buckets before the current one are looked through
--
-- Answers {keys that others claimed: 0-based place, owner digest, place, …; how many keys all buckets have}.
--
-- Many keys are read and written by one command, as commands are what costs time. Records share fields, as a field of its
-- own would cost a key five times its bytes; and as a new record rewrites those that it joins, a page that has come to
-- FILL records a field is followed by one of the next level, which has 16 times the fields.
--
-- The first write is one that 'maxmemory' allows, so that a full server can be drained; the keys' number has its own
-- limit (see seen.py).
local KEY, RECORD, FILL, RUN, LEVELS = 15, 14, 16, 1000, 3
local index, length, back, keys = KEYS[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[1]
local call, sub, byte, char, find, floor = redis.call, string.sub, string.byte, string.char, string.find, math.floor
local time = call('TIME')
local current = floor((time[1] * 1000 + time[2] / 1000) / length)
local expiry = string.format('%d', (current + back + 1) * length)

-- The field of the digest that begins at a place: 12 bits at level 0, 16, 20, 24.
local field_of = {
  [0] = function(at) return sub(keys, at, at) .. char(floor(byte(keys, at + 1) / 16)) end,
  [1] = function(at) return sub(keys, at, at + 1) end,
  [2] = function(at) return sub(keys, at, at + 1) .. char(floor(byte(keys, at + 2) / 16)) end,
  [3] = function(at) return sub(keys, at, at + 2) end,
}

local function owner_in(records, key)
  local at = find(records, key, 1, true)
  while at and (at - 1) % RECORD ~= 0 do at = find(records, key, at + 1, true) end
  return at and sub(records, at + 8, at + 13)
end

local function page(bucket, level) return string.format('%s:%d:%d', index, bucket, level) end

local total, level, filled, older, sizes = 0, 0, 0, {}, call('HGETALL', index)
call('HDEL', index, '')
for i = 1, #sizes, 2 do
  local bucket, of = string.match(sizes[i], '^(%d+):(%d)$')
  bucket, of = tonumber(bucket), tonumber(of)
  if bucket < current - back then
    call('HDEL', index, sizes[i])
  else
    local count = tonumber(sizes[i + 1])
    total = total + count
    older[#older + 1] = {bucket, of}
    if bucket == current and of >= level then level, filled = of, count end
  end
end
if level < LEVELS and filled >= FILL * 4096 * 16 ^ level then level, filled = level + 1, 0 end
local newest = page(current, level)

local others, new = {}, 0

local function run(first, last)
  local places, known = {}, {}
  for at = first, last, KEY do places[#places + 1] = at end
  for _, of in ipairs(older) do
    if of[1] ~= current or of[2] ~= level then
      local fields = {}
      for i, at in ipairs(places) do fields[i] = field_of[of[2]](at) end
      local found = call('HMGET', page(of[1], of[2]), unpack(fields))
      for i, at in ipairs(places) do
        if found[i] and not known[i] then known[i] = owner_in(found[i], sub(keys, at + 1, at + 8)) end
      end
    end
  end
  local fields, records, changed, puts = {}, {}, {}, {}
  for i, at in ipairs(places) do fields[i] = field_of[level](at) end
  local found = call('HMGET', newest, unpack(fields))
  for i, at in ipairs(places) do
    local field = fields[i]
    local there, owner = records[field] or found[i] or '', sub(keys, at + 9, at + 14)
    local holder = known[i] or owner_in(there, sub(keys, at + 1, at + 8))
    if not holder then
      records[field], new = there .. sub(keys, at + 1, at + 14), new + 1
    elseif holder ~= owner then
      others[#others + 1] = (at - 1) / KEY
      others[#others + 1] = holder
    end
  end
  for field, value in pairs(records) do
    puts[#puts + 1] = field
    puts[#puts + 1] = value
  end
  if #puts > 0 then call('HSET', newest, unpack(puts)) end
end

for first = 1, #keys, RUN * KEY do run(first, math.min(first + RUN * KEY - 1, #keys)) end
if new > 0 then
  call('HINCRBY', index, string.format('%d:%d', current, level), new)
  call('PEXPIREAT', index, expiry)
  if filled == 0 then call('PEXPIREAT', newest, expiry) end
end
return {others, total + new}
