// The recording and the conversation go together: who speaks when, the spoken line and word lit, a click
// on a line to hear it. Without this file the browser's own player stands there.
"use strict";

(() => {
  const page = document.querySelector(".call-page");
  if (!page) return;

  const JUMP_S = 5;
  const HANDS_OFF_MS = 4000;
  let audio = null;
  let lines = [];
  let current = -1;
  let scrolledAt = 0;
  let scrollingOurselves = false;

  const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;
  const part = (selector) => page.querySelector(`.call-player ${selector}`);

  function readLines() {
    const times = JSON.parse(document.getElementById("call-times")?.textContent || "[]");
    const rows = page.querySelectorAll(".call-line");
    lines = [];
    times.forEach((time, index) => {
      if (time.start === null || !rows[index]) return;
      const following = times.slice(index + 1).find((next) => next.start !== null);
      lines.push({
        row: rows[index],
        role: time.role,
        start: time.start,
        end: time.end ?? following?.start ?? time.start + 2,
        words: time.words,
        spans: rows[index].querySelectorAll(".call-word"),
      });
      rows[index].dataset.line = String(lines.length - 1);
    });
    current = -1;
  }

  function drawLanes() {
    const whole = length();
    for (const role of ["agent", "user"]) {
      const lane = part(`.call-lane-${role}`);
      if (!lane || !whole) continue;
      lane.replaceChildren(
        ...lines.filter((line) => line.role === role).map((line) => {
          const block = document.createElement("i");
          block.style.insetInlineStart = `${(100 * line.start) / whole}%`;
          block.style.width = `${(100 * Math.max(0, line.end - line.start)) / whole}%`;
          line.block = block;
          return block;
        }),
      );
    }
  }

  function length() {
    const known = audio && Number.isFinite(audio.duration) ? audio.duration : 0;
    return known || (lines.length ? lines[lines.length - 1].end : 0);
  }

  function show() {
    const now = audio.currentTime;
    const whole = length() || 1;
    part("[data-now]").textContent = clock(now);
    part("[data-whole]").textContent = clock(whole);
    const slider = part("input[type=range]");
    slider.max = String(whole);
    slider.value = String(now);
    slider.setAttribute("aria-valuetext", `${clock(now)} / ${clock(whole)}`);
    part(".call-needle").style.insetInlineStart = `${(100 * now) / whole}%`;
    light(now);
  }

  function light(now) {
    const begun = now > 0 || !audio.paused;
    let spoken = -1;
    lines.forEach((line, index) => {
      line.block?.classList.toggle("is-played", begun && line.start <= now);
      if (begun && line.start <= now + 0.05) spoken = index;
    });
    if (spoken !== current) {
      lines[current]?.row.classList.remove("is-spoken");
      lines[current]?.spans.forEach((span) => span.classList.remove("is-said"));
      current = spoken;
      lines[current]?.row.classList.add("is-spoken");
      follow();
    }
    const line = lines[current];
    if (!line) return;
    line.words.forEach(([start, end], index) => {
      line.spans[index]?.classList.toggle("is-said", start <= now + 0.02 && now < end + 0.08 && now <= line.end + 0.3);
    });
  }

  function follow() {
    const row = lines[current]?.row;
    if (!row || audio.paused || Date.now() - scrolledAt < HANDS_OFF_MS) return;
    scrollingOurselves = true;
    row.scrollIntoView({ block: "center", behavior: calm() ? "auto" : "smooth" });
    window.setTimeout(() => { scrollingOurselves = false; }, 700);
  }

  const calm = () => window.matchMedia("(prefers-reduced-motion: reduce)").matches;

  function loop() {
    if (!audio || audio.paused) return;
    show();
    window.requestAnimationFrame(loop);
  }

  function seek(seconds, play = false) {
    audio.currentTime = Math.max(0, Math.min(seconds, length()));
    show();
    if (play) audio.play().catch(() => {});
  }

  function toggle() {
    if (audio.paused) audio.play().catch(() => {});
    else audio.pause();
  }

  function step(by) {
    const now = audio.currentTime;
    if (by > 0) {
      const next = lines.find((line) => line.start > now + 0.1);
      if (next) seek(next.start);
      return;
    }
    const before = lines.filter((line) => line.start < now - 0.7);
    seek(before.length ? before[before.length - 1].start : 0);
  }

  function pressed(playing) {
    const button = part(".call-play");
    button.querySelector("span").textContent = playing ? "pause" : "play_arrow";
    button.dataset.play ||= button.getAttribute("aria-label");
    button.setAttribute("aria-label", playing ? button.dataset.pause : button.dataset.play);
  }

  async function tellProblem() {
    const told = part("[data-problem]");
    part(".call-controls").hidden = true;
    part(".call-keys").hidden = true;
    page.classList.remove("has-sound");
    const answer = await fetch(audio.currentSrc || audio.src, { credentials: "same-origin" }).catch(() => null);
    const plain = answer?.headers.get("Content-Type")?.startsWith("text/plain");
    if (plain) told.textContent = await answer.text();
    told.hidden = !plain;
    audio.hidden = Boolean(plain);
    audio.controls = !plain;
  }

  function start() {
    const player = page.querySelector("[data-player]");
    audio = player?.querySelector("audio") || null;
    readLines();
    page.classList.toggle("has-sound", Boolean(audio));
    if (!audio || player.dataset.started) return;
    player.dataset.started = "1";
    audio.controls = false;
    audio.hidden = true;
    part(".call-controls").hidden = false;
    part(".call-keys").hidden = false;
    audio.addEventListener("loadedmetadata", () => { drawLanes(); show(); });
    audio.addEventListener("play", () => { pressed(true); loop(); });
    audio.addEventListener("pause", () => { pressed(false); show(); });
    audio.addEventListener("timeupdate", show);
    audio.addEventListener("error", tellProblem);
    part(".call-play").addEventListener("click", toggle);
    part("input[type=range]").addEventListener("input", (event) => seek(Number(event.target.value)));
    part(".call-speed select").addEventListener("change", (event) => { audio.playbackRate = Number(event.target.value); });
    if (audio.error) tellProblem();
    drawLanes();
    show();
  }

  page.addEventListener("click", (event) => {
    const row = event.target.closest(".call-line[data-line]");
    if (!row || !audio || window.getSelection()?.toString()) return;
    if (!event.target.closest(".call-at, .call-words")) return;
    const line = lines[Number(row.dataset.line)];
    const word = [...line.spans].indexOf(event.target.closest(".call-word"));
    seek(word >= 0 && line.words[word] ? line.words[word][0] : line.start, true);
  });

  document.addEventListener("keydown", (event) => {
    if (!audio || event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input:not([type=range]), textarea, select, [contenteditable], dialog");
    if (typing) return;
    const onControl = event.target.closest("button, a, summary");
    const keys = {
      " ": () => toggle(),
      ArrowLeft: () => seek(audio.currentTime - JUMP_S),
      ArrowRight: () => seek(audio.currentTime + JUMP_S),
      ArrowUp: () => step(-1),
      ArrowDown: () => step(1),
    };
    if (!keys[event.key] || (event.key === " " && onControl)) return;
    event.preventDefault();
    keys[event.key]();
  });

  for (const moved of ["wheel", "touchmove"]) {
    document.addEventListener(moved, () => { if (!scrollingOurselves) scrolledAt = Date.now(); }, { passive: true });
  }
  document.addEventListener("call:part", (event) => {
    if (event.detail.name !== "talk" && event.detail.name !== "player") return;
    start();
    if (audio) { drawLanes(); show(); }
  });
  start();
})();
