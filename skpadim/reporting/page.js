"use strict";

// Distances are in the unit of heatmaps, larger = more anomalous; a score is minus the highest
// distance of an image, and the threshold on scores is `offset`. All decisions compare scores, in
// float64 as Python does.

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const [heatHeight, heatWidth] = data.heatmapSize;
const hasLabels = data.images.some((image) => image.label !== null);
const BINS = 48;
const STEPS = Number($("threshold").max);

// ---------------------------------------------------------------- numbers

const span = Math.log(data.highest / data.lowest);
/** Level, 0 to 255 and as a fraction, at which a distance is stored. */
const toLevel = (distance) =>
  distance > 0 ? (255 * Math.log(distance / data.lowest)) / span : -Infinity;
const toDistance = (level) => data.lowest * Math.exp((level / 255) * span);

const peaks = data.images.map((image) => -image.score);
const axis = (() => {
  const all = [...peaks, -data.offset];
  const floor = data.highest / 1000;
  return {
    low: Math.max(0.98 * Math.min(...all), floor),
    high: Math.max(1.02 * Math.max(...all), 2 * floor),
  };
})();
const axisSpan = Math.log(axis.high / axis.low);
/** Place of a distance on the slider's axis, 0 to 1. */
const toPlace = (distance) =>
  distance > axis.low ? Math.min(1, Math.log(distance / axis.low) / axisSpan) : 0;
// As many digits as tell one step of the slider from the next, so that the line of Python is short.
const digits = Math.max(3, 2 - Math.floor(Math.log10(axisSpan / STEPS)));
const atStep = (step) =>
  Number((axis.low * Math.exp((step / STEPS) * axisSpan)).toPrecision(digits));

const short = (number) => number.toPrecision(4);
const percent = (part, whole) => (whole ? `, ${((100 * part) / whole).toFixed(1)}\u00a0%` : "");
/** A number as Python writes a float. */
const toPython = (number) => (Number.isInteger(number) ? number.toFixed(1) : String(number));

// ---------------------------------------------------------------- state

let offset = data.offset;
let opened = null; // rank of the image in the viewer
let current = 0; // rank of the image that the keyboard is at
const filters = { decision: "", label: "" };

// Good only where that is sure: null, which JSON has for what is no number, compares as 0.
const isDefective = (image) => !(Number.isFinite(image.score) && image.score >= offset);
const decisionOf = (image) => (isDefective(image) ? "defective" : "good");
const labelOf = (image) => (image.label === null ? "" : image.label === -1 ? "defective" : "good");

function outcomeOf(image) {
  const decision = decisionOf(image);
  const label = labelOf(image);
  if (label === "" || label === decision) return decision;
  return label === "good" ? "false-alarm" : "miss";
}

const WORDS = {
  defective: "▲ Defective",
  good: "● Good",
  "false-alarm": "▲ False alarm",
  miss: "● Miss",
};

// ---------------------------------------------------------------- packed pixels

function fromBase64(text) {
  return Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
}

/** Inflate pixels that were stored as differences along both axes, modulo 256. */
async function unpack(text, width) {
  const inflated = new Blob([fromBase64(text)])
    .stream()
    .pipeThrough(new DecompressionStream("deflate"));
  const pixels = new Uint8Array(await new Response(inflated).arrayBuffer());
  for (let i = 0; i < pixels.length; i++) if (i % width) pixels[i] += pixels[i - 1];
  for (let i = width; i < pixels.length; i++) pixels[i] += pixels[i - width];
  return pixels;
}

/** What is stored of an image: a picture, levels, and its true defect as an outline. */
async function load(rank) {
  const image = data.images[rank];
  const [picture, heatmap, truth] = $(`image-${rank}`).textContent.split("\n");
  const rounded = await unpack(heatmap, heatWidth);
  const peak = toLevel(-image.score);
  let highest = 0;
  rounded.forEach((level, i) => (highest = level > rounded[highest] ? i : highest));
  // Rounding must not lift another pixel above the highest, which is known exactly.
  const levels = Float32Array.from(rounded, (level) => Math.min(level, peak));
  levels[highest] = peak;
  const [height, width] = image.pictureSize;
  return {
    source: `data:image/webp;base64,${picture}`,
    rounded,
    levels,
    peak,
    truth: truth && outline(await unpack(truth, width), width, height, 0.5),
  };
}

