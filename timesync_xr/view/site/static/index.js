"use strict";
// The list of plots: filters, a table in pages, and a map.

timesync.receiveIndex = (site) => {
  const { element, svg, byId, percent } = timesync;
  const PAGE = 50;
  const MAP = { width: 600, height: 600, margin: 26 }; // as large as there is room, in pixels
  const COLUMNS = [
    { key: "project", name: "Project", text: true },
    { key: "plot", name: "Plot", text: true },
    { key: "status", name: "Status" },
    { key: "observations", name: "Observations", number: true, wide: true },
    { key: "written", name: "Written", number: true },
    { key: "clear", name: "Clear", number: true, show: percent },
    { key: "gaps", name: "Years without", number: true, wide: true },
    { key: "fall", name: "Largest NBR fall", number: true, wide: true, isLeastFirst: true,
      show: (fall, row) => (fall === null ? (isHidden(row) && "once complete") || "" : `${fall.toFixed(2)} in ${row.fall_year}`) },
    { key: "left", name: "Answers", number: true, isLeastFirst: true,
      show: (left) => (left === null ? "" : left ? `${left} left` : "✓") },
  ];
  const natural = new Intl.Collator("en", { numeric: true }).compare;
  // What was found by a rule shall tell no date to an interpreter who has not looked yet.
  const isBlind = Boolean(timesync.session.who) && !timesync.session.others?.length;
  const isHidden = (row) => isBlind && row.left !== 0;
  const rows = site.plots.map((values) =>
    Object.fromEntries(site.columns.map((column, i) => [column, values[i]])));
  COLUMNS.splice(2, 0, ...site.own.map((name, i) => ({ key: `own ${i}`, name, text: true, wide: true, own: i })));
  rows.forEach((row, i) => { site.own.forEach((_, j) => { row[`own ${j}`] = site.plots[i][site.columns.length + j]; }); });
  const said = (row) => [row.project, row.plot, ...site.own.map((_, j) => row[`own ${j}`])].join(" ").toLowerCase();
  const cellsOf = (column) => rows.map((row) => row[column.key]);
  const ownColumns = COLUMNS.filter((column) => "own" in column);
  for (const column of ownColumns) {
    const cells = cellsOf(column).filter(Boolean);
    column.isLong = cells.some((cell) => cell.length > 16);
    column.number = cells.length > 0 && cells.every((cell) => Number.isFinite(Number(cell)));
    const kinds = [...new Set(cells)].sort(natural);
    column.kinds = !column.number && kinds.length <= 12 && kinds.length < rows.length ? kinds : null;
    if (column.number) Object.assign(column, { text: false, isLeastFirst: true, value: (row) => (row[column.key] ? Number(row[column.key]) : null) });
  }
  rows.forEach((row) => { // left: labels that are missing; null before the first
    Object.assign(row, { left: null, said: said(row), found: row.fall });
    if (isHidden(row)) row.fall = null;
  });
  const state = { sort: "plot", ascending: true, page: 0, shown: rows, frame: null };

  function compare(a, b) {
    const value = COLUMNS.find(({ key }) => key === state.sort).value ?? ((row) => row[state.sort]);
    const [x, y] = [value(a), value(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    const order = typeof x === "number" ? x - y : natural(x, y);
    return (state.ascending ? order : -order) || natural(a.project, b.project) || natural(a.plot, b.plot);
  }

  function filter() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const status = byId("status").value;
    const [least, clearest, gaps] = ["least", "clearest", "gaps"].map((id) => byId(id).valueAsNumber);
    state.shown = rows.filter((row) =>
      words.every((word) => row.said.includes(word)) &&
      (!status || row.status === status) &&
      !(row.observations < least) &&
      (Number.isNaN(clearest) || (row.clear !== null && row.clear * 100 <= clearest)) &&
      !(row.gaps < gaps) && isAnswered(row) && ownFilters.every(({ fits }) => fits(row))).sort(compare);
    state.page = 0;
    drawTable();
    drawMap();
    timesync.keepList(kept(), state.shown.map((row) => [row.project, row.plot]));
  }

  function isAnswered({ left }) {
    const asked = byId("answers").value;
    return !asked || (asked === "open" ? left !== 0 : asked === "none" ? left === null : left === 0);
  }

  /** Filters and order as the part of an address; `restore` takes it up again. */
  const ownFilters = ownColumns.flatMap((column) => {
    const { key, name, kinds } = column;
    const field = (end, title, input, fits) => {
      const id = `${key.replace(" ", "-")}${end}`;
      input.id = id;
      return { id, fits: (row) => !input.value || fits(row, input.value), node: element("label", {}, title, input) };
    };
    const number = () => element("input", { type: "number", step: "any" });
    if (column.number) {
      return [field("-from", `${name} at least`, number(), (row, asked) => column.value(row) !== null && column.value(row) >= Number(asked)),
        field("-to", `${name} at most`, number(), (row, asked) => column.value(row) !== null && column.value(row) <= Number(asked))];
    }
    if (kinds) {
      const select = element("select", {}, ...["", ...kinds].map((kind) => element("option", { value: kind }, kind || "any")));
      return [field("", name, select, (row, asked) => row[key] === asked)];
    }
    return [field("", name, element("input", { type: "search", placeholder: "contains", autocomplete: "off" }),
      (row, asked) => row[key].toLowerCase().includes(asked.toLowerCase()))];
  });
  byId("own-fields").append(...ownFilters.map(({ node }) => node));
  byId("own-filters").hidden = !ownFilters.length;

  const FILTERS = [...ownFilters.map(({ id }) => id), "search", "status", "least", "clearest", "gaps", "answers"];
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
    if (ownFilters.some(({ id }) => asked.has(id))) byId("own-filters").open = true;
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

  const classes = (column) => `${column.number ? "number" : ""} ${column.wide ? "wide" : ""} ${column.text ? "text" : ""} ${column.isLong ? "prose" : ""}`;

  function drawTable(isAll = false) {
    const pages = Math.max(1, Math.ceil(state.shown.length / PAGE));
    const part = isAll ? state.shown : state.shown.slice(state.page * PAGE, (state.page + 1) * PAGE);
    byId("plots").tBodies[0].replaceChildren(...part.map(drawRow));
    byId("page").textContent = state.shown.length
      ? `Page ${state.page + 1} of ${pages}, ${state.shown.length} of ${timesync.counted(rows.length, "plot")}`
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

  /** The frame of the map as it is fitted: its middle in metres, and pixels per metre. */
  function fittedFrame() {
    const framed = byId("fit").checked && state.shown.length ? state.shown : rows;
    const [xs, ys] = [framed.map((row) => row.x), framed.map((row) => row.y)];
    const smallest = 255 * 30; // no closer than a chip
    const range = (values) => {
      const low = values.reduce((a, b) => Math.min(a, b), Infinity);
      const high = values.reduce((a, b) => Math.max(a, b), -Infinity);
      if (low > high) return [0, smallest];
      const more = Math.max(0, smallest - (high - low)) / 2;
      return [low - more, high + more];
    };
    const [[left, right], [bottom, top]] = [range(xs), range(ys)];
    const inner = (size) => Math.max(40, size - 2 * MAP.margin);
    const scale = Math.min(inner(MAP.width) / (right - left), inner(MAP.height) / (top - bottom));
    return { x: (left + right) / 2, y: (bottom + top) / 2, scale };
  }

  /** The transform from metres to the map: the same scale both ways. */
  function mapScale() {
    const { x, y, scale } = state.frame ?? fittedFrame();
    return {
      scale, frame: { x, y, scale },
      x: (at) => MAP.width / 2 + (at - x) * scale,
      y: (at) => MAP.height / 2 - (at - y) * scale,
    };
  }

  /** Zoom the map by a factor about a point of it, in pixels; without one about its middle. */
  function zoomMap(factor, [left, top] = [MAP.width / 2, MAP.height / 2]) {
    const { x, y, scale } = to.frame;
    const after = Math.min(0.5, Math.max(Math.min(fittedFrame().scale, MAP.width / 5e6), scale * factor));
    const still = (at, pixels, sign) => at + sign * pixels * (1 / scale - 1 / after);
    state.frame = { x: still(x, left - MAP.width / 2, 1), y: still(y, top - MAP.height / 2, -1), scale: after };
    drawMap();
  }

  function panMap(right, down) {
    const { x, y, scale } = to.frame;
    state.frame = { x: x + right / scale, y: y - down / scale, scale };
    drawMap();
  }

  /** Coasts and borders in metres, each kind as one path. */
  const lines = Object.entries(site.lines ?? {}).map(([kind, those]) => [kind, those.map((line) => {
    const points = [];
    for (let i = 0; i < line.length; i += 2) {
      points.push(`${i ? "l" : "M"}${line[i] * site.line_unit} ${line[i + 1] * site.line_unit}`);
    }
    return points.join("");
  }).join("")]);

  let to; // the map's transform as drawn last
  function drawMap() {
    MAP.width = Math.max(200, byId("map").clientWidth);
    MAP.height = Math.round(Math.min(MAP.width, Math.max(260, innerHeight * 0.7)));
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
      viewBox: `0 0 ${MAP.width} ${MAP.height}`, role: "img",
      "aria-label": `Map of ${state.shown.length} of ${timesync.counted(rows.length, "plot")}; the table holds the same plots`,
    }, ...outlines(), tiles(),
      group("other", (row) => !shown.has(row), circle),
      group("complete", (row) => shown.has(row) && row.status === "complete", circle),
      group("no-items", (row) => shown.has(row) && row.status === "no items", cross),
      group("incomplete", (row) => shown.has(row) && row.status === "incomplete", triangle),
      ...(state.shown.length > 30 ? [] : labelled()),
      scaleBar(), svg("circle", { class: "ring", r: size + 3, visibility: "hidden" }));
    byId("map").replaceChildren(map, element("div", { class: "tip", hidden: true }));
  }

  function outlines() {
    const { x, y, scale } = to.frame;
    const transform = `translate(${MAP.width / 2 - x * scale} ${MAP.height / 2 + y * scale}) scale(${scale} ${-scale})`;
    return lines.map(([kind, d]) => svg("path", { class: `outline ${kind}`, d, transform }));
  }

  /** Names of plots beside their dots; one that would lie on another name is left out. */
  function labelled() {
    const taken = [];
    return state.shown.flatMap((row) => {
      const [x, y, width] = [to.x(row.x) + 9, to.y(row.y) + 4, 7 * row.plot.length];
      if (taken.some(([a, b, long]) => Math.abs(b - y) < 12 && x < a + long && a < x + width)) return [];
      taken.push([x, y, width]);
      return [svg("text", { x, y }, row.plot)];
    });
  }

  function tiles() {
    const [left, top, across, down] = site.grid;
    const lines = [];
    if (site.tile * to.scale < 30) return ""; // too dense to tell anything
    for (let h = 0; h <= across; h += 1) {
      const x = to.x(left + h * site.tile);
      if (x > 0 && x < MAP.width) lines.push(`M${x.toFixed(1)} 0V${MAP.height}`);
    }
    for (let v = 0; v <= down; v += 1) {
      const y = to.y(top - v * site.tile);
      if (y > 0 && y < MAP.height) lines.push(`M0 ${y.toFixed(1)}H${MAP.width}`);
    }
    return svg("path", { class: "tile", d: lines.join("") });
  }

  function scaleBar() {
    const longest = MAP.width / 4 / to.scale;
    const power = 10 ** Math.floor(Math.log10(longest));
    const metres = [5, 2, 1].map((factor) => factor * power).find((length) => length <= longest);
    const [x, y] = [10, MAP.height - 10];
    return svg("g", {}, svg("path", { class: "ring", d: `M${x} ${y - 4}v4h${metres * to.scale}v-4` }),
      svg("text", { x: x + 4, y: y - 8 }, metres >= 1000 ? `${metres / 1000} km` : `${metres} m`));
  }

  /** Where the pointer is on the map, in pixels. */
  function onMap(event) {
    const box = byId("map").firstChild.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** The shown plot nearest to the pointer, if it is near. */
  function nearest(event) {
    const [x, y] = onMap(event);
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
    timesync.placeTip(tip, to.x(row.x), to.y(row.y));
  }

  const sum = (key) => rows.reduce((total, row) => total + row[key], 0);
  const count = (status) => rows.filter((row) => row.status === status).length;
  const without = count("no items");
  document.title = `${site.name} - TimeSync project`;
  byId("title").textContent = site.name;
  byId("summary").textContent = `${timesync.counted(rows.length, "plot")}, ${count("incomplete") || "none"} ` +
    `incomplete${without ? `, ${without} without any item` : ""}; ${timesync.counted(sum("observations"), "observation")}, ` +
    `${sum("written").toLocaleString("en")} written`;
  byId("status").append(...[...new Set(rows.map((row) => row.status))].sort()
    .map((status) => element("option", { value: status }, status)));
  /** How far the interpreter is, once the answers are read. */
  async function drawAnswers() {
    await keeper.open();
    const states = new Map((await keeper.summary()).map(([project, plot, , left]) => [`${project}/${plot}`, left]));
    const before = rows.map((row) => row.left);
    rows.forEach((row) => {
      row.left = states.get(`${row.project}/${row.plot}`) ?? null;
      row.fall = isHidden(row) ? null : row.found;
    });
    const complete = rows.filter((row) => row.left === 0).length;
    const begun = rows.filter((row) => row.left).length;
    const text = element("span", {}, keeper.who
      ? `${keeper.who}: ${complete} of ${timesync.counted(rows.length, "plot")} complete, ${begun} begun` : "No interpreter is at work: open a plot to begin");
    const next = [...state.shown, ...rows].find((row) => row.left !== 0);
    const go = next && element("a", { class: "action", href: timesync.plotAddress(next.project, next.plot) }, "Next unfinished plot");
    const save = element("button", { type: "button", id: "save-file", click: async () => {
      const count = await keeper.saveFile();
      byId("answers-told").textContent = `${count} acts saved as a file: timesync-xr answers merge takes it`;
    } }, "Save answers as a file");
    const told = element("span", { id: "answers-told", role: "status" }, trouble);
    byId("answered").replaceChildren(...[text, go, !keeper.isServed && keeper.who && save, told].filter(Boolean));
    byId("answered").hidden = false;
    if (rows.some((row, i) => row.left !== before[i])) filter(); // else what the user points at stays
  }

  let trouble = "";
  const keeper = new timesync.Keeper(timesync.session, (kind, text) => { trouble = kind === "saved" ? "" : text; });
  keeper.channel.onmessage = drawAnswers;
  drawHead();
  restore();
  drawAnswers();
  byId("filters").addEventListener("input", filter);
  byId("filters").addEventListener("change", (event) => {
    if (event.target.matches("select")) filter(); // a field that is left must not redraw what is being clicked
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => setTimeout(filter));
  byId("fit").addEventListener("change", () => fitMap());
  byId("map").addEventListener("pointermove", point);
  byId("map").addEventListener("pointerleave", point);
  let drag = null;
  byId("map").addEventListener("pointerdown", (event) => {
    if (event.button === 0) drag = { at: onMap(event), moved: false };
  });
  byId("map").addEventListener("pointermove", (event) => {
    if (!drag || !event.buttons || event.pointerType === "touch") return;
    const [x, y] = onMap(event);
    if (!drag.moved && Math.hypot(x - drag.at[0], y - drag.at[1]) < 5) return;
    byId("map").setPointerCapture(event.pointerId);
    panMap(drag.at[0] - x, drag.at[1] - y);
    drag = { at: [x, y], moved: true };
  });
  byId("map").addEventListener("click", (event) => {
    const wasDrag = drag?.moved;
    drag = null;
    const row = wasDrag ? null : nearest(event);
    if (row) location.href = timesync.plotAddress(row.project, row.plot);
  });
  byId("map").addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomMap(2 ** (-Math.sign(event.deltaY) / 2), onMap(event));
  }, { passive: false });
  /** Where two fingers are on the map: the middle between them, and how far they are apart. */
  const fingersOn = (event) => {
    const [[a, b], [c, d]] = [...event.touches].map(onMap);
    return { at: [(a + c) / 2, (b + d) / 2], apart: Math.max(1, Math.hypot(a - c, b - d)) };
  };
  let pinch = null; // one finger scrolls the page, two are the map's
  for (const kind of ["touchstart", "touchend", "touchcancel"]) {
    byId("map").addEventListener(kind, (event) => {
      pinch = event.touches.length === 2 ? fingersOn(event) : null;
      if (pinch && event.cancelable) event.preventDefault();
    }, { passive: false });
  }
  byId("map").addEventListener("touchmove", (event) => {
    if (!pinch || event.touches.length !== 2) return;
    event.preventDefault();
    const now = fingersOn(event);
    panMap(pinch.at[0] - now.at[0], pinch.at[1] - now.at[1]);
    zoomMap(now.apart / pinch.apart, now.at);
    pinch = now;
  }, { passive: false });
  byId("map").addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-60, 0], ArrowRight: [60, 0], ArrowUp: [0, -60], ArrowDown: [0, 60] };
    if (steps[event.key]) panMap(...steps[event.key]);
    else if (event.key === "+" || event.key === "=") zoomMap(2);
    else if (event.key === "-") zoomMap(0.5);
    else return;
    event.preventDefault();
    event.stopPropagation(); // the list has these keys, too
  });
  const fitMap = () => { state.frame = null; drawMap(); };
  byId("map-in").addEventListener("click", () => zoomMap(2));
  byId("map-out").addEventListener("click", () => zoomMap(0.5));
  byId("map-fit").addEventListener("click", fitMap);
  addEventListener("resize", drawMap);
  addEventListener("beforeprint", () => drawTable(true)); // paper has no pages to turn
  addEventListener("afterprint", () => drawTable());
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
