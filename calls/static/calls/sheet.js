// Links with data-sheet open their page as a dialog; without this file they open it as a page.
// Inside it, choices with data-reload ask the server again; data-countdown counts seconds down.
"use strict";

(() => {
  let opener = null;

  function dialog() {
    let found = document.getElementById("desk-dialog");
    if (!found) {
      found = document.createElement("dialog");
      found.id = "desk-dialog";
      found.addEventListener("click", (event) => {
        if (event.target === found || event.target.closest("[data-close]")) {
          event.preventDefault();
          found.close();
        }
      });
      found.addEventListener("close", () => opener?.focus());
      document.body.append(found);
    }
    return found;
  }

  async function fetchSheet(address) {
    const answer = await fetch(address, { credentials: "same-origin" });
    if (!answer.ok || answer.redirected) return null;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.getElementById("desk-sheet");
  }

  async function open(link) {
    const sheet = await fetchSheet(link.href).catch(() => null);
    if (!sheet) {
      window.location.href = link.href;
      return;
    }
    opener = link;
    const box = dialog();
    const title = sheet.querySelector(".desk-sheet-title");
    if (title) box.setAttribute("aria-labelledby", title.id);
    box.replaceChildren(document.importNode(sheet, true));
    if (!box.open) box.showModal();
    (box.querySelector("[autofocus]") || box.querySelector("button[type=submit]") || box).focus();
  }

  async function reload(control) {
    const form = control.form;
    const sheet = control.closest("#desk-sheet");
    const chosen = new URLSearchParams(new FormData(form));
    chosen.delete("csrfmiddlewaretoken");
    chosen.delete("typed");
    const fresh = await fetchSheet(`${form.action.split("?")[0]}?${chosen}`).catch(() => null);
    if (!fresh) return;
    const name = control.name;
    const shown = document.importNode(fresh, true);
    sheet.replaceWith(shown);
    // A large batch is counted by a part of the sheet that asks for itself.
    window.htmx?.process(shown);
    document.querySelector(`#desk-sheet [name="${name}"]`)?.focus();
  }

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-sheet]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    open(link);
  });

  // A filter chosen with the pointer applies at once; with the keyboard, where each arrow key is a
  // change, the button does.
  let byPointer = false;
  document.addEventListener("pointerdown", () => { byPointer = true; }, true);
  document.addEventListener("keydown", () => { byPointer = false; }, true);
  document.addEventListener("change", (event) => {
    if (event.target.matches("[data-reload]")) reload(event.target);
    if (byPointer && event.target.matches("[data-autosubmit] select")) event.target.form.requestSubmit();
  });
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-autosubmit]")) return;
    for (const field of event.target.querySelectorAll("select, input")) if (!field.value) field.disabled = true;
  });

  // One press, one call: a second press while the first is under way does nothing.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (!form.matches("[data-once]")) return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("[data-once]")) delete form.dataset.sent;
    for (const field of document.querySelectorAll("[data-autosubmit] :disabled")) field.disabled = false;
  });

  setInterval(() => {
    for (const counter of document.querySelectorAll("[data-countdown]")) {
      counter.dataset.ends ||= String(Date.now() + 1000 * Number(counter.dataset.countdown));
      const left = Math.ceil((Number(counter.dataset.ends) - Date.now()) / 1000);
      counter.textContent = String(Math.max(0, left));
      if (left <= 0) counter.closest("[data-until]")?.remove();
    }
  }, 250);
})();
