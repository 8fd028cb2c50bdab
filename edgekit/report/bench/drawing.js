"use strict";
// From the data of the page to configurations of Chart.js, one form of figure each, and what their legends say.
const drawing = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const COLOURS = 8;
  const POINTS = ["circle", "triangle", "rect", "rectRot", "star", "cross"];
  const DASHES = [[], [6, 4], [2, 3], [10, 4, 2, 4], [1, 5], [14, 4]];
  const LOG_FROM = 4; // Scales are logarithmic from this ratio of largest to smallest on.

  // ---- Words and colours

  const digits = (value) => Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value) || 1))));
  const number = (value) => value.toLocaleString("en", { maximumFractionDigits: digits(value) });
  const count = (value) => {
    for (const [unit, factor] of [["G", 1e9], ["M", 1e6], ["k", 1e3]]) {
      if (value >= factor) return `${+(value / factor).toPrecision(3)} ${unit}`;
    }
    return String(value);
  };
  const cost = (value, unit) => (unit === "ms" ? `${number(value)} ms` : `${count(value)} instructions`);
  const size = (bytes) => {
    for (const [unit, factor] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
      if (bytes >= factor) return `${(bytes / factor).toFixed(1)} ${unit}`;
    }
    return `${bytes} B`;
  };
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const shorten = (text, length) => (text.length > length ? `…${text.slice(1 - length)}` : text);
  const isNarrow = () => window.innerWidth < 640;

  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  const colour = (name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const tint = (series) => colour(`c${series.artifact % COLOURS}`);
  const faded = (rgb, alpha) => rgb.replace(/rgba?\(([^)]*)\)/, (_, parts) => {
    const [red, green, blue] = parts.split(/[ ,/]+/);
    return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
  });

  const name = (series, { device = true, configuration = true } = {}) =>
    [
      data.artifacts[series.artifact].name,
      configuration ? series.configuration : "",
      device ? data.devices[series.device] : "",
    ].filter(Boolean).join(", ");
  const several = (all, field) => new Set(all.map((series) => series[field])).size > 1;
  const naming = (all) => ({ device: several(all, "device"), configuration: several(all, "configuration") });
  // Bars of one artifact on several devices differ in how dark they are.
  const shade = (series, all) => {
    const alike = all.filter((other) => other.artifact === series.artifact);
    return 0.9 - (0.75 * alike.indexOf(series)) / Math.max(2, alike.length);
  };
  const key = (series) => `${series.artifact}/${series.device}/${series.configuration}`;

  // ---- Parts that charts share

  // 1, 2, 5 and their decades: what a reader of a logarithmic scale looks for; finer steps within one decade.
  const niceTicks = (scale) => {
    for (const steps of [[1, 2, 5], [1, 1.5, 2, 3, 4, 5, 7]]) {
      const found = [];
      for (let power = Math.floor(Math.log10(scale.min)); power <= Math.log10(scale.max); power++) {
        for (const step of steps) found.push(step * 10 ** power);
      }
      const inside = found.filter((value) => value >= scale.min * 0.999 && value <= scale.max * 1.001);
      if (inside.length < 3) continue;
      scale.ticks = inside.map((value) => ({ value }));
      return;
    }
  };
  const decades = (scale) => {
    scale.ticks = [];
    for (let value = 1; value <= scale.max; value *= 10) scale.ticks.push({ value });
  };
  const title = (text) => ({ display: Boolean(text), text });
  const costScale = (values, unit, { room = 0.08, ...extra } = {}) => {
    const found = values.filter((value) => value > 0);
    const [low, high] = found.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)], [Infinity, 0]);
    const isLog = high / low > LOG_FROM;
    const ticks = { callback: (value) => (unit === "ms" ? number(value) : count(value)), maxRotation: 0 };
    return {
      type: isLog ? "logarithmic" : "linear",
      ...(isLog ? { min: low / (1 + room), max: high * (1 + room), afterBuildTicks: niceTicks } : { grace: `${100 * room}%` }),
      title: title(unit),
      grid: { color: colour("grid") },
      border: { display: false },
      ticks,
      ...extra,
    };
  };
  // As many decimals as the step between two ticks needs.
  const percentTick = (part, _, ticks) => {
    const step = ticks.length > 1 ? 100 * Math.abs(ticks[1].value - ticks[0].value) : 1;
    return `${(100 * part).toFixed(step >= 1 ? 0 : step >= 0.1 ? 1 : 2)} %`;
  };
  const plainScale = (text, extra = {}) => ({
    title: title(text), grid: { color: colour("grid") }, border: { display: false }, ...extra,
  });
  const options = (scales, callbacks, extra = {}) => ({
    scales,
    interaction: { mode: "nearest", intersect: false },
    plugins: { legend: { display: false }, tooltip: { callbacks } },
    ...extra,
  });

  // The share of the whole at the end of each bar.
  const shareLabels = (bars) => ({
    id: "shares",
    afterDatasetsDraw(chart) {
      const { ctx } = chart;
      ctx.save();
      ctx.fillStyle = colour("muted");
      ctx.font = `12px ${Chart.defaults.font.family}`;
      ctx.textBaseline = "middle";
      chart.getDatasetMeta(0).data.forEach((bar, at) => ctx.fillText(percent(bars[at][2]), bar.x + 7, bar.y + 1));
      ctx.restore();
    },
  });

  // ---- The forms: data of a figure -> configuration of its chart, and its legend

  const forms = {
    distribution({ unit, series }) {
      const datasets = series.map((line) => ({
        series: line,
        keys: [key(line)],
        label: name(line, naming(series)),
        data: line.quantiles.map((x, at, all) => ({ x, y: all.length > 1 ? at / (all.length - 1) : 1 })),
        borderColor: tint(line),
        borderDash: DASHES[line.dash % DASHES.length],
        borderWidth: 2,
        pointRadius: 0,
        pointHitRadius: 8,
        clip: 3,
        tension: 1e-6, // Lines without any are drawn by a faster way that makes stairs of steep ones.
      }));
      const x = costScale(series.flatMap((line) => line.quantiles), unit);
      const y = plainScale("inferences", { min: 0, max: 1, ticks: { callback: (part) => `${Math.round(part * 100)} %`, stepSize: 0.25 } });
      const callbacks = {
        title: ([item]) => item.dataset.label,
        label: ({ parsed }) => `${percent(parsed.y)} ${unit === "ms" ? "took" : "executed"} at most ${cost(parsed.x, unit)}`,
      };
      return { type: "line", data: { datasets }, options: options({ x, y }, callbacks, { parsing: false }) };
    },

    "trade-off"({ unit, upright, points }) {
      const isQuality = points.some((point) => point.quality !== null);
      const largest = Math.max(...points.map((point) => point.size));
      const marks = points.map((point) => {
        const rgb = tint(point);
        return {
          series: point,
          keys: [`artifact ${point.artifact}`, `device ${point.device}`],
          label: name(point),
          data: [{ x: point.cost, y: isQuality ? point.quality : point.size }],
          pointStyle: POINTS[point.device % POINTS.length],
          radius: isQuality ? 4 + 8 * Math.sqrt(point.size / largest) : 7,
          hoverRadius: isQuality ? 5 + 8 * Math.sqrt(point.size / largest) : 8,
          borderColor: rgb,
          backgroundColor: point.front ? faded(rgb, 0.75) : faded(rgb, 0.08),
          borderWidth: 1.75,
        };
      });
      const groups = [...new Set(points.map((point) => point.group))];
      const fronts = groups.map((group) => ({
        type: "line",
        front: points.filter((point) => point.front && point.group === group),
        keys: [],
        label: "front",
        data: [],
        borderColor: faded(colour("muted"), 0.5),
        borderWidth: 1,
        borderDash: [3, 3],
        pointRadius: 0,
        pointHitRadius: 0,
      }));
      const y = isQuality
        ? plainScale(upright, { grace: "15%", ticks: { maxTicksLimit: 7, callback: percentTick } })
        : plainScale("size", { grace: "8%", beginAtZero: true, ticks: { callback: size } });
      const callbacks = {
        title: ([item]) => item.dataset.label,
        label: ({ dataset: { series } }) => [
          cost(series.cost, unit),
          size(series.size),
          ...(isQuality ? [`${percent(series.quality)} ${upright}`] : []),
          series.front ? "on the front" : "behind the front",
        ],
      };
      const x = costScale(points.map((point) => point.cost), unit, { room: 0.2 });
      return {
        type: "scatter",
        data: { datasets: [...marks, ...fronts] },
        options: options({ x, y }, callbacks, { interaction: { mode: "point", intersect: true } }),
      };
    },

    operators({ choices }, figure) {
      const choice = choices[figure.choice];
      const bars = choice[figure.grouping];
      const rgb = tint(choice);
      const datasets = [{
        series: choice,
        keys: [],
        label: name(choice),
        data: bars.map(([, mean]) => mean),
        backgroundColor: faded(rgb, 0.82),
        hoverBackgroundColor: rgb,
        borderRadius: 3,
        maxBarThickness: 18,
      }];
      const x = plainScale("µs per inference", { beginAtZero: true, ticks: { callback: (value) => number(value), maxRotation: 0 } });
      const y = {
        grid: { display: false },
        border: { display: false },
        ticks: { autoSkip: false, color: colour("ink"), callback: (at) => shorten(bars[at][0], isNarrow() ? 18 : 36) },
      };
      const callbacks = {
        title: ([item]) => bars[item.dataIndex][0],
        label: ({ dataIndex }) => `${number(bars[dataIndex][1])} µs, ${percent(bars[dataIndex][2])}`,
      };
      return {
        type: "bar",
        data: { labels: bars.map(([label]) => label), datasets },
        options: options({ x, y }, callbacks, {
          indexAxis: "y",
          interaction: { mode: "index", axis: "y", intersect: false },
          layout: { padding: { right: 52 } },
        }),
        plugins: [shareLabels(bars)],
      };
    },

    sustained({ series: [run] }) {
      const rows = [
        ["latency", "ms", tint(run), 3],
        ["temperature", "°C", colour("c1"), 2],
        ["clock", "MHz", colour("c7"), 2],
        ["power", "W", colour("c4"), 2],
      ].filter(([field]) => run[field].some((value) => value !== null));
      if (rows[1] && rows[1][0] === "temperature" && run.artifact % COLOURS === 1) rows[1][2] = colour("c3");
      const scales = {
        x: plainScale("minutes", { type: "linear", min: 0, max: run.seconds.at(-1) / 60, ticks: { callback: (value) => number(value), maxRotation: 0 } }),
      };
      // Stacked from below, so that latency is on top.
      for (const [field, unit, , weight] of [...rows].reverse()) {
        scales[field] = plainScale(isNarrow() ? unit : `${field}, ${unit}`, { position: "left", stack: "all", stackWeight: weight, offset: true, grace: "10%", afterFit: (scale) => { scale.width = isNarrow() ? 62 : 70; }, ticks: { maxTicksLimit: 5, includeBounds: false, callback: (value) => number(value) } });
      }
      const datasets = rows.map(([field, unit, rgb]) => ({
        series: run,
        keys: [field],
        unit,
        label: field,
        yAxisID: field,
        data: run.seconds.map((at, index) => ({ x: at / 60, y: run[field][index] })),
        borderColor: rgb,
        borderWidth: 2,
        pointRadius: 0,
        stepped: field === "clock" ? "before" : false,
      }));
      const callbacks = {
        title: ([item]) => `after ${number(item.parsed.x)} min`,
        label: ({ dataset, parsed }) => `${dataset.label} ${number(parsed.y)} ${dataset.unit}`,
      };
      return {
        type: "line",
        data: { datasets },
        options: options(scales, callbacks, { interaction: { mode: "index", intersect: false } }),
      };
    },

    history({ unit, revisions, dates, series }) {
      const datasets = series.map((line) => {
        const rgb = tint(line);
        const isChange = (at) => line.changes.includes(at);
        return {
          series: line,
          keys: [key(line)],
          label: name(line, naming(series)),
          data: line.values,
          spanGaps: true,
          borderColor: rgb,
          borderDash: DASHES[line.dash % DASHES.length],
          borderWidth: 1.75,
          pointRadius: line.values.map((_, at) => (isChange(at) ? 7 : 2.5)),
          pointHoverRadius: line.values.map((_, at) => (isChange(at) ? 8 : 4)),
          pointBorderWidth: line.values.map((_, at) => (isChange(at) ? 2.5 : 0)),
          pointBackgroundColor: line.values.map((_, at) => (isChange(at) ? colour("card") : rgb)),
          pointBorderColor: rgb,
        };
      });
      const x = { grid: { display: false }, border: { display: false }, ticks: { maxRotation: 0, autoSkipPadding: 18 } };
      const y = costScale(series.flatMap((line) => line.values.filter((value) => value !== null)), unit, { room: 0.15 });
      const callbacks = {
        title: ([item]) => `${revisions[item.dataIndex]}, ${dates[item.dataIndex]}`,
        label: ({ dataset, dataIndex, parsed }) =>
          `${dataset.label}: ${cost(parsed.y, unit)}${dataset.series.changes.includes(dataIndex) ? ", new level" : ""}`,
      };
      return { type: "line", data: { labels: revisions, datasets }, options: options({ x, y }, callbacks) };
    },

    outputs({ steps, series }) {
      const datasets = series.map((bars) => {
        const rgb = tint(bars);
        return {
          series: bars,
          keys: [key(bars)],
          label: name(bars, { device: true, configuration: false }),
          data: bars.counts.map((found) => found || null),
          backgroundColor: faded(rgb, shade(bars, series)),
          borderColor: rgb,
          borderWidth: 1,
          borderRadius: 3,
          maxBarThickness: 40,
          categoryPercentage: 0.6,
          barPercentage: 0.94,
        };
      });
      const x = { grid: { display: false }, border: { display: false }, title: title("difference in LSB") };
      const y = plainScale("output elements", { type: "logarithmic", min: 0.8, afterBuildTicks: decades, ticks: { callback: (value) => value.toLocaleString("en") } });
      const callbacks = {
        title: ([item]) => `${item.label} LSB`,
        label: ({ dataset, parsed }) => `${dataset.label}: ${parsed.y.toLocaleString("en")} elements`,
      };
      return {
        type: "bar",
        data: { labels: steps.map((step) => (step > 0 ? `+${step}` : String(step).replace("-", "−"))), datasets },
        options: options({ x, y }, callbacks),
      };
    },
  };
  // ---- Legends

  const svg = (tag, attributes, ...children) => {
    const found = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [attribute, value] of Object.entries(attributes)) found.setAttribute(attribute, value);
    found.append(...children);
    return found;
  };
  const swatch = {
    line: (series) => svg("svg", { width: 24, height: 10, class: `c${series.artifact % COLOURS}`, "aria-hidden": "true" },
      svg("line", { x1: 1, x2: 23, y1: 5, y2: 5, stroke: "currentColor", "stroke-width": 2.5, "stroke-dasharray": DASHES[series.dash % DASHES.length].map((part) => part * 0.8).join(" ") || "none" })),
    square: (index, opacity = 1) => svg("svg", { width: 12, height: 12, class: `c${index % COLOURS}`, "aria-hidden": "true" },
      svg("rect", { x: 0.5, y: 0.5, width: 11, height: 11, rx: 2.5, fill: "currentColor", "fill-opacity": opacity, stroke: "currentColor" })),
    shape: (index) => svg("svg", { width: 13, height: 13, viewBox: "0 0 16 16", "aria-hidden": "true" },
      svg("use", { href: `#mark-${index % POINTS.length}` })),
  };

  // Key, text, swatch, and the series it stands for.
  const lines = ({ series }) => series.map((line) => ({
    key: key(line), text: name(line, naming(series)), swatch: swatch.line(line), stands: [line],
  }));
  const legends = {
    "trade-off": ({ points }) => [
      ...[...new Set(points.map((point) => point.artifact))].map((index) => ({
        key: `artifact ${index}`, text: data.artifacts[index].name, swatch: swatch.square(index),
        stands: points.filter((point) => point.artifact === index),
      })),
      ...[...new Set(points.map((point) => point.device))].map((index) => ({
        key: `device ${index}`, text: data.devices[index], swatch: swatch.shape(index),
        stands: points.filter((point) => point.device === index),
      })),
    ],
    outputs: ({ series }) => series.map((bars) => ({
      key: key(bars), text: name(bars, { configuration: false }), swatch: swatch.square(bars.artifact, shade(bars, series)), stands: [bars],
    })),
    distribution: lines,
    history: lines,
  };

  return { data, colour, name, forms, legends };
})();
