-- wrk's own report stops at p99: this prints what the table needs, in microseconds.
function done(summary, latency, requests)
  io.write(string.format("requests %d\n", summary.requests))
  for _, p in ipairs({50, 90, 99, 99.9}) do
    io.write(string.format("p%s %d\n", p, latency:percentile(p)))
  end
end
