import { api, fixed, frame, h, plot, showError, whole } from "/viewer/common.js";

frame();
const [lead, by, field, controls, side] = ["lead", "by", "field", "controls", "side"].map((id) => document.getElementById(id));
const margin = 0.25;
let regions = [];
let index = 0;
let points = [];
/** Whether there are dots that are not stored. */
let hasNewDots = false;
by.value = localStorage.getItem("counter") ?? "";
by.addEventListener("change", () => { localStorage.setItem("counter", by.value.trim()); load(); });

const region = () => regions[index];

/** The field shows the region and a margin, so that cells at its edge can be judged. */
function view() {
  const r = region();
  // The service gives squares of up to 2048 px.
  const pad = Math.max(0, Math.min(Math.round(r.side * margin), Math.floor((2048 - r.side) / 2)));
  return { x: Math.round(r.x) - pad, y: Math.round(r.y) - pad, side: Math.round(r.side) + 2 * pad };
}

function drawDots() {
  const v = view();
  for (const dot of field.querySelectorAll(".dot")) dot.remove();
  for (const [x, y] of points) {
    const dot = h("div", { class: "dot" });
    dot.style.left = `${(100 * (x - v.x)) / v.side}%`;
    dot.style.top = `${(100 * (y - v.y)) / v.side}%`;
    field.append(dot);
  }
  document.getElementById("count").textContent = `${points.length} lymphocyte${points.length === 1 ? "" : "s"}`;
  document.getElementById("undo").disabled = !points.length;
}

function show() {
  const r = region();
  points = (r.points ?? []).map((point) => [...point]);
  hasNewDots = false;
  const v = view();
  const inside = h("div", { class: "inside" });
  inside.style.left = `${(100 * (r.x - v.x)) / v.side}%`;
  inside.style.top = `${(100 * (r.y - v.y)) / v.side}%`;
  inside.style.width = inside.style.height = `${(100 * r.side) / v.side}%`;
  field.replaceChildren(h("img", { src: `/slides/${r.slide}/region.jpeg?x=${v.x}&y=${v.y}&side=${v.side}`, alt: "", draggable: "false" }), inside);
  const counted = regions.filter((other) => other.counted_by).length;
  controls.replaceChildren(
    h("span", {}, h("b", { id: "count", class: "number", role: "status" }), h("span", { class: "muted small" }, `  class ${r.coarse_class} (TIL probability ${fixed(r.coarse_class / 10, 1)}–${fixed((r.coarse_class + 1) / 10, 1)}) · ${r.name} at ${whole(r.x)}, ${whole(r.y)}`)),
    h("span", { class: "row" },
      h("button", { onclick: () => move(-1), disabled: index === 0 }, "Back"),
      h("button", { id: "undo", onclick: undo }, "Undo"),
      h("button", { id: "next", class: "primary", onclick: store }, index + 1 < regions.length ? "Store, next" : "Store")));
  lead.classList.remove("error");
  lead.textContent = `Click the middle of each lymphocyte inside the frame. Region ${index + 1} of ${regions.length}; ${counted} counted.`;
  drawDots();
}

function move(step) {
  index = Math.max(0, Math.min(regions.length - 1, index + step));
  show();
}

function undo() {
  points.pop();
  hasNewDots = true;
  drawDots();
}

let isStoring = false;
async function store() {
  if (isStoring) return;
  const r = region();
  if (!by.value.trim()) {
    by.focus();
    showError(lead, new Error("say who counts: it is stored with the count"));
    return;
  }
  isStoring = true;
  try {
    await api("/api/count", { body: { slide: r.slide, x: r.x, y: r.y, points, by: by.value.trim() } });
    r.points = points;
    r.counted_by = by.value.trim();
    if (index + 1 < regions.length) move(1); else show();
    await curve();
  } catch (error) {
    showError(lead, error);
  } finally {
    isStoring = false;
  }
}

async function curve() {
  const priors = await api("/api/count/priors");
  const { means, deviations, counted } = priors;
  const top = Math.ceil(Math.max(0.1, ...means.map((mean, i) => mean + (deviations[i] ?? 0))) * 20) / 20;
  const curves = [];
  if (deviations.length) {
    curves.push(["area", [...means.map((m, i) => [i, m + deviations[i]]), ...means.map((m, i) => [i, Math.max(0, m - deviations[i])]).reverse()], true]);
  }
  const known = means.map((mean, i) => [i, mean]).filter(([i]) => counted[i] > 0);
  curves.push(["model", known]);
  side.replaceChildren(h("section", { class: "panel" },
    h("h2", {}, "η ± ρ: share of lymphocyte pixels by class"),
    plot("Priors by class", [means.length - 1, top], ["Coarse class", "Share of pixels"], curves, known, means.length - 1),
    h("p", { class: "small muted" }, priors.message ? "The priors are ready once every class is counted; five regions a class are enough." : "Every class is counted: graticule priors --results FILE --output priors.json makes the priors."),
    h("table", {}, h("thead", {}, h("tr", {}, h("th", {}, "Class"), h("th", { class: "number" }, "Counted"), h("th", { class: "number" }, "η"), h("th", { class: "number" }, "ρ"))),
      h("tbody", {}, means.map((mean, i) => h("tr", {}, h("td", {}, i), h("td", { class: "number" }, counted[i]), h("td", { class: "number" }, counted[i] ? fixed(mean, 3) : "–"), h("td", { class: "number" }, fixed(deviations[i], 3))))))));
}

field.addEventListener("click", (event) => {
  const box = field.getBoundingClientRect();
  const [v, r] = [view(), region()];
  const x = v.x + ((event.clientX - box.left) / box.width) * v.side;
  const y = v.y + ((event.clientY - box.top) / box.height) * v.side;
  if (x < r.x || y < r.y || x > r.x + r.side || y > r.y + r.side) return;
  points.push([Math.round(x * 10) / 10, Math.round(y * 10) / 10]);
  hasNewDots = true;
  drawDots();
});
document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT") return;
  if (event.key === "Backspace" || (event.key === "z" && event.ctrlKey)) { event.preventDefault(); undo(); }
  if (event.key === "Enter" && event.target.tagName !== "BUTTON") store();
});

/** The regions with this reader's counts: another's are another's. Dots that are not stored yet stay: a first click on a cell
 * is also what ends the typing of a name. */
async function load() {
  try {
    lead.textContent = "Drawing regions …";
    const loaded = await api(`/api/count/regions?by=${encodeURIComponent(by.value.trim())}`);
    const [shown, dots] = [region(), points];
    const same = hasNewDots ? loaded.findIndex((r) => r.slide === shown.slide && r.x === shown.x && r.y === shown.y) : -1;
    regions = loaded;
    index = same >= 0 ? same : Math.max(0, regions.findIndex((r) => !r.counted_by));
    if (regions.length) show(); else lead.textContent = "There are no regions to count in.";
    if (same >= 0) { points = dots; hasNewDots = true; drawDots(); }
    await curve();
  } catch (error) {
    showError(lead, error);
  }
}
await load();
