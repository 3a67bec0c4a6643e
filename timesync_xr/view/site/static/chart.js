"use strict";
// A trajectory of one band or index: dots for clear observations, crosses for the others, rings and
// a line for the annual choice, below it how many observations a year has. All dots of a kind are one
// path, so that thousands are quick.

/**
 * Draw a trajectory and keep its marks up to date.
 * `measure` has key, title, digits; `rows` have time, year, clear, annual and `values[key]`.
 * `on.hover(row or null)`, `on.choose(row)`, `on.turn(row)` (a double click) and `on.span([first, last])`
 * (a part of the time was dragged over, or moved with Shift) are called as the user acts.
 */
timesync.Chart = class {
  static MARGIN = { left: 46, right: 10, top: 20, bottom: 34 };
  static STRIP = 12;

  constructor(measure, rows, on) {
    this.measure = measure;
    this.rows = rows.filter((row) => row.values[measure.key] !== null);
    this.on = on;
    this.shown = [];
    this.drag = null;
    this.tip = timesync.element("div", { class: "tip", hidden: true });
    this.node = timesync.element("div", { class: "chart" });
    this.node.addEventListener("pointerdown", (event) => this.beginDrag(event));
    this.node.addEventListener("pointermove", (event) => (this.drag ? this.goOn(event) : on.hover(this.nearest(event))));
    this.node.addEventListener("pointerup", (event) => this.endDrag(event));
    this.node.addEventListener("pointerleave", () => on.hover(null));
    this.node.addEventListener("dblclick", (event) => {
      const row = this.nearest(event);
      if (row) on.turn(row);
    });
  }

  /**
   * Draw everything anew, `width` and `height` in pixels. `look` has cloudy and line (shown or not),
   * year (shaded, or 0), span ([first, last] year, or null), limits ([low, high], or null for those of
   * the plot) and color (of a row, or null).
   */
  draw(width, height, look) {
    const { svg } = timesync;
    const { MARGIN } = timesync.Chart;
    if (!this.rows.length) {
      this.node.replaceChildren(timesync.element("p", { class: "none" }, `${this.measure.title}: no values`));
      return;
    }
    Object.assign(this, { width, height, look });
    this.setScales(look);
    const { first, last } = this.range;
    const inSpan = (row) => row.time >= first && row.time <= last;
    this.shown = this.rows.filter((row) => inSpan(row) && (look.cloudy || row.clear || row.annual));
    const annual = this.rows.filter((row) => row.annual && inSpan(row));
    this.ring = svg("circle", { class: "point hover", r: 6, visibility: "hidden" });
    this.diamond = svg("path", { class: "point chosen", d: "M0 -8 8 0 0 8 -8 0Z", visibility: "hidden" });
    this.brush = svg("rect", { class: "brush", y: MARGIN.top, height: height - MARGIN.top - MARGIN.bottom, visibility: "hidden" });
    this.course = svg("g", { class: "course", "clip-path": `inset(0 ${MARGIN.right - 5}px 0 0)` });
    const dots = (keep, shape) => this.shown.filter(keep).map((row) => shape(...this.place(row))).join("");
    const isNext = (row, i) => i > 0 && annual[i - 1].year === row.year - 1; // a line over a gap would claim what nobody saw
    const line = annual.map((row, i) => `${isNext(row, i) ? "L" : "M"}${this.place(row).join(" ")}`).join("");
    const ring = (x, y) => `M${x - 4.5} ${y}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0`;
    const clear = look.color
      ? this.shown.filter((row) => row.clear).map((row) => {
        const [cx, cy] = this.place(row);
        return svg("circle", { class: "own-point", cx, cy, r: 3.6, fill: look.color(row) });
      })
      : [svg("path", { class: "point clear", d: dots((row) => row.clear, (x, y) => `M${x} ${y}h0`) })];
    this.node.replaceChildren(svg("svg", {
      viewBox: `0 0 ${width} ${height}`, height, role: "img", "aria-label": this.describe(annual),
    },
    this.yearBand(look.year), ...this.axes(), this.density(),
    svg("path", { class: "point cloudy", d: dots((row) => !row.clear, (x, y) => `M${x - 2.5} ${y - 2.5}l5 5m0 -5l-5 5`) }),
    svg("path", { class: "annual-line", d: look.line ? line : "" }),
    ...clear,
    svg("path", { class: "point outlier", d: dots((row) => row.outlier, (x, y) => `M${x - 6} ${y - 6}h12v12h-12z`) }),
    svg("path", { class: "point annual", d: annual.map((row) => ring(...this.place(row))).join("") }),
    this.course, this.ring, this.diamond, this.brush,
    svg("text", { class: "name", x: MARGIN.left, y: 14 }, this.measure.title)), this.tip);
  }

  /** Limits follow the clear observations, so that clouds do not flatten the rest, unless others are asked for. */
  setScales({ span, limits }) {
    const { MARGIN } = timesync.Chart;
    let [low, high] = limits ?? [0, 0];
    if (!limits) {
      const trusted = this.rows.filter((row) => row.clear || row.annual);
      const values = (trusted.length > 1 ? trusted : this.rows).map((row) => row.values[this.measure.key]);
      [low, high] = [Math.min(...values), Math.max(...values)];
      const more = (high - low || Math.abs(high) || 1) * 0.06;
      [low, high] = [low - more, high + more];
    }
    const times = this.rows.map((row) => row.time);
    const start = Math.floor(Math.min(...times));
    const [first, last] = span ?? [start, Math.max(start + 1, Math.ceil(Math.max(...times)))];
    this.range = { low, high, first, last };
    const across = this.width - MARGIN.left - MARGIN.right;
    const down = this.height - MARGIN.top - MARGIN.bottom;
    const round = (number) => Math.round(number * 10) / 10;
    this.x = (time) => round(MARGIN.left + (time - first) / (last - first) * across);
    this.y = (value) => round(MARGIN.top + (high - Math.min(high, Math.max(low, value))) / (high - low) * down);
    this.timeAt = (x) => first + (x - MARGIN.left) / across * (last - first);
  }

  place(row) {
    return [this.x(row.time), this.y(row.values[this.measure.key])];
  }

  axes() {
    const { svg, ticks, Chart: { MARGIN } } = timesync;
    const { low, high, first, last } = this.range;
    const bottom = this.height - MARGIN.bottom;
    const values = ticks(low, high, (bottom - MARGIN.top) / 20).filter((value) => value >= low);
    const digits = Math.max(0, -Math.floor(Math.log10((values[1] ?? 1) - (values[0] ?? 0)) + 1e-9));
    const years = ticks(first, last, this.width / 60).filter(Number.isInteger);
    const lines = values.map((value) => `M${MARGIN.left} ${this.y(value)}H${this.width - MARGIN.right}`);
    const feet = years.map((year) => `M${this.x(year)} ${bottom}v4`);
    const label = (anchor) => (text, x, y) => svg("text", { x, y, "text-anchor": anchor }, text);
    return [
      svg("path", { class: "grid-line", d: lines.join("") + feet.join("") }),
      ...values.map((value) => label("end")(value.toFixed(digits), MARGIN.left - 5, this.y(value) + 4)),
      ...years.map((year) => label("middle")(String(year), this.x(year), this.height - 4)),
    ];
  }

  /** How many observations each year has: all as a light bar, the clear ones as a dark one. */
  density() {
    const { svg, Chart: { MARGIN, STRIP } } = timesync;
    const { first, last } = this.range;
    const bottom = this.height - MARGIN.bottom + STRIP + 3;
    const counts = new Map();
    for (const { year, clear } of this.rows) {
      const [all, good] = counts.get(year) ?? [0, 0];
      counts.set(year, [all + 1, good + Number(clear)]);
    }
    const most = Math.max(...[...counts.values()].map(([all]) => all));
    const bars = (which) => [...counts].filter(([year]) => year >= first && year + 1 <= last + 1e-9).map(([year, both]) => {
      const [left, right] = [this.x(year) + 0.5, this.x(year + 1) - 0.5];
      const high = both[which] / most * STRIP;
      return `M${left} ${bottom}V${(bottom - high).toFixed(1)}H${right}V${bottom}Z`;
    }).join("");
    return svg("g", { class: "density" }, svg("path", { class: "all", d: bars(0) }), svg("path", { class: "good", d: bars(1) }),
      svg("text", { x: MARGIN.left - 5, y: bottom, "text-anchor": "end" }, String(most)));
  }

  yearBand(year) {
    const { MARGIN } = timesync.Chart;
    const { first, last } = this.range;
    if (!year || year < first || year >= last) return "";
    const x = this.x(year);
    return timesync.svg("rect", {
      class: "year-band", x, y: MARGIN.top, width: this.x(Math.min(last, year + 1)) - x, height: this.height - MARGIN.top - MARGIN.bottom,
    });
  }

  describe(annual) {
    const { first, last } = this.range;
    const clear = this.rows.filter((row) => row.clear).length;
    const outliers = this.rows.filter((row) => row.outlier).length;
    return `${this.measure.title}, ${first} to ${last}: ${this.rows.length} observations, ` +
      `${clear} clear, ${annual.length} annual choices${outliers ? `, ${outliers} outliers` : ""}`;
  }

  left(event) {
    return event.clientX - this.node.firstChild.getBoundingClientRect().left;
  }

  beginDrag(event) {
    if (event.button !== 0 || !this.range || event.pointerType === "touch") return;
    this.drag = { from: this.left(event), move: event.shiftKey, range: [this.range.first, this.range.last], at: this.timeAt(this.left(event)) };
    this.node.setPointerCapture(event.pointerId);
  }

  goOn(event) {
    const { drag } = this;
    const to = this.left(event);
    if (Math.abs(to - drag.from) < 6 && !drag.moved) return;
    drag.moved = true;
    if (drag.move) {
      const by = drag.at - this.timeAt(to);
      this.on.span([this.range.first + by, this.range.last + by]);
      return;
    }
    this.brush.setAttribute("visibility", "visible");
    this.brush.setAttribute("x", Math.min(drag.from, to));
    this.brush.setAttribute("width", Math.abs(to - drag.from));
  }

  /** A click chooses; a drag shows a part of the time, a year at least. */
  endDrag(event) {
    const { drag } = this;
    this.drag = null;
    if (drag?.moved && !drag.move) {
      const times = [this.timeAt(drag.from), this.timeAt(this.left(event))].sort((a, b) => a - b);
      this.on.span([Math.floor(times[0]), Math.max(Math.floor(times[0]) + 1, Math.ceil(times[1]))]);
    } else if (!drag?.moved) {
      const row = this.nearest(event);
      if (row) this.on.choose(row);
    }
  }

  /** The row whose dot is nearest to the pointer, within 40 pixels. */
  nearest(event) {
    const box = this.node.firstChild.getBoundingClientRect();
    const [left, top] = [event.clientX - box.left, event.clientY - box.top];
    let [best, least] = [null, 40 ** 2];
    for (const row of this.shown) {
      const [x, y] = this.place(row);
      const distance = (x - left) ** 2 + (y - top) ** 2;
      if (distance < least) [best, least] = [row, distance];
    }
    return best;
  }

  /** Mark the row that the user points at (or null), and tell its value. */
  hover(row) {
    const value = row?.values[this.measure.key] ?? null;
    this.mark(this.ring, row);
    this.tip.hidden = value === null;
    if (value === null) return;
    const [x, y] = this.place(row);
    this.tip.textContent = `${row.day} ${row.sensor}: ${value.toFixed(this.measure.digits)}, ${row.sky}${row.outlier ? ", outlier" : ""}`;
    timesync.placeTip(this.tip, x, y);
  }

  /** Mark the selected row. */
  choose(row) {
    this.mark(this.diamond, row);
  }

  /** Draw the segments between vertices, given as days, and those of others; one without a value is a line across. */
  setCourse(days, others = []) {
    if (!this.course) return;
    const { svg, Chart: { MARGIN } } = timesync;
    const byDay = new Map(this.rows.map((row) => [row.day, row]).reverse());
    const placesOf = (those) => those.filter((day) => byDay.has(day)).map((day) => this.place(byDay.get(day)));
    const join = (points) => points.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("");
    const places = placesOf(days);
    const blind = days.filter((day) => !byDay.has(day)).map((day) => this.x(timesync.timeOf(day)));
    this.course.replaceChildren(
      ...others.map((those, i) => svg("path", { class: `course-line other-${i % 3}`, d: join(placesOf(those)) })),
      svg("path", { class: "course-line", d: join(places) }),
      svg("path", { class: "course-point", d: places.map(([x, y]) => `M${x - 4} ${y - 4}h8v8h-8z`).join("") }),
      svg("path", { class: "course-blind", d: blind.map((x) => `M${x} ${MARGIN.top}V${this.height - MARGIN.bottom}`).join("") }));
  }

  mark(node, row) {
    if (!node) return; // a trajectory without values has no marks
    const isHere = row !== null && row.values[this.measure.key] !== null &&
      row.time >= this.range.first && row.time <= this.range.last;
    node.setAttribute("visibility", isHere ? "visible" : "hidden");
    if (isHere) node.setAttribute("transform", `translate(${this.place(row).join(" ")})`);
  }
};
