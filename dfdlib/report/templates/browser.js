(() => {
const box = document.currentScript.closest(".browser"), part = name => box.querySelector(name);
const names = ["corpus", "clip", "attack", "speaker", "sentence", "label", "before", "after", "llrBefore", "llrAfter"];
const rows = JSON.parse(part(".data").textContent).rows.map(values => {
  const row = Object.fromEntries(names.map((name, place) => [name, values[place]]));
  row.real = row.label === "1"; row.kind = row.real ? "bona fide" : row.attack || "spoof"; row.change = row.after - row.before;
  row.margin = row.real ? row.after : -row.after;
  row.rightBefore = (row.before >= 0) === row.real; row.rightAfter = (row.after >= 0) === row.real;
  row.text = [row.corpus, row.clip, row.kind, row.speaker, row.sentence].join(" ").toLowerCase();
  return row;
});
const number = (value, places = 2) => (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(places);
const columns = [
  ["Clip", "clip"], ["Class or attack", "kind"], ["Before", "before"], ["After", "after"], ["Change", "change"], ["Margin after", "margin"],
  ["LLR before", "llrBefore"], ["LLR after", "llrAfter"], ["Corpus", "corpus"], ["Speaker", "speaker"], ["Sentence", "sentence"],
].filter(([, key]) => typeof rows[0]?.[key] === "number" || rows.some(row => row[key]));
const PAGE = 50;
let sorted = "margin", up = true, shown = PAGE, picked = null;

// The table: headers are buttons, and say how it is sorted.
const head = part("thead tr"), body = part("tbody"), made = (name, text) => { const one = document.createElement(name); if (text !== undefined) one.textContent = text; return one; };
for (const [title, key] of columns) {
  const cell = made("th"), press = made("button", title);
  cell.scope = "col"; cell.dataset.key = key; if (typeof rows[0]?.[key] === "number") cell.className = "number"; press.type = "button";
  press.addEventListener("click", () => { up = sorted === key ? !up : true; sorted = key; shown = PAGE; draw(); });
  cell.append(press); head.append(cell);
}
const which = {
  "": () => true, "wrong after": row => !row.rightAfter, "wrong before": row => !row.rightBefore,
  "mended": row => !row.rightBefore && row.rightAfter, "broken": row => row.rightBefore && !row.rightAfter,
};
function draw() {
  const corpus = part(".corpus").value, words = part(".find").value.toLowerCase().split(/\s+/).filter(Boolean), kind = which[part(".which").value];
  const open = row => (!corpus || row.corpus === corpus) && kind(row) && words.every(word => row.text.includes(word));
  for (const row of rows) { row.on = open(row) && (!picked || picked.has(row)); row.dot?.classList.toggle("off", !row.on); }
  const found = rows.filter(row => row.on);
  found.sort((one, other) => (up ? 1 : -1) * (typeof one[sorted] === "number" ? one[sorted] - other[sorted] : one[sorted].localeCompare(other[sorted])));
  for (const cell of head.cells) cell.dataset.key === sorted ? cell.setAttribute("aria-sort", up ? "ascending" : "descending") : cell.removeAttribute("aria-sort");
  body.replaceChildren(...found.slice(0, shown).map(row => {
    const line = made("tr");
    for (const [, key] of columns) {
      const isNumber = typeof row[key] === "number", cell = made(key === "clip" ? "th" : "td", isNumber ? number(row[key]) : row[key]);
      if (key === "clip") { cell.scope = "row"; }
      if (isNumber) cell.className = "number";
      if ((key === "before" && !row.rightBefore) || (key === "after" && !row.rightAfter)) { cell.classList.add("wrong"); cell.append(" ✗"); cell.setAttribute("aria-label", `${cell.textContent.slice(0, -2)}, wrong`); }
      line.append(cell);
    }
    return line;
  }));
  part(".more").hidden = found.length <= shown;
  part(".count").textContent = `${found.length} of ${rows.length} clips`;
}
for (const name of [".corpus", ".which", ".find"]) part(name).addEventListener("input", () => { shown = PAGE; draw(); });
part(".clear").addEventListener("click", () => { picked = null; for (const name of [".corpus", ".which", ".find"]) part(name).value = ""; shown = PAGE; draw(); });
part(".more").addEventListener("click", () => { shown += PAGE; draw(); });

// The scatter: a point or a drag selects rows.
const plot = part(".scatter"), svg = (name, values, text) => { const one = document.createElementNS("http://www.w3.org/2000/svg", name); for (const key in values) one.setAttribute(key, values[key]); if (text) one.textContent = text; plot.append(one); return one; };
const range = key => { const all = rows.map(row => row[key]); return [Math.min(0, ...all), Math.max(0, ...all)]; };
const [x0, x1] = range("before"), [y0, y1] = range("after");
const x = value => 44 + 424 * (value - x0) / (x1 - x0 || 1), y = value => 320 - 308 * (value - y0) / (y1 - y0 || 1);
function scatter() {
  svg("line", { x1: 44, x2: 468, y1: 320, y2: 320 }); svg("line", { x1: 44, x2: 44, y1: 12, y2: 320 });
  svg("line", { x1: x(0), x2: x(0), y1: 12, y2: 320, class: "zero" }); svg("line", { x1: 44, x2: 468, y1: y(0), y2: y(0), class: "zero" });
  svg("text", { x: 256, y: 352, "text-anchor": "middle" }, "score before"); svg("text", { x: 18, y: 166, transform: "rotate(-90 18 166)", "text-anchor": "middle" }, "score after");
  for (const [value, place] of [[x0, 44], [x1, 468]]) svg("text", { x: place, y: 335, "text-anchor": place > 99 ? "end" : "start" }, number(value, 1));
  for (const value of [y0, y1]) svg("text", { x: 40, y: y(value) + 4, "text-anchor": "end" }, number(value, 0));
  for (const row of rows) row.dot = svg("circle", { cx: x(row.before), cy: y(row.after), r: 3, class: row.real ? "real" : "spoof" });
}
let from = null, frame = null;
const at = event => { const spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse()); return [spot.x, spot.y]; };
plot.addEventListener("pointerdown", event => { from = at(event); plot.setPointerCapture(event.pointerId); frame = svg("rect", { class: "drag" }); });
plot.addEventListener("pointermove", event => {
  if (!from) return;
  const to = at(event);
  for (const [key, value] of [["x", Math.min(from[0], to[0])], ["y", Math.min(from[1], to[1])], ["width", Math.abs(from[0] - to[0])], ["height", Math.abs(from[1] - to[1])]]) frame.setAttribute(key, value);
});
plot.addEventListener("pointercancel", () => { from = null; frame?.remove(); });
plot.addEventListener("pointerup", event => {
  if (!from) return;
  const to = at(event), reach = 5, inside = (value, one, other) => value >= Math.min(one, other) - reach && value <= Math.max(one, other) + reach;
  const found = rows.filter(row => inside(x(row.before), from[0], to[0]) && inside(y(row.after), from[1], to[1]));
  from = null; frame.remove(); picked = found.length ? new Set(found) : null; shown = PAGE; draw();
});

// Thousands of points are drawn when somebody asks for them.
part(".all").addEventListener("toggle", () => { if (!plot.childElementCount && part(".all").open) { scatter(); draw(); } });

part(".cells-on")?.addEventListener("input", event => box.classList.toggle("plain", !event.target.checked));
box.addEventListener("play", event => { for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause(); }, true);
for (const player of box.querySelectorAll(".card audio")) player.addEventListener("timeupdate", () => {
  const line = player.closest(".card").querySelector(".head");
  line.style.display = player.currentTime ? "block" : "none"; line.style.left = `${100 * player.currentTime / (player.duration || 1)}%`;
});
})();
