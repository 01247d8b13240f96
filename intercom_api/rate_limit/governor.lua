-- The one account of the calls that an app may make in a workspace, for all processes on all hosts.
--
-- Intercom counts calls in windows of ten seconds. Here the same window is counted: what was let through (`own`, with
-- the calls of earlier windows that are still on their way, as Intercom may count them in either), and what others
-- were seen to use (`others`). X-RateLimit-* of each answer corrects it. All times are milliseconds.
--
-- KEYS[1]  a hash: the account of one app in one workspace.
-- ARGV     "take", lane                                     -> {1, window} if the call may go, else {0, milliseconds}
--          "learn and take", the same                     -> window if the next call of the first lane may go at once
--          "back", window                                 -> nothing; a call that was let through is not made
--          "learn", window, limit, remaining, reset, date, outcome, pause -> nothing; "" for what is not known;
--                  outcome is "refused" (429), "answered", or "" without an answer
--
-- Fields: limit (calls in a window; absent until known) · seq (number of the window) · ends (when it ends, by Redis's
-- clock) · reset (the second at which it ends by Intercom's clock) · sure (1 once an answer named that second) · past
-- (the last such second before) · own · others · most (Intercom's count, as last seen) · off, off_at (Redis's clock
-- less Intercom's, and when that was found) · blocked (until when nothing may go) · o:SEQ (calls let through in that
-- window whose answer is not here yet) · w:LANE (when that lane last had to wait)

local WINDOW = 10000
-- Calls that go before any answer named the limit: few, as it may be small.
local PROBES = 10
-- Calls in a window where answers name no limit: a sixth of the 10,000 a minute that Intercom gives every app.
local DOCUMENTED = 1666
-- Windows that an unanswered call is remembered for: a minute, twice the longest time that a call waits.
local REMEMBERED = 6
-- The part that is kept for calls that a user waits for.
local RESERVE = 0.03
-- The other lanes go through the window at its own pace, this much ahead of it: whoever comes with right of way finds
-- room at any time, and the whole allowance is used before the window ends.
local AHEAD = 0.1
-- A lane that had to wait asks again within 250 ms; so long the lanes below it stand aside.
local WAITING = 400
-- The account of a workspace that nobody calls is forgotten after ten minutes.
local FORGOTTEN = 600000

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local account, changed = {}, {}
local flat = redis.call('HGETALL', KEYS[1])
for i = 1, #flat, 2 do account[flat[i]] = tonumber(flat[i + 1]) end

local function get(name) return account[name] or 0 end
local function set(name, value)
  if account[name] ~= value then account[name], changed[name] = value, value end
end

local function on_their_way()
  local sum = 0
  for seq = get('seq') - REMEMBERED, get('seq') do sum = sum + get('o:' .. seq) end
  return sum
end

-- Begin a window. Calls whose answers are still missing may be counted in it.
local function begin(ends, windows)
  local carried, old = on_their_way(), {}
  set('seq', get('seq') + windows)
  for name in pairs(account) do
    local seq = tonumber(string.match(name, '^o:(%d+)$'))
    if seq and seq < get('seq') - REMEMBERED then table.insert(old, name) end
  end
  for _, name in ipairs(old) do
    redis.call('HDEL', KEYS[1], name)
    account[name], changed[name] = nil, nil
  end
  set('ends', ends); set('own', carried); set('others', 0); set('most', 0)
end

local function roll()
  if not account.ends then
    begin(now + WINDOW, 1)
  elseif now >= account.ends then
    local windows = math.floor((now - account.ends) / WINDOW) + 1
    if get('sure') == 1 then set('past', account.reset) end
    if account.reset then set('reset', account.reset + windows * WINDOW / 1000) end
    set('sure', 0)
    begin(account.ends + windows * WINDOW, windows)
  end
end

-- Return how many calls may have gone by now, and when the next one may if they have.
local function allowed(lane, used)
  local limit = account.limit or PROBES
  if lane == 0 then return limit, account.ends - now end
  local most = limit - math.ceil(limit * RESERVE)
  if most < 1 then most = 1 end
  local gone = now - (account.ends - WINDOW)
  local by_now = math.max(1, math.floor(most * math.min(1, gone / WINDOW + AHEAD)))
  if used >= most then return by_now, account.ends - now end
  return by_now, math.ceil(((used + 1) / most - AHEAD) * WINDOW - gone)
end

-- Return how long the call has to wait, 0 if it may go.
local function delay(lane)
  if get('blocked') > now then return get('blocked') - now end
  for above = 0, lane - 1 do
    if now - get('w:' .. above) < WAITING then return WAITING / 2 end
  end
  local used = get('own') + get('others')
  local may, next = allowed(lane, used)
  if used >= may then return math.max(next, 1) end
  -- Somebody else calls too, so the answers still missing may find less than we think: wait for them near the end.
  if get('others') > 0 and get('most') + on_their_way() >= (account.limit or PROBES) then return 50 end
  return 0
end

local function let_through()
  set('own', get('own') + 1)
  set('o:' .. account.seq, get('o:' .. account.seq) + 1)
  return account.seq
end

local function take(lane)
  roll()
  local wait = delay(lane)
  if wait > 0 then
    -- Written seldom, as every write is a write to disk.
    if now - get('w:' .. lane) > WAITING / 4 then set('w:' .. lane, now) end
    return {0, wait}
  end
  return {1, let_through()}
end

-- What is on its way is counted in every window since it was let through.
local function give_back(window)
  roll()
  if get('o:' .. window) > 0 then
    set('o:' .. window, get('o:' .. window) - 1)
    set('own', math.max(0, get('own') - 1))
  end
end

-- How far Redis's clock is ahead of Intercom's. Dates are whole seconds, cut off, and answers take time, so every
-- answer shows at least the difference; the least of them is kept, and let grow by a thousandth, as clocks drift.
local function compare_clocks(date)
  local seen = now - date * 1000
  if account.off then seen = math.min(seen, account.off + math.ceil((now - get('off_at')) / 1000)) end
  set('off', seen); set('off_at', now)
end

local function end_of(reset)
  if not account.off then
    if get('sure') == 1 and reset == account.reset then return account.ends end
    return now + WINDOW
  end
  local ends = reset * 1000 + account.off
  -- No window ended long ago or ends late: one of the two headers is wrong.
  if ends < now - 6 * WINDOW or ends > now + WINDOW then return now + WINDOW end
  return ends
end

local function learn(window, limit, remaining, reset, date, outcome, pause)
  local refused = outcome == 'refused'
  roll()
  if window and account['o:' .. window] then set('o:' .. window, math.max(0, get('o:' .. window) - 1)) end
  if date then compare_clocks(date) end
  if limit and limit >= 1 then set('limit', limit)
  elseif not account.limit and outcome == 'answered' then set('limit', DOCUMENTED) end
  if not (limit and remaining and reset) then
    if refused then set('blocked', now + (pause or WINDOW)) end
    return
  end
  if reset <= get('past') or (window and window < account.seq and end_of(reset) <= now) then
    -- The call was counted before this window, after all.
    if window and window < account.seq then set('own', math.max(0, get('own') - 1)) end
    return
  end
  if get('sure') == 1 and reset > account.reset then
    -- Intercom's next window began before we expected it; the call that tells it is the first one in it.
    set('past', account.reset)
    begin(end_of(reset), 1)
    set('own', get('own') + 1)
  end
  if get('sure') == 0 or reset >= get('reset') then
    set('reset', reset); set('sure', 1); set('ends', end_of(reset))
    local count = limit - remaining
    set('most', math.max(get('most'), count))
    set('others', math.max(get('others'), count - get('own')))
    -- A moment later than the window's end, so that it surely ended there as well.
    if refused then set('blocked', math.max(account.ends, now) + 100) end
  end
end

local answer = nil
if ARGV[1] == 'take' then
  answer = take(tonumber(ARGV[2]))
elseif ARGV[1] == 'back' then
  give_back(tonumber(ARGV[2]))
else
  learn(tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]),
    ARGV[7], tonumber(ARGV[8]))
  -- Nobody waits for it yet, so that no lane has to stand aside.
  if ARGV[1] == 'learn and take' and delay(0) == 0 then answer = let_through() end
end

local fields = {}
for name, value in pairs(changed) do
  table.insert(fields, name)
  table.insert(fields, string.format('%.0f', value))
end
if #fields > 0 then
  redis.call('HSET', KEYS[1], unpack(fields))
  redis.call('PEXPIRE', KEYS[1], FORGOTTEN)
end
return answer
