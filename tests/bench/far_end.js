// A provider that takes 300 ms for each call and remembers when each request came. FAR_PORT, TAKES_MS.
"use strict";
const http = require("node:http");

const takes = Number(process.env.TAKES_MS || 300);
const came = {};
let running = 0;
let most = 0;

function answer(response, status, value) {
  const body = JSON.stringify(value);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) });
  response.end(body);
}

http
  .createServer((request, response) => {
    const at = Date.now();
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const path = request.url.split("?")[0];
      if (path === "/log") return answer(response, 200, { came, most });
      if (path === "/v3/list-calls") return answer(response, 200, { items: [], has_more: false });
      if (path === "/get-concurrency")
        return answer(response, 200, {
          current_concurrency: running,
          concurrency_limit: 100000,
          base_concurrency: 100000,
          purchased_concurrency: 0,
          concurrency_purchase_limit: 0,
          remaining_purchase_limit: 0,
        });
      if (path !== "/v2/create-phone-call") return answer(response, 404, { status: "error", message: path });
      const asked = JSON.parse(Buffer.concat(parts));
      const uuid = asked.metadata.call_uuid;
      came[uuid] = at;
      running += 1;
      most = Math.max(most, running);
      setTimeout(() => {
        running -= 1;
        answer(response, 201, {
          call_id: "call_" + uuid.replaceAll("-", ""),
          call_type: "phone_call",
          call_status: "registered",
          agent_id: asked.override_agent_id || "agent_bench",
          from_number: asked.from_number,
          to_number: asked.to_number,
          direction: "outbound",
          metadata: asked.metadata,
        });
      }, takes);
    });
  })
  .listen(Number(process.env.FAR_PORT), "127.0.0.1");
