-- Sends each signed body of the file BODIES once, in turn; starts again when they run out.
local head = { ["Content-Type"] = "application/json", ["Connection"] = "keep-alive" }
local sent, lines = 0, {}
function init()
  for line in io.lines(os.getenv("BODIES")) do lines[#lines + 1] = line end
end
function request()
  local line = lines[sent % #lines + 1]
  sent = sent + 1
  local tab = line:find("\t", 1, true)
  head["x-retell-signature"] = line:sub(1, tab - 1)
  return wrk.format("POST", "/webhook/retell", head, line:sub(tab + 1))
end
function done(summary, latency)
  local errors = summary.errors
  io.write(string.format("RESULT %d %d %d %d %d %d\n", summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), errors.status,
    errors.connect + errors.read + errors.write + errors.timeout))
end