// ---------------------------------------------------------------- outlines

// Marching squares. By the corners of a cell that are inside (1 top left, 2 top right, 4 bottom
// right, 8 bottom left), the lines through it, from side to side (0 top, 1 right, 2 bottom, 3 left)
// with the inside always at the same hand, so that lines join into closed ones.
const LINES = [
  [], [[3, 0]], [[0, 1]], [[3, 1]], [[1, 2]], [[3, 0], [1, 2]], [[0, 2]], [[3, 2]],
  [[2, 3]], [[2, 0]], [[0, 1], [2, 3]], [[2, 1]], [[1, 3]], [[1, 0]], [[0, 3]], [],
];

/** SVG path around the pixels above a limit; pixel centres are at halves. */
function outline(values, width, height, limit) {
  const inside = (x, y) =>
    x >= 0 && y >= 0 && x < width && y < height && values[y * width + x] > limit;
  // Sides are numbered by the pixel at their left or upper end, horizontal ones even.
  const stride = width + 2;
  const side = (x, y, vertical) => 2 * ((y + 1) * stride + x + 1) + vertical;
  const next = new Map();
  for (let y = -1; y < height; y++) {
    let left = 0;
    for (let x = -1; x < width; x++) {
      const right = (inside(x + 1, y) ? 1 : 0) | (inside(x + 1, y + 1) ? 2 : 0);
      const corners = (left & 1) | ((right & 1) << 1) | ((right & 2) << 1) | ((left & 2) << 2);
      for (const [from, to] of LINES[corners]) {
        const sides = [side(x, y, 0), side(x + 1, y, 1), side(x, y + 1, 0), side(x, y, 1)];
        next.set(sides[from], sides[to]);
      }
      left = right;
    }
  }
  const point = (edge) => {
    const vertical = edge & 1;
    const x = ((edge >> 1) % stride) - 1;
    const y = Math.floor((edge >> 1) / stride) - 1;
    const share = crossing(x, y, x + 1 - vertical, y + vertical);
    const along = (start) => (start + 0.5).toFixed(2);
    return vertical ? `${along(x)} ${along(y + share)}` : `${along(x + share)} ${along(y)}`;
  };
  const crossing = (x, y, otherX, otherY) => {
    const first = inside(x, y);
    const [a, b] = first ? [[x, y], [otherX, otherY]] : [[otherX, otherY], [x, y]];
    const share = away(values[a[1] * width + a[0]], valueAt(...b));
    return first ? share : 1 - share;
  };
  const valueAt = (x, y) =>
    x >= 0 && y >= 0 && x < width && y < height ? values[y * width + x] : null;
  // How far from a pixel inside to one outside. The line ends at the picture's border, and keeps a
  // distance that leaves a single pixel large enough to be seen.
  const away = (value, other) =>
    other === null ? 0.5 : Math.max(0.35, (value - limit) / (value - other));

  let path = "";
  for (const start of next.keys()) {
    if (!next.has(start)) continue;
    let points = "";
    for (let edge = start; next.has(edge); ) {
      points += `${points ? "L" : "M"}${point(edge)}`;
      const following = next.get(edge);
      next.delete(edge);
      edge = following;
    }
    path += `${points}Z`;
  }
  return path;
}

// ---------------------------------------------------------------- colours

// Plasma, of equal steps for the eye, also for colour-blind ones.
const PLASMA = [
  [13, 8, 135], [76, 2, 161], [126, 3, 168], [169, 35, 149], [204, 71, 120],
  [229, 107, 93], [248, 149, 64], [253, 197, 39], [240, 249, 33],
];

/** Colour of a distance. The scale begins at the threshold; below it, colour fades out. */
function colour(distance, threshold, highest) {
  if (distance <= threshold) {
    const share = Math.max(0, (2 * distance) / threshold - 1);
    return [...PLASMA[0], 140 * share ** 2];
  }
  const place = (8 * Math.log(distance / threshold)) / Math.log(highest / threshold);
  const stop = Math.min(7, Math.floor(place));
  const share = Math.min(1, place - stop);
  const mixed = PLASMA[stop].map((from, i) => from + share * (PLASMA[stop + 1][i] - from));
  return [...mixed, 255];
}

/** Where the shared scale begins and ends. */
function scale() {
  const threshold = Math.max(-offset, data.lowest);
  return [threshold, Math.max(data.highest, 2 * threshold)];
}

