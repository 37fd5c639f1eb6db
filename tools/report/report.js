"use strict";
// Shows what the element `data` holds. Times are cycles, sizes bytes; nothing is fetched.
(() => {
  const { files, lines } = JSON.parse(document.getElementById("data").textContent);
  // Of two files the page shows one; which is in its address.
  const SECOND = "#second";
  const which = files.length > 1 && location.hash === SECOND ? 1 : 0;
  const data = files[which];
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  const whole = (n) => Math.round(n).toLocaleString("en-US");
  const percent = (share, digits = 1) => `${(share * 100).toFixed(digits)} %`;
  const causes = Object.keys(data.causes);
  const millis = (cycles) => (cycles / data.clock) * 1000;

  function bytes(n) {
    if (n < 10240) return `${whole(n)} B`;
    return n < 10240 * 1024 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / 1024 / 1024).toFixed(1)} MiB`;
  }
  function time(cycles) {
    const ms = millis(cycles);
    return ms >= 1 ? `${ms.toFixed(2)} ms` : `${(ms * 1000).toFixed(1)} µs`;
  }
  function element(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [key, value] of Object.entries(properties)) {
      if (key === "style" || key.startsWith("aria-") || key === "role" || key === "scope") node.setAttribute(key, value);
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
  const sum = (record) => Object.values(record).reduce((total, n) => total + n, 0);
  const label = (row) => `${row.number === null ? "" : `${row.number} `}${row.type} ${row.tensor}`.trim();

  // Colours ---------------------------------------------------------------------------------------------------------

  let colours = {};
  function readColours() {
    const style = getComputedStyle(root);
    const value = (name) => style.getPropertyValue(name).trim();
    colours = {
      kinds: data.kinds.map((_, n) => value(`--kind-${n}`)),
      causes: causes.map((_, n) => value(`--cause-${n}`)),
    };
    for (const name of ["card", "ink", "quiet", "line", "soft", "accent", "mark", "host"]) colours[name] = value(`--${name}`);
  }
  function setTheme(name) {
    root.dataset.theme = name;
    readColours();
  }
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  setTheme(dark.matches ? "dark" : "light");

  // What is chosen --------------------------------------------------------------------------------------------------

  const state = { level: "planned", row: -1, from: 0, to: Math.max(1, data.cycles), query: "", only: "", by: "cycles", falling: true, colour: "kind" };
  const matches = (row) => {
    const text = `${label(row)} ${row.operators.map((o) => `${o.type} ${o.tensor} ${o.number}`).join(" ")}`.toLowerCase();
    return state.query.toLowerCase().split(/\s+/).every((word) => text.includes(word)) && (!state.only || row.bound === state.only);
  };
  const isFiltered = () => state.query.trim() !== "" || state.only !== "";
  let shown = data.rows.map(() => true);
  const isDim = (row) => (state.row >= 0 ? row !== state.row : isFiltered() && !(row >= 0 && shown[row]));

  function choose(row, { zoom = false, scroll = false } = {}) {
    state.row = row;
    if (row >= 0 && zoom) {
      const { start, end } = data.rows[row];
      const margin = Math.max(8, (end - start) * 0.15);
      look(start - margin, end + margin);
    }
    drawDetail();
    for (const line of byId("operators").tBodies[0].rows) {
      const chosen = Number(line.dataset.row) === row;
      line.setAttribute("aria-selected", String(chosen));
      if (chosen && scroll) line.scrollIntoView({ block: "nearest" });
    }
    for (const circle of document.querySelectorAll("#roofline circle")) {
      circle.classList.toggle("chosen", Number(circle.dataset.row) === row);
    }
    markStages();
    draw();
  }

  // Tiles, and where the time goes ----------------------------------------------------------------------------------

  function drawTop() {
    byId("name").textContent = data.name;
    byId("setup").textContent = `${data.accelerator} · ${data.systemConfig} · ${data.memoryMode} · ${data.clock / 1e6} MHz`;
    const bound = data.bounds.resources[data.bounds.limiting], least = data.least || (data.advice && data.advice.best_cascades);
    const traffic = (port) => data.memories
      .filter((one) => one.port === port)
      .reduce((total, one) => total + (data.traffic[one.area] ? data.traffic[one.area].read + data.traffic[one.area].written : 0), 0);
    const tile = (value, unit, text) => element("div", { className: "tile" },
      element("b", {}, value, element("small", {}, unit)), element("span", {}, text));
    byId("tiles").replaceChildren(
      tile(millis(data.cycles).toFixed(3), "ms", `${whole(data.cycles)} cycles`),
      tile(percent(data.macs / Math.max(1, data.cycles * data.macsPerCycle)), "", `of the MAC array, ${whole(data.macs)} MACs`),
      tile((data.cycles / Math.max(1, bound)).toFixed(2), "× the bound", `${data.bounds.limiting}: ${whole(bound)} cycles`),
      tile((data.sram / 1024).toFixed(1), "KiB", `SRAM; ${bytes(data.peak.bytes)} alive at the peak${least ? `, ${bytes(least)} with the best cascades` : ""}`),
      tile((traffic("Axi1") / 1024).toFixed(0), "KiB", `through port 1 (${data.ports[1]}), ${(traffic("Axi0") / 1024).toFixed(0)} through port 0`),
      tile(String(data.rows.length), "operators", `on the NPU; ${data.host.length} on the CPU`),
    );
    const spent = Object.fromEntries(causes.map((cause) => [cause, 0]));
    const kinds = data.kinds.map(() => 0);
    for (const row of data.rows) {
      for (const [cause, n] of Object.entries(row.causes)) spent[cause] += n;
      const waited = row.causes.transfer || 0;
      kinds[row.kind] += row.cycles - waited;
      kinds[data.kinds.indexOf("transfer")] += waited;
    }
    const bar = (parts) => {
      const total = Math.max(1, parts.reduce((all, part) => all + part.cycles, 0));
      const bar_ = element("div", { className: "bar" });
      const legend = element("div", { className: "legend" });
      for (const { name, cycles, colour } of parts.filter((part) => part.cycles).sort((a, b) => b.cycles - a.cycles)) {
        const text = `${name}: ${percent(cycles / total)}, ${whole(cycles)} cycles`;
        bar_.append(element("i", { title: text, style: `width:${(cycles / total) * 100}%;background:var(${colour})` }));
        legend.append(element("span", {}, element("span", { className: "dot", style: `background:var(${colour})` }), `${name} ${percent(cycles / total)}`));
      }
      return [bar_, legend];
    };
    byId("spent").replaceChildren(
      ...bar(causes.map((cause, n) => ({ name: data.causes[cause], cycles: spent[cause], colour: `--cause-${n}` }))),
      ...bar(data.kinds.map((name, n) => ({ name, cycles: kinds[n], colour: `--kind-${n}` }))),
    );
  }

  // The timeline ----------------------------------------------------------------------------------------------------

  const canvas = byId("timeline"), overview = byId("overview");
  const LEFT = 92, RIGHT = 10, LANE = 26, GAP = 4, TOP = 6, MAP = 300, AXIS = 26;
  const lanes = ["cascades", "kernels", "transfers", "stalls"];
  const mapTop = TOP + lanes.length * (LANE + GAP) + 8;
  const tall = mapTop + MAP + AXIS;
  const events = data.events, lives = data.lives;
  const order = (wanted) => [...events.start.keys()].filter(wanted).sort((a, b) => events.start[a] - events.start[b]);
  const transfer = data.kinds.indexOf("transfer");
  const laneEvents = [null, order((n) => events.kind[n] !== transfer), order((n) => events.kind[n] === transfer)];
  const stalls = [];
  {
    let at = 0;
    for (const n of [...laneEvents[1], -1]) {
      const start = n < 0 ? data.cycles : events.start[n];
      if (start > at) stalls.push([at, start]);
      if (n >= 0) at = Math.max(at, events.end[n]);
    }
  }
  const mostBytes = Math.max(data.sram, ...lives.address.map((address, n) => address + lives.size[n]), 1);
  let wide = 800;
  const x = (t) => LEFT + ((t - state.from) / (state.to - state.from)) * (wide - LEFT - RIGHT);
  const timeAt = (px) => state.from + ((px - LEFT) / (wide - LEFT - RIGHT)) * (state.to - state.from);
  const y = (address) => mapTop + MAP * (1 - address / mostBytes);

  function look(from, to) {
    const span = Math.min(Math.max(to - from, 16), data.cycles || 1);
    const start = Math.min(Math.max(from, 0), Math.max(0, data.cycles - span));
    state.from = start;
    state.to = Math.max(start + span, start + 1);
    draw();
  }
  function zoom(factor, about = (state.from + state.to) / 2) {
    look(about - (about - state.from) * factor, about + (state.to - about) * factor);
  }

  function prepare(target, height) {
    const ratio = window.devicePixelRatio || 1;
    wide = Math.max(320, target.clientWidth);
    if (target.width !== Math.round(wide * ratio) || target.height !== Math.round(height * ratio)) {
      target.width = Math.round(wide * ratio);
      target.height = Math.round(height * ratio);
      target.style.height = `${height}px`;
    }
    const context = target.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, wide, height);
    context.font = "11px system-ui, sans-serif";
    context.textBaseline = "middle";
    return context;
  }
  const colourOf = (kind, cause) => (kind < 0 ? colours.host : state.colour === "cause" && cause >= 0 ? colours.causes[cause] : colours.kinds[kind]);
  const rowCause = (row) => (row < 0 ? -1 : causes.indexOf(data.rows[row].bound));

  function box(context, x0, x1, top, height, colour, text, dim) {
    const left = Math.max(x0, LEFT), right = Math.min(x1, wide - RIGHT);
    if (right < LEFT || left > wide - RIGHT) return;
    const width = Math.max(right - left - (right - left > 3 ? 0.6 : 0), 0.7);
    context.globalAlpha = dim ? 0.16 : 1;
    context.fillStyle = colour;
    context.fillRect(left, top, width, height);
    if (text && width > 34 && height > 11) {
      context.save();
      context.beginPath();
      context.rect(left, top, width - 3, height);
      context.clip();
      context.fillStyle = onTop(colour);
      context.fillText(text, left + 5, top + height / 2 + 0.5);
      context.restore();
    }
    context.globalAlpha = 1;
  }
  const inks = {};
  function onTop(colour) {
    if (!inks[colour]) {
      const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
      inks[colour] = r * 0.299 + g * 0.587 + b * 0.114 > 140 ? "#14171a" : "#ffffff";
    }
    return inks[colour];
  }
  function ticks(from, to, most) {
    let step = 10 ** Math.floor(Math.log10(Math.max(1, (to - from) / most)));
    for (const factor of [2, 2.5, 2]) if ((to - from) / step > most) step *= factor;
    const found = [];
    for (let at = Math.ceil(from / step) * step; at <= to; at += step) found.push(at);
    return found;
  }
  function first(list, from) {
    let low = 0, high = list.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (events.end[list[middle]] <= from) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  let waiting = false;
  function draw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      paint();
    });
  }
  function paint() {
    const context = prepare(canvas, tall);
    context.fillStyle = colours.quiet;
    context.textAlign = "right";
    lanes.forEach((name, n) => context.fillText(name, LEFT - 10, TOP + n * (LANE + GAP) + LANE / 2));
    // Axes
    context.strokeStyle = colours.line;
    context.beginPath();
    for (const at of ticks(0, mostBytes / 1024, 6)) {
      const level = Math.round(y(at * 1024)) + 0.5;
      context.moveTo(LEFT, level);
      context.lineTo(wide - RIGHT, level);
      context.fillText(`${at.toLocaleString("en-US")} KiB`, LEFT - 10, level);
    }
    context.textAlign = "center";
    for (const at of ticks(state.from, state.to, Math.max(3, Math.floor(wide / 130)))) {
      const where = Math.round(x(at)) + 0.5;
      context.moveTo(where, TOP);
      context.lineTo(where, mapTop + MAP + 4);
      context.fillText(`${whole(at)}`, where, mapTop + MAP + 14);
    }
    context.stroke();
    context.textAlign = "left";
    for (const [start, end, name, count] of data.cascades) {
      if (end < state.from || start > state.to) continue;
      box(context, x(start), x(end), TOP, LANE, count > 1 ? colours.line : colours.soft, name, false);
    }
    for (const lane of [1, 2]) {
      const list = laneEvents[lane], top = TOP + lane * (LANE + GAP);
      let drawnTo = -1;
      for (let n = first(list, state.from); n < list.length && events.start[list[n]] < state.to; n++) {
        const event = list[n], x1 = x(events.end[event]);
        // What ends within a pixel that is drawn already cannot be seen, unless it stands out.
        if (x1 - drawnTo < 0.4 && events.row[event] !== state.row) continue;
        const row = events.row[event];
        const cause = lane === 1 ? events.cause[event] : -1;
        box(context, x(events.start[event]), x1, top, LANE, colourOf(events.kind[event], cause), data.rows[row].tensor || data.rows[row].type, isDim(row));
        drawnTo = x1;
      }
    }
    for (const [start, end] of stalls) {
      if (end > state.from && start < state.to) box(context, x(start), x(end), TOP + 3 * (LANE + GAP), LANE, colours.mark, "", false);
    }
    // What the bytes of SRAM hold
    context.save();
    context.beginPath();
    context.rect(LEFT, mapTop, wide - LEFT - RIGHT, MAP + 1);
    context.clip();
    for (let n = 0; n < lives.start.length; n++) {
      if (lives.end[n] < state.from || lives.start[n] > state.to) continue;
      const top = y(lives.address[n] + lives.size[n]), height = y(lives.address[n]) - top;
      const row = lives.row[n];
      box(context, x(lives.start[n]), x(lives.end[n]), top, Math.max(height - (height > 4 ? 0.6 : 0), 0.5), colourOf(lives.kind[n], rowCause(row)), height > 12 ? lives.names[lives.name[n]] : "", isDim(row));
    }
    context.strokeStyle = colours.ink;
    context.lineWidth = 1.2;
    context.beginPath();
    data.heights.forEach(([at, height], n) => {
      if (n) context.lineTo(x(at), y(data.heights[n - 1][1]));
      context.lineTo(x(at), y(height));
    });
    context.stroke();
    context.lineWidth = 1;
    context.restore();
    context.strokeStyle = colours.mark;
    context.setLineDash([4, 3]);
    context.beginPath();
    const peak = x(data.peak.cycle);
    if (peak >= LEFT && peak <= wide - RIGHT) {
      context.moveTo(peak, TOP);
      context.lineTo(peak, mapTop + MAP);
    }
    context.stroke();
    context.setLineDash([]);
    context.fillStyle = colours.quiet;
    context.strokeStyle = colours.quiet;
    context.beginPath();
    for (const program of data.programs.slice(1)) {
      const where = x(program.start);
      if (where < LEFT || where > wide - RIGHT) continue;
      context.moveTo(where, TOP);
      context.lineTo(where, mapTop + MAP);
    }
    context.stroke();
    paintOverview();
  }
  function paintOverview() {
    const height = 40, context = prepare(overview, height);
    const all = (t) => LEFT + (t / Math.max(1, data.cycles)) * (wide - LEFT - RIGHT);
    context.fillStyle = colours.soft;
    context.fillRect(LEFT, 0, wide - LEFT - RIGHT, height);
    context.fillStyle = colours.line;
    context.beginPath();
    context.moveTo(LEFT, height);
    data.heights.forEach(([at, level], n) => {
      if (n) context.lineTo(all(at), height * (1 - data.heights[n - 1][1] / mostBytes));
      context.lineTo(all(at), height * (1 - level / mostBytes));
    });
    context.lineTo(wide - RIGHT, height);
    context.fill();
    let drawnTo = -1;
    for (const event of laneEvents[1]) {
      const x1 = all(events.end[event]);
      if (x1 - drawnTo < 0.4) continue;
      context.globalAlpha = isDim(events.row[event]) ? 0.2 : 1;
      context.fillStyle = colourOf(events.kind[event], events.cause[event]);
      context.fillRect(all(events.start[event]), 0, Math.max(0.7, x1 - all(events.start[event])), 9);
      drawnTo = x1;
    }
    context.globalAlpha = 1;
    context.strokeStyle = colours.accent;
    context.lineWidth = 2;
    context.strokeRect(all(state.from), 1, Math.max(2, all(state.to) - all(state.from)), height - 2);
    context.lineWidth = 1;
    context.fillStyle = colours.quiet;
    context.textAlign = "right";
    context.fillText("all of it", LEFT - 10, height / 2);
    context.textAlign = "left";
  }

  // What lies under the mouse: the number of an event or a life, or nothing.
  function under(px, py) {
    const t = timeAt(px);
    if (px < LEFT || px > wide - RIGHT) return null;
    const slack = (state.to - state.from) / (wide - LEFT - RIGHT);
    const lane = Math.floor((py - TOP) / (LANE + GAP));
    if (py < mapTop) {
      if (lane === 0) {
        const found = data.cascades.find(([start, end]) => start <= t && t <= end);
        return found ? { cascade: found } : null;
      }
      if (lane === 3) {
        const found = stalls.find(([start, end]) => start - slack <= t && t <= end + slack);
        return found ? { stall: found } : null;
      }
      const list = laneEvents[lane];
      if (!list) return null;
      const n = first(list, t - slack);
      return n < list.length && events.start[list[n]] <= t + slack ? { event: list[n], row: events.row[list[n]] } : null;
    }
    const address = (1 - (py - mapTop) / MAP) * mostBytes;
    for (let n = lives.start.length - 1; n >= 0; n--) {
      const inTime = lives.start[n] - slack <= t && t <= lives.end[n] + slack;
      if (inTime && lives.address[n] <= address && address < lives.address[n] + lives.size[n]) return { life: n, row: lives.row[n] };
    }
    return null;
  }
  function describe(hit) {
    if (hit.cascade) {
      const [start, end, name, count] = hit.cascade;
      return [name, count > 1 ? `a cascade of ${count} operators` : "", `cycles ${whole(start)} to ${whole(end)}, ${time(end - start)}`];
    }
    if (hit.stall) return ["No kernel runs", `cycles ${whole(hit.stall[0])} to ${whole(hit.stall[1])}, ${whole(hit.stall[1] - hit.stall[0])}`];
    if (hit.event !== undefined) {
      const n = hit.event, length = events.end[n] - events.start[n];
      const used = events.macs[n] / Math.max(1, length * data.macsPerCycle);
      return [
        events.titles[events.title[n]], label(data.rows[hit.row]),
        `${whole(length)} cycles, ${time(length)}, from ${whole(events.start[n])}`,
        events.kind[n] === transfer ? `${bytes(events.bytes[n])}` : `bound by: ${data.causes[causes[events.cause[n]]]}; ${percent(used, 0)} of the MAC array; ${bytes(events.bytes[n])} moved`,
      ];
    }
    const n = hit.life;
    return [
      lives.names[lives.name[n]], `${bytes(lives.size[n])} at byte ${whole(lives.address[n])}`,
      `needed from cycle ${whole(lives.start[n])} to ${whole(lives.end[n])}`,
    ];
  }
  const tip = byId("tip");
  function showTip(lines, event) {
    const [head, ...rest] = lines;
    tip.replaceChildren(element("b", {}, head), ...rest.filter(Boolean).map((line) => element("div", {}, line)));
    tip.hidden = false;
    const { offsetWidth, offsetHeight } = tip;
    tip.style.left = `${Math.max(4, Math.min(event.clientX + 14, window.innerWidth - offsetWidth - 8))}px`;
    tip.style.top = `${event.clientY + 18 + offsetHeight > window.innerHeight ? event.clientY - offsetHeight - 12 : event.clientY + 18}px`;
  }
  const hideTip = () => { tip.hidden = true; };

  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.focus({ preventScroll: true });
    canvas.setPointerCapture(event.pointerId);
    drag = { at: event.clientX, from: state.from, to: state.to, moved: false };
  });
  canvas.addEventListener("pointermove", (event) => {
    const area = canvas.getBoundingClientRect();
    if (drag) {
      const moved = event.clientX - drag.at;
      if (Math.abs(moved) > 3) drag.moved = true;
      if (!drag.moved) return;
      canvas.classList.add("moving");
      const shift = (moved / (wide - LEFT - RIGHT)) * (drag.to - drag.from);
      look(drag.from - shift, drag.to - shift);
      hideTip();
      return;
    }
    const hit = under(event.clientX - area.left, event.clientY - area.top);
    if (hit) showTip(describe(hit), event);
    else hideTip();
  });
  canvas.addEventListener("pointerup", (event) => {
    canvas.classList.remove("moving");
    const clicked = drag && !drag.moved;
    drag = null;
    if (!clicked) return;
    const area = canvas.getBoundingClientRect();
    const hit = under(event.clientX - area.left, event.clientY - area.top);
    choose(hit && hit.row !== undefined ? hit.row : -1, { scroll: true });
  });
  canvas.addEventListener("pointerleave", hideTip);
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const area = canvas.getBoundingClientRect();
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey) {
      const shift = ((event.deltaX || event.deltaY) / wide) * (state.to - state.from);
      look(state.from + shift, state.to + shift);
    } else zoom(Math.exp(event.deltaY * 0.0016), timeAt(event.clientX - area.left));
  }, { passive: false });
  canvas.addEventListener("dblclick", (event) => zoom(0.4, timeAt(event.clientX - canvas.getBoundingClientRect().left)));
  const moveTo = (event) => {
    const area = overview.getBoundingClientRect(), half = (state.to - state.from) / 2;
    const t = ((event.clientX - area.left - LEFT) / (wide - LEFT - RIGHT)) * data.cycles;
    look(t - half, t + half);
  };
  overview.addEventListener("pointerdown", (event) => { overview.setPointerCapture(event.pointerId); moveTo(event); });
  overview.addEventListener("pointermove", (event) => { if (event.buttons) moveTo(event); });

  function drawLegend() {
    const names = state.colour === "kind"
      ? [...data.kinds.map((name, n) => [name, `--kind-${n}`]), ["from the host", "--host"]]
      : causes.filter((cause) => data.rows.some((row) => row.causes[cause])).map((cause) => [data.causes[cause], `--cause-${causes.indexOf(cause)}`]);
    byId("legend").replaceChildren(...names.map(([name, colour]) => element("span", {}, element("span", { className: "dot", style: `background:var(${colour})` }), name)));
  }

  // The chosen operator ---------------------------------------------------------------------------------------------

  function drawDetail() {
    const place = byId("detail");
    if (state.row < 0) {
      place.replaceChildren(element("p", { className: "quiet" }, "Choose an operator here or in the table. Wheel or + and − zoom, drag or arrows move; the red line is the peak of SRAM."));
      return;
    }
    const row = data.rows[state.row];
    const facts = [
      ["cycles", `${whole(row.cycles)} (${percent(row.share)})`], ["time", time(row.cycles)],
      ["bound by", data.causes[row.bound]], ["MACs", whole(row.macs)], ["MAC array used", percent(row.utilisation)],
      ["launches", `${row.launches}${row.transfers ? ` and ${row.transfers} transfers` : ""}`],
      ["read", Object.entries(row.read).map(([area, n]) => `${bytes(n)} ${area}`).join(", ") || "nothing"],
      ["written", Object.entries(row.written).map(([area, n]) => `${bytes(n)} ${area}`).join(", ") || "nothing"],
      ["holds of SRAM", bytes(row.sram_holds)], ["SRAM alive meanwhile", bytes(row.sram_alive)],
    ];
    const others = row.operators.slice(1);
    if (others.length) facts.push(["fused into it", others.map((o) => `${o.number} ${o.type}`).join(", ")]);
    const total = Math.max(1, row.cycles);
    const bar = element("div", { className: "bar", style: "height:10px" });
    for (const [cause, n] of Object.entries(row.causes).sort((a, b) => b[1] - a[1])) {
      bar.append(element("i", { title: `${data.causes[cause]}: ${whole(n)} cycles`, style: `width:${(n / total) * 100}%;background:var(--cause-${causes.indexOf(cause)})` }));
    }
    const spent = Object.entries(row.causes).sort((a, b) => b[1] - a[1]).map(([cause, n]) => `${data.causes[cause]} ${percent(n / total, 0)}`).join(" · ");
    place.replaceChildren(
      element("h3", {}, element("span", { className: "dot", style: `background:var(--kind-${row.kind})` }), label(row)),
      bar, element("p", { className: "quiet", style: "margin:0 0 8px" }, spent),
      element("dl", { className: "facts", style: "margin:0" }, ...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)))),
      ...irOf(row),
    );
  }
  // The IR of an operator, a level at a time, where the page comes with a compile.
  function irOf(row) {
    if (!data.levels) return [];
    const known = row.operators.map((o) => data.levels[`${o.subgraph}:${o.number}`]).filter(Boolean);
    const names = data.levelNames.filter((name) => known.some((levels) => levels[name]));
    if (!names.length) return [];
    const text = element("pre", { tabIndex: 0 });
    const tabs = element("div", { className: "tabs", role: "tablist", "aria-label": "Level of the IR" });
    const show = (name) => {
      for (const tab of tabs.children) tab.setAttribute("aria-selected", String(tab.dataset.level === name));
      text.textContent = [...new Set(known.flatMap((levels) => levels[name] || []))].join("\n");
    };
    for (const name of names) {
      const tab = element("button", { type: "button", role: "tab" }, name);
      tab.dataset.level = name;
      tab.addEventListener("click", () => { state.level = name; show(name); });
      tabs.append(tab);
    }
    show(names.includes(state.level) ? state.level : names[0]);
    return [element("div", { className: "ir" }, tabs, text)];
  }

  // The table -------------------------------------------------------------------------------------------------------

  const columns = [
    { key: "order", title: "#", value: (row) => (row.number === null ? 1e9 : row.number), show: (row) => (row.number === null ? "" : String(row.number)) },
    { key: "name", title: "operator", text: true, value: (row) => `${row.type} ${row.tensor}` },
    { key: "cycles", title: "cycles", value: (row) => row.cycles, show: (row) => whole(row.cycles) },
    { key: "share", title: "share", value: (row) => row.share },
    { key: "used", title: "MACs used", value: (row) => row.utilisation, show: (row) => percent(row.utilisation, 0) },
    { key: "bound", title: "bound by", text: true, value: (row) => data.causes[row.bound], show: (row) => data.causes[row.bound] },
    { key: "read", title: "read", value: (row) => sum(row.read), show: (row) => bytes(sum(row.read)) },
    { key: "written", title: "written", value: (row) => sum(row.written), show: (row) => bytes(sum(row.written)) },
    { key: "launches", title: "launches", value: (row) => row.launches, show: (row) => String(row.launches) },
    { key: "transfers", title: "transfers", value: (row) => row.transfers, show: (row) => (row.transfers ? String(row.transfers) : "") },
    { key: "sram", title: "SRAM", value: (row) => row.sram_holds, show: (row) => bytes(row.sram_holds) },
  ];
  function drawTable() {
    const table = byId("operators");
    const head = element("tr");
    for (const column of columns) {
      const sorted = state.by === column.key;
      const cell = element("th", { scope: "col", className: `${column.text ? "text" : ""} ${sorted ? "sorted" : ""}`, "aria-sort": sorted ? (state.falling ? "descending" : "ascending") : "none" });
      const button = element("button", { type: "button" }, `${column.title}${sorted ? (state.falling ? " ↓" : " ↑") : ""}`);
      button.dataset.key = column.key;
      button.addEventListener("click", () => {
        state.falling = sorted ? !state.falling : !column.text && column.key !== "order";
        state.by = column.key;
        drawTable();
        table.querySelector(`button[data-key="${column.key}"]`).focus();
      });
      cell.append(button);
      head.append(cell);
    }
    table.tHead.replaceChildren(head);
    const by = columns.find((column) => column.key === state.by);
    const sign = state.falling ? -1 : 1;
    const numbers = [...data.rows.keys()].filter((n) => shown[n]).sort((a, b) => {
      const [one, other] = [by.value(data.rows[a]), by.value(data.rows[b])];
      return (one < other ? -1 : one > other ? 1 : 0) * sign || a - b;
    });
    const most = Math.max(...data.rows.map((row) => row.share), 1e-9);
    table.tBodies[0].replaceChildren(...numbers.map((n) => {
      const row = data.rows[n];
      const line = element("tr", { tabIndex: 0, "aria-selected": String(n === state.row) });
      line.dataset.row = n;
      for (const column of columns) {
        const cell = element("td", { className: column.text ? "text" : "" });
        if (column.key === "name") {
          cell.className = "text name";
          cell.title = label(row);
          cell.append(element("span", { className: "dot", style: `background:var(--kind-${row.kind})` }), `${row.type} `, element("span", { className: "quiet" }, row.number === null && row.type === row.tensor ? "" : row.tensor));
        } else if (column.key === "share") {
          cell.className = "share";
          cell.append(element("i", { style: `width:calc(${(row.share / most) * 100}% - 8px);background:var(--kind-${row.kind})` }), element("span", {}, percent(row.share)));
        } else cell.textContent = column.show(row);
        line.append(cell);
      }
      line.addEventListener("click", () => choose(n === state.row ? -1 : n));
      line.addEventListener("dblclick", () => choose(n, { zoom: true }));
      line.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          choose(n === state.row ? -1 : n);
        }
      });
      return line;
    }));
    const of = (value) => numbers.reduce((total, n) => total + value(data.rows[n]), 0);
    const cycles = of((row) => row.cycles);
    const totals = {
      name: "all of these", cycles: whole(cycles), share: percent(cycles / Math.max(1, data.cycles)),
      used: percent(of((row) => row.macs) / Math.max(1, cycles * data.macsPerCycle), 0), read: bytes(of((row) => sum(row.read))),
      written: bytes(of((row) => sum(row.written))), launches: String(of((row) => row.launches)), transfers: String(of((row) => row.transfers)),
    };
    table.tFoot.replaceChildren(element("tr", {}, ...columns.map((column) => element("td", { className: column.text ? "text" : "" }, totals[column.key] || ""))));
    byId("count").textContent = isFiltered() ? `${numbers.length} of ${data.rows.length}` : `${data.rows.length}`;
  }
  function drawFilters() {
    const used = causes.filter((cause) => data.rows.some((row) => row.bound === cause));
    byId("filters").replaceChildren(...used.map((cause) => {
      const count = data.rows.filter((row) => row.bound === cause).length;
      const button = element("button", { type: "button", "aria-pressed": String(state.only === cause) },
        element("span", { className: "dot", style: `background:var(--cause-${causes.indexOf(cause)})` }), `${data.causes[cause]} ${count}`);
      button.addEventListener("click", () => {
        state.only = state.only === cause ? "" : cause;
        filter();
      });
      return button;
    }));
  }
  function filter() {
    shown = data.rows.map(matches);
    if (state.row >= 0 && !shown[state.row]) state.row = -1;
    drawFilters();
    drawTable();
    drawDetail();
    markStages();
    for (const circle of document.querySelectorAll("#roofline circle")) circle.classList.toggle("dim", !shown[Number(circle.dataset.row)]);
    draw();
  }

  // Two files -------------------------------------------------------------------------------------------------------

  function drawBoth() {
    byId("both").hidden = files.length < 2;
    if (files.length < 2) return;
    const [first, second] = files;
    byId("ratio").textContent = `${whole(first.cycles)} and ${whole(second.cycles)} cycles, ${(second.cycles / Math.max(1, first.cycles)).toFixed(3)} times as many; ${bytes(first.sram)} and ${bytes(second.sram)} of SRAM`;
    byId("switch").replaceChildren(...files.map((file, n) => {
      const button = element("button", { type: "button", "aria-pressed": String(n === which) }, `${n ? "second" : "first"}: ${file.name}`);
      button.addEventListener("click", () => {
        if (n === which) return;
        location.hash = n ? SECOND : "#first";
        location.reload();
      });
      return button;
    }));
    drawBeside();
    const table = byId("lines");
    const titles = ["operator", "first", "second", "second takes", "first bound by", "second bound by"];
    const isText = (n) => n === 0 || n > 3;
    table.tHead.replaceChildren(element("tr", {}, ...titles.map((title, n) => element("th", { scope: "col", className: isText(n) ? "text" : "" }, title))));
    const change = (line) => line.cycles[1] - line.cycles[0];
    const most = Math.max(...lines.map((line) => Math.abs(change(line))), 1);
    const signed = (n) => `${n > 0 ? "+" : n < 0 ? "−" : "±"}${whole(Math.abs(n))}`;
    const bound = (n, numbers) => (numbers.length ? data.causes[files[n].rows[numbers.reduce((a, b) => (files[n].rows[b].cycles > files[n].rows[a].cycles ? b : a))].bound] : "not there");
    table.tBodies[0].replaceChildren(...lines.map((line) => {
      const difference = change(line), width = (Math.abs(difference) / most) * 50;
      const bar = element("td", { className: "change" },
        element("i", { style: `width:${width}%;${difference > 0 ? "left:50%" : "right:50%"};background:var(${difference > 0 ? "--kind-4" : "--kind-0"})` }), element("span", {}, signed(difference)));
      const row = element("tr", { tabIndex: 0 },
        element("td", { className: "text name", title: line.name }, line.name), element("td", {}, whole(line.cycles[0])), element("td", {}, whole(line.cycles[1])), bar,
        ...[0, 1].map((n) => element("td", { className: "text" }, bound(n, line.rows[n]))));
      const show = () => { if (line.rows[which].length) choose(line.rows[which][0], { scroll: true }); };
      row.addEventListener("click", show);
      row.addEventListener("keydown", (event) => { if (event.key === "Enter") show(); });
      return row;
    }));
    const total = element("td", { className: "change" }, signed(second.cycles - first.cycles));
    table.tFoot.replaceChildren(element("tr", {}, element("td", { className: "text" }, "all"), element("td", {}, whole(first.cycles)), element("td", {}, whole(second.cycles)), total, element("td"), element("td")));
  }

  // Each file for itself, on one scale, beside the other.
  function drawBeside() {
    const longest = Math.max(...files.map((file) => file.cycles), 1), most = Math.max(...files.map((file) => file.sram), 1);
    byId("beside").replaceChildren(...files.map((file, n) => {
      const W = 600, LANE_ = 12, H = 92;
      const svg = drawn("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `Kernels and SRAM of ${file.name} over time` });
      const fx = (t) => (t / longest) * W, fy = (size) => H - (size / most) * (H - LANE_ - 4);
      let path = `M0,${H}`, level = H, reached = -1;
      for (const [at, height] of file.heights) {
        path += ` L${fx(at).toFixed(1)},${level.toFixed(1)}`;
        level = fy(height);
        path += ` L${fx(at).toFixed(1)},${level.toFixed(1)}`;
      }
      svg.append(drawn("path", { d: `${path} L${fx(file.cycles)},${level} L${fx(file.cycles)},${H} Z`, style: "fill:var(--line)" }));
      const numbers = [...file.events.start.keys()].filter((e) => file.events.kind[e] !== transfer).sort((a, b) => file.events.start[a] - file.events.start[b]);
      for (let k = 0; k < numbers.length;) {
        // Neighbours of one kind are one box.
        const kind = file.events.kind[numbers[k]], start = file.events.start[numbers[k]];
        let end = file.events.end[numbers[k]];
        for (k += 1; k < numbers.length && file.events.kind[numbers[k]] === kind && file.events.start[numbers[k]] <= end + longest / W / 2; k++) end = file.events.end[numbers[k]];
        if (fx(end) - reached < 0.3) continue;
        reached = fx(end);
        svg.append(drawn("rect", { x: fx(start).toFixed(2), width: Math.max(0.4, fx(end) - fx(start)).toFixed(2), y: 0, height: LANE_, style: `fill:var(--kind-${kind})` }));
      }
      const spent = {};
      for (const row of file.rows) for (const [cause, cycles] of Object.entries(row.causes)) spent[cause] = (spent[cause] || 0) + cycles;
      const reasons = Object.entries(spent).sort((a, b) => b[1] - a[1]).slice(0, 4).map(([cause, cycles]) => `${data.causes[cause]} ${percent(cycles / Math.max(1, file.cycles), 0)}`).join(" · ");
      const held = file.peak.held.slice(0, 3).map(([name, , size]) => `${name} ${bytes(size)}`).join(" · ");
      return element("div", { className: "side" }, element("h3", {}, `${n ? "second" : "first"}: ${file.name}`), svg,
        element("p", {}, `${whole(file.cycles)} cycles: ${reasons}`),
        element("p", {}, `${bytes(file.sram)} of SRAM, at the peak: ${held}`),
        element("p", { className: "quiet" }, file.host.length ? `${file.host.length} operators on the CPU: ${file.host.slice(0, 6).map((op) => `${op.number} ${op.type}`).join(", ")}${file.host.length > 6 ? " ..." : ""}` : "nothing on the CPU"));
    }));
  }

  // What would change it, and the schedule --------------------------------------------------------------------------

  function drawAdvice() {
    byId("advice").hidden = !data.advice;
    if (!data.advice) return;
    const { levers, tried, cycles, sram_bytes: sram } = data.advice;
    byId("tried").textContent = levers.length ? `each compiled, of ${tried} tried; what would lower cycles or SRAM` : `of ${tried} that were compiled none lowers cycles or SRAM`;
    const table = byId("levers");
    const cells = (tag, values) => element("tr", {}, ...values.map((value, n) => element(tag, { className: n ? "" : "text" }, value)));
    const change = (now, then) => `${now < then ? "−" : "+"}${(Math.abs(now - then) / Math.max(1, then) * 100).toFixed(1)} %`;
    table.tHead.replaceChildren(cells("th", ["lever", "cycles", "", "SRAM", ""]));
    table.tBodies[0].replaceChildren(...levers.map((lever) => {
      const line = cells("td", [lever.what, whole(lever.cycles), change(lever.cycles, cycles), bytes(lever.sram_bytes), change(lever.sram_bytes, sram)]);
      for (const [at, better] of [[2, lever.cycles < cycles], [4, lever.sram_bytes < sram]]) if (better) line.cells[at].style.fontWeight = "700";
      return line;
    }));
  }
  function drawSchedule() {
    byId("schedule").replaceChildren(...data.schedule.map((group) => element("div", { className: `group ${group.members.length > 1 ? "together" : ""}`, role: "group", "aria-label": group.name },
      ...group.members.map((member) => {
        const row = data.rows[member.row], rows_ = member.stripes.reduce((total, n) => total + n, 0);
        const bands = element("span", { className: "bands" }, ...member.stripes.map((n) => element("i", { style: `flex:${n} 1 0;background:var(--kind-${row.kind})` })));
        const buffers = element("span", { className: "buffers" }, ...member.buffers.slice(0, 6).map(() => element("i")));
        const stage = element("button", { type: "button", className: "stage", "aria-pressed": "false" }, bands, buffers, element("b", {}, row.number === null ? "·" : String(row.number)));
        stage.dataset.row = member.row;
        const made = sum(row.written), most = Math.max(...member.stripes, 0);
        const lines_ = [label(row), `${member.launches} ${member.launches === 1 ? "launch" : `launches of up to ${most} rows`}${member.launches > member.stripes.length ? `, the first ${member.stripes.length} drawn` : `, ${rows_} rows`}`,
          row.sram_holds < made ? `keeps ${bytes(row.sram_holds)} of ${bytes(made)} that it makes` : `keeps ${bytes(row.sram_holds)}`,
          member.buffers.length ? `buffers: ${member.buffers.slice(0, 6).map(bytes).join(", ")}` : "no buffers", group.members.length > 1 ? `in a cascade of ${group.members.length}; ${bytes(group.alive)} alive meanwhile` : ""];
        stage.setAttribute("aria-label", lines_.filter(Boolean).join(", "));
        stage.addEventListener("click", () => choose(member.row === state.row ? -1 : member.row, { scroll: true }));
        stage.addEventListener("pointermove", (event) => showTip(lines_, event));
        stage.addEventListener("pointerleave", hideTip);
        return stage;
      }))));
  }
  function markStages() {
    for (const stage of document.querySelectorAll("#schedule .stage")) {
      const row = Number(stage.dataset.row);
      stage.setAttribute("aria-pressed", String(row === state.row));
      stage.classList.toggle("dim", isFiltered() && !shown[row]);
    }
  }

  // Roofline --------------------------------------------------------------------------------------------------------

  function drawRoofline() {
    const place = byId("roofline"), select = byId("memory");
    const memories = [...new Map(data.memories.filter((one) => data.traffic[one.area]).map((one) => [one.name, one])).values()];
    if (!select.options.length) {
      for (const one of memories) select.append(element("option", { value: one.name }, one.name));
      const slowest = memories.reduce((least, one) => (one.rate < least.rate ? one : least), memories[0]);
      if (slowest) select.value = slowest.name;
    }
    const memory = memories.find((one) => one.name === select.value);
    const moved = (row) => data.memories.filter((one) => memory && one.name === memory.name)
      .reduce((total, one) => total + (row.read[one.area] || 0) + (row.written[one.area] || 0), 0);
    const points = data.rows.map((row, n) => ({ n, row, intensity: row.macs / Math.max(1, moved(row)), rate: row.macs / Math.max(1, row.cycles), bytes: moved(row) }))
      .filter((point) => point.row.macs && point.bytes);
    if (!points.length) {
      place.replaceChildren(element("p", { className: "quiet" }, "No operator has both MACs and traffic here."));
      return;
    }
    const W = 620, H = 330, left = 52, bottom = 34, top = 12, right = 14;
    const ridge = data.macsPerCycle / memory.rate;
    const xs = points.map((point) => point.intensity).concat(ridge), ys = points.map((point) => point.rate).concat(data.macsPerCycle);
    const [x0, x1] = [Math.floor(Math.log10(Math.min(...xs))), Math.ceil(Math.log10(Math.max(...xs) * 1.2))];
    const [y0, y1] = [Math.floor(Math.log10(Math.min(...ys))), Math.log10(Math.max(...ys) * 1.7)];
    const px = (value) => left + ((Math.log10(value) - x0) / (x1 - x0)) * (W - left - right);
    const py = (value) => H - bottom - ((Math.log10(value) - y0) / (y1 - y0)) * (H - bottom - top);
    const svg = drawn("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `MACs a cycle over MACs a byte of ${memory.name}, both logarithmic` });
    for (let power = x0; power <= x1; power++) {
      svg.append(drawn("line", { class: "axis", x1: px(10 ** power), x2: px(10 ** power), y1: top, y2: H - bottom }),
        drawn("text", { x: px(10 ** power), y: H - bottom + 15, "text-anchor": "middle" }, String(10 ** power >= 1 ? 10 ** power : (10 ** power).toPrecision(1))));
    }
    for (let power = y0; power <= y1; power++) {
      svg.append(drawn("line", { class: "axis", x1: left, x2: W - right, y1: py(10 ** power), y2: py(10 ** power) }),
        drawn("text", { x: left - 6, y: py(10 ** power) + 4, "text-anchor": "end" }, String(10 ** power >= 1 ? 10 ** power : (10 ** power).toPrecision(1))));
    }
    const start = Math.max(10 ** x0, (10 ** y0) / memory.rate);
    svg.append(
      drawn("path", { class: "roof", d: `M${px(start)},${py(start * memory.rate)} L${px(ridge)},${py(data.macsPerCycle)} L${W - right},${py(data.macsPerCycle)}` }),
      drawn("text", { x: W - right, y: py(data.macsPerCycle) - 5, "text-anchor": "end" }, `${data.macsPerCycle} MACs a cycle`),
      drawn("text", { x: W - right, y: H - 4, "text-anchor": "end" }, `MACs a byte of ${memory.name} (${memory.rate.toFixed(2)} bytes a cycle)`),
      drawn("text", { x: 2, y: top - 2 }, "MACs a cycle"),
    );
    const largest = Math.max(...points.map((point) => point.row.cycles));
    for (const { n, row, intensity, rate } of points.sort((a, b) => b.row.cycles - a.row.cycles)) {
      const circle = drawn("circle", { cx: px(intensity), cy: py(rate), r: 3.5 + 11 * Math.sqrt(row.cycles / largest), style: `fill:var(--kind-${row.kind});fill-opacity:0.75`, "data-row": n });
      circle.classList.toggle("chosen", n === state.row);
      circle.classList.toggle("dim", !shown[n]);
      circle.addEventListener("click", () => choose(n, { scroll: true }));
      circle.addEventListener("pointermove", (event) => showTip([label(row), `${rate.toFixed(1)} MACs a cycle, ${percent(rate / data.macsPerCycle, 0)} of the array`, `${intensity.toFixed(1)} MACs a byte of ${memory.name}`, `${whole(row.cycles)} cycles, bound by: ${data.causes[row.bound]}`], event));
      circle.addEventListener("pointerleave", hideTip);
      svg.append(circle);
    }
    const note = points.some((point) => point.rate > 1.02 * Math.min(data.macsPerCycle, point.intensity * memory.rate));
    place.replaceChildren(svg, element("p", { className: "quiet", style: "margin:6px 0 0" }, note ? "Above the roof: what it reads was brought while other operators ran." : ""));
  }

  // The peak, and the CPU -------------------------------------------------------------------------------------------

  function drawPeak() {
    const { held, cycle } = data.peak;
    const most = Math.max(...held.map(([, , size]) => size), 1);
    const list = element("div", { className: "held" });
    for (const [name, address, size] of held.slice(0, 12)) {
      const at = lives.names.indexOf(name);
      const life = lives.name.findIndex((n, k) => n === at && lives.start[k] <= cycle && cycle < lives.end[k]);
      const colour = life >= 0 && lives.kind[life] >= 0 ? `--kind-${lives.kind[life]}` : "--host";
      const what = element("span", { className: "what", title: name }, name);
      list.append(what, element("span", { className: "much" }, `${bytes(size)} at ${whole(address)}`),
        element("div", { className: "track" }, element("i", { style: `width:${(size / most) * 100}%;background:var(${colour})` })));
    }
    const rest = held.slice(12);
    byId("alive").replaceChildren(
      element("p", { className: "quiet", style: "margin:4px 0" }, `${bytes(data.peak.bytes)} in cycle ${whole(cycle)}; ${bytes(data.sram)} of SRAM are used in all.`),
      list, ...(rest.length ? [element("p", { className: "quiet" }, `and ${rest.length} more, ${bytes(rest.reduce((total, one) => total + one[2], 0))}`)] : []),
    );
  }
  function drawHost() {
    byId("host").hidden = !data.host.length;
    const line = (tag, cells) => element("tr", {}, ...cells.map((cell) => element(tag, { className: "text", style: tag === "td" ? "white-space:normal" : "" }, cell)));
    const table = element("table", {}, element("thead", {}, line("th", ["#", "operator", "tensor", "why it is not on the NPU"])),
      element("tbody", {}, ...data.host.map((op) => line("td", [`${op.subgraph ? `${op.subgraph}:` : ""}${op.number}`, op.type, op.tensor, op.reason || "the file does not say"]))));
    byId("host").querySelector(".scroll").replaceChildren(table);
  }

  // All of the page -------------------------------------------------------------------------------------------------

  function step(by) {
    const lines = [...byId("operators").tBodies[0].rows].map((line) => Number(line.dataset.row));
    if (!lines.length) return;
    const at = lines.indexOf(state.row);
    choose(lines[Math.min(Math.max(at + by, 0), lines.length - 1)], { scroll: true });
  }
  const pan = (share) => look(state.from + share * (state.to - state.from), state.to + share * (state.to - state.from));
  function toPeak() {
    const half = Math.min(data.cycles, Math.max(64, data.cycles / 12));
    look(data.peak.cycle - half, data.peak.cycle + half);
  }
  const toRow = () => { if (state.row >= 0) choose(state.row, { zoom: true, scroll: true }); };
  const keys = {
    "+": () => zoom(0.6), "=": () => zoom(0.6), "-": () => zoom(1 / 0.6), "0": () => look(0, data.cycles),
    ArrowLeft: () => pan(-0.15), ArrowRight: () => pan(0.15), ArrowUp: () => step(-1), ArrowDown: () => step(1),
    f: toRow, p: toPeak, "/": () => byId("search").focus(), "?": () => byId("help").click(),
    Escape: () => { byId("search").value = state.query = state.only = ""; filter(); choose(-1); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    if (event.target.tagName === "INPUT") {
      if (event.key === "Enter" && shown.some(Boolean)) choose(shown.indexOf(true), { zoom: true, scroll: true });
      if (event.key !== "Escape") return;
      event.target.blur();
    }
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
  byId("search").addEventListener("input", (event) => { state.query = event.target.value; filter(); });
  byId("in").addEventListener("click", () => zoom(0.6));
  byId("out").addEventListener("click", () => zoom(1 / 0.6));
  byId("all").addEventListener("click", () => look(0, data.cycles));
  byId("peak").addEventListener("click", toPeak);
  byId("colour").addEventListener("change", (event) => { state.colour = event.target.value; drawLegend(); draw(); });
  byId("memory").addEventListener("change", drawRoofline);
  byId("theme").addEventListener("click", () => { setTheme(root.dataset.theme === "dark" ? "light" : "dark"); draw(); });
  byId("help").addEventListener("click", (event) => {
    byId("keys").hidden = !byId("keys").hidden;
    event.currentTarget.setAttribute("aria-expanded", String(!byId("keys").hidden));
  });
  let before = null;
  window.addEventListener("beforeprint", () => { before = root.dataset.theme; setTheme("light"); paint(); });
  window.addEventListener("afterprint", () => { setTheme(before || "light"); paint(); });
  window.addEventListener("resize", draw);
  canvas.setAttribute("aria-label", `Kernels, transfers and stalls over ${whole(data.cycles)} cycles, above what the bytes of SRAM hold. The table below has the same figures.`);
  drawTop();
  drawBoth();
  drawLegend();
  drawPeak();
  drawHost();
  drawAdvice();
  drawSchedule();
  filter();
  drawRoofline();
  paint();
  root.dataset.ready = "yes";
})();
