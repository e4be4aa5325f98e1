// What draws living figures is loaded once the first of them comes near.
const here = document.currentScript.src;
window.addEventListener("DOMContentLoaded", () => {
  const watch = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watch.disconnect();
    document.head.append(Object.assign(document.createElement("script"), { src: here.replace("pages.js", "living.js") }));
  }, { rootMargin: "300px" });
  for (const place of document.querySelectorAll(".afp-living")) watch.observe(document.getElementById(place.dataset.figure));
});

// What is wider than its column scrolls, by hand and, as it can be reached by the tabulator, by keyboard.
const reachable = () => {
  for (const picture of document.querySelectorAll(".bd-content figure img")) {
    const least = 0.65 * (picture.getAttribute("width") || parseFloat(picture.style.width) || picture.naturalWidth); // for labels of nine pixels
    picture.style.minWidth = least > picture.parentElement.clientWidth ? `${least}px` : "";
  }
  for (const formula of document.querySelectorAll(".bd-content span.math")) {
    const inside = formula.querySelector("mjx-container"), column = formula.closest("p, li, td, dd, summary, figcaption");
    const wide = inside && column && inside.getBoundingClientRect().width > column.clientWidth + 1;
    formula.classList.toggle("afp-long", Boolean(wide));
    wide ? formula.setAttribute("tabindex", "0") : formula.removeAttribute("tabindex");
  }
  for (const block of document.querySelectorAll(".bd-content pre, .bd-content div.math, .bd-content mjx-container[display], .bd-content figure, .bd-content .afp-scroll, .bd-content .pst-scrollable-table-container")) {
    if (block.scrollWidth > block.clientWidth) block.setAttribute("tabindex", "0");
  }
};
window.addEventListener("load", () => (window.MathJax?.startup?.promise ?? Promise.resolve()).then(reachable));
window.addEventListener("resize", reachable);