let palette; // a colour for each level, as 32 bits
function mix() {
  const bytes = new Uint8ClampedArray(4 * 256);
  for (let level = 0; level < 256; level++) {
    bytes.set(colour(toDistance(level), ...scale()), 4 * level);
  }
  palette = new Uint32Array(bytes.buffer);
}

function drawLegend() {
  const [threshold, highest] = scale();
  const canvas = $("colours");
  const bytes = new Uint8ClampedArray(4 * canvas.width);
  for (let x = 0; x < canvas.width; x++) {
    const share = x / (canvas.width - 1);
    // The first third from half the threshold to the threshold, the rest up to the highest.
    const distance =
      share < 1 / 3
        ? threshold * (0.5 + 1.5 * share)
        : threshold * (highest / threshold) ** (1.5 * share - 0.5);
    bytes.set(colour(distance, threshold, highest), 4 * x);
  }
  canvas.getContext("2d").putImageData(new ImageData(bytes, canvas.width, 1), 0, 0);
  $("legend-low").textContent = short(threshold / 2);
  $("legend-threshold").textContent = `${short(threshold)}, threshold`;
  $("legend-high").textContent = short(highest);
}

// ---------------------------------------------------------------- an image and what lies over it

class View {
  constructor(parent) {
    parent.append($("view-template").content.cloneNode(true));
    this.element = parent.lastElementChild;
    this.picture = this.element.querySelector("img");
    this.canvas = this.element.querySelector("canvas");
    [this.truth, this.mask] = this.element.querySelectorAll("svg");
    this.rank = null;
    this.content = null;
  }

  frame(rank) {
    const [height, width] = data.images[rank].size;
    this.element.style.setProperty("--ratio", width / height);
    this.element.classList.toggle("upright", height > width);
  }

  async show(rank) {
    this.rank = rank;
    this.frame(rank);
    const content = await load(rank);
    if (this.rank !== rank) return; // another image, or none, by now
    this.content = content;
    this.picture.src = content.source;
    this.canvas.width = heatWidth;
    this.canvas.height = heatHeight;
    const [height, width] = data.images[rank].pictureSize;
    draw(this.truth, content.truth, width, height);
    this.update();
  }

  /** Hold nothing while the image is out of sight. */
  hide() {
    this.rank = this.content = null;
    this.picture.removeAttribute("src");
    this.canvas.width = this.canvas.height = 0;
    draw(this.truth, "", 1, 1);
    draw(this.mask, "", 1, 1);
  }

  update() {
    if (!this.content) return;
    const { rounded, levels, peak } = this.content;
    const pixels = new ImageData(heatWidth, heatHeight);
    const colours = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < colours.length; i++) colours[i] = palette[rounded[i]];
    this.canvas.getContext("2d").putImageData(pixels, 0, 0);
    let path = "";
    if (isDefective(data.images[this.rank])) {
      // The highest pixel is above the threshold, whatever a logarithm rounds to.
      path = outline(levels, heatWidth, heatHeight, Math.min(toLevel(-offset), peak - 1e-3));
    }
    draw(this.mask, path, heatWidth, heatHeight);
  }
}

function draw(svg, path, width, height) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  for (const line of svg.children) line.setAttribute("d", path);
}

// ---------------------------------------------------------------- tiles

const inSight = new Set();
const tiles = data.images.map((image, rank) => {
  $("grid").append($("tile-template").content.cloneNode(true));
  const element = $("grid").lastElementChild;
  element.dataset.rank = rank;
  element.querySelector(".name").textContent = image.name;
  element.querySelector(".name").title = `X[${image.index}] ${image.name}`;
  element.querySelector(".peak").textContent = short(peaks[rank]);
  const label = element.querySelector(".truth-label");
  if (hasLabels) label.textContent = `labelled ${labelOf(image)}`;
  else label.remove();
  const view = new View(element.querySelector(".frame"));
  view.frame(rank);
  return { element, view, outcome: null };
});
const divider = document.createElement("p");
divider.id = "divider";

