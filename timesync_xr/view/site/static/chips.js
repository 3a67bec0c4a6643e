"use strict";
// Chips: one image with its box, and the grid of them by year.

/** Address of the chip of a row, beside this site. */
timesync.chipAddress = (site, plot, composite, row) => {
  const [project, id] = [plot.project, plot.plot].map(encodeURIComponent);
  const name = `plot_${id}_${row.year}_${String(row.doy).padStart(3, "0")}.png`;
  return `${site.chips}prj_${project}/${composite}/plot_${id}/${name}`;
};

/** A chip in its frame, with the box of the 3 x 3 pixels around the plot. */
timesync.frame = (site, plot, composite, row, loading) => {
  const { element } = timesync;
  const [width, height] = site.chip_size;
  const frame = element("span", { class: "frame" });
  if (row.no_chip) {
    frame.classList.add("missing");
    frame.title = row.no_chip;
    frame.append(element("span", { class: "mark" }));
    return frame;
  }
  const image = element("img", {
    src: timesync.chipAddress(site, plot, composite, row), alt: "", width, height, loading, decoding: "async",
    error: () => frame.classList.add("missing"),
  });
  frame.append(image, element("span", { class: "mark" }));
  return frame;
};

/** Proportions of chips and place of the plot pixel, as custom properties for the style sheet. */
timesync.setChipShape = (site, style) => {
  const [width, height] = site.chip_size;
  style.setProperty("--ratio", `${width} / ${height}`);
  style.setProperty("--plot-x", `${(Math.floor(width / 2) + 0.5) / width * 100}%`);
  style.setProperty("--plot-y", `${(Math.floor(height / 2) + 0.5) / height * 100}%`);
  style.setProperty("--pixel-x", `${100 / width}%`);
  style.setProperty("--pixel-y", `${100 / height}%`);
};

/** The grid of chips: a listbox whose options are the observations shown, in the order of time. */
timesync.ChipGrid = class {
  constructor(node, site, plot, on) {
    Object.assign(this, { node, site, plot, on, rows: [], options: new Map() });
    const rowAt = (event) => this.rows[event.target.closest(".chip")?.dataset.position] ?? null;
    node.addEventListener("click", (event) => {
      const row = rowAt(event);
      if (row) on.choose(row);
    });
    node.addEventListener("dblclick", (event) => {
      const row = rowAt(event);
      if (row) on.turn(row);
    });
    node.addEventListener("pointerover", (event) => on.hover(rowAt(event)));
    node.addEventListener("pointerleave", () => on.hover(null));
  }

  /** Show these rows; `isByYear` puts a heading before each year, `gaps` has years without one, and why. */
  draw(rows, composite, isByYear, gaps = {}) {
    this.rows = rows;
    this.options = new Map(rows.map((row, position) => [row, this.option(row, position, composite)]));
    const groups = isByYear ? Map.groupBy(rows, (row) => row.year) : new Map([["", rows]]);
    const { element } = timesync;
    this.node.replaceChildren(...[...groups].map(([year, part]) =>
      element("div", { class: `year ${isByYear ? "many" : ""}`, role: "group", "aria-label": String(year) || "All years" },
        ...(isByYear ? [element("h3", {}, `${year}: ${part.length}`)] : []),
        element("div", { class: "row", role: "presentation" }, ...this.withGaps(part, gaps)))));
    this.setMarked(this.marked ?? null);
    if (!rows.length) this.node.replaceChildren(element("p", {}, "No chip fits what is asked for."));
  }

  /** Chips with an empty slot for each year that has none. */
  withGaps(rows, gaps) {
    const { element } = timesync;
    const slots = Object.entries(gaps).map(([year, cause]) => [Number(year), element("div", { class: "slot", title: `${year}: ${cause}` },
      element("span", { class: "hole" }, cause), element("span", { class: "caption" }, element("b", {}, year)))]);
    return [...rows.map((row) => [row.year, this.options.get(row)]), ...slots]
      .sort(([a], [b]) => a - b).map(([, node]) => node);
  }

  /** The chip that others are compared with. */
  setMarked(row) {
    this.marked = row;
    for (const [one, option] of this.options) option.classList.toggle("marked", one === row);
  }

  option(row, position, composite) {
    const { element } = timesync;
    const star = row.annual ? element("span", { class: "star", title: "annual choice" }, "★") : "";
    const sky = element("span", { class: `sky ${row.clear ? "clear" : ""}`, title: row.sky }, row.clear ? "●" : "✕");
    const label = `${row.day}, ${row.sensor}, ${row.sky}${row.annual ? ", annual choice" : ""}`;
    return element("div", { class: "chip", role: "option", tabindex: -1, "aria-selected": "false",
      "aria-label": label, "data-position": position },
    timesync.frame(this.site, this.plot, composite, row, "lazy"),
    element("span", { class: "caption", "aria-hidden": "true" },
      element("b", {}, String(row.year)), element("span", { class: "date" }, row.day.slice(5)), star, sky));
  }

  /** Mark the selected row, which then holds the place in the order of tabs. */
  choose(row, isToFocus, isToReveal) {
    const before = this.node.querySelector('[aria-selected="true"]');
    before?.setAttribute("aria-selected", "false");
    before?.setAttribute("tabindex", "-1");
    const option = this.options.get(row) ?? this.options.values().next().value;
    option?.setAttribute("tabindex", "0");
    if (!this.options.has(row)) return;
    option.setAttribute("aria-selected", "true");
    if (isToFocus) option.focus({ preventScroll: true });
    if (!isToReveal) return;
    option.scrollIntoView({ block: "nearest", inline: "nearest" });
    const area = this.node.parentElement; // its tools stay in sight, and must not hide the chip
    const below = area.querySelector(".tools").getBoundingClientRect().bottom - option.getBoundingClientRect().top;
    if (below > 0) area.scrollTop -= below + 6;
  }

  /** Mark the chips of vertices, and of days that were chosen for their year. */
  mark(vertices, days) {
    for (const [row, option] of this.options) {
      option.classList.toggle("vertex", vertices.has(row.day));
      option.classList.toggle("day-chosen", days.has(row.day));
    }
  }

  hover(row) {
    this.node.querySelector(".hover")?.classList.remove("hover");
    this.options.get(row)?.classList.add("hover");
  }
};
