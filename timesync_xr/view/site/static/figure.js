"use strict";
// What a page shows as files: charts as SVG or PNG, their observations as CSV.

timesync.figure = (() => {
  const STYLES = ["fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "opacity",
    "font-size", "font-weight", "font-family", "text-anchor", "visibility", "clip-path"];
  const HEAD = 54;
  const GAP = 8;

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

  /** Charts below each other, with a title and a line that explains the marks. */
  function draw(drawings, title, note) {
    const { svg } = timesync;
    const width = Math.max(...drawings.map((one) => one.clientWidth));
    const height = HEAD + drawings.reduce((total, one) => total + one.clientHeight + GAP, 0);
    const look = getComputedStyle(document.body);
    const paper = getComputedStyle(drawings[0]).backgroundColor;
    let top = HEAD;
    const parts = drawings.map((one) => {
      const copy = styled(one);
      for (const [name, value] of Object.entries({ y: top, width: one.clientWidth, height: one.clientHeight })) copy.setAttribute(name, value);
      top += one.clientHeight + GAP;
      return copy;
    });
    const line = (text, y, size, weight) => svg("text", { x: 12, y, "font-size": size, "font-weight": weight, fill: look.color, "font-family": "sans-serif" }, text);
    const whole = svg("svg", { xmlns: "http://www.w3.org/2000/svg", width, height, viewBox: `0 0 ${width} ${height}` },
      svg("rect", { width, height, fill: paper }), line(title, 22, 16, 600), line(note, 42, 12, 400), ...parts);
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

  return { save, draw, toPng, toCsv };
})();
