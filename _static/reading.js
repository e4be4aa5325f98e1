// Formulas first where the reader looks, previews beside links, what the search shows, the page as it goes to paper.
{
  const root = new URL(document.documentElement.dataset.content_root || "./", location.href);
  const make = (tag, set) => Object.assign(document.createElement(tag), set);
  const load = (path) => new Promise((done, failed) =>
    document.head.append(make("script", { src: new URL(path, root).href, onload: done, onerror: failed })));

  // ---- formulas ----
  // What stands at the top of the view is typeset first, the rest of a long page behind it. The fonts come at once: MathJax asks for them
  // only when it has set all it was given.
  const first = {
    pageReady: async () => {
      const pause = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done))); // time to paint
      const math = [...document.querySelectorAll("span.math, div.math")];
      const tops = math.map((one) => one.getBoundingClientRect().top);
      const from = Math.max(tops.findIndex((top) => top > -50), 0);
      let count = Math.max(tops.filter((top, at) => at >= from && top < innerHeight).length, 1);
      const order = [...math.slice(from), ...math.slice(0, from)];
      for (let at = 0; at < order.length; at += count, count = 40) {
        if (at) await pause();
        await MathJax.typesetPromise(order.slice(at, at + count));
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
    const at = link.getClientRects()[0], under = innerHeight - at.bottom - 12, over = at.top - 12;
    let own = next.getBoundingClientRect();
    const below = own.height < under || under > over; // else above the link, and never beyond the window
    next.style.maxHeight = `${below ? under : over}px`;
    own = next.getBoundingClientRect();
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

  // ---- search ----
  // Of a page that was found: the sentences in which the words stand, formulas typeset.
  const ASIDE = ".headerlink, script, style, pre, div.cell_input, summary.admonition-title, details > summary .collapsed, " +
    "details.hide > summary, div.math, .eqno, button, .afp-filter, .afp-dot, .toctree-wrapper, .afp-living";
  const BLOCKS = "p, li, dd, figcaption, td, h1, h2, h3, dt";
  const tidy = (text) => text.replace(/\s+/g, " ").trim();
  const sentences = (text) => tidy(text).split(/(?<=[.?!][)”"]?) (?=[A-Z\\“"(])/);

  const summary = (html, keywords, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll(ASIDE).forEach((one) => one.remove());
    const article = page.querySelector("article.bd-article");
    if (!article) return null;
    const place = (anchor && article.querySelector(anchor)) || article;
    const within = (place.matches("dt") && place.nextElementSibling) || place;
    const blocks = [...within.querySelectorAll(BLOCKS)].filter((one) => !one.querySelector(BLOCKS) && tidy(one.textContent));
    const words = [...keywords].map((word) => word.toLowerCase());
    const hits = (text) => words.filter((word) => text.toLowerCase().includes(word)).length;
    const term = (one) => one.closest("dd")?.previousElementSibling?.textContent ?? ""; // what is explained counts as said
    const [best] = blocks.filter((one) => !one.matches("h1, h2, h3, dt"))
      .flatMap((one) => sentences(one.textContent)
        .map((text, at, all) => ({ text, next: all[at + 1], hit: hits(text) + (at === 0) * 2 * hits(term(one)) })))
      .filter((one) => one.text.length > 20 && /^["“(‘]?[A-Z]/.test(one.text)).sort((a, b) => b.hit - a.hit); // the sort is stable: the first of the best
    if (!best) return null;
    let text = best.text;
    if (text.length < 140 && best.next) text += ` ${best.next}`;
    // A long sentence ends at a word outside a formula.
    if (text.length > 320) {
      const formulas = [...text.matchAll(/\\\(.*?\\\)/g)].map((one) => [one.index, one.index + one[0].length]);
      let end = text.lastIndexOf(" ", 300);
      const cut = formulas.find(([start, stop]) => start < end && end < stop);
      if (cut) end = text.lastIndexOf(" ", cut[0]);
      text = text.slice(0, end);
    }
    if (!/[.?!:)]$/.test(text)) text += " …";
    const context = make("p", { className: "context", textContent: text });
    // typeset once it stands on the page, and the words in it are marked
    setTimeout(() => window.afpTypeset(context), 50);
    return context;
  };
  document.addEventListener("readystatechange", () => {
    if (typeof Search !== "undefined") Search.makeSearchSummary = summary; // before the theme begins to search
  });

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
