(() => {
  const held = document.getElementById("drawer-data");
  const known = held ? JSON.parse(held.textContent) : { runs: {}, arms: [], recipes: [], environments: [] };
  const { id = [], ...rest } = known.runs;
  known.runs = id.map((own, place) => ({ id: own, ...Object.fromEntries(Object.entries(rest).map(([key, all]) => [key, all[place]])) }));
  const make = (tag, text, ...inner) => {
    const made = document.createElement(tag);
    if (text) made.textContent = text;
    made.append(...inner);
    return made;
  };
  const button = (text, act) => {
    const made = make("button", text);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  };
  const short = (run) => run.id.slice(0, 12);

  // Copying: the clipboard where there is one, a hidden field elsewhere.
  const say = (who, text) => {
    const before = who.dataset.label ??= who.textContent;
    who.textContent = text;
    setTimeout(() => { who.textContent = before; }, 1500);
  };
  const copy = async (text, who) => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const field = make("textarea", text);
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
    }
    say(who, "copied");
  };

  // The drawer: all that is known of the runs behind a cell.
  const curve = (metric, told) => {
    if (!told) return null;
    const [low, high, packed] = told;
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const codes = new Uint16Array(bytes.buffer);
    if (codes.length < 2) return null;
    const points = [...codes].map((code, place) => [place, code]).filter(([, code]) => code < 65535);
    const x = (place) => 4 + (212 * place) / (codes.length - 1);
    const y = (code) => 46 - (42 * code) / 65534;
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", "curve");
    svg.setAttribute("viewBox", "0 0 220 50");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `${metric} by epoch, from ${low.toPrecision(4)} to ${high.toPrecision(4)}`);
    const line = document.createElementNS("http://www.w3.org/2000/svg", "polyline");
    line.setAttribute("points", points.map(([place, code]) => `${x(place).toFixed(1)},${y(code).toFixed(1)}`).join(" "));
    svg.append(line);
    return make("div", "", svg, make("span", `${metric}: ${low.toPrecision(4)} to ${high.toPrecision(4)}, ${codes.length} epochs`));
  };
  const pairs = (list) => make("dl", "", ...list.flatMap(([name, value]) => [make("dt", name), make("dd", value)]));
  const folded = (title, inner) => make("details", "", make("summary", title), inner);
  const commands = (run) => {
    const lines = [`ablate runs show ${short(run)}`];
    if (known.again && run.state === "done") lines.push(`${known.again} --run ${short(run)}`);
    return make("div", "", ...lines.map((line) => {
      const copied = button("copy", () => copy(line, copied));
      return make("p", "", make("code", line), " ", copied);
    }));
  };
  const matrix = ({ split, classes, counts }) => {
    const line = (name, row) => make("tr", "", make("th", name), ...row.map((count) => make("td", `${count}`)));
    const head = make("tr", "", make("th", "true \\ predicted"), ...classes.map((name) => make("th", name)));
    return folded(`confusion matrix, ${split}`, make("table", "", make("thead", "", head), make("tbody", "", ...counts.map((row, place) => line(classes[place], row)))));
  };
  const mistaken = (run, { split, classes, pairs, kinds, images }) => {
    const rows = pairs.map(([truth, predicted, count, share]) => make("tr", "", make("th", truth), make("td", predicted), make("td", `${count}`), make("td", share)));
    const head = make("tr", "", ...["true class", "taken for", "times", "of the class"].map((name) => make("th", name)));
    const rest = pairs.length < kinds ? `These are ${pairs.length} of ${kinds} kinds of mistakes, ${pairs.reduce((sum, pair) => sum + pair[2], 0)} of ${images} in all. ` : "";
    const told = make("p", `${rest}The whole matrix of ${classes} classes: `, make("code", `ablate runs show ${short(run)} --json`));
    const table = pairs.length ? [make("table", "", make("thead", "", head), make("tbody", "", ...rows))] : [make("p", "No mistake.")];
    return folded(`most frequent mistakes, ${split}`, make("div", "", ...table, told));
  };
  const detailed = (run) => {
    const { log, curves, matrices, mistakes } = run.details;
    const drawn = curves.map(([name, told]) => curve(name, told)).filter(Boolean);
    const found = drawn.length ? [folded("other curves", make("div", "", ...drawn))] : [];
    return [...found, ...matrices.map(matrix), ...mistakes.map((one) => mistaken(run, one)), ...(log ? [folded("end of the log", make("pre", log))] : [])];
  };
  const recipe = (arm) => {
    const own = new Map(known.recipes[arm.recipe]);
    arm.differs.forEach(([path, , value]) => own.set(path, value));
    return [...own];
  };
  const card = (run) => {
    const arm = known.arms[run.arm];
    const state = `${run.state}${run.mark ? `, ${run.mark}` : ""}, ${run.time}`;
    const box = make("section", "", make("h3", `seed ${run.seed}: ${short(run)}`), make("p", state));
    box.id = `run-${short(run)}`;
    for (const [number, how, took, error] of run.attempts) {
      if (run.attempts.length > 1 || error) box.append(make("p", `attempt ${number}: ${how}, ${took}${error ? `: ${error}` : ""}`));
    }
    const drawn = curve(known.metric, run.curve);
    if (drawn) box.append(drawn);
    box.append(pairs(run.metrics), commands(run));
    box.append(folded("recipe", pairs(recipe(arm))), folded("environment", pairs(known.environments[run.env] ?? [])));
    if (run.details) box.append(...detailed(run));
    return box;
  };
  const drawer = document.getElementById("drawer");
  const open = (title, places) => {
    const runs = places.map((place) => known.runs[place]).filter(Boolean);
    if (!runs.length) return;
    const close = button("Close", () => drawer.close());
    drawer.replaceChildren(make("header", "", make("h2", title), close));
    const arms = [...new Set(runs.map((run) => run.arm))];
    for (const place of arms.slice(0, 3)) {
      const { differs, places: where } = known.arms[place];
      if (where.length) drawer.append(make("p", where.join(", ")));
      if (differs.length) {
        const rows = differs.map(([path, base, own]) => make("tr", "", make("th", path), make("td", base), make("td", own)));
        const head = make("tr", "", make("th", "setting"), make("th", "baseline"), make("th", "here"));
        drawer.append(make("table", "", make("thead", "", head), make("tbody", "", ...rows)));
      }
    }
    const shown = runs.slice(0, 20);
    if (shown.length < runs.length) drawer.append(make("p", `The first ${shown.length} of ${runs.length} runs:`));
    drawer.append(...shown.map(card));
    drawer.showModal();
    drawer.scrollTop = 0;
  };
  drawer?.addEventListener("click", (event) => { if (event.target === drawer) drawer.close(); });
  const openCell = (cell) => {
    const labels = [...cell.parentElement.querySelectorAll("th.label")].map((label) => label.textContent);
    open(labels.join(" / "), cell.dataset.runs.split(" ").flatMap((range) => {
      const [first, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, place) => first + place);
    }));
  };
  document.addEventListener("click", (event) => {
    const cell = event.target.closest?.("td[data-runs]");
    if (cell) openCell(cell);
    const row = event.target.closest?.("tr[data-run]");
    if (row) open(`run ${short(known.runs[row.dataset.run])}`, [Number(row.dataset.run)]);
  });

  // With the keyboard: Tab reaches a table, arrows move through it, Enter opens.
  const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  document.querySelectorAll("table.cells tbody").forEach((body) => {
    const first = body.querySelector("td[data-runs]");
    if (first) first.tabIndex = 0;
    body.addEventListener("keydown", (event) => {
      const cell = event.target.closest("td[data-runs]");
      if (!cell) return;
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        openCell(cell);
      }
      if (!move[event.key]) return;
      event.preventDefault();
      const [down, right] = move[event.key];
      const rows = [...body.rows].filter((row) => row.checkVisibility());
      const cells = (row) => [...row.querySelectorAll("td[data-runs]")];
      const column = cells(cell.parentElement).indexOf(cell) + right;
      let place = rows.indexOf(cell.parentElement) + down;
      while (down && rows[place] && !cells(rows[place]).length) place += down;
      const next = rows[place] && cells(rows[place])[Math.max(0, column)];
      if (!next) return;
      cell.tabIndex = -1;
      next.tabIndex = 0;
      next.focus();
    });
  });

  // Above a table: search, a choice for each factor, and what can be copied.
  const words = (cell) => [...cell.childNodes].map((node) => node.textContent.trim()).filter(Boolean).join(" ");
  const lines = (table) => {
    const groups = [...table.querySelectorAll("thead tr:first-child th.group")].flatMap((head) => Array(head.colSpan).fill(words(head)));
    const heads = [...table.querySelectorAll("thead tr:last-child th")].map((head, place) => `${groups[place]} ${words(head)}`);
    const labels = [...table.querySelectorAll("thead th.label")].map(words);
    const rows = [...table.tBodies[0].rows].filter((row) => !row.hidden);
    return [[...labels, ...heads], ...rows.map((row) => [...row.cells].map(words))];
  };
  const markdown = (table) => {
    const [head, ...rows] = lines(table).map((line) => line.map((text) => text.replaceAll("|", "\\|")));
    return [head, head.map(() => "---"), ...rows].map((line) => `| ${line.join(" | ")} |`).join("\n");
  };
  const escapes = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "−": "$-$", "±": "$\\pm$", "Δ": "$\\Delta$", "×": "$\\times$", "—": "---" };
  const tex = (text) => text.replace(/[\\~^−±Δ×—]|[&%$#_{}]/g, (sign) => escapes[sign] ?? `\\${sign}`);
  const latex = (table) => {
    const [head, ...rows] = lines(table).map((line) => line.map(tex).join(" & "));
    const columns = `l${"r".repeat(table.rows[table.rows.length - 1].cells.length - 1)}`;
    return [`\\begin{tabular}{${columns}}`, "\\toprule", `${head} \\\\`, "\\midrule", ...rows.map((line) => `${line} \\\\`), "\\bottomrule", "\\end{tabular}"].join("\n");
  };
  const LONG = 8;
  const SHOWN = 100; // as in the style
  document.querySelectorAll("table.cells").forEach((table) => {
    const bar = make("div");
    bar.className = "tools";
    const rows = [...table.tBodies[0].rows];
    const choices = [];
    const count = make("span");
    const search = make("input");
    let known = null; // the labels of each row, once they are asked for
    const cut = () => {
      let room = table.classList.contains("whole") ? Infinity : SHOWN;
      for (const row of table.tBodies[0].rows) row.classList.toggle("off", !row.hidden && room-- <= 0);
      table.classList.add("cut");
    };
    const apply = () => {
      const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      known ??= rows.map((row) => [...row.querySelectorAll("th.label")].map((label) => label.textContent));
      for (const [at, row] of rows.entries()) {
        const text = known[at].join(" ").toLowerCase();
        const kept = wanted.every((word) => text.includes(word)) && choices.every(([place, choice]) => !choice.value || known[at][place] === choice.value);
        if (row.hidden === kept) row.hidden = !kept;
        left += kept;
      }
      count.textContent = left < rows.length ? `${left} of ${rows.length} rows` : "";
      cut();
    };
    if (rows.length > LONG) {
      search.type = "search";
      search.placeholder = "search rows";
      search.setAttribute("aria-label", `Search the rows of ${table.dataset.name}`);
      search.addEventListener("input", apply);
      bar.append(search);
      for (let place = 0; place < Number(table.dataset.filters); place++) {
        const levels = [...new Set(rows.map((row) => row.cells[place].textContent))];
        if (levels.length < 2 || levels.length > 60) continue;
        const name = words(table.querySelectorAll("thead th.label")[place]);
        const choice = make("select", "", new Option(`${name}: all`, ""), ...levels.map((level) => new Option(level, level)));
        choice.setAttribute("aria-label", `Rows by ${name}`);
        choice.addEventListener("change", apply);
        choices.push([place, choice]);
        bar.append(choice);
      }
      bar.append(count);
    }
    if (rows.length > SHOWN) {
      const all = button(`show all ${rows.length.toLocaleString("en")} rows`, () => {
        const whole = table.classList.toggle("whole");
        cut();
        all.textContent = whole ? `show ${SHOWN} rows` : `show all ${rows.length.toLocaleString("en")} rows`;
      });
      bar.append(all);
      table.addEventListener("sorted", cut);
      cut();
    }
    const asMarkdown = button("copy as Markdown", () => copy(markdown(table), asMarkdown));
    const asLatex = button("copy as LaTeX", () => copy(latex(table), asLatex));
    bar.append(asMarkdown, asLatex);
    table.closest(".scroll").before(bar);
  });
  // In a table that is wider than its place the columns of labels stay, as long as they leave room for numbers.
  const ROOM = 0.62;
  const pin = (table) => {
    const place = table.closest(".scroll");
    const wider = table.offsetWidth > place.clientWidth;
    let left = 0;
    table.querySelectorAll("thead th.label").forEach((head, column) => {
      const { width } = head.getBoundingClientRect();
      const stays = wider && left + width <= ROOM * place.clientWidth;
      if (column) table.style.setProperty(`--pin-${column + 1}`, stays ? `${left}px` : "auto");
      left += width;
    });
  };
  const sizes = new ResizeObserver((entries) => entries.forEach((entry) => pin(entry.target.querySelector("table.cells"))));
  document.querySelectorAll(".scroll:has(> table.cells)").forEach((place) => sizes.observe(place));
  document.querySelectorAll("figure.figure").forEach((figure) => {
    const plot = figure.querySelector(".plot");
    const asImage = button("save as PNG", () => {
      window.Plotly?.downloadImage(plot, { format: "png", scale: 2, filename: plot.id, width: plot.clientWidth, height: plot.clientHeight });
    });
    asImage.className = "tool";
    figure.querySelector("h3")?.append(" ", asImage);
  });

  // The list of runs is made when it is first seen.
  const list = document.querySelector("table.runs");
  const fill = () => {
    if (!list || list.tBodies[0].rows.length) return;
    list.tBodies[0].append(...known.runs.map((run, place) => {
      const own = Object.fromEntries(run.metrics)[known.metric] ?? "—";
      const where = known.arms[run.arm].places;
      const few = where.slice(0, 3).join(", ") + (where.length > 3 ? ` and ${where.length - 3} more` : "");
      const error = run.attempts.map((attempt) => attempt[3]).filter(Boolean).pop();
      const state = make("td", `${run.state}${run.mark ? `, ${run.mark}` : ""}`);
      if (error && run.state !== "done") state.append(Object.assign(make("div", error), { className: "error" }));
      const id = make("td", "", button(short(run), () => {}));
      const row = make("tr", "", id, make("td", few || "—"), make("td", `${run.seed}`), state, make("td", own), make("td", `${run.attempts.length}`), make("td", run.time));
      row.dataset.run = place;
      return row;
    }));
  };
  const details = list?.closest("details");
  if (details?.open) fill();
  details?.addEventListener("toggle", fill);
  const asked = () => {
    const wanted = location.hash.match(/^#run-([0-9a-f]{6,64})$/)?.[1];
    const place = wanted ? known.runs.findIndex((run) => run.id.startsWith(wanted.slice(0, run.id.length))) : -1;
    if (place >= 0) open(`run ${short(known.runs[place])}`, [place]);
  };
  window.addEventListener("hashchange", asked);
  asked();
})();
