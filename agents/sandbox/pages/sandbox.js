// Keeps the marked parts of the page fresh. Without it the page works by reloading.
(() => {
  "use strict";
  const parts = () => document.querySelectorAll("[data-live]");
  if (!parts().length) return;

  const refresh = async () => {
    const response = await fetch(location.href, { cache: "no-store" });
    if (!response.ok) return;
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    for (const part of parts()) {
      const next = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
      if (!next || next.innerHTML === part.innerHTML) continue;
      const playing = part.querySelector("audio");
      if (playing && !playing.paused) continue;
      const place = [...part.querySelectorAll("a, button")].indexOf(document.activeElement);
      part.replaceChildren(...next.cloneNode(true).childNodes);
      if (place >= 0) part.querySelectorAll("a, button")[place]?.focus();
    }
    const speaking = document.querySelector("[data-while]");
    if (Boolean(speaking) !== Boolean(fresh.querySelector("[data-while]"))) location.reload();
  };

  let busy = false;
  setInterval(async () => {
    if (busy || document.hidden) return;
    busy = true;
    try {
      await refresh();
    } catch {
      // The sandbox was stopped; the page stays as it is until it is back.
    } finally {
      busy = false;
    }
  }, 1000);
})();
