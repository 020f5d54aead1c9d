// Keys for everything that pages do by links, buttons and forms. Without this script all of it works by those.
// A key works where an element says data-key="…"; rows (tr[data-row]) are walked, selected and opened here.
"use strict";
(() => {
  const all = (what, where = document) => [...where.querySelectorAll(what)];
  const rows = () => all("tr[data-row]");
  const current = () => document.querySelector("tr[data-row][aria-current]");
  const box = (row) => row?.querySelector('input[type="checkbox"]');
  const place = () => "row " + location.pathname + location.search;
  let lastSelected = null; // for X: from here on
  let awaitsLetter = false; // after g

  function go(row, focus = true) {
    if (!row) return;
    current()?.removeAttribute("aria-current");
    row.setAttribute("aria-current", "true");
    if (row.dataset.id) sessionStorage.setItem(place(), row.dataset.id);
    if (focus) row.focus();
    row.scrollIntoView({ block: "nearest" });
  }

  function step(by) {
    const known = rows();
    const at = known.indexOf(current());
    const focused = known.includes(document.activeElement);
    go(known[Math.max(0, Math.min(known.length - 1, focused || by < 0 ? at + by : Math.max(at, 0)))]);
  }

  function open(row) {
    const address = row?.dataset.href || row?.querySelector("a[href]")?.href;
    if (address) location.assign(address);
  }

  function select(row, checked) {
    const found = box(row);
    if (!found) return;
    found.checked = checked ?? !found.checked;
    lastSelected = row;
    tell();
  }

  function selectRange() {
    const known = rows();
    const ends = [known.indexOf(lastSelected ?? current()), known.indexOf(current())].sort((a, b) => a - b);
    if (ends[0] >= 0) known.slice(ends[0], ends[1] + 1).forEach((row) => select(row, true));
  }

  function tell() {
    const count = all("tr[data-row] input:checked").length;
    const words = document.getElementById("chosen");
    if (words) words.textContent = count ? `With the ${count} selected:` : "With those selected:";
  }

  // On a list there are no buttons in the rows: the deed is posted for the current row, with the version it shows.
  function post(deed) {
    const row = current();
    const proof = document.querySelector('input[name="csrf"]');
    const link = row?.querySelector("a[href]");
    if (!row?.dataset.id || !row.dataset.version || !proof || !link) return false;
    const address = new URL(link.href);
    const form = document.createElement("form");
    form.method = "post";
    form.action = `${address.pathname}/${deed}${address.search}`;
    for (const [name, value] of [["csrf", proof.value], ["version", row.dataset.version]]) {
      const field = Object.assign(document.createElement("input"), { type: "hidden", name, value });
      form.append(field);
    }
    document.body.append(form);
    form.submit();
    return true;
  }

  function press(key) {
    const found = all("[data-key]").find((one) => one.dataset.key === key && !one.disabled && one.getClientRects().length);
    if (!found) return false;
    const isField = found.matches("input:not([type=checkbox], [type=radio], [type=submit]), select, textarea");
    found.focus();
    if (isField) found.select?.();
    else found.click();
    return true;
  }

  const byRow = {
    j: () => step(1),
    k: () => step(-1),
    x: () => select(current()),
    X: selectRange,
    Enter: () => open(current()),
  };
  const byList = { a: () => post("take"), u: () => post("give-back") };

  function leave() {
    const at = document.activeElement;
    if (at?.matches("input, select, textarea")) at.blur();
    else if (!press("Escape") && document.querySelector("dialog[open]")) document.querySelector("dialog[open]").close();
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const key = event.key;
    const at = event.target;
    if (key === "Escape") return leave();
    if (at.matches?.("textarea, select, input:not([type=checkbox], [type=radio])")) return;
    if (awaitsLetter) {
      awaitsLetter = false;
      if (/^[a-z0-9]$/.test(key)) {
        event.preventDefault();
        location.assign(`/queues/${key}`);
      }
      return;
    }
    if (key === "g") {
      awaitsLetter = true;
      setTimeout(() => (awaitsLetter = false), 1500);
      return;
    }
    if (key === "Enter" && at.matches?.("a, button, summary, input")) return;
    if (rows().length && byRow[key]) {
      event.preventDefault();
      byRow[key]();
    } else if (press(key) || (rows().length && byList[key]?.())) event.preventDefault();
  });

  document.addEventListener("click", (event) => {
    const row = event.target.closest?.("tr[data-row]");
    if (!row) return;
    go(row, false);
    if (event.target.matches('input[type="checkbox"]')) {
      if (event.shiftKey && event.target.checked) selectRange();
      lastSelected = row;
      tell();
    }
  });
  document.addEventListener("dblclick", (event) => open(event.target.closest?.("tr[data-row]")));
  document.addEventListener("focusin", (event) => {
    if (event.target.matches?.("tr[data-row]") && event.target !== current()) go(event.target, false);
  });

  function begin() {
    if (current() || !rows().length) return tell();
    const kept = sessionStorage.getItem(place());
    const known = rows();
    const row = known.find((one) => one.dataset.id && one.dataset.id === kept) ?? known[0];
    // Whoever comes back finds the place again; whoever comes anew begins at the top of the page.
    if (kept) go(row, !document.activeElement || document.activeElement === document.body);
    else row.setAttribute("aria-current", "true");
    tell();
  }
  document.addEventListener("DOMContentLoaded", begin);
  window.addEventListener("pageshow", begin);
  document.addEventListener("htmx:after:swap", begin);
})();
