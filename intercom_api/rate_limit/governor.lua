-- The account of the requests that an app may make in a workspace, shared by all processes on all hosts.
--
-- Intercom counts requests in windows of ten seconds. The account counts the same window: the slots granted (`own`, with
-- the requests of earlier windows still in flight, as Intercom may count them in either window), and the requests of
-- other programs (`others`), which only show in Intercom's count. X-RateLimit-* of each response corrects the account.
-- All times are milliseconds.
--
-- KEYS[1]  a hash: the account of one app in one workspace.
-- ARGV     "take", lane                -> {1, window} if a slot is granted, else {0, milliseconds to wait}
--          "return", window            -> nothing; returns a slot whose request is not made
--          "record", window, limit, remaining, reset, date, outcome, pause
--                                      -> nothing; "" for a value that is not known;
--                                         outcome is "refused" (429), "answered", or "" without a response
--          "record and take", the same  -> the window if a slot of the first lane is granted too
--
-- Fields of the hash:
--   limit      requests in a window; absent until known
--   seq        the number of the window; a slot is this number
--   ends       when the window ends, by Redis's clock
--   reset      the second at which it ends, by Intercom's clock
--   sure       1 once a response gave that second
--   past       the last such second of an earlier window
--   own        slots granted in this window, and requests in flight from earlier ones
--   others     requests of other programs in this window
--   most       Intercom's count, as last seen
--   off, off_at  Redis's clock less Intercom's, and when that was computed
--   blocked    until when no slot is granted
--   o:SEQ      requests with a slot of that window whose response is missing
--   w:LANE     when a request of that lane last had to wait

