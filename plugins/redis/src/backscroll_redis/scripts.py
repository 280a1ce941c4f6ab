"""The Lua texts: one for each operation that needs several commands at once. They need Redis 5.0 and nothing newer.

A stored message is the text ``seq:expires_at:purge_at:body``, a removed one ``seq-token``. The seqs of a list are
consecutive, because nothing but pushing at the end, trimming at the front and overwriting in place is done to it: the
place of a seq is its distance from the seq of the first one.
"""

from hashlib import sha1
from typing import Final

import attrs


@attrs.frozen
class Script:
    """A Lua text and the name by which a server that has it runs it.

    Args:
        text: The text.
    """

    text: str
    sha: str = attrs.field(init=False)

    @sha.default
    def _digest(self) -> str:
        return sha1(self.text.encode(), usedforsecurity=False).hexdigest()


SCHEMA_VERSION: Final = 1
"""The version of the layout, with which a mark begins."""

WINDOW: Final = 16
"""How many of a session's last turns are known by their turn_id."""

# Of such a turn: its id, its digest, its first seq, its length, and when it landed. The newest one stands first.
_RECENT: Final = f"""
local ENTRY, RING = 39, {39 * WINDOW}
local function landed_at(recent, entry)
  return (struct.unpack('>I6', recent, entry * ENTRY + 34))
end
"""

# A store that was never set up has no epoch: any mark of this layout will do then, and none for a reader.
_EPOCH: Final = f"""
local function strange(key, epoch)
  local found = redis.call('GET', key)
  if epoch ~= '' and found ~= epoch then return 'epoch' end
  if not found then return 'setup' end
  return string.match(found, '^%d+') ~= '{SCHEMA_VERSION}' and 'schema'
end
local function lost(key, epoch)
  return epoch ~= '' and strange(key, epoch)
end
"""

# What one script looks at may not hold up the others: so many messages, or so many bytes, and few at a time.
_PIECE: Final = """
local AT_ONCE, MOST, BYTES = 8, 10000, 4194304
local function each(list, from, length, look)
  local size = 0
  while from < length do
    local found = redis.call('LRANGE', list, from, math.min(from + AT_ONCE, length) - 1)
    for index, message in ipairs(found) do
      look(message, from + index - 1)
      size = size + #message
    end
    from = from + #found
    MOST = MOST - #found
    if MOST <= 0 or size > BYTES then break end
  end
  return from
end
"""

_PLACES: Final = """
local function first_of(list)
  return tonumber(string.match(redis.call('LINDEX', list, 0), '^%d+'))
end
"""

_LATER: Final = """
local function later(a, b)
  return #a > #b or (#a == #b and a > b)
end
"""

# KEYS list, hash, index, schema, and due where the turn is to be purged
# ARGV epoch, id of the session, id and digest of the turn, since, expected, expires_at, purge_in, channel, bodies …
APPEND: Final = Script(
    _EPOCH
    + _RECENT
    + """
local problem = strange(KEYS[4], ARGV[1])
if problem then return {problem} end
local state = redis.call('HMGET', KEYS[2], 'version', 'recent', 'until')
local version, recent, lasts = tonumber(state[1] or '0'), state[2] or '', state[3]
local turn = ARGV[3]
for at = 1, #recent, ENTRY do
  if string.sub(recent, at, at + 15) == string.sub(turn, 1, 16) then
    if string.sub(recent, at, at + 23) ~= turn then return {'reused'} end
    local first, length = struct.unpack('>I6I3', recent, at + 24)
    return {'duplicate', first, length}
  end
end
if ARGV[4] ~= '' and #recent == RING and landed_at(recent, RING / ENTRY - 1) >= tonumber(ARGV[4]) then
  return {'window'}
end
if ARGV[5] ~= '' and ARGV[5] ~= (state[1] or '0') then return {'conflict', version} end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local landed = now
if recent ~= '' then landed = math.max(now, landed_at(recent, 0)) end
local purge_at = ARGV[7] ~= '' and string.format('%.0f', now + ARGV[7]) or ''
local count, head = #ARGV - 8, ':' .. ARGV[6] .. ':' .. purge_at .. ':'

-- What may find a key of another type in its way, or lack a right, comes before the first message.
if redis.call('LLEN', KEYS[1]) == 0 then lasts = nil end
local due = purge_at ~= '' and redis.call('ZSCORE', KEYS[5], ARGV[2])
redis.call('PUBLISH', ARGV[8], string.format('%.0f', version + count))
if version == 0 then redis.call('ZADD', KEYS[3], 0, ARGV[2]) end
if purge_at ~= '' and (not due or tonumber(due) > tonumber(purge_at)) then
  redis.call('ZADD', KEYS[5], purge_at, ARGV[2])
end
for start = 1, count, 1000 do
  local some = {}
  for index = start, math.min(start + 999, count) do
    some[#some + 1] = string.format('%.0f', version + index - 1) .. head .. ARGV[index + 8]
  end
  redis.call('RPUSH', KEYS[1], unpack(some))
end
local before = lasts
if purge_at == '' or lasts == '0' then
  lasts = '0'
elseif not lasts or tonumber(lasts) < tonumber(purge_at) then
  lasts = purge_at
end
local entry = turn .. struct.pack('>I6I3I6', version, count, landed)
version = version + count
redis.call('HMSET', KEYS[2], 'version', string.format('%.0f', version),
  'recent', entry .. string.sub(recent, 1, RING - ENTRY), 'until', lasts)
if lasts ~= '0' then
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.max(1, lasts - now)))
elseif before and before ~= '0' then
  redis.call('PERSIST', KEYS[1])
end
return {'stored', version}
"""
)

