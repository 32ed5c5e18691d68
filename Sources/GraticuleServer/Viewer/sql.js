import { api, frame, h, showError, whole } from "/viewer/common.js";

frame();
const [sql, run, csv, message, answer, examples, cancel] = ["sql", "run", "csv", "message", "answer", "examples", "cancel"].map((id) => document.getElementById(id));
const questions = [
  ["Densest slides", "SELECT slide, cells, tissue_mm2, cells_per_mm2\nFROM slide_summary ORDER BY cells_per_mm2 DESC"],
  ["Cells by size", "SELECT CAST(area_um2 / 20 AS INTEGER) * 20 AS area_um2_from, COUNT(*) AS cells,\n  ROUND(AVG(mean_probability), 3) AS probability\nFROM cell GROUP BY 1"],
  ["Coarse against fine", "SELECT class, COUNT(*) AS regions, ROUND(AVG(prior_mean), 3) AS expected,\n  ROUND(AVG(predicted_fraction), 3) AS found\nFROM region WHERE pixels > 0 GROUP BY class"],
  ["Worst disagreement", "SELECT slide, level0_x, level0_y, class, ROUND(z_score, 2) AS z\nFROM region_disagreement LIMIT 20"],
  ["Flagged squares", "SELECT slide.name, flag, COUNT(*) AS squares FROM quality\nJOIN run ON run.id = quality.run_id JOIN slide ON slide.id = run.slide_id\nWHERE flag IS NOT NULL GROUP BY 1, 2"],
  ["Evaluations", "SELECT patch_set.name, method, ROUND(auc, 3) AS auc, ROUND(darkness_auc, 3) AS darkness\nFROM evaluation JOIN patch_set ON patch_set.id = patch_set_id"],
  ["Counted squares", "SELECT slide, reader, COUNT(*) AS squares, SUM(lymphocytes) AS lymphocytes\nFROM counted_square GROUP BY 1, 2"],
  ["Tables", "SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view')"],
];
let table = null;
let asked = null;
cancel.addEventListener("click", () => asked?.abort());
examples.append(...questions.map(([title, text]) => h("button", { class: "small", onclick: () => { sql.value = text; ask(); } }, title)));
sql.value = new URLSearchParams(location.search).get("q") ?? questions[0][1];

async function ask() {
  message.className = "muted small";
  message.textContent = "Asking …";
  run.disabled = true;
  cancel.disabled = false;
  asked = new AbortController();
  try {
    table = await api("/api/query", { body: { sql: sql.value }, signal: asked.signal });
    const isNumber = table.columns.map((_, i) => table.rows.some((row) => row[i] !== null) && table.rows.every((row) => row[i] === null || typeof row[i] === "number"));
    // Beyond a thousand rows a table on a page is for the download.
    const body = table.rows.slice(0, 1000).map((row) => h("tr", {}, row.map((value, i) =>
      h("td", { class: isNumber[i] ? "number" : "" }, value === null ? h("span", { class: "muted" }, "–") : String(value)))));
    answer.replaceChildren(h("table", {}, h("thead", {}, h("tr", {}, table.columns.map((name, i) => h("th", { class: isNumber[i] ? "number" : "", scope: "col" }, name)))), h("tbody", {}, body)));
    answer.classList.remove("hidden");
    message.textContent = `${whole(table.rows.length)} rows in ${table.seconds.toFixed(2)} s` + (table.cut_off ? "; there are more" : "")
      + (table.rows.length > 1000 ? "; the first 1,000 are shown" : "");
    history.replaceState(null, "", `?q=${encodeURIComponent(sql.value)}`);
  } catch (error) {
    table = null;
    answer.classList.add("hidden");
    if (error.name === "AbortError") message.textContent = "Cancelled."; else showError(message, error);
  }
  run.disabled = false;
  cancel.disabled = true;
  csv.disabled = table === null;
}

const field = (value) => {
  let text = value === null ? "" : String(value);
  // A spreadsheet must not take text for a formula.
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};

csv.addEventListener("click", () => {
  const lines = [table.columns, ...table.rows].map((row) => row.map(field).join(","));
  const url = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
  h("a", { href: url, download: "graticule.csv" }).click();
  URL.revokeObjectURL(url);
});
run.addEventListener("click", ask);
sql.addEventListener("keydown", (event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); ask(); } });
ask();