local WINDOW = 10000
-- Slots granted before any response gave the limit: few, as it may be small.
local INITIAL_LIMIT = 10
-- Requests in a window if responses give no limit: a sixth of the 10,000 a minute that Intercom allows every app.
local DOCUMENTED_LIMIT = 1666
-- Windows for which a request without a response counts as in flight: a minute, twice the longest read time-out.
local IN_FLIGHT_WINDOWS = 6
-- The share of the limit that is reserved for the first lane, where users wait.
local RESERVE = 0.03
-- The other lanes are granted slots evenly over the window, this share ahead of time: a request of a higher lane finds a
-- slot at any time, and the whole limit is used before the window ends.
local AHEAD = 0.1
-- A request that had to wait tries again within 250 ms; for this long the lanes below it get no slot.
local LANE_WAIT = 400
-- An account without requests expires after ten minutes.
local EXPIRY = 600000

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local account, changed = {}, {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do account[flat[i]] = tonumber(flat[i + 1]) end

local function get(name) return account[name] or 0 end
local function set(name, value)
  if account[name] ~= value then account[name], changed[name] = value, value end
end

local function in_flight()
  local sum = 0
  for seq = get('seq') - IN_FLIGHT_WINDOWS, get('seq') do sum = sum + get('o:' .. seq) end
  return sum
end

-- Begin a window. Intercom may count requests in flight in it.
local function begin_window(ends, windows)
  local carried, old = in_flight(), {}
  set('seq', get('seq') + windows)
  for name in pairs(account) do
    local seq = tonumber(string.match(name, '^o:(%d+)$'))
    if seq and seq < get('seq') - IN_FLIGHT_WINDOWS then table.insert(old, name) end
  end
  for _, name in ipairs(old) do
    redis.call('HDEL', KEYS[1], name)
    account[name], changed[name] = nil, nil
  end
  set('ends', ends); set('own', carried); set('others', 0); set('most', 0)
end

-- Begin the current window if the last one has ended.
local function advance()
  if not account.ends then
    begin_window(now + WINDOW, 1)
  elseif now >= account.ends then
    local windows = math.floor((now - account.ends) / WINDOW) + 1
    if get('sure') == 1 then set('past', account.reset) end
    if account.reset then set('reset', account.reset + windows * WINDOW / 1000) end
    set('sure', 0)
    begin_window(account.ends + windows * WINDOW, windows)
  end
end

-- Return how many slots may have been granted by now, and how long until the next one if they have.
local function quota(lane, used)
  local limit = account.limit or INITIAL_LIMIT
  if lane == 0 then return limit, account.ends - now end
  local most = limit - math.ceil(limit * RESERVE)
  if most < 1 then most = 1 end
  local elapsed = now - (account.ends - WINDOW)
  local by_now = math.max(1, math.floor(most * math.min(1, elapsed / WINDOW + AHEAD)))
  if used >= most then return by_now, account.ends - now end
  return by_now, math.ceil(((used + 1) / most - AHEAD) * WINDOW - elapsed)
end

-- Return how long a request has to wait, 0 if it gets a slot now.
local function delay(lane)
  if get('blocked') > now then return get('blocked') - now end
  for above = 0, lane - 1 do
    if now - get('w:' .. above) < LANE_WAIT then return LANE_WAIT / 2 end
  end
  local used = get('own') + get('others')
  local granted, wait = quota(lane, used)
  if used >= granted then return math.max(wait, 1) end
  -- Other programs send requests too, so the missing responses may show less than expected: near the limit, wait for
  -- them.
  if get('others') > 0 and get('most') + in_flight() >= (account.limit or INITIAL_LIMIT) then return 50 end
  return 0
end

local function grant()
  set('own', get('own') + 1)
  set('o:' .. account.seq, get('o:' .. account.seq) + 1)
  return account.seq
end

local function take(lane)
  advance()
  local wait = delay(lane)
  if wait > 0 then
    -- Written seldom, as every write is a write to disk.
    if now - get('w:' .. lane) > LANE_WAIT / 4 then set('w:' .. lane, now) end
    return {0, wait}
  end
  return {1, grant()}
end

-- A request in flight is counted in every window since its slot was granted.
local function give_back(window)
  advance()
  if get('o:' .. window) > 0 then
    set('o:' .. window, get('o:' .. window) - 1)
    set('own', math.max(0, get('own') - 1))
  end
end

-- Estimate how far Redis's clock is ahead of Intercom's. Dates are truncated to whole seconds, and responses take time,
-- so every response shows at least the difference. The least one is kept, and grows by a thousandth, as clocks drift.
local function compare_clocks(date)
  local difference = now - date * 1000
  if account.off then difference = math.min(difference, account.off + math.ceil((now - get('off_at')) / 1000)) end
  set('off', difference); set('off_at', now)
end

-- Return when the window that Intercom ends at the second `reset` ends by Redis's clock.
local function end_of(reset)
  if not account.off then
    if get('sure') == 1 and reset == account.reset then return account.ends end
    return now + WINDOW
  end
  local ends = reset * 1000 + account.off
  -- A window that ended a minute ago or ends in more than ten seconds: one of the two headers is wrong.
  if ends < now - 6 * WINDOW or ends > now + WINDOW then return now + WINDOW end
  return ends
end

local function record_response(window, limit, remaining, reset, date, outcome, pause)
  local refused = outcome == 'refused'
  advance()
  if window and account['o:' .. window] then set('o:' .. window, math.max(0, get('o:' .. window) - 1)) end
  if date then compare_clocks(date) end
  if limit and limit >= 1 then set('limit', limit)
  elseif not account.limit and outcome == 'answered' then set('limit', DOCUMENTED_LIMIT) end
  if not (limit and remaining and reset) then
    if refused then set('blocked', now + (pause or WINDOW)) end
    return
  end
  if reset <= get('past') or (window and window < account.seq and end_of(reset) <= now) then
    -- Intercom counted the request in an earlier window.
    if window and window < account.seq then set('own', math.max(0, get('own') - 1)) end
    return
  end
  if get('sure') == 1 and reset > account.reset then
    -- Intercom's next window began earlier than expected; this response is the first one of it.
    set('past', account.reset)
    begin_window(end_of(reset), 1)
    set('own', get('own') + 1)
  end
  if get('sure') == 0 or reset >= get('reset') then
    set('reset', reset); set('sure', 1); set('ends', end_of(reset))
    local count = limit - remaining
    set('most', math.max(get('most'), count))
    set('others', math.max(get('others'), count - get('own')))
    -- 100 ms later than the window's end, so that it has certainly ended at Intercom too.
    if refused then set('blocked', math.max(account.ends, now) + 100) end
  end
end

local result = nil
if ARGV[1] == 'take' then
  result = take(tonumber(ARGV[2]))
elseif ARGV[1] == 'return' then
  give_back(tonumber(ARGV[2]))
else
  record_response(tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]),
    ARGV[7], tonumber(ARGV[8]))
  -- No request waits for this slot, so lower lanes are not held back.
  if ARGV[1] == 'record and take' and delay(0) == 0 then result = grant() end
end

local fields = {}
for name, value in pairs(changed) do
  table.insert(fields, name)
  table.insert(fields, string.format('%.0f', value))
end
if #fields > 0 then
  redis.call('HSET', KEYS[1], unpack(fields))
  redis.call('PEXPIRE', KEYS[1], EXPIRY)
end
return result
