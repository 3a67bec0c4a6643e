"use strict";
// The list of plots: filters, a table in pages, and a map.

timesync.receiveIndex = (site) => {
  const { element, svg, byId, percent } = timesync;
  const PAGE = 50;
  const MAP = { width: 600, margin: 26 };
  const COLUMNS = [
    { key: "project", name: "Project", text: true },
    { key: "plot", name: "Plot", text: true },
    { key: "status", name: "Status" },
    { key: "observations", name: "Observations", number: true, wide: true },
    { key: "written", name: "Written", number: true },
    { key: "clear", name: "Clear", number: true, show: percent },
    { key: "gaps", name: "Years without", number: true, wide: true },
    { key: "fall", name: "Largest NBR fall", number: true, wide: true, isLeastFirst: true,
      show: (fall, row) => (fall === null ? "" : `${fall.toFixed(2)} in ${row.fall_year}`) },
  ];
  const rows = site.plots.map((values) =>
    Object.fromEntries(site.columns.map((column, i) => [column, values[i]])));
  const natural = new Intl.Collator("en", { numeric: true }).compare;
  const state = { sort: "plot", ascending: true, page: 0, shown: rows };

  function compare(a, b) {
    const [x, y] = [a[state.sort], b[state.sort]];
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "number" ? x - y : natural(x, y);
    return (state.ascending ? order : -order) || natural(a.project, b.project) || natural(a.plot, b.plot);
  }

  function filter() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = byId("status").value;
    const [least, clearest, gaps] = ["least", "clearest", "gaps"].map((id) => byId(id).valueAsNumber);
    state.shown = rows.filter((row) =>
      words.every((word) => `${row.project} ${row.plot}`.toLowerCase().includes(word)) &&
      (!status || row.status === status) &&
      !(row.observations < least) &&
      (Number.isNaN(clearest) || (row.clear !== null && row.clear * 100 <= clearest)) &&
      !(row.gaps < gaps)).sort(compare);
    state.page = 0;
    drawTable();
    drawMap();
    timesync.keepList(kept(), state.shown.map((row) => [row.project, row.plot]));
  }

  /** Filters and order as the part of an address; `restore` takes it up again. */
  const FILTERS = ["search", "status", "least", "clearest", "gaps"];
  function kept() {
    const chosen = FILTERS.map((id) => [id, byId(id).value]).filter(([, value]) => value);
    const { sort, ascending } = state;
    const order = sort === "plot" && ascending ? [] : [["sort", sort], ["ascending", ascending]];
    const text = String(new URLSearchParams([...chosen, ...order]));
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
    return text;
  }

  function restore() {
    const asked = new URLSearchParams(location.hash.slice(1));
    FILTERS.forEach((id) => { byId(id).value = asked.get(id) ?? ""; });
    const known = COLUMNS.some(({ key }) => key === asked.get("sort"));
    sortBy(known ? asked.get("sort") : "plot", !known || asked.get("ascending") === "true");
  }

  function drawHead() {
    byId("plots").tHead.rows[0].append(...COLUMNS.map((column) => {
      const first = column.isLeastFirst ?? !column.number;
      const sort = () => sortBy(column.key, state.sort === column.key ? !state.ascending : first);
      return element("th", { scope: "col", class: classes(column) },
        element("button", { type: "button", click: sort }, column.name));
    }));
  }

  function sortBy(key, ascending) {
    Object.assign(state, { sort: key, ascending });
    const order = ascending ? "ascending" : "descending";
    [...byId("plots").tHead.rows[0].cells].forEach((cell, i) =>
      cell.setAttribute("aria-sort", COLUMNS[i].key === key ? order : "none"));
    filter();
  }

  const classes = (column) => `${column.number ? "number" : ""} ${column.wide ? "wide" : ""} ${column.text ? "text" : ""}`;

  function drawTable() {
    const pages = Math.max(1, Math.ceil(state.shown.length / PAGE));
    const part = state.shown.slice(state.page * PAGE, (state.page + 1) * PAGE);
    byId("plots").tBodies[0].replaceChildren(...part.map(drawRow));
    byId("page").textContent = state.shown.length
      ? `Page ${state.page + 1} of ${pages}, ${state.shown.length} of ${rows.length} plots`
      : "No plot fits: loosen a filter";
    byId("before").disabled = state.page === 0;
    byId("after").disabled = state.page >= pages - 1;
  }

  function drawRow(row) {
    return element("tr", {}, ...COLUMNS.map((column) => {
      const text = column.show ? column.show(row[column.key], row) : String(row[column.key] ?? "");
      const content = column.key === "plot"
        ? element("a", { href: timesync.plotAddress(row.project, row.plot) }, text) : text;
      return element("td", { class: `${classes(column)} ${column.key === "status" ? row.status.replace(" ", "-") : ""}` }, content);
    }));
  }

  function turn(pages) {
    const last = Math.ceil(state.shown.length / PAGE) - 1;
    const page = Math.min(last, Math.max(0, state.page + pages));
    if (page !== state.page) {
      state.page = page;
      drawTable();
    }
  }

  /** The transform from metres to the map: the same scale both ways. */
  function mapScale() {
    const framed = byId("fit").checked && state.shown.length ? state.shown : rows;
    const [xs, ys] = [framed.map((row) => row.x), framed.map((row) => row.y)];
    const smallest = 255 * 30; // no closer than a chip
    const range = (values) => {
      const low = values.reduce((a, b) => Math.min(a, b));
      const high = values.reduce((a, b) => Math.max(a, b));
      const more = Math.max(0, smallest - (high - low)) / 2;
      return [low - more, high + more];
    };
    const [[left, right], [bottom, top]] = [range(xs), range(ys)];
    const inner = MAP.width - 2 * MAP.margin;
    const scale = Math.min(inner / (right - left), 1.1 * inner / (top - bottom));
    const height = Math.max(220, (top - bottom) * scale + 2 * MAP.margin);
    const middle = [(left + right) / 2, (top + bottom) / 2];
    return {
      scale, height,
      x: (x) => MAP.width / 2 + (x - middle[0]) * scale,
      y: (y) => height / 2 - (y - middle[1]) * scale,
    };
  }

  let to; // the map's transform as drawn last
  function drawMap() {
    to = mapScale();
    const shown = new Set(state.shown);
    const size = rows.length > 500 ? 2.2 : 4.5;
    const circle = (row) => {
      const [x, y] = [to.x(row.x), to.y(row.y)];
      return `M${(x - size).toFixed(1)} ${y.toFixed(1)}a${size} ${size} 0 1 0 ${2 * size} 0a${size} ${size} 0 1 0 ${-2 * size} 0`;
    };
    const triangle = (row) => {
      const [x, y, s] = [to.x(row.x), to.y(row.y), size * 1.5];
      return `M${x.toFixed(1)} ${(y - s).toFixed(1)}l${s} ${1.8 * s}h${-2 * s}z`;
    };
    const cross = (row) => {
      const [x, y, s] = [to.x(row.x), to.y(row.y), size];
      return `M${(x - s).toFixed(1)} ${(y - s).toFixed(1)}l${2 * s} ${2 * s}m0 ${-2 * s}l${-2 * s} ${2 * s}`;
    };
    const group = (name, keep, shape) =>
      svg("path", { class: `dot ${name}`, d: rows.filter(keep).map(shape).join("") });
    const map = svg("svg", {
      viewBox: `0 0 ${MAP.width} ${to.height.toFixed(0)}`, role: "img",
      "aria-label": `Map of ${state.shown.length} of ${rows.length} plots; the table holds the same plots`,
    }, tiles(),
      group("other", (row) => !shown.has(row), circle),
      group("complete", (row) => shown.has(row) && row.status === "complete", circle),
      group("no-items", (row) => shown.has(row) && row.status === "no items", cross),
      group("incomplete", (row) => shown.has(row) && row.status === "incomplete", triangle),
      ...(state.shown.length > 30 ? [] : state.shown.map((row) =>
        svg("text", { x: to.x(row.x) + 9, y: to.y(row.y) + 4 }, row.plot))),
      scaleBar(), svg("circle", { class: "ring", r: size + 3, visibility: "hidden" }));
    byId("map").replaceChildren(map, element("div", { class: "tip", hidden: true }));
  }

  function tiles() {
    const [left, top, across, down] = site.grid;
    const lines = [];
    for (let h = 0; h <= across; h += 1) {
      const x = to.x(left + h * site.tile);
      if (x > 0 && x < MAP.width) lines.push(`M${x.toFixed(1)} 0V${to.height}`);
    }
    for (let v = 0; v <= down; v += 1) {
      const y = to.y(top - v * site.tile);
      if (y > 0 && y < to.height) lines.push(`M0 ${y.toFixed(1)}H${MAP.width}`);
    }
    return svg("path", { class: "tile", d: lines.join("") });
  }

  function scaleBar() {
    const longest = MAP.width / 4 / to.scale;
    const power = 10 ** Math.floor(Math.log10(longest));
    const metres = [5, 2, 1].map((factor) => factor * power).find((length) => length <= longest);
    const [x, y] = [10, to.height - 10];
    return svg("g", {}, svg("path", { class: "ring", d: `M${x} ${y - 4}v4h${metres * to.scale}v-4` }),
      svg("text", { x: x + 4, y: y - 8 }, metres >= 1000 ? `${metres / 1000} km` : `${metres} m`));
  }

  /** The shown plot nearest to the pointer, if it is near. */
  function nearest(event) {
    const box = byId("map").firstChild.getBoundingClientRect();
    const factor = MAP.width / box.width;
    const [x, y] = [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor];
    let [best, least] = [null, 15 ** 2];
    for (const row of state.shown) {
      const distance = (to.x(row.x) - x) ** 2 + (to.y(row.y) - y) ** 2;
      if (distance < least) [best, least] = [row, distance];
    }
    return best;
  }

  function point(event) {
    const row = nearest(event);
    const [map, tip] = byId("map").children;
    const ring = map.lastChild;
    ring.setAttribute("visibility", row ? "visible" : "hidden");
    tip.hidden = !row;
    if (!row) return;
    ring.setAttribute("cx", to.x(row.x));
    ring.setAttribute("cy", to.y(row.y));
    tip.textContent = `plot ${row.plot}, project ${row.project}: ${row.status}, ${row.written} written`;
    const left = to.x(row.x) / MAP.width;
    tip.style.cssText = `top: ${to.y(row.y) / to.height * 100}%; ` +
      (left < 0.5 ? `left: calc(${left * 100}% + 12px)` : `right: calc(${100 - left * 100}% + 12px)`);
  }

  const sum = (key) => rows.reduce((total, row) => total + row[key], 0).toLocaleString("en");
  const count = (status) => rows.filter((row) => row.status === status).length;
  const without = count("no items");
  document.title = `${site.name} - TimeSync project`;
  byId("title").textContent = site.name;
  byId("summary").textContent = `${rows.length.toLocaleString("en")} plots, ${count("incomplete") || "none"} ` +
    `incomplete${without ? `, ${without} without any item` : ""}; ${sum("observations")} observations, ${sum("written")} written`;
  byId("status").append(...[...new Set(rows.map((row) => row.status))].sort()
    .map((status) => element("option", { value: status }, status)));
  drawHead();
  restore();
  byId("filters").addEventListener("input", filter);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(filter));
  byId("fit").addEventListener("change", drawMap);
  byId("map").addEventListener("pointermove", point);
  byId("map").addEventListener("pointerleave", point);
  byId("map").addEventListener("click", (event) => {
    const row = nearest(event);
    if (row) location.href = timesync.plotAddress(row.project, row.plot);
  });
  byId("before").addEventListener("click", () => turn(-1));
  byId("after").addEventListener("click", () => turn(1));
  document.addEventListener("keydown", (event) => {
    if (timesync.isTyping(event)) return;
    if (event.key === "ArrowLeft") turn(-1);
    if (event.key === "ArrowRight") turn(1);
    if (event.key === "/") {
      event.preventDefault();
      byId("search").focus();
    }
  });
};