# KEYS list, schema   ARGV epoch, after, before, limit, newest, bytes   → whether there is more, messages …
READ: Final = Script(
    _EPOCH
    + _PLACES
    + """
if lost(KEYS[2], ARGV[1]) then return {'epoch'} end
local length = redis.call('LLEN', KEYS[1])
if length == 0 then return {0} end
local first = first_of(KEYS[1])
local from, to = 0, length - 1
if ARGV[2] ~= '' then from = math.max(from, tonumber(ARGV[2]) + 1 - first) end
if ARGV[3] ~= '' then to = math.min(to, tonumber(ARGV[3]) - 1 - first) end
local rows, size, some = {0}, 0, 1
local limit, bytes = tonumber(ARGV[4]), tonumber(ARGV[6])
while from <= to and #rows <= limit and size < bytes do
  some = math.min(some, limit + 1 - #rows, to - from + 1)
  local start, stop, step = 1, some, 1
  local found
  if ARGV[5] == '1' then
    found = redis.call('LRANGE', KEYS[1], to - some + 1, to)
    start, stop, step, to = some, 1, -1, to - some
  else
    found = redis.call('LRANGE', KEYS[1], from, from + some - 1)
    from = from + some
  end
  for index = start, stop, step do
    rows[#rows + 1] = found[index]
    size = size + #found[index]
  end
  -- As many as would fill the page, were they as large as those so far.
  some = math.max(1, math.min(8, math.floor((bytes - size) * (#rows - 1) / size)))
end
if from <= to then rows[1] = 1 end
return rows
"""
)

# KEYS list, hash, schema   ARGV epoch   → version, first seq, time of the last turn in milliseconds
INFO: Final = Script(
    _EPOCH
    + _PLACES
    + _RECENT
    + """
if lost(KEYS[3], ARGV[1]) then return {'epoch'} end
local state = redis.call('HMGET', KEYS[2], 'version', 'recent')
if not state[1] then return {0, 0, 0} end
local version = tonumber(state[1])
local first = redis.call('LLEN', KEYS[1]) > 0 and first_of(KEYS[1]) or version
return {version, first, landed_at(state[2], 0)}
"""
)

# KEYS list, schema   ARGV epoch, now, first seq to look at   → how many are live, the seq to go on with or -1
COUNT: Final = Script(
    _EPOCH
    + _PLACES
    + _LATER
    + _PIECE
    + """
if lost(KEYS[2], ARGV[1]) then return {'epoch'} end
local length = redis.call('LLEN', KEYS[1])
if length == 0 then return {0, -1} end
local first, live = first_of(KEYS[1]), 0
local stop = each(KEYS[1], math.max(0, tonumber(ARGV[3]) - first), length, function(message)
  local expires_at = string.match(message, '^%d+:(%d*):')
  if expires_at and (expires_at == '' or later(expires_at, ARGV[2])) then live = live + 1 end
end)
return {live, stop < length and first + stop or -1}
"""
)

# KEYS list, schema   ARGV epoch, now, token, seqs …   → those that this call, known by its token, removed
REMOVE: Final = Script(
    _EPOCH
    + _PLACES
    + _LATER
    + """
if lost(KEYS[2], ARGV[1]) then return {'epoch'} end
local length = redis.call('LLEN', KEYS[1])
if length == 0 then return {} end
local first, gone = first_of(KEYS[1]), {}
for number = 4, #ARGV do
  local place = tonumber(ARGV[number]) - first
  if place >= 0 and place < length then
    local message = redis.call('LINDEX', KEYS[1], place)
    local removed = ARGV[number] .. '-' .. ARGV[3]
    local expires_at = string.match(message, '^%d+:(%d*):')
    if expires_at and (expires_at == '' or later(expires_at, ARGV[2])) then
      redis.call('LSET', KEYS[1], place, removed)
      gone[#gone + 1] = ARGV[number]
    elseif message == removed then
      gone[#gone + 1] = ARGV[number]
    end
  end
end
return gone
"""
)