const observer = new IntersectionObserver(
  (entries) => {
    for (const { target, isIntersecting } of entries) {
      const rank = Number(target.dataset.rank);
      const { view } = tiles[rank];
      if (isIntersecting && view.rank === null) {
        inSight.add(view);
        view.show(rank);
      } else if (!isIntersecting && view.rank !== null) {
        inSight.delete(view);
        view.hide();
      }
    }
  },
  { rootMargin: "300px" },
);
for (const { element } of tiles) observer.observe(element);

const isShown = (rank) => {
  const image = data.images[rank];
  return (
    (!filters.decision || filters.decision === decisionOf(image)) &&
    (!filters.label || filters.label === labelOf(image))
  );
};
const shownRanks = () => [...tiles.keys()].filter(isShown);

function updateTiles() {
  data.images.forEach((image, rank) => {
    const tile = tiles[rank];
    const outcome = outcomeOf(image);
    tile.element.hidden = !isShown(rank);
    if (outcome === tile.outcome) return;
    tile.outcome = outcome;
    tile.element.dataset.outcome = outcome;
    tile.element.querySelector(".verdict").textContent = WORDS[outcome];
  });
  // Images are in the order of their scores: one line parts defective ones from good ones.
  const firstGood = tiles.find(({ element }) => /good|miss/.test(element.dataset.outcome));
  if (divider.nextElementSibling !== (firstGood?.element ?? null) || !divider.isConnected) {
    $("grid").insertBefore(divider, firstGood?.element ?? null);
  }
  divider.textContent = `threshold ${short(-offset)}`;
  const ranks = shownRanks();
  divider.hidden = ranks.length === 0;
  $("nothing").hidden = ranks.length > 0 || opened !== null;
  if (opened === null && !ranks.includes(current)) markCurrent(ranks[0] ?? current);
}

/** The one image that Tab reaches; arrows go on from there. */
function markCurrent(rank) {
  tiles[current].element.tabIndex = -1;
  current = rank;
  tiles[current].element.tabIndex = 0;
}

/** The shown image next to another in a direction, as the eye sees the grid. */
function neighbour(rank, key) {
  const ranks = shownRanks();
  if (key === "Home") return ranks[0];
  if (key === "End") return ranks.at(-1);
  if (key === "ArrowLeft") return ranks.findLast((other) => other < rank);
  if (key === "ArrowRight") return ranks.find((other) => other > rank);
  const at = ranks.indexOf(rank);
  const here = tiles[rank].element;
  const way = key === "ArrowDown" ? 1 : -1;
  let row = null; // top of the next row
  for (let i = at + way; i in ranks; i += way) {
    const { offsetTop, offsetLeft } = tiles[ranks[i]].element;
    if (offsetTop === here.offsetTop) continue;
    row ??= offsetTop;
    if (offsetTop !== row) return ranks[i - way];
    if (way === 1 ? offsetLeft >= here.offsetLeft : offsetLeft <= here.offsetLeft) return ranks[i];
    if (!(i + way in ranks)) return ranks[i];
  }
  return undefined;
}

// ---------------------------------------------------------------- one image

const viewer = new View($("viewer-frame"));

function open(rank) {
  opened = rank;
  markCurrent(rank);
  $("viewer").hidden = false;
  $("grid").hidden = true;
  viewer.show(rank);
  updateViewer();
  $("viewer-name").focus();
}

function close() {
  const rank = opened;
  opened = null;
  viewer.hide();
  $("viewer").hidden = true;
  $("grid").hidden = false;
  update();
  tiles[isShown(rank) ? rank : current].element.focus();
}

function updateViewer() {
  const image = data.images[opened];
  const [height, width] = image.size;
  $("viewer").dataset.outcome = outcomeOf(image);
  $("viewer-name").textContent = image.name;
  const facts = [
    WORDS[outcomeOf(image)],
    `anomaly ${short(-image.score)}, score ${toPython(image.score)}`,
    `threshold ${short(-offset)}`,
    hasLabels ? `labelled ${labelOf(image)}` : "",
    `X[${image.index}], ${width} × ${height} pixels`,
    `${opened + 1} of ${data.images.length}, most anomalous first`,
  ];
  $("viewer-facts").replaceChildren(
    ...facts.filter(Boolean).map((fact, i) => {
      const element = document.createElement("span");
      element.textContent = fact;
      if (i === 0) element.className = "verdict";
      return element;
    }),
  );
  $("previous").disabled = neighbour(opened, "ArrowLeft") === undefined;
  $("next").disabled = neighbour(opened, "ArrowRight") === undefined;
}

