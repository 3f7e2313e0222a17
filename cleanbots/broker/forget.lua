-- Forget the complete reports that their sources have not shown since a day.
--
-- KEYS     shards of the ledger (hash: id -> '<day> <position>')
-- ARGV[1]  the first day to keep (days since 1970-01-01)
-- ARGV[2]  the position of a complete report
--
-- Answers how many were forgotten.
local forgotten = 0
for _, shard in ipairs(KEYS) do
  local pairs_ = redis.call('HGETALL', shard)
  for i = 1, #pairs_, 2 do
    local day, position = pairs_[i + 1]:match('^(%d+) (.*)$')
    if position == ARGV[2] and tonumber(day) < tonumber(ARGV[1]) then
      forgotten = forgotten + redis.call('HDEL', shard, pairs_[i])
    end
  end
end
return forgotten
