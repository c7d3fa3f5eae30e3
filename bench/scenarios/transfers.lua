-- wrk: one transfer a request, each under a key of its own.
-- Arguments: file of account ids, path, token, prefix of the keys, seed. Ends with one line of JSON, then the
-- latencies as lines of "microseconds count".

local threads = 0

function setup(thread)
  threads = threads + 1
  thread:set("number", threads)
end

function init(args)
  accounts = {}
  for line in io.lines(args[1]) do
    accounts[#accounts + 1] = line
  end
  path = args[2]
  headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. args[3] }
  prefix = args[4] .. "-" .. number .. "-"
  math.randomseed(tonumber(args[5]) + number)
  made = 0
end

function request()
  made = made + 1
  headers["Idempotency-Key"] = prefix .. made
  local source = math.random(#accounts)
  local target = math.random(#accounts - 1)
  if target >= source then
    target = target + 1
  end
  local body = string.format(
    '{"source":"%s","target":"%s","amount":"%d.%02d","currency":"EUR"}',
    accounts[source], accounts[target], math.random(100), math.random(0, 99)
  )
  return wrk.format("POST", path, headers, body)
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    'RESULT {"requests":%d,"microseconds":%d,"refused":%d,"broken":%d}\n',
    summary.requests, summary.duration, errors.status, errors.connect + errors.read + errors.write + errors.timeout
  ))
  for i = 1, #latency do
    local value, count = latency(i)
    io.write(string.format("LATENCY %d %d\n", value, count))
  end
end
