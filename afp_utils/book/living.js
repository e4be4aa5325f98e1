// Stands behind Vega in the site's script of this name. Sliders choose among the frames that a chapter has computed, and Vega draws them. Nothing is computed here.
(() => {
  const add = (parent, tag, properties) => parent.appendChild(Object.assign(document.createElement(tag), properties));

  // The chart at the width of its column, in the colours of the page: two panels beside each other, or one where it is narrow.
  const laidOut = (spec, width) => {
    const { vconcat, title, ...rest } = structuredClone(spec), rows = [];
    const panels = vconcat.flatMap((row) => row.hconcat);
    const beside = width < 560 ? 1 : Math.min(panels.length, 2);
    while (panels.length) rows.push(panels.splice(0, beside));
    for (const row of rows) {
      for (const panel of row) {
        const wide = width / row.length - 76;
        panel.height *= row.length < beside ? 0.7 : wide / panel.width;
        panel.width = wide;
      }
    }
    const params = rest.params.map(({ bind, ...param }) => param);
    return { ...rest, params, vconcat: rows.map((row) => ({ hconcat: row, resolve: rest.resolve })), spacing: 16 };
  };
  const theme = (place, width) => {
    const { color, fontFamily } = getComputedStyle(place);
    const text = { labelColor: color, titleColor: color, labelFont: fontFamily, titleFont: fontFamily, labelFontSize: 12, titleFontSize: 13, titleFontWeight: "normal" };
    return { aria: false, background: "transparent", axis: { ...text, domainColor: "#808080", tickColor: "#808080" }, legend: { ...text, labelLimit: 300, titleLimit: 300, columns: width < 560 ? 2 : 4 } };
  };

  const enliven = (place) => {
    const spec = JSON.parse(place.querySelector("script").textContent);
    const figure = document.getElementById(place.dataset.figure), picture = figure.querySelector("img");
    const form = add(place, "form", { className: "afp-hands" });
    const said = add(place, "p", { className: "afp-said" });
    const chart = add(place, "div", { className: "afp-chart" });
    said.setAttribute("aria-live", "polite");
    chart.setAttribute("role", "img");
    chart.setAttribute("aria-label", picture.alt);
    let view, width, drawing = Promise.resolve();
    const hands = spec.usermeta.controls.map((control) => {
      const start = spec.params.find((param) => param.name === control.name).value;
      const label = add(form, "label", { textContent: control.label });
      const value = add(label, "output");
      const hand = add(label, "input", { type: "range", min: 0, max: control.texts.length - 1, step: 1, value: start, name: control.name });
      hand.addEventListener("input", () => move());
      return { hand, show: () => hand.setAttribute("aria-valuetext", (value.textContent = control.texts[hand.value])), reset: () => (hand.value = start) };
    });
    const move = () => {
      hands.forEach(({ show }) => show());
      if (!view) return;
      hands.forEach(({ hand }) => view.signal(hand.name, Number(hand.value)));
      said.textContent = view.run().signal("said");
    };
    add(form, "button", { type: "button", textContent: "Reset", onclick: () => { hands.forEach(({ reset }) => reset()); move(); } });
    const draw = () => (drawing = drawing.then(async () => {
      width = figure.clientWidth;
      const drawn = await window.vegaEmbed(chart, laidOut(spec, width), { actions: false, renderer: "svg", config: theme(place, width) });
      place.view = view = drawn.view;
      chart.firstElementChild.setAttribute("aria-hidden", "true"); // the label says what is seen
      move();
    }));
    figure.prepend(place);
    draw().then(() => {
      figure.classList.add("afp-alive");
      new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
      new ResizeObserver(() => Math.abs(figure.clientWidth - width) > 8 && draw()).observe(figure);
    });
  };
  document.querySelectorAll(".afp-living").forEach(enliven);
})();
