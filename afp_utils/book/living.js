// Stands behind Vega in the site's script of this name. Sliders choose among the frames that a chapter has computed, and Vega draws them. Nothing is computed here.
(() => {
  const add = (parent, tag, properties) => parent.appendChild(Object.assign(document.createElement(tag), properties));

  // The chart at the width of its column, panels below each other where it is narrow, in the colours of the page.
  const laidOut = (spec, width) => {
    const narrow = width < 560, { hconcat: panels, title, ...rest } = structuredClone(spec);
    for (const panel of panels) {
      const wide = narrow ? width - 72 : width / panels.length - 76;
      panel.height = (panel.height / panel.width) * wide;
      panel.width = wide;
    }
    const params = rest.params.map(({ bind, ...param }) => param);
    return { ...rest, params, [narrow ? "vconcat" : "hconcat"]: panels, spacing: 16 };
  };
  const theme = (place) => {
    const { color, fontFamily } = getComputedStyle(place);
    const text = { labelColor: color, titleColor: color, labelFont: fontFamily, titleFont: fontFamily, labelFontSize: 12, titleFontSize: 13, titleFontWeight: "normal" };
    return { aria: false, background: "transparent", axis: { ...text, domainColor: "#808080", tickColor: "#808080" }, legend: { ...text, labelLimit: 300 } };
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
      const drawn = await window.vegaEmbed(chart, laidOut(spec, width), { actions: false, renderer: "svg", config: theme(place) });
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
