-- Makes the requests of wrk: commands, each with a new key, and reads between them.
-- Arguments, each as name=value:
--   accounts  file of account ids, one on each line
--   path      of the commands; with {account} in it the body is an amount, without it a transfer
--   token     of the caller
--   run       start of the keys
--   seed      of the random numbers
--   zipf      exponent with which one account of each command is drawn; 0 draws all equally, inf always the first
--   reads     share of requests that read an account or the newest of its entries
-- At the end it prints one line of JSON, then the latencies as lines of "microseconds count".

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
  thread:set("number", #threads)
end

function init(args)
  local given = {}
  for _, argument in ipairs(args) do
    local name, value = argument:match("^(%w+)=(.*)$")
    given[name] = value
  end
  accounts, cumulated = {}, {}
  local total, exponent = 0, tonumber(given.zipf)
  for line in io.lines(given.accounts) do
    accounts[#accounts + 1] = line
    total = total + (#accounts) ^ -exponent
    cumulated[#accounts] = total
  end
  path = given.path
  reads = tonumber(given.reads)
  asking = { ["Authorization"] = "Bearer " .. given.token }
  headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. given.token }
  prefix = given.run .. "-" .. number .. "-"
  math.randomseed(tonumber(given.seed) + number)
  commands = 0
end

local function drawn()
  local wanted = math.random() * cumulated[#cumulated]
  local low, high = 1, #cumulated
  while low < high do
    local middle = math.floor((low + high) / 2)
    if cumulated[middle] <= wanted then
      low = middle + 1
    else
      high = middle
    end
  end
  return low
end

local function other(account)
  local found = math.random(#accounts - 1)
  return found >= account and found + 1 or found
end

function request()
  local account = drawn()
  if math.random() < reads then
    local entries = math.random() < 0.5 and "/entries?newest_first=true&limit=20" or ""
    return wrk.format("GET", "/v1/accounts/" .. accounts[account] .. entries, asking)
  end
  commands = commands + 1
  headers["Idempotency-Key"] = prefix .. commands
  local sum = string.format('"amount":"%d.%02d","currency":"EUR"}', math.random(100), math.random(0, 99))
  if path:find("{account}", 1, true) then
    return wrk.format("POST", (path:gsub("{account}", accounts[account])), headers, "{" .. sum)
  end
  local source, target = account, other(account)
  if math.random() < 0.5 then
    source, target = target, source
  end
  local body = string.format('{"source":"%s","target":"%s",', accounts[source], accounts[target]) .. sum
  return wrk.format("POST", path, headers, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  local sent = 0
  for _, thread in ipairs(threads) do
    sent = sent + thread:get("commands")
  end
  io.write(string.format(
    'RESULT {"requests":%d,"microseconds":%d,"refused":%d,"broken":%d,"commands":%d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    sent
  ))
  for i = 1, #latency do
    local value, count = latency(i)
    io.write(string.format("LATENCY %d %d\n", value, count))
  end
end
