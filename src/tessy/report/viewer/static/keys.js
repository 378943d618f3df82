// Keys, and the dialog that lists them.

const keys = document.getElementById("keys");

function follow(rel) {
  document.querySelector(`a[rel=${rel}]`)?.click();
}

function move(step) {
  const rows = [...document.querySelectorAll("a.sample")];
  if (!rows.length) return follow(step > 0 ? "next" : "prev");
  const at = rows.indexOf(document.activeElement);
  const next = at < 0 ? (step > 0 ? 0 : rows.length - 1) : at + step;
  const row = rows[Math.max(0, Math.min(next, rows.length - 1))];
  row.focus();
  row.scrollIntoView({ block: "nearest" });
}

const actions = {
  j: () => move(1),
  k: () => move(-1),
  ArrowRight: () => follow("next"),
  ArrowLeft: () => follow("prev"),
  u: () => follow("up"),
  t: () => document.getElementById("discarded")?.click(),
  m: () => follow("alternate"),
  a: () => document.querySelector("#review [value=accepted]")?.click(),
  x: () => document.querySelector("#review [value=rejected]")?.click(),
  c: () => document.querySelector("#review textarea")?.focus(),
  "/": () => {
    const text = document.getElementById("text");
    if (text) text.focus();
    else follow("up");
  },
  "?": () => keys.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented) return;
  if (event.ctrlKey || event.altKey || event.metaKey || keys.open) return;
  if (event.target.closest("input:not([type=checkbox]), select, textarea")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  const inList = event.target.closest("a.sample");
  if (inList && event.key === "ArrowDown") move(1);
  else if (inList && event.key === "ArrowUp") move(-1);
  else if (event.key in actions) actions[event.key]();
  else return;
  event.preventDefault();
});

const help = document.getElementById("help");
help.hidden = false;
help.addEventListener("click", () => keys.showModal());
