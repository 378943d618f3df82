// Draws formulas: their source is in the page, as text, and KaTeX makes elements of it. It may load
// and link nothing (`trust` is off), and can't be as large as it likes. What it can't read stays.

const formulas = document.querySelectorAll(".formula");
if (formulas.length) {
  await import("./katex/katex.min.js");
  formulas.forEach(draw);
}

function draw(formula) {
  const source = formula.textContent;
  const drawn = document.createElement("span");
  const options = { displayMode: formula.classList.contains("display"), strict: false, maxSize: 20, maxExpand: 200 };
  try {
    globalThis.katex.render(source, drawn, options);
    formula.replaceChildren(drawn);
    formula.title = source;
  } catch (error) {
    formula.classList.add("broken");
    formula.title = error.message;
  }
}
