"use strict";
// The page of a plot. The address after # says which plot, and keeps what the user chose, so that
// it can be sent to others: project, plot, day, composite, view (annual, all, or a year), measures,
// size, zoom, contrast, box, cloudy, rule, stretch.

timesync.receiveIndex = (site) => {
  const { element, byId } = timesync;
  const column = Object.fromEntries(site.columns.map((name, i) => [name, i]));
  const state = { hover: null, chosen: null, composite: "", view: "annual", measures: [], cloudy: false, span: null, marked: null, pan: [0, 0], stretch: {} };
  let plot = null; // what data/prj_P/plot_N.js holds, its rows made objects
  let rows = [];
  let charts = [];
  let grid = null;
  let bench = null;
  let neighbours = {};
  const legend = timesync.session.legend ?? site.legend;
  const keeper = new timesync.Keeper(timesync.session, (state, text) => bench?.tell(state, text));

  const LOOK = ["size", "zoom", "contrast", "box", "limits"];
  const MOST_CHIPS = 200; // of a figure
  const SWITCHES = ["line", "own", "fit"];
  const USUALLY = Object.fromEntries(SWITCHES.map((id) => [id, byId(id).checked]));
  const USUAL = Object.fromEntries(LOOK.map((id) => [id, byId(id).value]));

  let following = []; // plots after this one in the list, then those before
  const address = () => new URLSearchParams(location.hash.slice(1));

  function load() {
    const asked = address();
    const [project, id] = [asked.get("project"), asked.get("plot")];
    const at = site.plots.findIndex((one) => one[column.project] === project && one[column.plot] === id);
    if (at < 0) {
      complain(`There is no plot ${id ?? ""} of project ${project ?? ""} here. Choose one from the list of plots.`);
      return;
    }
    linkOthers(project, id, at);
    const source = `data/prj_${encodeURIComponent(project)}/plot_${encodeURIComponent(id)}.js`;
    document.head.append(element("script", {
      src: source, error: () => complain(`The data of plot ${id} can't be read: make the site again.`),
    }));
  }

  /** The plots before and after: those of the list as the user left it, if it has this plot. */
  function linkOthers(project, id, at) {
    const { filters, plots } = timesync.list();
    document.querySelector(".back").href = `index.html${filters && `#${filters}`}`;
    const all = site.plots.map((one) => [one[column.project], one[column.plot]]);
    const place = plots.findIndex(([one, other]) => one === project && other === id);
    const [list, here] = place < 0 ? [all, at] : [plots, place];
    neighbours = { "plot-before": list[here - 1], "plot-after": list[here + 1] };
    following = [...list.slice(here + 1), ...list.slice(0, here)];
    setNeighbours({});
  }

  /** Go to the next plot of the list that lacks labels. */
  async function goToUnfinished() {
    const states = new Map((await keeper.summary()).map(([project, id, , left]) => [`${project}/${id}`, left]));
    const next = following.find(([project, id]) => states.get(`${project}/${id}`) !== 0);
    if (next) location.href = `${timesync.plotAddress(...next)}&${new URLSearchParams(kept())}`;
    else bench.tell("saved", "All plots of the list are complete");
  }

  /** Lead to the plots before and after with what the user chose here, but for the day. */
  function setNeighbours(choices) {
    for (const [id, other] of Object.entries(neighbours)) {
      if (other) byId(id).href = `${timesync.plotAddress(...other)}&${new URLSearchParams(choices)}`;
      else byId(id).removeAttribute("href");
    }
  }

  function complain(text) {
    byId("problem").textContent = text;
    byId("problem").hidden = false;
    byId("content").hidden = true;
  }

  timesync.receivePlot = (data) => {
    plot = data;
    const names = Object.keys(data.observations);
    rows = data.observations.day.map((_, i) =>
      rowOf(Object.fromEntries(names.map((name) => [name, data.observations[name][i]]))));
    rows.forEach((row, i) => { row.rules = site.rules.filter((rule) => data.annual_by_rule[rule].includes(i)); });
    document.title = `Plot ${plot.plot}, project ${plot.project}`;
    byId("title").textContent = document.title;
    if (!rows.length) {
      complain(`Plot ${plot.plot} has no observation with files: it is ${plot.status}.`);
      return;
    }
    readAddress();
    byId("outliers").hidden = !rows.some((row) => row.outlier);
    drawControls();
    drawWhere();
    drawRest();
    drawStretch();
    grid = new timesync.ChipGrid(byId("chips"), site, plot, { hover, choose, turn });
    timesync.setChipShape(site, byId("content").style);
    bench = new timesync.Bench(byId("bench"), { site, plot, rows, keeper, legend },
      { choose: (row) => choose(row, false), chosen: () => state.chosen, change: drawAnswers });
    drawCharts();
    drawChips();
    choose(state.chosen, false, address().has("day"));
    openBench();
  };

  async function openBench() {
    await keeper.open();
    await bench.load();
    await bench.loadOthers();
    byId("bench").dataset.ready = "";
  }

  /** Show vertices and chosen days on charts and chips. */
  function drawAnswers() {
    charts.forEach((chart) => chart.setCourse(bench.days, bench.others.map(([, made]) => made.days())));
    grid.mark(new Set(bench.days), new Set(Object.values(bench.made.choices)));
  }

  function rowOf(values) {
    const year = Number(values.day.slice(0, 4));
    const doy = (Date.parse(values.day) - Date.UTC(year, 0, 1)) / 86400000 + 1;
    const grade = values.grade;
    const row = { ...values, year, doy, time: timesync.timeOf(values.day) };
    row.clear = grade === 0 || grade === 1;
    row.sky = site.grades[grade] ?? "sky unknown";
    row.annual = false;
    row.values = Object.fromEntries(site.measures.map(({ key }) => [key, values[key]]));
    return row;
  }

  function readAddress() {
    const asked = address();
    const known = (list, value, otherwise) => (list.includes(value) ? value : otherwise);
    byId("rule").value = known(site.rules, asked.get("rule"), site.rule);
    applyRule();
    state.stretch = readStretch(asked.get("stretch") ?? "");
    state.composite = known(plot.composites, asked.get("composite"), plot.composites[0]);
    state.view = known(["annual", "all", ...years().map(String)], asked.get("view"), "annual");
    const keys = site.measures.map(({ key }) => key);
    const wanted = (asked.get("measures") ?? "").split(",").filter((key) => keys.includes(key));
    state.measures = asked.has("measures") ? wanted : site.first_measures;
    for (const id of LOOK) {
      if (asked.has(id)) byId(id).value = asked.get(id);
      if (!byId(id).value) byId(id).value = USUAL[id]; // the address had no choice of this list
    }
    for (const id of SWITCHES) if (asked.has(id)) byId(id).checked = asked.get(id) === "true";
    if (asked.has("size")) byId("fit").checked = false;
    if (asked.has("cloudy")) state.cloudy = byId("cloudy").checked = asked.get("cloudy") === "true";
    setLook();
    const inView = rows.filter((row) => !Number(state.view) || row.year === Number(state.view));
    const first = inView.find((row) => row.annual) ?? inView[0];
    state.chosen = rows.find((row) => row.day === asked.get("day")) ?? first;
  }

  /** What the user chose, but for the plot and the day. */
  function kept() {
    const { composite, view, measures } = state;
    const choices = { view, measures: measures.join(",") };
    if (composite) choices.composite = composite;
    for (const id of LOOK) if (byId(id).value !== USUAL[id]) choices[id] = byId(id).value;
    for (const id of SWITCHES) if (byId(id).checked !== USUALLY[id]) choices[id] = byId(id).checked;
    if (byId("fit").checked) delete choices.size;
    if (state.cloudy) choices.cloudy = true;
    const stretched = Object.entries(state.stretch).map(([name, limits]) => `${name}:${limits.join(",")}`);
    if (stretched.length) choices.stretch = stretched.join(";");
    if (byId("rule").value !== site.rule) choices.rule = byId("rule").value;
    return choices;
  }

  function keepAddress() {
    const choices = kept();
    const shown = { project: plot.project, plot: plot.plot, day: state.chosen.day, ...choices };
    history.replaceState(null, "", `#${new URLSearchParams(shown)}`);
    setNeighbours(choices);
  }

  /** The annual choices are those of the rule that is asked for. */
  function applyRule() {
    rows.forEach((row) => { row.annual = row.rules.includes(byId("rule").value); });
  }

  /** Another rule: what is shown of each year is its choice. */
  function setRule() {
    applyRule();
    if (!shownRows().includes(state.chosen)) state.chosen = rows.find((row) => row.annual && row.year === state.chosen.year) ?? state.chosen;
    drawChips();
    resizeCharts();
    bench.redo();
    choose(state.chosen, false);
  }

  const years = () => [...new Set(rows.map((row) => row.year))];

  function shownRows() {
    if (!plot.composites.length) return [];
    if (state.view === "annual") return rows.filter((row) => row.annual);
    return rows.filter((row) =>
      !row.no_chip && (state.view === "all" || row.year === Number(state.view)) && (state.cloudy || row.clear || row.annual));
  }

  function drawControls() {
    const choice = (type, name, value, label, title, checked, change) =>
      element("label", { title }, element("input", { type, name, value, checked, change }), element("span", {}, label));
    byId("composites").append(...plot.composites.map((name) =>
      choice("radio", "composite", name, name, site.composites[name], name === state.composite, () => setComposite(name))));
    byId("measures").append(...site.measures.map(({ key, name, title }) =>
      choice("checkbox", "measure", key, name, title, state.measures.includes(key), setMeasures)));
    byId("view").append(element("option", { value: "annual" }, "one a year"), element("option", { value: "all" }, "all"),
      ...years().map((year) => element("option", { value: year }, `all of ${year}`)));
    byId("view").value = state.view;
  }

  /** Where the plot is, with links that the user may follow, and the list's own columns. */
  function drawWhere() {
    const { lon, lat, x, y } = plot.where;
    const place = `${lat.toFixed(6)}, ${lon.toFixed(6)}`;
    const copy = async (event) => {
      await navigator.clipboard?.writeText(event.target.value);
      event.target.textContent = "copied";
      setTimeout(() => { event.target.textContent = event.target.value; }, 900);
    };
    const copied = (text, title) => element("button", { type: "button", class: "copy", value: text, title: `${title}: click to copy`, click: copy }, text);
    const own = Object.entries(plot.own).filter(([, text]) => text);
    byId("where").replaceChildren(
      copied(place, "Latitude, longitude"), copied(`${x}, ${y}`, "x, y in metres of the grid"), element("span", {}, timesync.tileName(rows[0].hv)),
      ...timesync.maps(lon, lat).map(([name, href]) => element("a", { href, target: "_blank", rel: "noopener noreferrer" }, `${name} ↗`)),
      ...own.map(([name, text]) => element("span", { class: "own" }, element("b", {}, name), ` ${text}`)));
  }

  /** Observations without files, and why. */
  function drawRest() {
    if (!plot.rest.length) return;
    const cells = (name, values) => element("tr", {}, ...values.map((value) => element(name, {}, value)));
    const [summary, scroll] = byId("rest").children;
    summary.textContent = timesync.counted(plot.rest.length, "observation or item without files", "observations and items without files");
    scroll.firstChild.replaceChildren(cells("th", ["Day", "Sensor", "What became of it", "Cause"]),
      ...plot.rest.map((values) => cells("td", values)));
    byId("rest").hidden = false;
  }

  function drawCharts() {
    charts = state.measures.map((key) =>
      new timesync.Chart(site.measures.find((measure) => measure.key === key), rows, { hover, choose, turn, span: setSpan }));
    byId("charts").replaceChildren(...charts.map((chart) => chart.node));
    resizeCharts();
  }

  /** Charts are as high as there is room, two of them a third of the window. */
  function resizeCharts(isPaper = false) {
    const width = isPaper ? 700 : byId("charts").clientWidth;
    const height = isPaper ? Math.min(240, 560 / Math.max(1, charts.length)) : Math.round(Math.max(120, Math.min(280, innerHeight * 0.34 / Math.max(2, charts.length))));
    byId("all-years").hidden = !state.span;
    byId("own-label").hidden = !site.colors[state.composite];
    charts.forEach((chart) => {
      const { key, range } = chart.measure;
      const limits = { project: site.limits[key] ?? null, fixed: range }[byId("limits").value] ?? null;
      chart.draw(width, height, {
        cloudy: state.cloudy, year: Number(state.view) || 0, span: state.span, limits, line: byId("line").checked,
        color: byId("own").checked && site.colors[state.composite] ? colorOf : null,
      });
      chart.setCourse(bench.days, bench.others.map(([, made]) => made.days()));
      chart.choose(state.chosen);
    });
  }

  /** The colour of a row's plot pixel in the chip that is shown. */
  function colorOf(row) {
    const part = ([key, low, high]) => Math.round(255 * Math.min(1, Math.max(0, (row.values[key] - low) / (high - low))));
    const limits = limitsOf(state.composite);
    return `rgb(${site.colors[state.composite].map(([key], i) => part([key, limits[2 * i], limits[2 * i + 1]])).join(" ")})`;
  }

  /** The channels of a composite with the limits that its chips were made with; levels where these are not known. */
  const channels = (composite) => site.colors[composite] ?? ["red", "green", "blue"].map((name) => [name, 0, 255]);
  const usualLimits = (composite) => channels(composite).flatMap(([, low, high]) => [low, high]);
  const limitsOf = (composite) => state.stretch[composite] ?? usualLimits(composite);
  const isStretch = (limits) => limits.length === 6 && limits.every(Number.isFinite) && [0, 2, 4].every((i) => limits[i] < limits[i + 1]);

  function readStretch(text) {
    const found = text.split(";").map((part) => [part.slice(0, part.lastIndexOf(":")), part.slice(part.lastIndexOf(":") + 1).split(",").map(Number)]);
    return Object.fromEntries(found.filter(([name, limits]) => plot.composites.includes(name) && isStretch(limits)));
  }

  /** Chips hold what lies between their limits, from 0 to 1; other limits are a line over that. */
  function applyStretch() {
    const limits = limitsOf(state.composite);
    const made = usualLimits(state.composite);
    document.querySelectorAll("#stretch feComponentTransfer > *").forEach((one, i) => {
      const [low, high, from, to] = [made[2 * i], made[2 * i + 1], limits[2 * i], limits[2 * i + 1]];
      one.setAttribute("slope", (high - low) / (to - from));
      one.setAttribute("intercept", (low - from) / (to - from));
    });
    byId("content").classList.toggle("stretched", Boolean(state.stretch[state.composite]));
  }

  function drawStretch() {
    const limits = limitsOf(state.composite);
    const title = (key) => site.measures.find((measure) => measure.key === key)?.name ?? key;
    const input = (i, name) => element("input", { type: "number", step: "any", value: limits[i], "aria-label": name, change: setStretch });
    byId("limits-of").replaceChildren(...channels(state.composite).map(([key], i) => element("div", { class: "channel" },
      element("span", {}, `${["Red", "Green", "Blue"][i]}: ${title(key)}`), input(2 * i, `${title(key)} at its darkest`), input(2 * i + 1, `${title(key)} at its brightest`))));
    applyStretch();
  }

  /** Limits of the composite that is shown, as they were typed; those that make no range are marked. */
  function setStretch() {
    const inputs = [...byId("limits-of").querySelectorAll("input")];
    const limits = inputs.map((one) => one.valueAsNumber);
    inputs.forEach((one, i) => one.setCustomValidity(limits[i - (i % 2)] < limits[i - (i % 2) + 1] ? "" : "The first value must be below the second"));
    if (!isStretch(limits)) {
      inputs.find((one) => !one.checkValidity())?.reportValidity();
      return;
    }
    state.stretch[state.composite] = limits;
    if (String(limits) === String(usualLimits(state.composite))) delete state.stretch[state.composite];
    applyStretch();
    resizeCharts();
    keepAddress();
  }

  /** The observations that the charts show. */
  function chartRows() {
    const [first, last] = state.span ?? [-Infinity, Infinity];
    return rows.filter((row) => (state.cloudy || row.clear || row.annual) && row.time >= first && row.time <= last);
  }

  const fileName = (end) => `plot_${plot.project}_${plot.plot}.${end}`;

  /** The chips that are shown, with their bytes; of very many the annual choices. */
  async function figureChips() {
    if (!byId("with-chips").checked || byId("with-chips").disabled) return [];
    const shown = shownRows();
    const taken = shown.length > MOST_CHIPS ? shown.filter((row) => row.annual) : shown;
    const vertices = new Set(bench.days);
    const made = await Promise.all(taken.map(async (row) => ({
      picture: row.no_chip ? null : await timesync.figure.embedded(timesync.chipAddress(site, plot, state.composite, row)),
      why: row.no_chip || "no chip", day: row.day, year: row.year, isVertex: vertices.has(row.day),
      caption: `${row.day.slice(5)} ${row.annual ? "★ " : ""}${row.clear ? "●" : "✕"}`,
    })));
    const gaps = state.view === "annual" ? Object.entries(plot.gaps) : [];
    return [...made, ...gaps.map(([year, why]) => ({ picture: null, why, day: year, year, caption: "", isVertex: false }))]
      .sort((a, b) => (a.day < b.day ? -1 : 1));
  }

  /** How chips look now: what their pictures become in a figure. */
  function chipLook() {
    const contrast = Number(byId("contrast").value);
    const [made, limits] = [usualLimits(state.composite), limitsOf(state.composite)];
    const filter = [0, 2, 4].map((i) => {
      const [low, span, from, range] = [made[i], made[i + 1] - made[i], limits[i], limits[i + 1] - limits[i]];
      return [contrast * span / range, contrast * (low - from) / range + (1 - contrast) / 2];
    });
    return { shape: site.chip_size, zoom: Number(byId("zoom").value), pan: state.pan, box: Number(byId("box").value), filter };
  }

  async function saveFigure(form) {
    const drawings = charts.map((chart) => chart.node.querySelector("svg")).filter(Boolean);
    const chips = await figureChips();
    if (!drawings.length && !chips.length) return;
    const note = `${site.name}. Dots: clear observations${state.cloudy ? ", crosses: not clear" : ""}; rings: annual choice by ${byId("rule").value}; bars: observations a year.${chips.length ? ` Chips: ${state.composite}.` : ""}`;
    const drawn = timesync.figure.draw(drawings, document.title, note, chips, chipLook());
    if (form === "svg") timesync.figure.save(drawn.text, "image/svg+xml", fileName("svg"));
    else timesync.figure.save(await timesync.figure.toPng(drawn), "image/png", fileName("png"));
  }

  function saveCsv() {
    const measures = site.measures.map(({ key }) => key);
    const facts = ["day", "sensor", "hv", "date", "qa", "qa_pixel", "grade", "fmask", "strict_clear", "outlier"];
    const names = ["project_id", "plot_id", "year", "doy", ...facts, "annual_choice", ...measures, "item_ids"];
    const values = (row) => [plot.project, plot.plot, row.year, row.doy, ...facts.map((name) => row[name]), row.annual, ...measures.map((key) => row.values[key]), row.item_ids];
    timesync.figure.save(timesync.figure.toCsv(names, chartRows().map(values)), "text/csv", fileName("csv"));
  }

  function setSpan(span) {
    state.span = span;
    resizeCharts();
  }

  /** The largest chips of which all years fit into their area; where it scrolls anyway, as asked for. */
  function fitChips() {
    const area = byId("chips").parentElement;
    const isFixed = getComputedStyle(area).overflowY === "auto";
    byId("content").style.setProperty("--tools", `${isFixed ? area.querySelector(".tools").offsetHeight : 48}px`);
    if (!byId("fit").checked || state.view !== "annual" || !isFixed) return;
    const count = byId("chips").querySelectorAll(".chip, .slot").length;
    const [gap, caption, ratio] = [8, 24, site.chip_size[1] / site.chip_size[0]];
    const width = byId("chips").clientWidth - 8;
    const height = area.clientHeight - area.querySelector(".tools").offsetHeight - 14;
    let best = 60;
    for (let across = 1; across <= count; across += 1) {
      const down = Math.ceil(count / across);
      const size = Math.min((width - gap * (across - 1)) / across, ((height - gap * (down - 1)) / down - caption) / ratio);
      best = Math.max(best, Math.min(Math.floor(size), 384));
    }
    byId("content").style.setProperty("--size", `${best}px`);
  }

  function drawChips() {
    const shown = shownRows();
    const hadFocus = byId("chips").contains(document.activeElement);
    const gaps = state.view === "annual" && shown.length ? plot.gaps : {};
    grid.draw(shown, state.composite, state.view === "all" && shown.length > 6 * years().length, gaps);
    fitChips();
    byId("chips-title").textContent = `Chips (${shown.filter((row) => !row.no_chip).length})`;
    grid.choose(state.chosen, hadFocus, hadFocus);
    grid.mark(new Set(bench.days), new Set(Object.values(bench.made.choices)));
    if (!plot.composites.length) byId("chips").replaceChildren(element("p", {}, "This plot was made without chips."));
  }

  /** A double click: a vertex, or none. */
  function turn(row) {
    choose(row);
    if (keeper.who) bench.toggleVertex(row);
  }

  function hover(row) {
    if (row === state.hover) return;
    state.hover = row;
    charts.forEach((chart) => chart.hover(row));
    grid.hover(row);
  }

  /** Select a row; where the view lacks its chip, show all chips of its year. */
  function choose(row, isToFocus = true, isToReveal = true) {
    state.chosen = row;
    if (plot.composites.length && !row.no_chip && !shownRows().includes(row)) setView(String(row.year));
    grid.choose(row, isToFocus, isToReveal);
    charts.forEach((chart) => chart.choose(row));
    drawDetail();
    keepAddress();
  }

  function drawDetail() {
    const on = { composite: setComposite };
    timesync.drawDetail(byId("detail"), site, plot, state.chosen, state.composite, on, state.marked);
    bench.draw();
  }

  function setComposite(name) {
    state.composite = name;
    byId("composites").querySelectorAll("input").forEach((input) => { input.checked = input.value === name; });
    drawStretch();
    drawChips();
    resizeCharts();
    drawDetail();
    keepAddress();
  }

  function setView(view) {
    state.view = view;
    byId("view").value = view;
    if (!state.chosen.no_chip && !shownRows().includes(state.chosen)) state.cloudy = byId("cloudy").checked = true;
    drawChips();
    resizeCharts();
  }

  function setMeasures() {
    const on = [...byId("measures").querySelectorAll("input:checked")].map((input) => input.value);
    state.measures = on;
    drawCharts();
    keepAddress();
  }

  function setCloudy(isShown) {
    state.cloudy = byId("cloudy").checked = isShown;
    drawChips();
    resizeCharts();
    keepAddress();
  }

  /** The user asks for a view: the selection moves into it. */
  function askView(view) {
    if (view === "annual") {
      const near = rows.filter((row) => row.annual);
      state.chosen = near.find((row) => row.year === state.chosen.year) ?? near[0] ?? state.chosen;
    } else if (view !== "all" && state.chosen.year !== Number(view)) {
      state.chosen = rows.find((row) => row.year === Number(view) && row.annual) ??
        rows.find((row) => row.year === Number(view));
    }
    setView(view);
    choose(state.chosen, false);
  }

  function step(count) {
    const shown = shownRows();
    let at = shown.indexOf(state.chosen);
    if (at < 0) { // one without a chip: between those before and after it
      const later = shown.findIndex((row) => row.time > state.chosen.time);
      at = (later < 0 ? shown.length : later) - (count > 0 ? 1 : 0);
    }
    if (shown[at + count]) choose(shown[at + count]);
  }

  /** The observation of the year before or after that is nearest in its season. */
  function stepYear(count) {
    const pool = state.view === "annual" ? shownRows() : rows.filter((row) => state.cloudy || row.clear || row.annual);
    const beyond = pool.map((row) => row.year).filter((year) => (year - state.chosen.year) * count > 0);
    if (!beyond.length) return;
    const year = count < 0 ? Math.max(...beyond) : Math.min(...beyond);
    const distance = (row) => Math.abs(row.doy - state.chosen.doy);
    const row = pool.filter((one) => one.year === year).reduce((a, b) => (distance(b) < distance(a) ? b : a));
    if (Number(state.view) && plot.composites.length) setView(String(year));
    choose(row);
  }

  function zoom(count) {
    const select = byId("zoom");
    select.selectedIndex = Math.max(0, Math.min(select.options.length - 1, select.selectedIndex + count));
    setLook();
  }

  function setLook() {
    const { style } = byId("content");
    style.setProperty("--zoom", byId("zoom").value);
    setPan(state.pan);
    style.setProperty("--contrast", byId("contrast").value);
    style.setProperty("--size", `${byId("size").value}px`);
    style.setProperty("--box", byId("box").value);
    byId("content").classList.toggle("no-box", byId("box").value === "0");
    if (!grid) return;
    fitChips();
    keepAddress();
  }

  /** Move all chips together, in parts of a chip; no farther than its edges. */
  function setPan(pan) {
    const most = (Number(byId("zoom").value) - 1) / 2;
    state.pan = pan.map((part) => Math.max(-most, Math.min(most, part)));
    byId("content").style.setProperty("--pan-x", state.pan[0]);
    byId("content").style.setProperty("--pan-y", state.pan[1]);
    byId("content").classList.toggle("zoomed", most > 0);
  }

  let drag = null; // of a chip that is zoomed: where it began, and the pan then
  function beginDrag(event) {
    const frame = event.target.closest(".frame");
    drag = null;
    if (!frame || event.button !== 0 || event.pointerType === "touch" || byId("zoom").value === "1") return;
    const { width, height } = frame.getBoundingClientRect();
    drag = { from: [event.clientX, event.clientY], pan: state.pan, size: [width, height], moved: false };
  }
  function goOnDrag(event) {
    if (!drag || !event.buttons) return;
    const by = [event.clientX - drag.from[0], event.clientY - drag.from[1]];
    drag.moved ||= Math.hypot(...by) > 4;
    if (drag.moved) setPan(by.map((pixels, i) => drag.pan[i] + pixels / drag.size[i]));
  }
  function endDrag(event) { // the click that ends a drag chooses nothing
    if (drag?.moved) event.stopPropagation();
    drag = null;
  }

  let wheeled = 0;
  function wheel(event) {
    const area = byId("chips").parentElement;
    const isStill = getComputedStyle(area).overflowY === "auto" && area.scrollHeight <= area.clientHeight + 1;
    if (!event.target.closest(".frame") || !(event.ctrlKey || (isStill && area.contains(event.target)))) return;
    event.preventDefault();
    wheeled += event.deltaY;
    if (Math.abs(wheeled) < 40) return; // a trackpad tells of many small turns
    zoom(wheeled < 0 ? 1 : -1);
    wheeled = 0;
  }

  let playing = 0;
  /** Go through the chips shown, one after the other, until the last or the key again. */
  function play() {
    if (playing) {
      clearInterval(playing);
      playing = 0;
      return;
    }
    if (shownRows().at(-1) === state.chosen) choose(shownRows()[0]);
    playing = setInterval(() => {
      if (shownRows().at(-1) === state.chosen) play();
      else step(1);
    }, 500);
  }

  /** Mark the chip that is shown, to compare others with it. */
  function markChip() {
    state.marked = state.marked === state.chosen ? null : state.chosen;
    grid.setMarked(state.marked);
    drawDetail();
  }

  /** Change between the chip that is marked and the one that is shown. */
  function flicker() {
    if (!state.marked || state.marked === state.chosen) return;
    const before = state.chosen;
    choose(state.marked, false);
    state.marked = before;
    grid.setMarked(before);
    drawDetail();
  }

  const keys = {
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    ArrowUp: () => stepYear(-1),
    ArrowDown: () => stepYear(1),
    Home: () => choose(shownRows()[0] ?? state.chosen),
    End: () => choose(shownRows().at(-1) ?? state.chosen),
    a: () => askView(state.view === "annual" ? String(state.chosen.year) : "annual"),
    b: () => { byId("box").selectedIndex = (byId("box").selectedIndex + 1) % 4; setLook(); },
    k: () => markChip(),
    f: () => flicker(),
    y: () => play(),
    c: () => setCloudy(!state.cloudy),
    "+": () => zoom(1),
    "=": () => zoom(1),
    "-": () => zoom(-1),
    p: () => byId("plot-before").click(),
    n: () => byId("plot-after").click(),
    j: () => goToUnfinished(),
  };

  document.addEventListener("keydown", (event) => {
    if (!grid || timesync.isTyping(event)) return;
    if (bench.key(event)) {
      event.preventDefault();
      return;
    }
    const composite = plot.composites[Number(event.key) - 1];
    if (!keys[event.key] && !composite) return;
    event.preventDefault();
    if (composite) setComposite(composite);
    else keys[event.key]();
  });
  byId("view").addEventListener("change", (event) => askView(event.target.value));
  byId("cloudy").addEventListener("change", (event) => setCloudy(event.target.checked));
  byId("size").addEventListener("input", () => { byId("fit").checked = false; });
  for (const id of ["size", "zoom", "contrast", "box", "fit"]) {
    for (const kind of ["input", "change"]) byId(id).addEventListener(kind, setLook);
  }
  for (const id of ["limits", "line", "own"]) {
    byId(id).addEventListener("change", () => {
      resizeCharts();
      keepAddress();
    });
  }
  byId("rule").append(...site.rules.map((rule) => element("option", { value: rule }, rule)));
  byId("rule").addEventListener("change", setRule);
  byId("all-years").addEventListener("click", () => setSpan(null));
  for (const id of ["chips", "detail"]) {
    byId(id).addEventListener("wheel", wheel, { passive: false });
    byId(id).addEventListener("pointerdown", beginDrag);
    byId(id).addEventListener("click", endDrag, true);
  }
  addEventListener("pointermove", goOnDrag);
  byId("stretch-usual").addEventListener("click", () => { delete state.stretch[state.composite]; drawStretch(); resizeCharts(); keepAddress(); });
  if (location.protocol === "file:") { // where a browser lets no page read pictures
    byId("with-chips").disabled = true;
    byId("chips-note").textContent = "with chips (served pages only)";
    byId("chips-note").title = "A browser lets no page from disk read pictures: timesync-xr interpret serves it";
  }
  byId("save-svg").addEventListener("click", () => saveFigure("svg"));
  byId("save-png").addEventListener("click", () => saveFigure("png"));
  byId("save-csv").addEventListener("click", saveCsv);
  byId("target-day").textContent = site.target_day;
  addEventListener("resize", () => {
    if (!grid) return;
    resizeCharts();
    fitChips();
  });
  addEventListener("beforeprint", () => { if (grid) resizeCharts(true); });
  addEventListener("afterprint", () => { if (grid) resizeCharts(); });
  addEventListener("hashchange", () => location.reload());
  load();
};
