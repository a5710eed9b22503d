// Keeps the page live: asks once in a while whether anything has changed, and takes over what did.
// Without it the page says the same, by reloading.
"use strict";

const SOON = 20, HIDDEN = 5000, SLOWEST = 10000;
let tag = null, timer = 0, failures = 0, asking = null;

const told = document.getElementById("link");

function say(text) {
  if (told.textContent !== text) told.textContent = text;
}

function since(seconds) {
  for (const [unit, length] of [["d", 86400], ["h", 3600], ["min", 60]])
    if (seconds >= length) return `${Math.round(seconds / length)} ${unit} ago`;
  return seconds < 10 ? "just now" : `${Math.round(seconds)} s ago`;
}

function times() {
  for (const time of document.querySelectorAll("time")) {
    if (!time.title) time.title = time.textContent;
    if (!time.dateTime) continue;
    const text = since(Math.max(0, (Date.now() - Date.parse(time.dateTime)) / 1000));
    if (time.textContent !== text) time.textContent = text;
  }
}

// The ids of what the keyboard is on, and of all around it: what was pressed may be gone afterwards.
function path(part, top) {
  const ids = [];
  for (; part && part !== top; part = part.parentElement) if (part.id) ids.push(part.id);
  return ids;
}

function focusOn(ids) {
  for (const id of ids) {
    document.getElementById(id)?.focus({ preventScroll: true });
    if (document.activeElement.id === id) return; // what is hidden, or takes no focus, is passed over
  }
}

// What a person has opened, and where the keyboard is, stays as it is.
function takeOver(old, fresh) {
  const open = new Map();
  for (const part of old.querySelectorAll("details[id]")) open.set(part.id, part.open);
  const focus = old.contains(document.activeElement) ? path(document.activeElement, old) : [];
  const scrolled = [...old.querySelectorAll(".scroll")].map((part) => part.scrollLeft);
  old.replaceChildren(...fresh.childNodes);
  for (const name of ["hidden", "class"])
    if (fresh.hasAttribute(name)) old.setAttribute(name, fresh.getAttribute(name));
    else old.removeAttribute(name);
  for (const part of old.querySelectorAll("details[id]"))
    if (open.has(part.id)) part.open = open.get(part.id);
  old.querySelectorAll(".scroll").forEach((part, n) => { part.scrollLeft = scrolled[n] || 0; });
  focusOn(focus);
}

const before = new Map();

// For those who do not see the page change: what a folder says now.
function announce(earlier) {
  const sentence = document.querySelector("#head .sentence")?.textContent ?? "";
  if (sentence !== earlier) document.getElementById("news").textContent = sentence;
}

function show(text) {
  const earlier = document.querySelector("#head .sentence")?.textContent ?? "";
  const page = new DOMParser().parseFromString(text, "text/html");
  document.title = page.title;
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const old = document.getElementById(fresh.id), now = fresh.outerHTML;
    if (!old || before.get(fresh.id) === now) continue;
    before.set(fresh.id, now);
    takeOver(old, fresh);
  }
  times();
  announce(earlier);
}

// The answer to a page that is up to date comes when it is not any more, or after a while.
async function look() {
  clearTimeout(timer);
  asking?.abort();
  const mine = asking = new AbortController();
  let wait = SOON;
  try {
    const headers = tag ? { "If-None-Match": tag } : {};
    if (tag && !document.hidden) headers.Prefer = "wait=25";
    const address = location.pathname + location.search;
    const answer = await fetch(address, { headers, cache: "no-store", signal: mine.signal });
    wait = Math.max(SOON, 1000 * Number(answer.headers.get("Retry-After") ?? 0));
    if (answer.status === 200) {
      const text = await answer.text();
      if (mine !== asking) return;
      tag = answer.headers.get("ETag");
      show(text);
    } else if (answer.status !== 304) throw new Error(String(answer.status));
    failures = 0;
    say("live");
  } catch {
    if (mine !== asking) return;
    failures += 1;
    wait = Math.min(500 * 2 ** failures, SLOWEST);
    say("The page does not answer; is it still served?");
  }
  if (mine === asking) timer = setTimeout(look, document.hidden ? HIDDEN : wait);
}

async function ask(event) {
  const form = event.target;
  if (form.method !== "post") return;
  event.preventDefault();
  const body = new URLSearchParams(new FormData(form, event.submitter));
  const focus = path(event.submitter, form); // a button that is off has none
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  try {
    const answer = await fetch(form.action, { method: "POST", body, cache: "no-store" });
    if (!answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      say(page.querySelector("main .sentence")?.textContent ?? "That did not work.");
    }
  } catch {
    say("The page does not answer; is it still served?");
  }
  for (const part of form.querySelectorAll("details")) part.open = false;
  for (const button of form.querySelectorAll("button")) button.disabled = false;
  focusOn(focus);
  before.delete(form.closest("[data-live]")?.id);
  tag = null;
  look();
}

for (const part of document.querySelectorAll("[data-live]")) before.set(part.id, part.outerHTML);
document.addEventListener("submit", ask);
document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
times();
setInterval(times, 5000);
if (document.querySelector("[data-live]")) look();
