// Keeps a page up to date while its run goes on: the server tells of changes, the page is fetched
// again, and the parts that differ are exchanged.

const said = document.getElementById("said");
const number = new Intl.NumberFormat("en");
const REFRESH_MS = 1000;
const SAY_MS = 3000;
const LONGEST_WAIT_MS = 30000;
let live = document.querySelector("[data-live]");
let source = null;
let retry = null;
let asked = { busy: false, again: false };
let lastSaid = 0;
let toSay = null;

function say(text, now = false) {
  clearTimeout(toSay);
  const wait = lastSaid + SAY_MS - Date.now(); // screen readers need time
  if (!now && wait > 0) {
    toSay = setTimeout(say, wait, text, true);
    return;
  }
  if (said.textContent === text) return;
  said.textContent = text;
  lastSaid = Date.now();
}

function counted(state) {
  const ended = `${number.format(state.ended)} ended`;
  if (!state.running && !state.written) return ended;
  return `${ended}, ${number.format(state.running)} ${state.written ? "under way" : "not ended"}`;
}

// Replaces the children that differ, and leaves those before and after alone: a selection, the
// focus and the reader's place stay.
function renew(old, fresh) {
  const before = [...old.childNodes];
  const after = [...fresh.childNodes];
  let head = 0;
  while (head < Math.min(before.length, after.length) && before[head].isEqualNode(after[head])) head++;
  let tail = 0;
  while (
    tail < Math.min(before.length, after.length) - head &&
    before[before.length - 1 - tail].isEqualNode(after[after.length - 1 - tail])
  ) tail++;
  if (before.length === after.length && before.length - head - tail === 1 && isPlain(before[head], after[head])) {
    return renew(before[head], after[head]);
  }
  const anchor = before[before.length - tail] ?? null;
  for (const node of before.slice(head, before.length - tail)) node.remove();
  for (const node of after.slice(head, after.length - tail)) old.insertBefore(document.importNode(node, true), anchor);
}

// Whether two elements differ in their content only.
function isPlain(one, other) {
  return one.nodeType === 1 && other.nodeType === 1 && one.cloneNode().isEqualNode(other.cloneNode());
}

async function refresh() {
  if (asked.busy) {
    asked.again = true;
    return;
  }
  asked = { busy: true, again: false };
  try {
    const answer = await fetch(location.href);
    if (answer.ok) take(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    // The stream of events fails, too, and the page shows that.
  }
  await new Promise((done) => setTimeout(done, REFRESH_MS));
  const { again } = asked;
  asked.busy = false;
  if (again && live) refresh();
}

function take(page) {
  const atEnd = innerHeight + scrollY >= document.documentElement.scrollHeight - 40;
  const focused = document.activeElement?.dataset?.sample;
  for (const part of document.querySelectorAll("[data-part]")) {
    const fresh = page.getElementById(part.id);
    if (fresh) renew(part, fresh);
  }
  if (focused !== undefined && document.activeElement === document.body) {
    [...document.querySelectorAll("a.sample")].find((a) => a.dataset.sample === focused)?.focus();
  }
  if (atEnd && live.hasAttribute("data-grows") && scrollY > 0) {
    scrollTo({ top: document.documentElement.scrollHeight, behavior: "instant" });
  }
  if (live && !page.querySelector("[data-live]")) {
    live = null;
    say("it has ended", true);
    hang();
  }
}

function hang() {
  source?.close();
  source = null;
  clearTimeout(retry);
}

function listen(wait = 1000) {
  hang();
  source = new EventSource("events");
  source.onmessage = (event) => {
    wait = 1000;
    const state = JSON.parse(event.data);
    const said = live.hasAttribute("data-grows")
      ? `${state.written ? "under way" : "stopped"}, as of its last checkpoint`
      : counted(state);
    say(state.written ? `live: ${said}` : said);
    refresh();
  };
  source.onerror = () => {
    hang(); // the browser's own retries have no backoff
    say(`no connection to tessy; trying again in ${Math.round(wait / 1000)} s`, true);
    retry = setTimeout(() => listen(Math.min(2 * wait, LONGEST_WAIT_MS)), wait);
  };
}

// The list of runs asks again while something in it changes: a stream for each run would be too many.
async function poll() {
  if (document.visibilityState === "visible") await refresh();
  if (document.querySelector("[data-polls]")) setTimeout(poll, REFRESH_MS);
}
if (document.querySelector("[data-polls]")) setTimeout(poll, REFRESH_MS);

// A browser has few connections to a server: only a visible page keeps one.
function watch() {
  if (live && document.visibilityState === "visible") listen();
  else hang();
}
document.addEventListener("visibilitychange", watch);
watch();
