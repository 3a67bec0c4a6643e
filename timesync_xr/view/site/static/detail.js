"use strict";
// The selected observation: its chips, its values and where they come from.

/** Fill `node` with what is known of a row; `on.composite(name)` is called for a small chip. A marked row is shown beside. */
timesync.drawDetail = (node, site, plot, row, composite, on, marked = null) => {
  const { element, percent } = timesync;
  const names = plot.composites;
  const big = element("div", { class: "big" });
  if (names.length) {
    const others = names.filter((name) => name !== composite);
    if (marked && marked !== row) {
      big.append(element("figure", { class: "compared" }, timesync.frame(site, plot, composite, marked, "eager"),
        element("figcaption", {}, `marked: ${marked.day}; f flickers`)));
    }
    big.append(timesync.frame(site, plot, composite, row, "eager"),
      element("div", { class: "strip" }, ...others.map((name) =>
        element("button", { type: "button", title: site.composites[name], click: () => on.composite(name) },
          timesync.frame(site, plot, name, row, "eager"), name))));
  }
  const value = (name, content) =>
    element("li", {}, element("span", {}, name), content);
  const fact = (name, content) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", {}, content));
  const cloud = row.cloud_cover === null ? "not told" : `${Math.round(row.cloud_cover * 10) / 10} % of the pixels seen of the tile`;
  const by = row.rules.length === site.rules.length ? "either rule" : row.rules.join(", ");
  const lines = row.item_ids.split(" ").flatMap((id, i) => (i ? [element("br"), id] : [id]));
  node.replaceChildren(
    element("h2", { id: "detail-title" }, `${row.day}, ${row.sensor}`),
    big,
    element("ul", { class: "values" }, ...site.measures.map(({ key, name, digits }) =>
      value(name, row.values[key] === null ? "none" : row.values[key].toFixed(digits)))),
    element("table", {}, element("tbody", {},
      fact("Sky at the plot", `${row.sky}; qa ${row.qa}, QA_PIXEL ${row.qa_pixel ?? "unknown"}`),
      fact("Flags", [`Fmask ${row.fmask} (${site.fmask[row.fmask] ?? "unknown"})`, row.strict_clear === null ? "" : row.strict_clear ? "strictly clear" : "not strictly clear",
        row.outlier ? "outlier" : ""].filter(Boolean).join("; ")),
      fact("Annual choice", by ? `of ${row.year}, by ${by}` : "no"),
      fact("In the chip", row.no_chip ? `none: ${row.no_chip}` : row.clear_share === null ? "not read"
        : `${percent(row.clear_share)} clear, ${percent(row.fill_share)} fill`),
      fact("Day of year", String(row.doy)),
      fact("Seen", row.date),
      fact("Place", timesync.tileName(row.hv)),
      fact("Cloud cover", cloud),
      fact("Scenes", String(row.scene_count ?? "not told")),
      fact("Processed", row.processed || "not told"),
      fact("Items", element("span", {}, ...lines)))));
};
