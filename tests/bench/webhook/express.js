// The same promise as our door: signature over the raw bytes, one row, committed, then 200.
// Two processes, as our server has two workers; PORT and PGHOST come from the benchmark.
"use strict";
const cluster = require("node:cluster");
const crypto = require("node:crypto");
const express = require("express");
const { Pool } = require("pg");

const KEY = process.env.RETELL_API_KEY;
const FRESH_MS = 300000;
const FORM = /^v=(\d+),d=([0-9a-f]{64})$/;
const INSERT = `INSERT INTO calls_webhookevent
  (key, source, contract, provider, body, signature, received_at, name, provider_call_id, state, tries,
   next_try_at, problem)
  VALUES ($1, 'webhook', 'current', 'retell', $2, $3, $4, '', '', 'pending', 0, $4, '')
  ON CONFLICT DO NOTHING`;

function genuine(body, signature) {
  const found = FORM.exec(signature || "");
  if (!found || Math.abs(Date.now() - Number(found[1])) > FRESH_MS) return false;
  const made = crypto.createHmac("sha256", KEY).update(body).update(found[1]).digest();
  return crypto.timingSafeEqual(made, Buffer.from(found[2], "hex"));
}

if (cluster.isPrimary) {
  for (let n = 0; n < 2; n += 1) cluster.fork();
  for (const end of ["SIGTERM", "SIGINT"]) process.on(end, () => process.exit(0));
} else {
  const pool = new Pool({ max: 10 });
  const app = express();
  app.disable("x-powered-by");
  app.set("etag", false);
  app.post("/webhook/retell", express.raw({ type: () => true, limit: "8mb" }), async (request, response) => {
    const signature = request.get("x-retell-signature");
    if (!genuine(request.body, signature)) return response.status(401).json({ detail: "signature" });
    const key = crypto.createHash("sha256").update("webhook\0current\0").update(request.body).digest("hex");
    try {
      await pool.query({ name: "store", text: INSERT, values: [key, request.body, signature, new Date()] });
    } catch (error) {
      return response.status(503).end();
    }
    return response.status(200).end();
  });
  app.listen(Number(process.env.PORT), "127.0.0.1");
}
