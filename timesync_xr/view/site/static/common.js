"use strict";
// What both pages share. Data files are scripts that call `timesync.receive...`, because a page
// that was opened from disk may load scripts but not fetch files. Texts only ever enter the page
// as text nodes and attributes, never as HTML: ids come from users.

const timesync = { session: {} };

/** What a server tells of who is at work; pages from disk hear nothing. */
timesync.receiveSession = (session) => { timesync.session = session; };

/** An HTML element with attributes and children; a function among the attributes is a listener. */
timesync.element = (name, attributes = {}, ...children) =>
  timesync.fill(document.createElement(name), attributes, children);

/** The same for SVG. */
timesync.svg = (name, attributes = {}, ...children) =>
  timesync.fill(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);

timesync.fill = (node, attributes, children) => {
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") node.addEventListener(key, value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
};

/** A count in words: "1 plot", "1,200 plots". */
timesync.counted = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

timesync.byId = (id) => document.getElementById(id);

/** Address of a plot's page. */
timesync.plotAddress = (project, plot) => `plot.html#${new URLSearchParams({ project, plot })}`;

/** Round numbers that divide low..high into about `count` parts. */
timesync.ticks = (low, high, count) => {
  const rough = (high - low || 1) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const ticks = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i += 1) ticks.push(i * step);
  return ticks;
};

/** Maps of others at a place, by name; they are opened by the user's click alone. */
timesync.maps = (lon, lat) => [
  ["OpenStreetMap", `https://www.openstreetmap.org/?mlat=${lat}&mlon=${lon}#map=15/${lat}/${lon}`],
  ["Google", `https://www.google.com/maps/@?api=1&map_action=map&basemap=satellite&zoom=17&center=${lat},${lon}`],
  ["Esri Wayback", `https://livingatlas.arcgis.com/wayback/#mapCenter=${lon},${lat},16`],
];

/** A day YYYY-MM-DD as a decimal year. */
timesync.timeOf = (day) => {
  const year = Number(day.slice(0, 4));
  const start = Date.UTC(year, 0, 1);
  return year + (Date.parse(day) - start) / (Date.UTC(year + 1, 0, 1) - start);
};

/** The tile of ARD, or the path and row of a scene, in words. */
timesync.tileName = (hv) => {
  const [, a, b] = /^(\d{2,3})(\d{2,3})$/.exec(hv) ?? [];
  if (!a || a.length + b.length === 5) return hv;
  return a.length === 2 && b.length === 2 ? `tile h${a}v${b}` : `path ${hv.slice(0, 3)}, row ${hv.slice(3)}`;
};

/** Put a tip beside a point of its parent, in pixels, and within the window. */
timesync.placeTip = (tip, x, y) => {
  tip.style.cssText = "left: 0; top: 0";
  const parent = tip.offsetParent.getBoundingClientRect();
  const [width, height] = [tip.offsetWidth, tip.offsetHeight];
  const beside = x + 12 + width + parent.left > innerWidth - 8 || x > parent.width / 2 ? x - 12 - width : x + 12;
  const left = Math.min(innerWidth - 8 - width - parent.left, Math.max(8 - parent.left, beside));
  const top = Math.min(innerHeight - 8 - height - parent.top, Math.max(8 - parent.top, y - height - 6));
  tip.style.cssText = `left: ${left}px; top: ${top}px`;
};

timesync.percent = (share) => (share === null ? "" : `${Math.round(share * 100)} %`);

/** Whether a key belongs to the control that has the focus, not to the page. */
timesync.isTyping = (event) =>
  event.ctrlKey || event.metaKey || event.altKey ||
  event.target.closest("input:not([type=checkbox]), select, textarea, dialog") !== null;

timesync.toggleTheme = () => {
  const root = document.documentElement;
  const isDark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  timesync.setTheme(isDark ? "light" : "dark");
};

timesync.setTheme = (theme) => {
  if (theme) document.documentElement.dataset.theme = theme;
  try {
    if (theme) localStorage.setItem("timesync-theme", theme);
    else document.documentElement.dataset.theme = localStorage.getItem("timesync-theme") ?? "";
  } catch {
    // a browser that keeps nothing for pages from disk: the theme lasts as long as the page
  }
};

/**
 * The list as the user left it: its filters as text, its plots as [project, plot] in their order.
 * It belongs to this site and this tab, and is what `timesync.list()` gives to the page of a plot.
 */
const listKey = `timesync-list ${location.pathname.replace(/[^/]*$/, "")}`;

timesync.keepList = (filters, plots) => {
  try {
    sessionStorage.setItem(listKey, JSON.stringify({ filters, plots }));
  } catch {
    // a browser that keeps nothing for pages from disk: plots follow each other as in the project
  }
};

timesync.list = () => {
  try {
    return JSON.parse(sessionStorage.getItem(listKey)) ?? { filters: "", plots: [] };
  } catch {
    return { filters: "", plots: [] };
  }
};

timesync.setTheme("");
timesync.byId("theme").addEventListener("click", timesync.toggleTheme);
timesync.byId("help-button").addEventListener("click", () => timesync.byId("help").showModal());
document.addEventListener("keydown", (event) => {
  if (event.key === "?" && !timesync.isTyping(event)) timesync.byId("help").showModal();
});
