"use strict";
(() => {
  const theme = JSON.parse(document.getElementById("theme").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const touch = window.matchMedia("(pointer: coarse)");
  const hovers = window.matchMedia("(hover: hover)");
  const drawn = new Set();

  // Figures name light colours; in the dark each is swapped for its partner.
  const swapped = (value) => {
    if (typeof value === "string") return theme.swaps[value] ?? value;
    if (Array.isArray(value)) return value.map(swapped);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, swapped(inner)]));
    }
    return value;
  };

  // Matrices come as counts; the shares of a row are made here.
  const kinds = { u1: Uint8Array, i1: Int8Array, u2: Uint16Array, i2: Int16Array, u4: Uint32Array, i4: Int32Array };
  const rowsOf = (counts) => {
    if (Array.isArray(counts)) return counts;
    const bytes = Uint8Array.from(atob(counts.bdata), (character) => character.charCodeAt(0));
    const all = new kinds[counts.dtype](bytes.buffer);
    const [rows, columns] = counts.shape.split(",").map(Number);
    return Array.from({ length: rows }, (_, row) => all.subarray(row * columns, (row + 1) * columns));
  };
  const withShares = (trace) => {
    const [place, other] = trace.z === "shares" ? ["z", "customdata"] : ["customdata", "z"];
    if (trace[place] !== "shares") return;
    trace[place] = rowsOf(trace[other]).map((own) => {
      const sum = own.reduce((total, count) => total + count, 0);
      return Float32Array.from(own, (count) => (sum ? count / sum : NaN));
    });
  };

  // Above forty arms the others are no traces: a list beside the figure unpacks the one that is asked for.
  const unpacked = (low, high, text, count) => {
    const codes = new Uint16Array(Uint8Array.from(atob(text), (character) => character.charCodeAt(0)).buffer);
    const values = Array.from(codes, (code) => (code > 65534 ? null : low + ((high - low) * code) / 65534));
    return [values.slice(0, count), values.slice(count)];
  };
  const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
  const picked = (picker, [arm, first, lines]) => {
    const looks = lines.map(([metric, dash, n, place, low, high, text], line) => {
      const x = picker.epochs[place];
      const [y, above] = unpacked(low, high, text, x.length);
      const band = above.length ? "<br>95% band [%{customdata}]" : "";
      return {
        x, y, name: escaped(`${arm}, ${metric}`), "line.dash": dash, visible: true,
        text: line ? [] : x.map((_, at) => (at === x.length - 1 ? escaped(arm) : "")),
        customdata: above.map((top, at) => `${(2 * y[at] - top).toPrecision(4)}, ${top.toPrecision(4)}`),
        hovertemplate: `%{fullData.name}, epoch %{x}<br>%{y:.4g} (n=${n})${band}<extra></extra>`,
      };
    });
    const change = Object.fromEntries(Object.keys(looks[0]).map((key) => [key, looks.map((look) => look[key])]));
    return [change, looks.map((_, line) => first + line)];
  };
  const addPicker = (plot, picker) => {
    const there = plot.previousElementSibling;
    if (there?.matches(".picker")) there.value = "";
    if (!picker || there?.matches(".picker")) return;
    const list = document.createElement("select");
    list.className = "picker";
    list.setAttribute("aria-label", "Another arm");
    list.append(new Option("other arms", ""), ...picker.arms.map(([arm], place) => new Option(arm, place)));
    list.addEventListener("change", () => {
      Plotly.restyle(plot, { visible: false }, picker.traces);
      if (list.value) Plotly.restyle(plot, ...picked(picker, picker.arms[list.value]));
    });
    plot.before(list);
  };

  // Plotly is most of a page's script. It is run once a figure is near, after what is on the screen can be used.
  const plotly = document.getElementById("plotly");
  const runPlotly = () => {
    if (typeof Plotly !== "undefined" || !plotly || plotly.src) return;
    const script = document.createElement("script");
    script.textContent = plotly.textContent;
    document.head.append(script);
  };
  const withPlotly = (act) => {
    if (typeof Plotly !== "undefined") act();
    else if (plotly?.src) plotly.addEventListener("load", act);
    else setTimeout(() => { runPlotly(); act(); });
  };

  // A phone has no room for long labels: rows keep the beginning and the end of theirs, and titles of axes are broken into lines.
  const [PHONE, LABEL, TITLE] = [400, 22, 34];
  const shortened = (label) => {
    const letters = `${label}`.match(/&[#\w]+;|./gu) ?? [];
    if (letters.length <= LABEL) return label;
    const head = Math.floor(LABEL / 3);
    return [...letters.slice(0, head), "…", ...letters.slice(head + 1 - LABEL)].join("");
  };
  const fitted = (layout) => {
    for (const [name, axis] of Object.entries(layout)) {
      if (/^yaxis\d*$/.test(name) && axis.ticktext) axis.ticktext = axis.ticktext.map(shortened);
      if (/^xaxis\d*$/.test(name) && axis.title?.text) axis.title.text = axis.title.text.replace(RegExp(`(.{1,${TITLE}})(?: |$)`, "g"), "$1<br>").replace(/<br>$/, "");
    }
  };
  // Plotly sets a title in the middle of its axis, which beside long labels is near the edge.
  const moved = (title, plot) => {
    const [own, all] = [title.getBoundingClientRect(), plot.getBoundingClientRect()];
    const over = Math.max(own.right - all.right + 2, 0) || Math.min(own.left - all.left - 2, 0);
    for (const part of over ? [title, ...title.querySelectorAll("tspan")] : []) {
      if (part.hasAttribute("x")) part.setAttribute("x", part.getAttribute("x") - over);
    }
  };

  const draw = (plot) => {
    if (typeof Plotly === "undefined") return;
    const source = JSON.parse(document.getElementById(`${plot.id}-data`).textContent);
    if (source.of) { // the same matrix, as shares
      const { z, ...rest } = JSON.parse(document.getElementById(`${source.of}-data`).textContent).data[0];
      source.data[0] = { ...rest, customdata: z, ...source.data[0] };
    }
    source.data.filter((trace) => trace.type === "heatmap").forEach(withShares);
    const figure = dark.matches ? swapped(source) : source;
    figure.layout.template = theme[dark.matches ? "dark" : "light"];
    if (touch.matches) figure.layout.dragmode = false; // a finger on a figure scrolls the page
    if (plot.clientWidth < 480 && figure.data[0]?.type === "heatmap") { // a phone: the square needs the room
      figure.data[0].showscale = false;
      figure.layout.height = plot.clientWidth + 30;
      plot.style.minHeight = `${figure.layout.height}px`;
    }
    if (plot.clientWidth < PHONE) fitted(figure.layout);
    const narrow = plot.clientWidth < 900 && figure.layout.meta?.narrow; // small multiples below each other
    for (const [path, value] of Object.entries(narrow || {})) {
      const [name, key] = path.split(".");
      if (key) figure.layout[name][key] = value; else figure.layout[name] = value;
      if (name === "height") plot.style.minHeight = `${value}px`;
    }
    const options = {
      responsive: true,
      displaylogo: false,
      displayModeBar: hovers.matches ? "hover" : false,
      modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
      toImageButtonOptions: { format: "svg", filename: plot.id },
    };
    const picker = source.layout.meta?.picker;
    if (picker) delete figure.layout.meta.picker; // Plotly has no use for it
    addPicker(plot, picker);
    Plotly.react(plot, figure.data, figure.layout, options);
    if (!drawn.has(plot)) plot.on("plotly_afterplot", () => plot.querySelectorAll(".xtitle").forEach((title) => moved(title, plot)));
    plot.querySelectorAll(".xtitle").forEach((title) => moved(title, plot));
    drawn.add(plot);
  };

  // Drawn when first seen: a page of ten tables opens as fast as one of one.
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      watcher.unobserve(entry.target);
      withPlotly(() => draw(entry.target));
    }
  }, { rootMargin: "300px" });
  const plots = document.querySelectorAll(".plot");
  plots.forEach((plot) => watcher.observe(plot));
  dark.addEventListener("change", () => drawn.forEach(draw));
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details.figures-of, details.rows-of").forEach((details) => { details.open = true; });
    runPlotly();
    plots.forEach((plot) => { if (!drawn.has(plot)) draw(plot); });
  });

  // Tooltips: the title attribute is there without scripts; with them, a tap shows it too.
  const tip = document.getElementById("tip");
  const show = (cell, text) => {
    tip.textContent = text;
    tip.hidden = false;
    const at = cell.getBoundingClientRect();
    const left = Math.min(Math.max(8, at.left), window.innerWidth - tip.offsetWidth - 8);
    const below = at.bottom + 6 + tip.offsetHeight < window.innerHeight;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below ? at.bottom + 6 : Math.max(8, at.top - tip.offsetHeight - 6)}px`;
  };
  const hide = () => { tip.hidden = true; };
  const over = (event) => {
    const cell = event.target.closest?.("td");
    let told = cell; // the parts of a column share the tip of the first
    while (told && !told.title && !told.dataset.tip && told.matches(".cells td:is(.delta, .total, .reported):not(.first)")) told = told.previousElementSibling;
    if (told?.title) {
      told.dataset.tip = told.title;
      told.removeAttribute("title");
    }
    if (told?.dataset.tip) show(cell, told.dataset.tip); else hide();
  };
  document.addEventListener("pointerover", over);
  document.addEventListener("click", over);
  document.addEventListener("scroll", hide, { capture: true, passive: true });
  document.addEventListener("keydown", (event) => { if (event.key === "Escape") hide(); });

  // Sorting: a column by its numbers, the third click brings the file's order back; unknown comes last.
  const value = (row, place) => (row.cells[place].tagName === "TH" ? row.cells[place].textContent : row.cells[place].dataset.sort);
  const { compare } = new Intl.Collator(); // localeCompare would make one for each comparison
  const compared = (a, b) => {
    if (a === undefined || b === undefined) return (a === undefined) - (b === undefined);
    const [x, y] = [Number(a), Number(b)];
    return Number.isNaN(x) || Number.isNaN(y) ? compare(a, b) : x - y;
  };
  document.querySelectorAll("table.cells").forEach((table) => {
    const body = table.tBodies[0];
    const original = [...body.rows];
    const heads = [...table.querySelectorAll("thead th.label"), ...table.querySelectorAll("thead tr:last-child th")];
    heads.forEach((head, place) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { ascending: "descending", descending: "none" }[head.ariaSort] ?? "ascending";
        heads.forEach((other) => { other.ariaSort = null; });
        const sign = next === "descending" ? -1 : 1;
        const rows = [...original];
        if (next !== "none") {
          head.ariaSort = next;
          const known = new Map(rows.map((row) => [row, value(row, place)])); // read once a row, not once a comparison
          rows.sort((a, b) => {
            const [x, y] = [known.get(a), known.get(b)];
            return x === undefined || y === undefined ? compared(x, y) : sign * compared(x, y);
          });
        }
        const moved = document.createDocumentFragment();
        moved.append(...rows);
        body.append(moved);
        table.dispatchEvent(new Event("sorted"));
      });
    });
  });
})();
