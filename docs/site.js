// What MkDocs Material makes without a name, or out of the keyboard's reach.
document$.subscribe(() => {
  document.querySelector(".md-search").ariaLabel = "search";
  const name = () => {
    document.querySelectorAll(".md-code__nav").forEach((nav, number) => {
      nav.ariaLabel = `code ${number + 1}`;
    });
    document.querySelectorAll(".md-typeset__scrollwrap").forEach((box) => { box.tabIndex = 0; });
  };
  new MutationObserver(name).observe(document.querySelector("article"), { childList: true, subtree: true });
  name();
});
