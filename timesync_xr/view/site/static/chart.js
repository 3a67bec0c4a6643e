"use strict";
// A trajectory of one band or index: dots for clear observations, crosses for the others, rings and
// a line for the annual choice. All dots of a kind are one path, so that thousands are quick.

/**
 * Draw a trajectory and keep its marks up to date.
 * `measure` has key, title, digits; `rows` have time, clear, annual and `values[key]`.
 * `on.hover(row or null)` and `on.choose(row)` are called as the user points and clicks.
 */
timesync.Chart = class {
  static HEIGHT = 150;
  static MARGIN = { left: 46, right: 10, top: 20, bottom: 20 };

  constructor(measure, rows, on) {
    this.measure = measure;
    this.rows = rows.filter((row) => row.values[measure.key] !== null);
    this.on = on;
    this.shown = [];
    this.tip = timesync.element("div", { class: "tip", hidden: true });
    this.node = timesync.element("div", { class: "chart" });
    this.node.addEventListener("pointermove", (event) => on.hover(this.nearest(event)));
    this.node.addEventListener("pointerleave", () => on.hover(null));
    this.node.addEventListener("click", (event) => {
      const row = this.nearest(event);
      if (row) on.choose(row);
    });
    this.node.addEventListener("dblclick", (event) => {
      const row = this.nearest(event);
      if (row) on.turn(row);
    });
  }

  /** Draw everything anew for a width in pixels; `year` is shaded. */
  draw(width, { cloudy, year }) {
    const { svg } = timesync;
    const { HEIGHT, MARGIN } = timesync.Chart;
    if (!this.rows.length) {
      this.node.replaceChildren(timesync.element("p", { class: "none" }, `${this.measure.title}: no values`));
      return;
    }
    this.shown = this.rows.filter((row) => cloudy || row.clear || row.annual);
    this.width = width;
    this.setScales();
    const annual = this.rows.filter((row) => row.annual);
    this.ring = svg("circle", { class: "point hover", r: 6, visibility: "hidden" });
    this.diamond = svg("path", { class: "point chosen", d: "M0 -8 8 0 0 8 -8 0Z", visibility: "hidden" });
    const dots = (keep, shape) => this.shown.filter(keep).map((row) => shape(...this.place(row))).join("");
    const isNext = (row, i) => i > 0 && annual[i - 1].year === row.year - 1; // a line over a gap would claim what nobody saw
    const line = annual.map((row, i) => `${isNext(row, i) ? "L" : "M"}${this.place(row).join(" ")}`).join("");
    this.course = svg("g", { class: "course" });
    const ring = (x, y) => `M${x - 4.5} ${y}a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0 -9 0`;
    const picture = svg("svg", {
      viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: "img", "aria-label": this.describe(annual),
    },
    this.yearBand(year), ...this.axes(),
    svg("path", { class: "point cloudy", d: dots((row) => !row.clear, (x, y) => `M${x - 2.5} ${y - 2.5}l5 5m0 -5l-5 5`) }),
    svg("path", { class: "annual-line", d: line }),
    svg("path", { class: "point clear", d: dots((row) => row.clear, (x, y) => `M${x} ${y}h0`) }),
    svg("path", { class: "point annual", d: annual.map((row) => ring(...this.place(row))).join("") }),
    this.course, this.ring, this.diamond,
    svg("text", { class: "name", x: MARGIN.left, y: 14 }, this.measure.title));
    this.node.replaceChildren(picture, this.tip);
  }

  /** Limits follow the clear observations, so that clouds do not flatten the rest. */
  setScales() {
    const { HEIGHT, MARGIN } = timesync.Chart;
    const trusted = this.rows.filter((row) => row.clear || row.annual);
    const values = (trusted.length > 1 ? trusted : this.rows).map((row) => row.values[this.measure.key]);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    const more = (high - low || Math.abs(high) || 1) * 0.06;
    [low, high] = [low - more, high + more];
    const times = this.rows.map((row) => row.time);
    const first = Math.floor(Math.min(...times));
    const last = Math.max(first + 1, Math.ceil(Math.max(...times)));
    this.range = { low, high, first, last };
    const across = this.width - MARGIN.left - MARGIN.right;
    const down = HEIGHT - MARGIN.top - MARGIN.bottom;
    const round = (number) => Math.round(number * 10) / 10;
    this.x = (time) => round(MARGIN.left + (time - first) / (last - first) * across);
    this.y = (value) => round(MARGIN.top + (high - Math.min(high, Math.max(low, value))) / (high - low) * down);
  }

  place(row) {
    return [this.x(row.time), this.y(row.values[this.measure.key])];
  }

  axes() {
    const { svg, ticks, Chart: { HEIGHT, MARGIN } } = timesync;
    const { low, high, first, last } = this.range;
    const values = ticks(low, high, 6).filter((value) => value >= low);
    const digits = Math.max(0, -Math.floor(Math.log10((values[1] ?? 1) - (values[0] ?? 0)) + 1e-9));
    const years = ticks(first, last, this.width / 60).filter(Number.isInteger);
    const lines = values.map((value) => `M${MARGIN.left} ${this.y(value)}H${this.width - MARGIN.right}`);
    const feet = years.map((year) => `M${this.x(year)} ${HEIGHT - MARGIN.bottom}v4`);
    const label = (anchor) => (text, x, y) => svg("text", { x, y, "text-anchor": anchor }, text);
    return [
      svg("path", { class: "grid-line", d: lines.join("") + feet.join("") }),
      ...values.map((value) => label("end")(value.toFixed(digits), MARGIN.left - 5, this.y(value) + 4)),
      ...years.map((year) => label("middle")(String(year), this.x(year), HEIGHT - 4)),
    ];
  }

  yearBand(year) {
    const { HEIGHT, MARGIN } = timesync.Chart;
    if (!year) return "";
    const x = this.x(year);
    return timesync.svg("rect", {
      class: "year-band", x, y: MARGIN.top, width: this.x(year + 1) - x, height: HEIGHT - MARGIN.top - MARGIN.bottom,
    });
  }

  describe(annual) {
    const { first, last } = this.range;
    const clear = this.rows.filter((row) => row.clear).length;
    return `${this.measure.title}, ${first} to ${last}: ${this.rows.length} observations, ` +
      `${clear} clear, ${annual.length} annual choices`;
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
    this.tip.textContent = `${row.day} ${row.sensor}: ${value.toFixed(this.measure.digits)}, ${row.sky}`;
    this.tip.style.cssText = `top: ${Math.max(0, y - 30)}px; ` +
      (x < this.width / 2 ? `left: ${x + 10}px` : `right: ${this.width - x + 10}px`);
  }

  /** Mark the selected row. */
  choose(row) {
    this.mark(this.diamond, row);
  }

  /** Draw the segments between vertices, given as days; a vertex without a value is a line across. */
  setCourse(days) {
    if (!this.course) return;
    const { svg, Chart: { HEIGHT, MARGIN } } = timesync;
    const byDay = new Map(this.rows.map((row) => [row.day, row]).reverse());
    const places = days.filter((day) => byDay.has(day)).map((day) => this.place(byDay.get(day)));
    const blind = days.filter((day) => !byDay.has(day)).map((day) => this.x(timesync.timeOf(day)));
    this.course.replaceChildren(
      svg("path", { class: "course-line", d: places.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("") }),
      svg("path", { class: "course-point", d: places.map(([x, y]) => `M${x - 4} ${y - 4}h8v8h-8z`).join("") }),
      svg("path", { class: "course-blind", d: blind.map((x) => `M${x} ${MARGIN.top}V${HEIGHT - MARGIN.bottom}`).join("") }));
  }

  mark(node, row) {
    const isHere = row !== null && row.values[this.measure.key] !== null;
    if (!node) return; // a trajectory without values has no marks
    node.setAttribute("visibility", isHere ? "visible" : "hidden");
    if (isHere) node.setAttribute("transform", `translate(${this.place(row).join(" ")})`);
  }
};
