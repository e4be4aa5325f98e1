// What draws living figures is loaded once the first of them comes near, after the formulas: it is as heavy as all else.
const here = document.currentScript.src;
window.addEventListener("DOMContentLoaded", () => {
  const watch = new IntersectionObserver(async (entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    await window.MathJax?.startup?.promise;
    document.head.append(Object.assign(document.createElement("script"), { src: here.replace("pages.js", "living.js") }));
  }, { rootMargin: "300px" });
  for (const place of document.querySelectorAll(".afp-living")) watch.observe(document.getElementById(place.dataset.figure));
});

// What is wider than its column scrolls, by hand and, as it can be reached by the tabulator, by keyboard.
const reachable = () => {
  // all is measured before anything is changed: else each change lays out the page again
  const pictures = [...document.querySelectorAll(".bd-content figure img")].map((picture) => {
    const least = 0.65 * (parseFloat(picture.style.width) || picture.naturalWidth); // for labels of nine pixels
    return [picture, least > picture.parentElement.clientWidth ? `${least}px` : ""];
  });
  const formulas = [...document.querySelectorAll(".bd-content span.math")].map((formula) => {
    const inside = formula.querySelector("mjx-container"), column = formula.closest("p, li, td, dd, summary, figcaption");
    return [formula, Boolean(inside && column && inside.getBoundingClientRect().width > column.clientWidth + 1)];
  });
  pictures.forEach(([picture, width]) => { picture.style.minWidth = width; });
  const blocks = [...document.querySelectorAll(".bd-content pre, .bd-content div.math, .bd-content mjx-container[display], .bd-content figure, .bd-content .afp-scroll, .bd-content .pst-scrollable-table-container")]
    .filter((block) => block.scrollWidth > block.clientWidth);
  for (const [formula, wide] of formulas) {
    formula.classList.toggle("afp-long", wide);
    wide ? formula.setAttribute("tabindex", "0") : formula.removeAttribute("tabindex");
  }
  blocks.forEach((block) => block.setAttribute("tabindex", "0"));
};
window.addEventListener("load", () => (window.MathJax?.startup?.promise ?? Promise.resolve()).then(reachable));
window.addEventListener("resize", reachable);
