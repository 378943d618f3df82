// Draws formulas: their source is in the page, as text, and KaTeX makes elements of it. It may load
// and link nothing (`trust` is off), and can't be as large as it likes.

const formulas = document.querySelectorAll(".formula");
if (formulas.length) {
  await import("./katex/katex.min.js");
  for (const formula of formulas) {
    const source = formula.textContent;
    globalThis.katex.render(source, formula, {
      displayMode: formula.classList.contains("display"),
      throwOnError: false,
      strict: false,
      maxSize: 20,
      maxExpand: 200,
    });
    formula.title = source;
  }
}
