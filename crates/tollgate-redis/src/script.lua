-- Decides about every window of one subject, and writes all of them or none.
--
-- KEYS[1]: the subject. ARGV: the time, or nothing for the server's; 1 to consume; the cost; and
-- for each window its kind (0 smooth, 1 exact), units, step and length. A step is a smooth
-- window's period and an exact window's slot. Times are whole microseconds, which doubles hold
-- exactly until the year 2255.
--
-- The value is cmsgpack: when it was written, then the windows: {0, free at, period}, or
-- {1, used, leaves, units, leaves, units, ...}, the oldest slot first.
--
-- The arithmetic is that of tollgate-core's rate/smooth.rs, rate/exact.rs and rate/local.rs; a
-- test holds them together. It answers whether every window agreed, and for each window what
-- remains, when it resets, when one unit more is free, and when to retry, or -1.
--
-- A value that is none of ours, such as another version's, is taken for none and replaced.
-- So another format takes another key, or old and new nodes would replace each other's counts.

local ceil, floor, max, min = math.ceil, math.floor, math.max, math.min
local commit, cost = ARGV[2] == '1', tonumber(ARGV[3])

local clock = tonumber(ARGV[1])
if not clock then
  local time = redis.call('TIME')
  clock = time[1] * 1000000 + time[2]
end

local limits, longest = {}, 0
for i = 4, #ARGV, 4 do
  local window = tonumber(ARGV[i + 3])
  longest = max(longest, window)
  limits[#limits + 1] = {
    kind = tonumber(ARGV[i]), units = tonumber(ARGV[i + 1]),
    step = tonumber(ARGV[i + 2]), window = window,
  }
end

-- Decides by what is kept; `is_kept` if a key is there.
local function decide(kept, is_kept)
  local now, changed = clock, false

  -- A clock that was set back stands still until it has caught up; one that was set back by more
  -- than a window takes everything with it. Neither gives a unit back.
  local behind = kept[1] - now
  if behind > longest then
    changed = true
    for w = 2, #kept do
      local window = kept[w]
      if window[1] == 0 then
        window[2] = window[2] - behind
      else
        for s = 3, #window, 2 do
          window[s] = window[s] - behind
        end
      end
    end
  elseif behind > 0 then
    now = kept[1]
  end

  -- One window for each limit, keeping those that still fit.
  local windows, fits = {}, #kept == #limits + 1
  for i, limit in ipairs(limits) do
    windows[i] = kept[i + 1]
    fits = fits and windows[i][1] == limit.kind
  end
  if not fits then
    changed = is_kept
    local old = {unpack(kept, 2)}
    for i, limit in ipairs(limits) do
      windows[i] = limit.kind == 0 and {0, 0, limit.step} or {1, 0}
      for at, window in ipairs(old) do
        if window[1] == limit.kind then
          windows[i] = table.remove(old, at)
          break
        end
      end
    end
  end

  local debts, admitted, waits = {}, true, {}
  for i, limit in ipairs(limits) do
    local window, wait = windows[i], -1
    if limit.kind == 0 then
      local debt = max(window[2] - now, 0)
      if window[3] ~= limit.step then
        debt = min(ceil(debt / window[3]), limit.units) * limit.step
      end
      local over = debt + (cost - limit.units) * limit.step
      if cost > limit.units then
        wait = limit.window
      elseif cost > 0 and over > 0 then
        wait = over
      end
      debts[i] = debt
    else
      local first, used = 3, window[2]
      while first < #window and window[first] <= now do
        used = used - window[first + 1]
        first = first + 2
      end
      if first > 3 then
        window = {1, used, unpack(window, first)}
        windows[i] = window
      end
      local excess = used + cost - limit.units
      if cost > 0 and excess > 0 then
        wait = limit.window
        for s = 3, #window, 2 do
          excess = excess - window[s + 1]
          if excess <= 0 then
            wait = window[s] - now
            break
          end
        end
      end
      debts[i] = used
    end
    waits[i] = wait
    admitted = admitted and wait < 0
  end

  local consume = commit and admitted
  if consume then
    for i, limit in ipairs(limits) do
      local window = windows[i]
      if limit.kind == 0 then
        debts[i] = debts[i] + cost * limit.step
        windows[i] = {0, now + debts[i], limit.step}
      elseif cost > 0 then
        debts[i] = debts[i] + cost
        window[2] = debts[i]
        local leaves = (floor(now / limit.step) + 1) * limit.step + limit.window
        -- After a plan change the newest slot may leave later than a new one would.
        if #window > 2 and window[#window - 1] >= leaves then
          window[#window] = window[#window] + cost
        else
          window[#window + 1] = leaves
          window[#window + 1] = cost
        end
      end
    end
  end

  if (consume and (cost > 0 or is_kept)) or (commit and changed) then
    local busy = 0
    for _, window in ipairs(windows) do
      -- An exact window without slots has its kind there, which is no time from now.
      local free = window[1] == 0 and window[2] or window[#window - 1]
      busy = max(busy, free - now)
    end
    -- A time that a test tells is not the server's, which forgets by its own.
    local grace = ARGV[1] == '' and 1000 or 3600000
    local value = cmsgpack.pack({now, unpack(windows)})
    redis.call('SET', KEYS[1], value, 'PX', string.format('%.0f', ceil(busy / 1000) + grace))
  end

  local reply = {admitted and 1 or 0}
  for i, limit in ipairs(limits) do
    local window, debt, remaining, reset, soon = windows[i], debts[i], 0, 0, 0
    if limit.kind == 0 then
      local used = ceil(debt / limit.step)
      remaining, reset = max(limit.units - used, 0), debt
      soon = debt - max(used - 1, 0) * limit.step
    else
      remaining = max(limit.units - debt, 0)
      if #window > 2 then
        reset, soon = window[#window - 1] - now, window[3] - now
      end
    end
    for _, number in ipairs({remaining, reset, soon, waits[i]}) do
      reply[#reply + 1] = number
    end
  end
  return reply
end

local raw = redis.pcall('GET', KEYS[1])
if not raw then
  return decide({clock}, false)
elseif raw.err and string.sub(raw.err, 1, 9) ~= 'WRONGTYPE' then
  return raw
end
local is_ours, reply = pcall(function()
  return decide((cmsgpack.unpack(raw)), true)
end)
return is_ours and reply or decide({clock}, true)
