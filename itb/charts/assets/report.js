"use strict";
(() => {
  const DRAWN = 4000; // points per line on the screen at once
  const DAY = 86400000;
  const VIEWS = { f4: Float32Array, f8: Float64Array, u4: Uint32Array };
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const drawn = new Map(); // id -> {spec, node, full, range, log}

  // --- theme -------------------------------------------------------------------------------------------------------
  const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
  let chosen = null;
  try { chosen = localStorage.getItem("itb-theme"); } catch (refused) { /* a file:// page may not keep anything */ }
  const wanted = new URLSearchParams(location.search).get("theme") || chosen;
  root.dataset.theme = wanted === "dark" || (wanted !== "light" && prefersDark.matches) ? "dark" : "light";
  const setTheme = (theme) => { root.dataset.theme = theme; drawn.forEach(paint); };
  prefersDark.addEventListener("change", (event) => { if (!chosen) setTheme(event.matches ? "dark" : "light"); });
  document.getElementById("theme").addEventListener("click", () => {
    chosen = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("itb-theme", chosen); } catch (refused) { /* stays for this visit */ }
    setTheme(chosen);
  });

  // Replace every "var(--name)" in a figure by the theme's value; typed arrays pass through.
  const resolve = (value, style) => {
    if (typeof value === "string") {
      const name = /^var\((--[\w-]+)\)$/.exec(value);
      return name ? style.getPropertyValue(name[1]).trim() : value;
    }
    if (Array.isArray(value)) return value.map((item) => resolve(item, style));
    if (value && typeof value === "object" && !ArrayBuffer.isView(value)) {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, style)]));
    }
    return value;
  };

  // --- data --------------------------------------------------------------------------------------------------------
  const unpack = (packed) => {
    const bytes = Uint8Array.from(atob(packed.bdata), (letter) => letter.charCodeAt(0));
    return new VIEWS[packed.dtype](bytes.buffer);
  };
  const times = (packed) => Float64Array.from(unpack(packed), (seconds) => seconds * 1000);

  const LOAD = {
    line: (trace) => ({ x: times(trace.x), y: unpack(trace.y) }),
    points: (trace) => ({ x: times(trace.x), y: unpack(trace.y), text: trace.text }),
    segments: (trace) => ({ x0: times(trace.x0), x1: times(trace.x1), y0: unpack(trace.y0), y1: unpack(trace.y1) }),
    candles: (trace) => ({ t: times(trace.t), o: unpack(trace.o), h: unpack(trace.h), l: unpack(trace.l), c: unpack(trace.c) }),
  };

  // First position in increasing x that is at or after the value.
  const lowerBound = (x, value) => {
    let low = 0, high = x.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (x[middle] < value) low = middle + 1; else high = middle;
    }
    return low;
  };
  const window_ = (x, [start, stop]) => [Math.max(0, lowerBound(x, start) - 1), Math.min(x.length, lowerBound(x, stop) + 1)];

  const thin = (x, y, first, last) => {
    const count = last - first;
    if (count <= DRAWN) return { x: Array.from(x.subarray(first, last)), y: Array.from(y.subarray(first, last)) };
    const out = { x: [], y: [] };
    const width = Math.ceil(count / (DRAWN / 2));
    const put = (at) => { out.x.push(x[at]); out.y.push(y[at]); };
    for (let start = first; start < last; start += width) {
      let low = start, high = start;
      for (let at = start; at < Math.min(start + width, last); at += 1) {
        if (!(y[at] >= y[low])) low = at;
        if (!(y[at] <= y[high])) high = at;
      }
      put(Math.min(low, high));
      if (low !== high) put(Math.max(low, high));
    }
    return out;
  };

  const SHOW = {
    line: (trace, full, range) => {
      Object.assign(trace, thin(full.x, full.y, ...window_(full.x, range)));
      if (trace.x.length === 1) trace.mode = "markers";
    },
    points: (trace, full, range) => {
      const kept = [];
      for (let at = 0; at < full.x.length; at += 1) if (full.x[at] >= range[0] && full.x[at] <= range[1]) kept.push(at);
      const round = trace.marker.symbol === "circle";
      const size = (kept.length > 250 ? 5 : kept.length > 80 ? 7 : kept.length > 30 ? 9 : 11) + (round ? 0 : 2);
      trace.x = kept.map((at) => full.x[at]);
      trace.y = kept.map((at) => full.y[at]);
      trace.text = kept.map((at) => full.text[at]);
      trace.marker = { ...trace.marker, size, line: { ...trace.marker.line, width: kept.length > 250 ? 0 : 1 }, opacity: kept.length > 250 ? 0.75 : 1 };
    },
    segments: (trace, full, range) => {
      trace.x = [];
      trace.y = [];
      for (let at = 0; at < full.x0.length; at += 1) {
        if (full.x1[at] < range[0] || full.x0[at] > range[1]) continue;
        trace.x.push(full.x0[at], full.x1[at], null);
        trace.y.push(full.y0[at], full.y1[at], null);
      }
    },
    candles: (trace, full, range, width) => {
      const [first, last] = window_(full.t, range);
      const each = Math.max(1, Math.ceil((last - first) / Math.max(60, width / 5)));
      const out = { x: [], open: [], high: [], low: [], close: [] };
      for (let start = first - (first % each); start < last; start += each) {
        const stop = Math.min(start + each, full.t.length);
        let high = -Infinity, low = Infinity;
        for (let at = start; at < stop; at += 1) {
          high = Math.max(high, full.h[at]);
          low = Math.min(low, full.l[at]);
        }
        out.x.push(full.t[start] + ((each - 1) * trace.step) / 2);
        out.open.push(full.o[start]);
        out.high.push(high);
        out.low.push(low);
        out.close.push(full.c[stop - 1]);
      }
      const bars = each * trace.bars;
      const covers = bars > 1 ? `<br>${bars.toLocaleString("en")} bars` : "";
      Object.assign(trace, out, {
        hovertemplate: `open %{open:,.7~r}<br>high %{high:,.7~r}<br>low %{low:,.7~r}<br>close %{close:,.7~r}${covers}<extra></extra>`,
      });
    },
  };

  const pad = ([start, stop]) => (start === stop ? [start - DAY / 2, stop + DAY / 2] : [start, stop]);
  const whole = (full) => pad(full.reduce(([start, stop], data) => {
    const xs = data && (data.t || data.x || data.x0);
    if (!xs || !xs.length) return [start, stop];
    return [Math.min(start, xs[0]), Math.max(stop, xs[xs.length - 1])];
  }, [Infinity, -Infinity]));

  // --- drawing -----------------------------------------------------------------------------------------------------
  function paint(figure) {
    const { spec, node, full, range } = figure;
    const style = getComputedStyle(root);
    const width = node.clientWidth;
    const data = spec.data.map((trace, at) => {
      if (!trace.lod) return { ...trace };
      const shown = { ...trace };
      SHOW[trace.lod](shown, full[at], range, width);
      ["lod", "t", "o", "h", "l", "c", "x0", "x1", "y0", "y1", "step", "bars"].forEach((key) => delete shown[key]);
      return shown;
    });
    const layout = structuredClone(spec.layout);
    layout.dragmode = spec.timeline && !window.matchMedia("(pointer: coarse)").matches ? "zoom" : false;
    if (spec.timeline && Number.isFinite(range[0]) && range[1] > range[0]) {
      layout.xaxis.range = [...range];
      layout.xaxis.autorange = false;
    }
    if (figure.log) layout.yaxis = { ...layout.yaxis, type: "log", dtick: "D2", nticks: 6 };
    const config = { responsive: true, displayModeBar: false, doubleClick: false, showTips: false };
    figure.busy = true;
    return window.Plotly.react(node, resolve(data, style), resolve(layout, style), config).then(() => {
      figure.busy = false;
      if (!figure.listens) listen(figure);
    });
  }

  const asTime = (value) => (typeof value === "number" ? value : Date.parse(`${String(value).replace(" ", "T")}Z`));

  function listen(figure) {
    figure.listens = true;
    if (!figure.spec.timeline) return;
    figure.node.on("plotly_relayout", (change) => {
      if (figure.busy || change["xaxis.range[0]"] === undefined) return;
      show(figure, [asTime(change["xaxis.range[0]"]), asTime(change["xaxis.range[1]"])]);
    });
    figure.node.on("plotly_doubleclick", () => show(figure, whole(figure.full)));
  }

  function show(figure, range, pressed = null) {
    figure.range = range;
    const tools = figure.node.closest("figure").querySelectorAll("[data-days]");
    tools.forEach((button) => button.setAttribute("aria-pressed", String(button === pressed)));
    paint(figure);
  }

  function begin(spec) {
    const node = document.getElementById(spec.id);
    const full = spec.data.map((trace) => (trace.lod ? LOAD[trace.lod](trace) : null));
    const figure = { spec, node, full, range: whole(full), log: false };
    drawn.set(spec.id, figure);
    const block = node.closest("figure");
    block.querySelectorAll("[data-days]").forEach((button) => button.addEventListener("click", () => {
      const [start, stop] = whole(full);
      const days = Number(button.dataset.days);
      show(figure, days ? [Math.max(start, stop - days * DAY), stop] : [start, stop], button);
    }));
    block.querySelectorAll("[data-log]").forEach((button) => button.addEventListener("click", () => {
      figure.log = !figure.log;
      button.setAttribute("aria-pressed", String(figure.log));
      paint(figure);
    }));
    return paint(figure);
  }

  const waiting = new Map(figures.map((spec) => [spec.id, spec]));
  const start = (id) => {
    const spec = waiting.get(id);
    if (!spec) return;
    waiting.delete(id);
    begin(spec);
  };
  const watcher = new IntersectionObserver((seen) => seen.forEach((entry) => {
    if (entry.isIntersecting) { watcher.unobserve(entry.target); start(entry.target.id); }
  }), { rootMargin: "600px" });
  figures.forEach((spec) => watcher.observe(document.getElementById(spec.id)));
  window.addEventListener("beforeprint", () => { setTheme("light"); [...waiting.keys()].forEach(start); });

  // --- navigation --------------------------------------------------------------------------------------------------
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const reader = new IntersectionObserver((seen) => seen.forEach((entry) => {
    if (!entry.isIntersecting) return;
    links.forEach((link, id) => link.classList.toggle("here", id === entry.target.id));
  }), { rootMargin: "-15% 0px -75% 0px" });
  document.querySelectorAll("main > section").forEach((section) => reader.observe(section));
})();
