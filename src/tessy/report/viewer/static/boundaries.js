// Corrects boundaries: each word of the thinking is style or capability, and a click turns it. Words
// and spans are offsets into the thinking, in code points; words are those that predictors judge.

const form = document.getElementById("boundaries");
if (form) {
  form.hidden = false;
  document.getElementById("correct").addEventListener("click", begin, { once: true });
}

async function begin() {
  const answer = await fetch(form.dataset.words);
  const { text, words: cuts, style, written } = await answer.json();
  const characters = [...text];
  const words = cuts.map(([start, end]) => ({ start, end }));
  mark(words, style, "style");
  mark(words, written, "written");
  for (const word of words) word.opened = word.style;

  const field = document.createElement("div");
  field.className = "text trace words";
  field.tabIndex = 0;
  field.setAttribute("role", "application");
  field.setAttribute("aria-label", "The thinking, word by word");
  let at = 0;
  for (const [number, word] of words.entries()) {
    word.element = document.createElement("span");
    word.element.dataset.word = number;
    word.element.textContent = characters.slice(word.start, word.end).join("");
    field.append(characters.slice(at, word.start).join(""), word.element);
    at = word.end;
  }
  const trace = document.getElementById("trace");
  trace.before(field);
  trace.hidden = true;
  document.getElementById("correct").hidden = true;
  document.getElementById("correcting").hidden = false;
  listen(field, words);
  paint(words);
  field.focus();
}

function mark(words, spans, name) {
  for (const word of words) {
    let inside = 0;
    for (const [start, end] of spans) inside += Math.max(0, Math.min(end, word.end) - Math.max(start, word.start));
    word[name] = 2 * inside > word.end - word.start;
  }
}

function listen(field, words) {
  let kind = null; // what words become that are dragged over
  let current = 0;
  const wordAt = (event) => words[event.target.closest?.("[data-word]")?.dataset.word];
  const turn = (word, to) => {
    word.style = to;
    paint(words);
  };
  field.addEventListener("pointerdown", (event) => {
    const word = wordAt(event);
    if (!word) return;
    event.preventDefault();
    field.focus();
    kind = !word.style;
    turn(word, kind);
  });
  field.addEventListener("pointerover", (event) => {
    const word = wordAt(event);
    if (kind !== null && word) turn(word, kind);
  });
  document.addEventListener("pointerup", () => (kind = null));
  field.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (event.key === " ") turn(words[current], !words[current].style);
    else if (step) current = Math.max(0, Math.min(words.length - 1, current + step));
    else return;
    event.preventDefault();
    field.querySelector(".current")?.classList.remove("current");
    words[current].element.classList.add("current");
    words[current].element.scrollIntoView({ block: "nearest" });
  });
}

function paint(words) {
  const spans = [];
  let changed = 0;
  for (const [number, word] of words.entries()) {
    word.element.classList.toggle("student", word.style);
    word.element.classList.toggle("teacher", !word.style);
    word.element.classList.toggle("turned", word.style !== word.written);
    changed += word.style !== word.written;
    if (!word.style) continue;
    if (number && words[number - 1].style) spans.at(-1)[1] = word.end;
    else spans.push([word.start, word.end]);
  }
  form.elements.style.value = JSON.stringify(spans);
  form.dataset.unsaved = words.some((word) => word.style !== word.opened) ? "yes" : "";
  document.getElementById("changed").textContent = `${changed} ${changed === 1 ? "word" : "words"} turned`;
}
