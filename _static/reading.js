// Formulas first where the reader looks, previews beside links, and the page as it goes to paper.
{
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const make = (tag, set) => Object.assign(document.createElement(tag), set);
  const load = (path) => new Promise((done, failed) =>
    document.head.append(make("script", { src: new URL(path, root).href, onload: done, onerror: failed })));

  // ---- formulas ----
  // What is in view is typeset first, the rest of a long page behind it. The fonts come at once: MathJax asks for them
  // only when it has set all it was given.
  const first = {
    pageReady: async () => {
      const math = [...document.querySelectorAll("span.math, div.math")];
      const seen = math.filter((one) => {
        const box = one.getBoundingClientRect();
        return box.bottom > -200 && box.top < innerHeight + 200;
      });
      if (seen.length) {
        await MathJax.typesetPromise(seen);
        await new Promise((done) => setTimeout(done)); // a moment to paint
      }
      return MathJax.typesetPromise();
    },
  };
  if (window.MathJax) {
    window.MathJax.startup = first;
    for (const [family, file] of [["MJXTEX", "Main-Regular"], ["MJXTEX-I", "Math-Italic"]]) {
      const face = new FontFace(family, `url(${new URL(`_static/mathjax/output/chtml/fonts/woff-v2/MathJax_${file}.woff`, root)})`);
      document.fonts.add(face);
      face.load().catch(() => {});
    }
  }
  // Set the formulas of an element that came later, also on a page that has no others.
  let engine = null;
  window.afpTypeset = async (element) => {
    if (!element.querySelector(".math") && !/\\\(/.test(element.textContent)) return;
    if (!window.MathJax) {
      window.MathJax = {
        loader: { load: ["input/tex", "output/chtml", "a11y/assistive-mml"] },
        options: { enableMenu: false },
        startup: { typeset: false },
      };
      engine = load("_static/mathjax/startup.js");
    }
    await engine;
    await window.MathJax.startup.promise;
    await window.MathJax.typesetPromise([element]);
  };

  // ---- previews ----
  // Beside a link to a term, an equation, a figure, a theorem or a work: what stands there. For a pointer that hovers and
  // for the keyboard, not for touch, where a tap follows the link. Escape closes it; the pointer may go into it.
  const kept = {}, asked = {};
  window.afpPreviews = (page, parts) => { kept[page] = parts; };
  const LINKS = ".bd-article a.reference.internal[href*='#']";
  const KNOWN = /^#(term-|equation-eq-|fig-|thm-)/;
  let box = null, timer = 0, current = null;
  const close = () => {
    clearTimeout(timer);
    current?.removeAttribute("aria-describedby");
    current = null;
    box?.remove();
    box = null;
  };
  const open = async (link) => {
    const to = new URL(link.href), page = to.pathname.slice(root.pathname.length).replace(/\.html$/, "");
    if (!KNOWN.test(to.hash) && page !== "chapters/references") return;
    close();
    current = link;
    await (asked[page] ??= load(`_static/previews/${page}.js`).catch(() => {}));
    const html = kept[page]?.[decodeURIComponent(to.hash.slice(1))];
    if (!html || current !== link) return;
    const next = make("div", { id: "afp-preview", className: "afp-preview", innerHTML: html });
    next.setAttribute("role", "tooltip");
    for (const image of next.querySelectorAll("img")) image.src = new URL(image.dataset.src, root).href;
    document.body.append(next);
    box = next;
    await window.afpTypeset(next);
    await Promise.all([...next.querySelectorAll("img")].map((image) => image.decode().catch(() => {})));
    if (box !== next) return;
    const [at, own] = [link.getClientRects()[0], next.getBoundingClientRect()];
    const below = at.bottom + own.height + 8 < innerHeight || at.top < own.height + 8;
    next.style.left = `${scrollX + Math.max(8, Math.min(at.left, document.documentElement.clientWidth - own.width - 8))}px`;
    next.style.top = `${scrollY + (below ? at.bottom + 4 : at.top - own.height - 4)}px`;
    next.classList.add("afp-open-preview");
    link.setAttribute("aria-describedby", next.id);
  };
  const later = (wait, what) => { clearTimeout(timer); timer = setTimeout(what, wait); };
  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const link = event.target.closest?.(LINKS);
    if (event.target.closest?.(".afp-preview") || (link && link === current)) clearTimeout(timer);
    else if (link) {
      link.removeAttribute("title"); // the browser's own, plainer preview
      later(150, () => open(link));
    } else if (current && current !== document.activeElement) later(250, close);
    else if (!current) clearTimeout(timer);
  });
  document.addEventListener("focusin", (event) => {
    const link = event.target.closest?.(LINKS);
    if (link?.matches(":focus-visible")) open(link);
  });
  document.addEventListener("focusout", () => { if (current) close(); });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") close(); });
  document.addEventListener("click", (event) => { if (event.target.closest?.("a")) close(); });

  // ---- paper ----
  // Light, with all that is folded open; afterwards as it was.
  let back = null;
  const paper = () => {
    if (back) return;
    const shut = [...document.querySelectorAll(".bd-article details:not([open])")];
    const { theme } = document.documentElement.dataset;
    back = () => {
      shut.forEach((one) => { one.open = false; });
      document.documentElement.dataset.theme = theme;
      back = null;
    };
    close();
    shut.forEach((one) => { one.open = true; });
    document.documentElement.dataset.theme = "light";
  };
  const print = matchMedia("print");
  print.addEventListener("change", () => (print.matches ? paper() : back?.()));
  addEventListener("beforeprint", paper);
  addEventListener("afterprint", () => back?.());
}
