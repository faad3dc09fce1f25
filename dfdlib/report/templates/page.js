const root = document.documentElement;
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch {}
});

// Folded parts: all open, to search them or to print their tables, or all closed.
const parts = document.getElementById("parts");
parts.hidden = !document.querySelector("main details");
parts.addEventListener("click", () => {
  const open = parts.textContent.startsWith("Open");
  for (const part of document.querySelectorAll("main details")) part.open = open;
  parts.textContent = open ? "Close all parts" : "Open all parts";
});

// On a narrow screen the contents would push the report out of sight.
const contents = document.getElementById("contents");
const narrow = matchMedia("(max-width: 60rem)");
if (narrow.matches) contents.open = false;
contents.addEventListener("click", event => { if (narrow.matches && event.target.closest("a")) contents.open = false; });

// Mark where the reader is: the last place whose top has passed the upper quarter of the window.
const places = [...document.querySelectorAll("nav a")]
  .map(link => ({ link, place: document.getElementById(link.hash.slice(1)) })).filter(one => one.place);
let current = null, waiting = false;
function mark() {
  waiting = false;
  const passed = places.filter(one => one.place.getBoundingClientRect().top <= innerHeight / 4);
  const now = (passed.at(-1) ?? places[0])?.link;
  if (!now || now === current) return;
  current?.removeAttribute("aria-current");
  now.setAttribute("aria-current", "true");
  current = now;
  const box = now.getBoundingClientRect(), frame = contents.getBoundingClientRect();
  if (box.top < frame.top + 40 || box.bottom > frame.bottom - 20) contents.scrollTop += box.top - frame.top - frame.height / 3;
}
addEventListener("scroll", () => { if (!waiting) { waiting = true; requestAnimationFrame(mark); } }, { passive: true });
mark();

// One player at a time.
document.addEventListener("play", event => {
  for (const player of document.querySelectorAll("audio")) if (player !== event.target) player.pause();
}, true);

// Figures as SVG and tables as CSV, made from what is shown.
function download(name, kind, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
function button(label, title, action) {
  const made = document.createElement("button");
  made.type = "button"; made.className = "download"; made.textContent = label;
  made.setAttribute("aria-label", title);
  made.addEventListener("click", action);
  return made;
}
const plain = text => text.replace(/var\(--c-[0-9a-f]{6},\s*(#[0-9a-f]{6})\)/g, "$1");
for (const figure of document.querySelectorAll("figure[id]")) {
  const drawn = [...figure.querySelectorAll("svg.vector")], label = figure.querySelector("figcaption .label");
  if (drawn.length && label) figure.querySelector("figcaption").append(" ", button("SVG", `Download ${label.textContent} as SVG`, () =>
    drawn.forEach((one, place) => download(`${figure.id}${drawn.length > 1 ? `-${place + 1}` : ""}.svg`, "image/svg+xml", plain(new XMLSerializer().serializeToString(one))))));
}
for (const table of document.querySelectorAll("main table")) {
  const caption = table.caption;
  if (!caption) continue;
  const name = table.id || (caption.textContent.trim().replace(/\W+/g, "-").toLowerCase() || "table");
  const title = caption.querySelector(".label")?.textContent ?? caption.textContent;
  const cell = text => /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  caption.append(" ", button("CSV", `Download ${title} as CSV`, () => download(`${name}.csv`, "text/csv",
    [...table.rows].map(row => [...row.cells].map(one => cell(one.innerText.trim().replace(/\s*\n\s*/g, " "))).join(",")).join("\n") + "\n")));
}
