// The pages read without any of this: keys, live updates, what stays from page to page, formulas,
// the correction of boundaries. No text of a model is ever made markup here: pages come escaped from
// the server, and are parsed into documents that run nothing.

import "./keys.js";
import "./live.js";
import "./formulas.js";
import "./boundaries.js";

const discarded = document.getElementById("discarded");
if (discarded) {
  discarded.checked = sessionStorage.getItem("discarded") === "yes";
  discarded.addEventListener("change", () => {
    sessionStorage.setItem("discarded", discarded.checked ? "yes" : "no");
  });
}

// What was typed or corrected is not left behind without a question.
let saved = null;
document.addEventListener("submit", (event) => (saved = event.target.id));
addEventListener("beforeunload", (event) => {
  const comment = document.querySelector("#review textarea");
  const typed = saved !== "review" && comment && comment.value !== comment.defaultValue;
  const turned = saved !== "boundaries" && document.getElementById("boundaries")?.dataset.unsaved;
  saved = null;
  if (typed || turned) event.preventDefault();
});

// The list goes on where one was.
const shown = new URLSearchParams(location.search).get("sample");
if (shown !== null) {
  sessionStorage.setItem("last", shown);
} else {
  const last = sessionStorage.getItem("last");
  [...document.querySelectorAll("a.sample")].find((a) => a.dataset.sample === last)?.focus();
}

document.getElementById("main").dataset.ready = "yes";