// ---------------------------------------------------------------- counts

const COUNTERS = [
  { outcome: "defective", words: "▲ called defective", decision: "defective", label: "" },
  { outcome: "good", words: "● called good", decision: "good", label: "" },
  { outcome: "false-alarm", words: "▲ false alarms", decision: "defective", label: "good" },
  { outcome: "miss", words: "● misses", decision: "good", label: "defective" },
].filter(({ label }) => hasLabels || !label);

/** Buttons that count images, and show these alone when pressed. */
const counters = COUNTERS.map((counter) => {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.outcome = counter.outcome;
  const [number, whole, words, share] = ["strong", "span", "span", "span"].map((name) => {
    const element = document.createElement(name);
    button.append(element);
    return element;
  });
  words.className = "words";
  words.before(document.createElement("br"));
  words.textContent = counter.words;
  button.addEventListener("click", () => {
    const active = button.getAttribute("aria-pressed") === "true";
    filterBy(active ? { decision: "", label: "" } : counter);
  });
  $("counts").append(button);
  return { ...counter, button, number, whole, share };
});

function updateCounts() {
  for (const { decision, label, button, number, whole, share } of counters) {
    const images = data.images.filter((image) => !label || labelOf(image) === label);
    const part = images.filter((image) => decisionOf(image) === decision).length;
    number.textContent = part;
    whole.textContent = ` of ${images.length}`;
    share.textContent = label && percent(part, images.length);
    button.setAttribute("aria-pressed", filters.decision === decision && filters.label === label);
  }
  // Read aloud when the slider rests, not at each of its steps.
  clearTimeout(updateCounts.timer);
  updateCounts.timer = setTimeout(() => {
    $("status").textContent = counters
      .map(({ words, number }) => `${number.textContent} ${words.slice(2)}`)
      .join(", ");
  }, 700);
}

// ---------------------------------------------------------------- threshold

function svgElement(parent, name, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

/** How many images there are along the slider: labelled good up, labelled defective down. */
function drawHistogram() {
  const groups = hasLabels ? ["good", "defective"] : [""];
  const counts = groups.map((group) => {
    const bins = Array.from({ length: BINS }, () => 0);
    data.images.forEach((image, rank) => {
      if (labelOf(image) === group) bins[Math.min(BINS - 1, Math.floor(BINS * toPlace(peaks[rank])))]++;
    });
    return bins;
  });
  // Heights are square roots, so that one image among hundreds is seen.
  const tallest = Math.sqrt(Math.max(...counts.flat()));
  const svg = $("histogram");
  const height = 40 * groups.length;
  svg.setAttribute("viewBox", `0 0 ${BINS} ${height}`);
  svg.setAttribute("aria-label", `Number of images by anomaly${hasLabels ? ", labelled good above, labelled defective below" : ""}`);
  counts.forEach((bins, group) =>
    bins.forEach((count, bin) => {
      const length = count && Math.max(3, (38 * Math.sqrt(count)) / tallest);
      if (!count) return;
      const bar = svgElement(svg, "rect", {
        class: groups[group] || "any",
        x: bin + 0.06,
        width: 0.88,
        y: group === 0 ? 40 - length : 41,
        height: length,
      });
      svgElement(bar, "title", {}, `${count} ${groups[group] && `labelled ${groups[group]}`}`);
    }),
  );
  const own = BINS * toPlace(-data.offset);
  svgElement(svg, "line", { id: "own", x1: own, x2: own, y1: 0, y2: height });
  svgElement(svg, "line", { id: "now", y1: 0, y2: height });
  $("axis-low").textContent = short(axis.low);
  $("axis-high").textContent = short(axis.high);
}

function setOffset(value) {
  offset = value;
  $("copy").textContent = "Copy line";
  schedule();
}

function updateThreshold() {
  const threshold = -offset;
  const slider = $("threshold");
  // Its own step stays where the user put it: rounding could move it by one.
  if (atStep(Number(slider.value)) !== threshold) slider.value = Math.round(STEPS * toPlace(threshold));
  slider.setAttribute("aria-valuetext", `${short(threshold)}: ${counters[0].number.textContent} of ${data.images.length} called defective`);
  const place = BINS * toPlace(threshold);
  $("now").setAttribute("x1", place);
  $("now").setAttribute("x2", place);
  if (document.activeElement !== $("threshold-value")) $("threshold-value").value = threshold;
  $("python").value = `detector.offset_ = ${toPython(offset)}`;
  $("reset").disabled = offset === data.offset;
}

// ---------------------------------------------------------------- all together

function update() {
  mix();
  drawLegend();
  updateTiles();
  updateCounts();
  updateThreshold();
  for (const view of inSight) view.update();
  if (opened !== null) {
    viewer.update();
    updateViewer();
  }
}

let scheduled = false;
function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    update();
  });
}

