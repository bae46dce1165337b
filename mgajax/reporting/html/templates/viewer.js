// A slider over the slices of one scan; `SCAN` is written into the page before this.
"use strict";
const slider = document.getElementById("slider");
const layers = [...document.querySelectorAll(".stage img")];
const line = document.getElementById("now");
const warnings = document.getElementById("warnings");
const marker = document.getElementById("marker");
const bars = [...document.querySelectorAll(".viewer .bar")];

function file(layer, number) {
  const folder = layer.dataset.layer;
  const name = String(number).padStart(4, "0");
  return `${folder}/${name}.${folder === "slices" ? "jpg" : "png"}`;
}

function show(number) {
  const slice = SCAN.slices[number - 1];
  for (const layer of layers) layer.src = file(layer, number);
  line.textContent = slice.text;
  warnings.textContent = slice.warnings;
  bars.forEach((bar, at) => {
    const chance = slice.chances[at] ?? 0;
    bar.querySelector("i").style.width = `${100 * chance}%`;
    bar.querySelector("b").textContent = slice.chances.length ? `${(100 * chance).toFixed(1)} %` : "–";
  });
  const at = SCAN.slices.length > 1 ? (number - 1) / (SCAN.slices.length - 1) : 0.5;
  marker.setAttribute("x1", 1000 * at);
  marker.setAttribute("x2", 1000 * at);
  for (const one of document.querySelectorAll(".thumbs button"))
    one.classList.toggle("chosen", Number(one.dataset.number) === number);
  for (const next of [number - 1, number + 1])
    if (SCAN.slices[next - 1]) for (const layer of layers) new Image().src = file(layer, next);
}

function go(number) {
  slider.value = Math.min(Math.max(number, 1), SCAN.slices.length);
  show(Number(slider.value));
}

slider.addEventListener("input", () => show(Number(slider.value)));
for (const button of document.querySelectorAll(".thumbs button"))
  button.addEventListener("click", () => go(Number(button.dataset.number)));
for (const box of document.querySelectorAll(".switches input"))
  box.addEventListener("change", () => {
    document.querySelector(`[data-layer=${box.value}]`).hidden = !box.checked;
  });
document.querySelector(".stage").addEventListener("wheel", (event) => {
  event.preventDefault();
  go(Number(slider.value) + Math.sign(event.deltaY));
}, { passive: false });
document.addEventListener("keydown", (event) => {
  if (event.target === slider) return;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (step) { event.preventDefault(); go(Number(slider.value) + step); }
});
go(SCAN.first);
