"use strict";
// Shows what the element `data` holds. Sizes are bytes; nothing is fetched.
(() => {
  const { fronts, compilers } = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const whole = (n) => Math.round(n).toLocaleString("en-US");
  const bytes = (n) => (n < 10240 ? `${whole(n)} B` : n < 10240 * 1024 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / 1024 / 1024).toFixed(1)} MiB`);
  const ratio = (n) => (n === null ? "" : n.toFixed(2));

  function element(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key.startsWith("aria-") || key === "scope" || key === "role") node.setAttribute(key, value);
      else node[key] = value;
    }
    node.append(...children);
    return node;
  }
  function drawn(tag, attributes, ...children) {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.append(...children);
    return node;
  }

  const setTheme = (name) => { root.dataset.theme = name; };
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");
  dark.addEventListener("change", () => setTheme(dark.matches ? "dark" : "light"));

  const state = { front: 0, point: -1, log: false, only: false, by: "sram", falling: false };
  const here = () => fronts[state.front];
  const shown = (n) => !state.only || here().points[n].front || here().points[n].by > 0;

  // Marks: a circle is ours, a triangle and a square are vela's cores.
  function mark(by, x, y, size, attributes) {
    const paint = { fill: `var(--by-${by})`, ...attributes };
    if (by === 0) return drawn("circle", { cx: x, cy: y, r: size, ...paint });
    if (by === 1) return drawn("path", { d: `M${x} ${y - size * 1.25}l${size * 1.2} ${size * 2.1}h${-size * 2.4}z`, ...paint });
    return drawn("rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size, ...paint });
  }

  // The plot --------------------------------------------------------------------------------------------------------

  const WIDE = 960, HIGH = 420, LEFT = 92, RIGHT = 24, TOP = 16, BOTTOM = 46;
  function scale(values, from, to) {
    let low = Math.min(...values), high = Math.max(...values);
    if (state.log) {
      low = Math.max(low, 1);
      const margin = Math.max(1.02, (high / low) ** 0.06);
      const [a, b] = [Math.log(low / margin), Math.log(high * margin)];
      return { at: (v) => from + ((Math.log(Math.max(v, 1)) - a) / (b - a)) * (to - from), ticks: logTicks(Math.exp(a), Math.exp(b)) };
    }
    const margin = (high - low || high || 1) * 0.08;
    const [a, b] = [Math.max(0, low - margin), high + margin];
    return { at: (v) => from + ((v - a) / (b - a)) * (to - from), ticks: ticks(a, b) };
  }
  function ticks(a, b) {
    let step = 10 ** Math.floor(Math.log10((b - a) / 5));
    for (const factor of [2, 2.5, 2]) if ((b - a) / step > 7) step *= factor;
    const all = [];
    for (let at = Math.ceil(a / step) * step; at <= b; at += step) all.push(at);
    return all;
  }
  function logTicks(a, b) {
    const all = [];
    for (let power = Math.floor(Math.log10(a)); power <= Math.log10(b); power++) {
      for (const digit of [1, 2, 5]) if (digit * 10 ** power >= a && digit * 10 ** power <= b) all.push(digit * 10 ** power);
    }
    return all.length > 1 ? all : ticks(a, b);
  }

  function drawPlot() {
    const { points } = here();
    if (!points.length) {
      byId("plot").replaceChildren(element("p", { className: "quiet" }, "Nothing to draw: no schedule has anything on the NPU."));
      return;
    }
    const x = scale(points.map((p) => p.sram), LEFT, WIDE - RIGHT);
    const y = scale(points.map((p) => p.cycles), HIGH - BOTTOM, TOP);
    const svg = drawn("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": `Cycles against SRAM of ${points.length} schedules` });
    for (const at of x.ticks) {
      svg.append(drawn("line", { class: "axis", x1: x.at(at), x2: x.at(at), y1: TOP, y2: HIGH - BOTTOM }));
      svg.append(drawn("text", { x: x.at(at), y: HIGH - BOTTOM + 18, "text-anchor": "middle" }, bytes(at)));
    }
    for (const at of y.ticks) {
      svg.append(drawn("line", { class: "axis", x1: LEFT, x2: WIDE - RIGHT, y1: y.at(at), y2: y.at(at) }));
      svg.append(drawn("text", { x: LEFT - 8, y: y.at(at) + 4, "text-anchor": "end" }, whole(at)));
    }
    svg.append(drawn("text", { x: (LEFT + WIDE - RIGHT) / 2, y: HIGH - 8, "text-anchor": "middle", class: "name" }, "SRAM as a runtime needs it"));
    svg.append(drawn("text", { x: 14, y: (TOP + HIGH - BOTTOM) / 2, "text-anchor": "middle", class: "name", transform: `rotate(-90 14 ${(TOP + HIGH - BOTTOM) / 2})` }, "cycles"));
    const best = points.filter((p) => p.front);
    // A schedule is there for all who have more memory, until the next one.
    let path = "";
    best.forEach((p, n) => { path += n ? `H${x.at(p.sram)}V${y.at(p.cycles)}` : `M${x.at(p.sram)} ${y.at(p.cycles)}`; });
    if (path) svg.append(drawn("path", { class: "front", d: `${path}H${WIDE - RIGHT}` }));
    const order = [...points.keys()].filter(shown).sort((a, b) => Number(points[a].front) - Number(points[b].front));
    for (const n of order) {
      const p = points[n];
      const off = p.by === 0 && !p.front;
      const node = mark(p.by, x.at(p.sram), y.at(p.cycles), off ? 4 : 6, { class: `mark${off ? " off" : ""}`, "data-point": n });
      node.addEventListener("click", () => choose(n, true));
      node.addEventListener("pointermove", (event) => tell(p, event));
      node.addEventListener("pointerleave", () => { byId("tip").hidden = true; });
      svg.append(node);
      if (p.knee) svg.append(drawn("circle", { class: "knee", cx: x.at(p.sram), cy: y.at(p.cycles), r: 11 }));
    }
    byId("plot").replaceChildren(svg);
  }
  function tell(p, event) {
    const tip = byId("tip");
    tip.replaceChildren(element("b", {}, p.setting), `${bytes(p.sram)} · ${whole(p.cycles)} cycles`);
    tip.hidden = false;
    tip.style.left = `${Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, window.innerHeight - tip.offsetHeight - 8)}px`;
  }

  // Tables ----------------------------------------------------------------------------------------------------------

  const COLUMNS = [
    { key: "setting", name: "schedule", text: true, show: (p) => p.setting },
    { key: "sram", name: "SRAM", show: (p) => whole(p.sram) },
    { key: "cycles", name: "cycles", show: (p) => whole(p.cycles) },
    { key: "low", name: "low end", show: (p) => whole(p.low) },
    { key: "high", name: "high end", show: (p) => whole(p.high) },
    { key: "milliseconds", name: "ms", show: (p) => p.milliseconds.toFixed(3) },
    { key: "gap", name: "× bound", show: (p) => ratio(p.gap) },
    { key: "cpu", name: "on the CPU", show: (p) => whole(p.cpu) },
    { key: "proven", name: "proven", show: (p) => (p.proven ? "yes" : "") },
    { key: "front", name: "front", show: (p) => (p.knee ? "knee" : p.front ? "yes" : "") },
  ];
  let order = [];
  function drawTable() {
    const { points } = here();
    order = [...points.keys()].filter(shown).sort((a, b) => {
      const [one, two] = [points[a][state.by], points[b][state.by]];
      const less = typeof one === "string" ? one.localeCompare(two) : Number(one) - Number(two);
      return (state.falling ? -less : less) || a - b;
    });
    byId("points").tHead.replaceChildren(element("tr", {}, ...COLUMNS.map((column) => {
      const button = element("button", { type: "button" }, column.name);
      button.dataset.key = column.key;
      button.addEventListener("click", () => {
        state.falling = state.by === column.key && !state.falling;
        state.by = column.key;
        drawTable();
        mark_();
      });
      const sorted = state.by === column.key;
      return element("th", { scope: "col", className: `${column.text ? "text" : ""}${sorted ? " sorted" : ""}`, "aria-sort": sorted ? (state.falling ? "descending" : "ascending") : "none" }, button);
    })));
    byId("points").tBodies[0].replaceChildren(...order.map((n) => {
      const line = element("tr", {}, ...COLUMNS.map((column) => element("td", { className: column.text ? "text" : "" }, column.show(points[n]))));
      line.dataset.point = n;
      line.addEventListener("click", () => choose(n, false));
      return line;
    }));
    byId("count").textContent = `${order.length} of ${points.length}`;
  }
  function drawNetworks() {
    byId("overview-card").hidden = fronts.length < 2;
    const names = ["network", "accelerator", "schedules", "least SRAM", "its cycles", "knee", "its cycles", "fewest cycles", "their SRAM"];
    byId("networks").tHead.replaceChildren(element("tr", {}, ...names.map((name, n) => element("th", { scope: "col", className: n < 2 ? "text" : "" }, name))));
    byId("networks").tBodies[0].replaceChildren(...fronts.map((one, n) => {
      const best = one.points.filter((p) => p.front);
      const [first, last, knee] = [best[0], best[best.length - 1], best.find((p) => p.knee)];
      const cells = [one.model, one.accelerator, whole(one.points.filter((p) => p.by === 0).length)];
      for (const p of [first, knee]) cells.push(p ? whole(p.sram) : "", p ? whole(p.cycles) : "");
      cells.push(last ? whole(last.cycles) : "", last ? whole(last.sram) : "");
      const line = element("tr", {}, ...cells.map((text, at) => element("td", { className: at < 2 ? "text" : "" }, text)));
      line.addEventListener("click", () => open_(n));
      return line;
    }));
  }
  function drawFailed() {
    const { failed } = here();
    byId("failed").hidden = !failed.length;
    byId("failures").tBodies[0].replaceChildren(...failed.map((one) => element("tr", {},
      element("td", { className: "text" }, one.setting), element("td", { className: "text wrap" }, one.error))));
  }
  function drawDetail() {
    const p = here().points[state.point];
    if (!p) {
      byId("detail").replaceChildren(element("p", { className: "quiet" }, "Choose a schedule: click it, or step with the arrow keys."));
      return;
    }
    const fact = (name, value) => element("div", {}, element("dt", {}, name), element("dd", {}, value));
    const facts = [fact("SRAM", `${whole(p.sram)} bytes`), fact("cycles", whole(p.cycles)), fact("time", `${p.milliseconds.toFixed(3)} ms`),
      fact("ends of the model", `${whole(p.low)} to ${whole(p.high)}`), fact("bound", `${whole(p.least)}, ${p.leastBy}`),
      fact("compiled by", p.version)];
    if (p.beside !== null) facts.push(fact("ours in no more SRAM", `${p.beside.toFixed(3)} of its cycles`));
    byId("detail").replaceChildren(element("h3", {}, p.setting), element("dl", { className: "facts" }, ...facts));
  }

  // What is chosen --------------------------------------------------------------------------------------------------

  function mark_() {
    for (const line of byId("points").tBodies[0].rows) line.setAttribute("aria-selected", String(Number(line.dataset.point) === state.point));
    for (const node of document.querySelectorAll("#plot .mark")) node.classList.toggle("chosen", Number(node.dataset.point) === state.point);
    [...byId("networks").tBodies[0].rows].forEach((line, n) => line.setAttribute("aria-selected", String(n === state.front)));
  }
  function choose(n, scroll) {
    state.point = n;
    drawDetail();
    mark_();
    const line = byId("points").querySelector('tr[aria-selected="true"]');
    if (scroll && line) line.scrollIntoView({ block: "nearest" });
  }
  function redraw() {
    drawPlot();
    drawTable();
    drawDetail();
    mark_();
  }
  function open_(n) {
    state.front = n;
    state.point = -1;
    const one = here();
    byId("name").textContent = one ? one.model : "Nothing";
    byId("setup").textContent = one ? `${one.accelerator} · sha256 ${one.sha256.slice(0, 16)}… · ${one.points.filter((p) => p.by === 0).length} schedules, ${one.points.filter((p) => p.front).length} on the front` : "";
    if (!one) return;
    drawFailed();
    redraw();
  }
  const toKnee = () => choose(here().points.findIndex((p) => p.knee), true);
  function toggle(name) {
    state[name] = !state[name];
    byId(name).setAttribute("aria-pressed", String(state[name]));
    redraw();
  }
  byId("log").addEventListener("click", () => toggle("log"));
  byId("only").addEventListener("click", () => toggle("only"));
  byId("knee").addEventListener("click", toKnee);
  byId("theme").addEventListener("click", () => setTheme(root.dataset.theme === "dark" ? "light" : "dark"));
  byId("help").addEventListener("click", () => {
    byId("keys").hidden = !byId("keys").hidden;
    byId("help").setAttribute("aria-expanded", String(!byId("keys").hidden));
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !here()) return;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], side = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step && order.length) {
      const at = order.indexOf(state.point);
      choose(order[at < 0 ? (step > 0 ? 0 : order.length - 1) : Math.min(Math.max(at + step, 0), order.length - 1)], true);
    } else if (side) open_(Math.min(Math.max(state.front + side, 0), fronts.length - 1));
    else if (event.key === "k") toKnee();
    else if (event.key === "l") toggle("log");
    else if (event.key === "f") toggle("only");
    else if (event.key === "Escape") choose(-1, false);
    else return;
    event.preventDefault();
  });

  byId("legend").replaceChildren(...compilers.map((name, by) => {
    const svg = drawn("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, mark(by, 7, 7, 4.5, {}));
    return element("span", {}, svg, by ? name : `${name}, with its front; a ring is the knee`);
  }));
  drawNetworks();
  open_(0);
  root.dataset.ready = "";
})();
