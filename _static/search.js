// What the search shows of a page: the sentences in which the words stand, formulas typeset.
{
  const ASIDE = ".headerlink, script, style, pre, div.cell_input, summary.admonition-title, details > summary .collapsed, " +
    "details.hide > summary, div.math, .eqno, button, .afp-filter, .afp-dot, .toctree-wrapper, .afp-living";
  const BLOCKS = "p, li, dd, figcaption, td, h1, h2, h3, dt";
  const tidy = (text) => text.replace(/\s+/g, " ").trim();
  const sentences = (text) => tidy(text).split(/(?<=[.?!][)”"]?) (?=[A-Z\\“"(])/);

  Search.makeSearchSummary = (html, keywords, anchor) => {
    const page = new DOMParser().parseFromString(html, "text/html");
    page.querySelectorAll(ASIDE).forEach((one) => one.remove());
    const article = page.querySelector("article.bd-article");
    if (!article) return null;
    const place = (anchor && article.querySelector(anchor)) || article;
    const blocks = [...(place.matches("dt") ? [place, place.nextElementSibling] : place.querySelectorAll(BLOCKS))]
      .filter((one) => one && !one.querySelector(BLOCKS) && tidy(one.textContent));
    const words = [...keywords].map((word) => word.toLowerCase());
    const hits = (text) => words.filter((word) => text.toLowerCase().includes(word)).length;
    const prose = blocks.filter((one) => !one.matches("h1, h2, h3, dt"));
    const [best] = prose.flatMap((one) => sentences(one.textContent).map((text, at, all) => ({ text, next: all[at + 1], hit: hits(text) })))
      .filter((one) => one.text.length > 20).sort((a, b) => b.hit - a.hit); // the sort is stable: the first of the best
    if (!best) return null;
    let text = best.text;
    if (text.length < 140 && best.next) text += ` ${best.next}`;
    // A long sentence ends at a word outside a formula.
    if (text.length > 320) {
      const formulas = [...text.matchAll(/\\\(.*?\\\)/g)].map((one) => [one.index, one.index + one[0].length]);
      let end = text.lastIndexOf(" ", 300);
      const cut = formulas.find(([start, stop]) => start < end && end < stop);
      if (cut) end = text.lastIndexOf(" ", cut[0]);
      text = `${text.slice(0, end)} …`;
    }
    const summary = document.createElement("p");
    summary.className = "context";
    summary.textContent = text;
    // typeset once it stands on the page, and the words in it are marked
    setTimeout(() => window.afpTypeset(summary), 50);
    return summary;
  };
}