# KEYS list, hash, schema   ARGV epoch, before
DISCARD: Final = Script(
    _EPOCH
    + _PLACES
    + """
if lost(KEYS[3], ARGV[1]) then return {'epoch'} end
redis.call('HLEN', KEYS[2])
local length = redis.call('LLEN', KEYS[1])
local count = length > 0 and tonumber(ARGV[2]) - first_of(KEYS[1]) or 0
if count >= length then
  redis.call('DEL', KEYS[1])
  redis.call('HDEL', KEYS[2], 'until')
elseif count > 0 then
  redis.call('LTRIM', KEYS[1], count, -1)
end
return {}
"""
)

# KEYS list, hash, index, due, schema   ARGV epoch, before, id of the session
DELETE: Final = Script(
    _EPOCH
    + """
if lost(KEYS[5], ARGV[1]) then return {'epoch'} end
if redis.call('HGET', KEYS[2], 'version') == ARGV[2] and redis.call('LLEN', KEYS[1]) == 0 then
  redis.call('ZSCORE', KEYS[4], ARGV[3])
  redis.call('ZREM', KEYS[3], ARGV[3])
  redis.call('ZREM', KEYS[4], ARGV[3])
  redis.call('DEL', KEYS[2])
end
return {}
"""
)

# KEYS due   ARGV limit   → ids of sessions in which something is due
DUE: Final = Script(
    """
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
"""
)

# KEYS list, due, schema   ARGV epoch, id of the session, first seq to look at, earliest time to come so far
# → how many were dropped, the seq to go on with or -1, the earliest time to come
SWEEP: Final = Script(
    _EPOCH
    + _PLACES
    + _PIECE
    + """
if lost(KEYS[3], ARGV[1]) then return {'epoch'} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local length = redis.call('LLEN', KEYS[1])
local earliest, gone, stop, first, front = tonumber(ARGV[4]), 0, 0, 0, 0
if length > 0 then
  first = first_of(KEYS[1])
  stop = each(KEYS[1], math.max(0, tonumber(ARGV[3]) - first), length, function(message, place)
    local seq, purge_at = string.match(message, '^(%d+):%d*:(%d+):')
    if purge_at and tonumber(purge_at) <= now then
      redis.call('LSET', KEYS[1], place, seq .. '-')
      gone = gone + 1
    elseif purge_at then
      earliest = math.min(earliest or tonumber(purge_at), tonumber(purge_at))
    end
    local is_gone = purge_at and tonumber(purge_at) <= now or string.match(message, '^%d+%-')
    if is_gone and place == front then front = front + 1 end
  end)
end
if front > 0 then redis.call('LTRIM', KEYS[1], front, -1) end
if stop < length then return {gone, first + stop, earliest and string.format('%.0f', earliest) or ''} end
if earliest then
  redis.call('ZADD', KEYS[2], string.format('%.0f', earliest), ARGV[2])
else
  redis.call('ZREM', KEYS[2], ARGV[2])
end
return {gone, -1, ''}
"""
)

# KEYS probe   ARGV channel   Calls all that the others call, on a key of its own, so that a right that lacks is told by
# setup and not by a script that has begun to write.
RIGHTS: Final = Script(
    """
for _, command in ipairs({
  {'RPUSH', KEYS[1], 'a', 'b'}, {'LLEN', KEYS[1]}, {'LINDEX', KEYS[1], 0}, {'LRANGE', KEYS[1], 0, 0},
  {'LSET', KEYS[1], 0, 'c'}, {'LTRIM', KEYS[1], 0, 0}, {'PEXPIRE', KEYS[1], 60000}, {'PERSIST', KEYS[1]},
  {'DEL', KEYS[1]}, {'HMSET', KEYS[1], 'a', 'b'}, {'HMGET', KEYS[1], 'a'}, {'HGET', KEYS[1], 'a'},
  {'HLEN', KEYS[1]}, {'HDEL', KEYS[1], 'a'}, {'ZADD', KEYS[1], 0, 'a'}, {'ZSCORE', KEYS[1], 'a'},
  {'ZRANGEBYSCORE', KEYS[1], 0, 1}, {'ZREM', KEYS[1], 'a'}, {'GET', KEYS[1]}, {'TIME'}, {'PUBLISH', ARGV[1], ''},
}) do
  redis.call(unpack(command))
end
return {}
"""
)
