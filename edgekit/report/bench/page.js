"use strict";
// Makes filters, legends and the theme button work, and keeps the charts up to date with what is chosen.
// Without it the page is complete as tables.
(() => {
  const { data, colour, name, forms, legends } = drawing;
  const root = document.documentElement;

  // ---- What is chosen

  const off = { device: new Set(), runtime: new Set() };
  const figures = [...document.querySelectorAll("figure[data-chart]")].map((box) => ({
    box,
    form: box.dataset.chart,
    data: data.figures[box.id],
    canvas: box.querySelector("canvas"),
    hidden: new Set(), // Keys of the legend that were clicked away.
    chart: null,
  }));

  const passes = (series) =>
    !off.device.has(series.device) && !off.runtime.has(data.artifacts[series.artifact].runtime);
  const isShown = (figure, dataset) =>
    (!dataset.series || passes(dataset.series)) && !dataset.keys.some((key) => figure.hidden.has(key));

  // ---- Legends: buttons, so that a keyboard reaches them

  const addLegend = (figure) => {
    const list = figure.box.querySelector(".legend");
    figure.legend = (legends[figure.form]?.(figure.data) ?? []).map((entry) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "key";
      button.setAttribute("aria-pressed", "true");
      const text = document.createElement("span");
      text.className = "text";
      text.textContent = entry.text;
      button.append(entry.swatch, text);
      button.addEventListener("click", () => {
        if (!figure.hidden.delete(entry.key)) figure.hidden.add(entry.key);
        refresh(figure);
      });
      const item = document.createElement("li");
      item.append(button);
      list.append(item);
      return { ...entry, button, item };
    });
    list.classList.toggle("lines", ["distribution", "history"].includes(figure.form));
    list.hidden = !figure.legend.length;
  };

  // ---- The chooser of the operators

  const addChooser = (figure) => {
    figure.choice = 0;
    figure.grouping = "modules";
    const controls = figure.box.querySelector(".controls");
    const select = document.createElement("select");
    select.setAttribute("aria-label", "Measurement");
    figure.data.choices.forEach((choice, at) => select.add(new Option(name(choice), at)));
    select.addEventListener("change", () => { figure.choice = Number(select.value); draw(figure); });
    const group = document.createElement("div");
    group.className = "segment";
    group.setAttribute("role", "group");
    group.setAttribute("aria-label", "Add up");
    for (const [grouping, text] of [["modules", "by torch module"], ["types", "by operator"]]) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = text;
      button.setAttribute("aria-pressed", String(grouping === figure.grouping));
      button.addEventListener("click", () => {
        figure.grouping = grouping;
        for (const other of group.children) other.setAttribute("aria-pressed", String(other === button));
        draw(figure);
      });
      group.append(button);
    }
    controls.append(select, group);
    controls.hidden = false;
    figure.select = select;
  };

  const keepChoice = (figure) => {
    const { choices } = figure.data;
    [...figure.select.options].forEach((option, at) => { option.disabled = option.hidden = !passes(choices[at]); });
    if (passes(choices[figure.choice])) return;
    const next = choices.findIndex(passes);
    if (next < 0) return;
    figure.choice = next;
    figure.select.value = String(next);
    draw(figure);
  };

  // ---- Drawing

  const seriesOf = ({ data: { series, points, choices } }) => series || points || choices;

  const draw = (figure) => {
    figure.chart?.destroy();
    const box = figure.canvas.parentElement;
    box.classList.toggle("stacked", figure.form === "sustained");
    if (figure.form === "operators") {
      box.style.height = `${70 + 25 * figure.data.choices[figure.choice][figure.grouping].length}px`;
    }
    figure.chart = new Chart(figure.canvas, forms[figure.form](figure.data, figure));
    refresh(figure);
  };

  const refresh = (figure) => {
    figure.box.hidden = !seriesOf(figure).some(passes);
    if (figure.box.hidden) return;
    if (figure.select) keepChoice(figure);
    const { datasets } = figure.chart.data;
    datasets.forEach((dataset, at) => figure.chart.setDatasetVisibility(at, isShown(figure, dataset)));
    for (const dataset of datasets.filter(({ front }) => front)) {
      dataset.data = dataset.front
        .filter((point) => datasets.some((mark) => mark.series === point && isShown(figure, mark)))
        .map((point) => ({ x: point.cost, y: point.quality ?? point.size }))
        .sort((a, b) => a.x - b.x);
    }
    for (const entry of figure.legend) {
      entry.item.hidden = !entry.stands.some(passes);
      entry.button.setAttribute("aria-pressed", String(!figure.hidden.has(entry.key)));
    }
    figure.chart.update("none");
  };

  const setDefaults = () => {
    Chart.defaults.animation = false;
    Chart.defaults.maintainAspectRatio = false;
    Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
    Chart.defaults.font.size = 12;
    Chart.defaults.color = colour("muted");
    Chart.defaults.borderColor = colour("grid");
    Object.assign(Chart.defaults.plugins.tooltip, {
      backgroundColor: colour("ink"), titleColor: colour("card"), bodyColor: colour("card"),
      padding: 10, cornerRadius: 6, displayColors: false, titleFont: { weight: "600" },
    });
  };
  const drawAll = () => { setDefaults(); figures.forEach(draw); };

  // ---- Filters

  const chips = [...document.querySelectorAll("[data-filter]")];
  const reset = document.getElementById("reset");
  const rows = [...document.querySelectorAll("[data-device], [data-runtime]")];

  const applyFilters = () => {
    for (const chip of chips) {
      chip.setAttribute("aria-pressed", String(!off[chip.dataset.filter].has(Number(chip.dataset.value))));
    }
    for (const part of rows) {
      const { device, runtime } = part.dataset;
      part.hidden = (device !== undefined && off.device.has(Number(device))) ||
        (runtime !== undefined && off.runtime.has(Number(runtime)));
    }
    figures.forEach(refresh);
    for (const section of document.querySelectorAll("main > section")) markEmpty(section);
    if (reset) reset.hidden = !off.device.size && !off.runtime.size;
  };
  const markEmpty = (section) => {
    const parts = [...section.querySelectorAll("figure, tbody tr, article, .notes li, dl")];
    const isEmpty = parts.length > 0 && parts.every((part) => part.closest("[hidden]"));
    let note = section.querySelector(":scope > .nothing");
    if (isEmpty && !note) {
      note = document.createElement("p");
      note.className = "nothing";
      note.textContent = "Nothing of what is chosen above.";
      section.append(note);
    }
    if (note) note.hidden = !isEmpty;
  };
  for (const chip of chips) {
    chip.addEventListener("click", () => {
      const chosen = off[chip.dataset.filter];
      const value = Number(chip.dataset.value);
      if (!chosen.delete(value)) chosen.add(value);
      applyFilters();
    });
  }
  reset?.addEventListener("click", () => { off.device.clear(); off.runtime.clear(); applyFilters(); });

  // ---- Theme

  const system = matchMedia("(prefers-color-scheme: dark)");
  const themeButton = document.getElementById("theme");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const showTheme = () => { themeButton.setAttribute("aria-pressed", String(isDark())); drawAll(); };
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    try {
      localStorage.setItem("edgekit-theme", root.dataset.theme);
    } catch {
      // The choice lasts as long as the page.
    }
    showTheme();
  });
  system.addEventListener("change", showTheme);

  // ---- Start

  for (const details of document.querySelectorAll("details.figures")) {
    details.open = false;
    details.classList.add("ready");
  }
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => { details.open = true; }));
  for (const figure of figures) {
    addLegend(figure);
    if (figure.form === "operators") addChooser(figure);
  }
  showTheme();
  root.dataset.ready = "true";
})();
