import { api, fixed, frame, h, showError, statusChip, whole } from "/viewer/common.js";

frame();
const [lead, cards, search, order] = ["lead", "cards", "search", "order"].map((id) => document.getElementById(id));
let slides = [];

function card(slide) {
  const run = slide.runs[0];
  const picture = h("div", { class: "picture" });
  if (slide.id) {
    picture.append(h("img", { src: `/slides/${slide.id}/thumbnail.jpeg`, loading: "lazy", alt: "",
      onerror: (event) => event.target.replaceWith(h("span", { class: "muted small" }, "cannot be opened")) }));
  } else {
    picture.append(h("span", { class: "muted small" }, "the slide is not in the folder"));
  }
  const words = h("div", { class: "words" }, h("span", { class: "name" }, slide.name));
  if (run) {
    words.append(
      h("span", { class: "density number" }, run.cells_per_square_millimeter === null || run.cells_per_square_millimeter === undefined
        ? "–" : whole(run.cells_per_square_millimeter), " ", h("span", {}, "TILs per mm²")),
      h("span", { class: "muted small number" }, `${whole(run.cells)} lymphocytes on ${fixed(run.tissue_square_millimeters)} mm² of tissue`),
      h("span", { class: "row small" }, statusChip(run.status), h("span", { class: "muted" }, run.model),
        slide.runs.length > 1 ? h("span", { class: "chip" }, `${slide.runs.length} runs`) : null,
        run.flagged_squares ? h("span", { class: "chip" }, `${run.flagged_squares} flagged squares`) : null));
  } else {
    words.append(h("span", { class: "muted small" }, "not segmented yet"));
  }
  return slide.id ? h("a", { class: "card panel", href: `/view/${slide.id}` }, picture, words) : h("div", { class: "card panel" }, picture, words);
}

function show() {
  const wanted = search.value.trim().toLowerCase();
  const key = { density: (s) => s.runs[0]?.cells_per_square_millimeter ?? -1, cells: (s) => s.runs[0]?.cells ?? -1 }[order.value];
  const found = slides.filter((slide) => slide.name.toLowerCase().includes(wanted));
  if (key) found.sort((a, b) => key(b) - key(a));
  // A page of thousands is built as it is looked at.
  cards.replaceChildren(...found.slice(0, 300).map(card));
  if (found.length > 300) {
    cards.append(h("button", { onclick: (event) => { event.target.remove(); cards.append(...found.slice(300).map(card)); } },
      `Show ${found.length - 300} more`));
  }
  if (!found.length && slides.length) cards.append(h("p", { class: "muted" }, "No slide of that name."));
}

try {
  slides = await api("/api/slides");
  const done = slides.filter((slide) => slide.runs.some((run) => run.status === "done")).length;
  lead.textContent = slides.length ? `${whole(slides.length)} slides, ${whole(done)} segmented.` : "There are no slides in the folder yet.";
  show();
} catch (error) {
  showError(lead, error);
}
search.addEventListener("input", show);
order.addEventListener("change", show);
