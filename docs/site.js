// What MkDocs Material makes without a name, or out of the keyboard's reach.
document$.subscribe(() => {
  if (location.protocol === "file:") {  // where a browser gives a page no index to search
    document.querySelectorAll(".md-search, [for=__search], #__search").forEach((part) => part.remove());
  } else {
    document.querySelector(".md-search").ariaLabel = "search";
  }
  const name = () => {
    document.querySelectorAll(".md-code__nav").forEach((nav, number) => {
      nav.ariaLabel = `code ${number + 1}`;
    });
    document.querySelectorAll(".md-typeset__scrollwrap").forEach((box) => { box.tabIndex = 0; });
  };
  new MutationObserver(name).observe(document.querySelector("article"), { childList: true, subtree: true });
  name();
});