function filterBy({ decision, label }) {
  Object.assign(filters, { decision, label });
  $("decision-filter").value = decision;
  $("label-filter").value = label;
  if (opened !== null) close();
  else update();
}

function setOpacity(value) {
  $("opacity").value = value;
  document.body.style.setProperty("--opacity", value / 100);
}

$("threshold").addEventListener("input", (event) => setOffset(-atStep(Number(event.target.value))));
$("threshold-value").addEventListener("change", (event) => {
  const typed = event.target.valueAsNumber;
  event.target.blur();
  setOffset(Number.isNaN(typed) ? offset : -Math.min(axis.high, Math.max(axis.low, typed)));
});
$("reset").addEventListener("click", () => setOffset(data.offset));
$("copy").addEventListener("click", async () => {
  $("python").select();
  try {
    await navigator.clipboard.writeText($("python").value);
    $("copy").textContent = "Copied";
  } catch {
    $("copy").textContent = "Selected: press Ctrl+C"; // browsers may keep the clipboard from files
  }
});
for (const id of ["decision-filter", "label-filter"]) {
  $(id).addEventListener("change", () =>
    filterBy({ decision: $("decision-filter").value, label: $("label-filter").value }),
  );
}
$("show-all").addEventListener("click", () => filterBy({ decision: "", label: "" }));
$("opacity").addEventListener("input", (event) => setOpacity(event.target.value));
for (const name of ["mask", "truth"]) {
  $(`show-${name}`).addEventListener("change", (event) =>
    document.body.classList.toggle(`no-${name}`, !event.target.checked),
  );
}
$("grid").addEventListener("click", (event) => {
  const tile = event.target.closest(".tile");
  if (tile) open(Number(tile.dataset.rank));
});
$("grid").addEventListener("focusin", (event) => markCurrent(Number(event.target.dataset.rank)));
$("close").addEventListener("click", close);
for (const [id, key] of [["previous", "ArrowLeft"], ["next", "ArrowRight"]]) {
  $(id).addEventListener("click", () => open(neighbour(opened, key)));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (event.key === "Escape" && opened !== null) close();
  // Letters and arrows are the images', and remain with the controls elsewhere.
  else if (!event.target.closest("#grid, #viewer")) return;
  else if (/^(Arrow|Home|End)/.test(event.key)) {
    if (opened !== null && /Up|Down/.test(event.key)) return; // scroll
    const rank = neighbour(opened ?? current, event.key);
    if (rank === undefined) return;
    if (opened === null) tiles[rank].element.focus();
    else open(rank);
  } else if (event.key.toLowerCase() === "m") $("show-mask").click();
  else if (event.key.toLowerCase() === "t") $("show-truth").click();
  else if (event.key.toLowerCase() === "h") toggleHeatmap();
  else return;
  event.preventDefault();
});

let lastOpacity = Number($("opacity").value);
function toggleHeatmap() {
  const now = Number($("opacity").value);
  if (now > 0) lastOpacity = now;
  setOpacity(now > 0 ? 0 : lastOpacity);
}

// A column beside the images where there is room, a fold above them where there is not.
const wide = window.matchMedia("(min-width: 60rem)");
const unfold = () => ($("more").open = wide.matches);
wide.addEventListener("change", unfold);
unfold();

$("histogram-key").hidden = $("label-row").hidden = !hasLabels;
$("truth-row").hidden = $("truth-key").hidden = !data.hasMasks;
$("summary").textContent = window.DecompressionStream
  ? `${data.images.length} images, most anomalous first. An image is called defective if its anomaly, the highest distance in its heatmap, exceeds the threshold.`
  : "This browser is too old for this page: it takes Chrome or Edge 97, Firefox 113 or Safari 16.4.";
drawHistogram();
markCurrent(0);
setOpacity(lastOpacity);
update();
