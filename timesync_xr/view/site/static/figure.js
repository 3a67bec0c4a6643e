"use strict";
// What a page shows as files: charts and chips as SVG or PNG, the observations of charts as CSV.

timesync.figure = (() => {
  const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "opacity",
    "font-size", "font-weight", "font-family", "text-anchor", "visibility", "clip-path"];
  const HEAD = 54;
  const GAP = 8;
  const CHIP = 104;

  /** What a colour of the style sheet is now, in light or dark. */
  function colorOf(name) {
    const probe = timesync.element("span");
    probe.style.color = `var(${name})`; // an attribute would be refused on pages that are served
    document.body.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  }

  /** Give bytes or text as a file. */
  function save(content, type, name) {
    const address = URL.createObjectURL(new Blob([content], { type }));
    timesync.element("a", { href: address, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60000);
  }

  /** A copy of a drawing that looks the same without the style sheet. */
  function styled(node) {
    const copy = node.cloneNode(true);
    const before = [node, ...node.querySelectorAll("*")];
    [copy, ...copy.querySelectorAll("*")].forEach((one, i) => {
      const style = getComputedStyle(before[i]);
      for (const name of STYLES) one.style.setProperty(name, style.getPropertyValue(name));
      one.removeAttribute("class");
    });
    return copy;
  }

  /** The bytes of a picture as an address that holds them; null where it can't be read. */
  async function embedded(address) {
    const answer = await fetch(address).catch(() => null);
    if (!answer?.ok) return null;
    const bytes = await answer.blob();
    return new Promise((done) => {
      const reader = new FileReader();
      reader.onload = () => done(reader.result);
      reader.readAsDataURL(bytes);
    });
  }

  /**
   * Chips in rows from `top` on, each with its caption, and how far down they reach. `chips` has
   * picture (or null, and why), year, caption and isVertex; `look` width, ink, faint, purple, shape ([width,
   * height] in pixels), zoom, pan, box and filter (slopes and intercepts of the channels).
   */
  function drawChips(chips, look, top) {
    const { svg } = timesync;
    const [wide, high] = look.shape;
    const [x0, y0] = [Math.floor(wide / 2) + 0.5, Math.floor(high / 2) + 0.5];
    const across = Math.max(1, Math.floor((look.width - 12) / (CHIP + GAP)));
    const [size, tall] = [(look.width - 16 - GAP * (across - 1)) / across, 20];
    const down = size * high / wide;
    const pixel = wide / look.zoom / size; // of the figure, in pixels of the chip
    const seen = [[x0, wide, 0], [y0, high, 1]].map(([at, all, i]) => at - (at + look.pan[i] * all) / look.zoom);
    const channels = ["R", "G", "B"].map((name, i) => svg(`feFunc${name}`, { type: "linear", slope: look.filter[i][0], intercept: look.filter[i][1] }));
    const filter = svg("filter", { id: "look", "color-interpolation-filters": "sRGB", x: 0, y: 0, width: 1, height: 1 }, svg("feComponentTransfer", {}, ...channels));
    const square = (grow, color, thick) => svg("rect", { x: x0 - look.box / 2 - grow, y: y0 - look.box / 2 - grow, width: look.box + 2 * grow, height: look.box + 2 * grow, fill: "none", stroke: color, "stroke-width": thick });
    const text = (x, y, size_, fill, ...parts) => svg("text", { x, y, "font-size": size_, fill, "font-family": "sans-serif" }, ...parts);
    const parts = chips.map(({ picture, why, year, caption, isVertex }, i) => {
      const [x, y] = [8 + (i % across) * (size + GAP), top + Math.floor(i / across) * (down + tall)];
      const frame = svg("rect", { x, y, width: size, height: down, fill: picture ? "none" : "transparent", stroke: isVertex ? look.purple : look.faint, "stroke-width": isVertex ? 3 : 0.5, "stroke-dasharray": picture ? "none" : "4 3" });
      const inside = picture
        ? svg("svg", { x, y, width: size, height: down, viewBox: `${seen[0]} ${seen[1]} ${wide / look.zoom} ${high / look.zoom}` },
          svg("image", { href: picture, width: wide, height: high, "image-rendering": "pixelated", filter: "url(#look)" }),
          ...(look.box ? [square(pixel, "#000", pixel), square(pixel / 2, "#fff", pixel)] : []))
        : svg("svg", { x, y, width: size, height: down }, text(4, down / 2, 9, look.faint, why));
      return svg("g", {}, inside, frame, text(x, y + down + 13, 11, look.faint, svg("tspan", { "font-weight": 700, fill: look.ink }, `${isVertex ? "◆ " : ""}${year} `), caption));
    });
    const bottom = top + Math.ceil(chips.length / across) * (down + tall);
    return { node: svg("g", {}, filter, ...parts), bottom };
  }

  /** Charts below each other and chips below these, with a title and a line that explains the marks. */
  function draw(drawings, title, note, chips = [], chipLook = {}) {
    const { svg } = timesync;
    const width = drawings.length ? Math.max(...drawings.map((one) => one.clientWidth)) : 900;
    const look = getComputedStyle(document.body);
    const [ink, faint, purple, paper] = ["--ink", "--faint", "--purple", "--raised"].map(colorOf);
    const charted = HEAD + drawings.reduce((total, one) => total + one.clientHeight + GAP, 0);
    const grid = chips.length ? drawChips(chips, { ...chipLook, width, ink, faint, purple }, charted + GAP) : { node: "", bottom: charted };
    const height = Math.ceil(grid.bottom);
    let top = HEAD;
    const parts = drawings.map((one) => {
      const copy = styled(one);
      for (const [name, value] of Object.entries({ y: top, width: one.clientWidth, height: one.clientHeight })) copy.setAttribute(name, value);
      top += one.clientHeight + GAP;
      return copy;
    });
    const line = (text, y, size, weight) => svg("text", { x: 12, y, "font-size": size, "font-weight": weight, fill: look.color, "font-family": "sans-serif" }, text);
    const whole = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` },
      svg("rect", { width, height, fill: paper }), line(title, 22, 16, 600), line(note, 42, 12, 400), ...parts, grid.node);
    return { width, height, text: new XMLSerializer().serializeToString(whole) };
  }

  /** A picture of twice the pixels, as bytes. */
  async function toPng({ width, height, text }) {
    const image = new Image();
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
    await image.decode();
    const canvas = timesync.element("canvas", { width: 2 * width, height: 2 * height });
    canvas.getContext("2d").drawImage(image, 0, 0, 2 * width, 2 * height);
    return new Promise((done) => { canvas.toBlob(done, "image/png"); });
  }

  /** A table as CSV; text that a spreadsheet would calculate gets an apostrophe before it. */
  function toCsv(names, rows) {
    const cell = (value) => {
      if (value === null || value === undefined) return "";
      const text = typeof value === "string" && /^[=+@\t\r-]/.test(value) ? `'${value}` : String(value);
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return [names, ...rows].map((row) => `${row.map(cell).join(",")}\n`).join("");
  }

  return { save, embedded, draw, toPng, toCsv };
})();
