// While a call lives its page asks for what has changed, and puts it in part by part. A part in which
// somebody is at work (focus, an open fold) waits for the next time. Without this file: reload.
"use strict";

(() => {
  const page = document.querySelector("[data-live]");
  if (!page) return;

  const FAST_MS = 1000;
  const CALM_MS = 3000;
  const shown = new Map();
  for (const part of page.querySelectorAll("[data-part]")) shown.set(part.dataset.part, part.innerHTML);

  let etag = "";
  let failures = 0;

  function busy(part) {
    const focused = document.activeElement;
    return part.contains(focused) && focused !== document.body && focused.matches("input, select, textarea, button");
  }

  function put(name, html) {
    const part = page.querySelector(`[data-part="${name}"]`);
    if (!part || shown.get(name) === html) return true;
    if (busy(part)) return false;
    const pinned = window.innerHeight + window.scrollY > document.body.scrollHeight - 160;
    part.innerHTML = html;
    shown.set(name, html);
    document.dispatchEvent(new CustomEvent("call:part", { detail: { name } }));
    if (name === "talk" && pinned) part.lastElementChild?.scrollIntoView({ block: "nearest" });
    return true;
  }

  async function look() {
    if (document.hidden) return again(CALM_MS);
    let answer;
    try {
      answer = await fetch(page.dataset.live, {
        credentials: "same-origin",
        cache: "no-store",
        headers: etag ? { "If-None-Match": etag } : {},
      });
    } catch {
      failures += 1;
      return again(Math.min(30000, FAST_MS * 2 ** failures));
    }
    const calm = 1000 * Number(answer.headers.get("X-Call-Again") || 0);
    if (answer.status === 304) return answer.headers.get("X-Call-Final") ? undefined : again(calm || FAST_MS);
    if (!answer.ok || answer.redirected) {
      failures += 1;
      return failures < 6 ? again(FAST_MS * 2 ** failures) : undefined;
    }
    failures = 0;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    let whole = true;
    for (const part of fresh.querySelectorAll("template[data-part]")) {
      whole = put(part.dataset.part, part.innerHTML) && whole;
    }
    // A part that had to wait must come again although nothing changes on the server.
    etag = whole ? answer.headers.get("ETag") || "" : "";
    tick();
    const final = answer.headers.get("X-Call-Final");
    if (!final || !whole) again(final ? CALM_MS : calm || FAST_MS);
    return undefined;
  }

  function again(ms) {
    window.setTimeout(look, ms);
  }

  function tick() {
    for (const clock of document.querySelectorAll("[data-since]")) {
      const seconds = Math.max(0, Math.floor(Date.now() / 1000 - Number(clock.dataset.since)));
      clock.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
    }
  }

  tick();
  if (page.dataset.follow) {
    again(FAST_MS);
    window.setInterval(tick, 1000);
  }
})();
