// Looks again how the connections are doing and writes it into the page. Without this script the page shows what it
// showed when it was loaded.
"use strict";

const MOVING = 1500; // milliseconds between looks while a fill runs: often enough to see it move
const STILL = 15000; // and otherwise: a connection that ends elsewhere shows up within seconds
const LOST = "We lost touch with the mirror. What you see may be old.";

const notice = document.getElementById("lost");

function show(card, told) {
  card.querySelector(".line").textContent = told.line;
  const badge = card.querySelector(".badge");
  badge.textContent = told.badge;
  badge.className = "badge " + (told.connected ? "good" : "off");
  const leave = card.querySelector(".leave");
  if (leave) leave.hidden = !told.connected;
  const fill = card.querySelector(".fill");
  fill.hidden = !told.progress;
  if (!told.progress) return;
  const bar = fill.querySelector("progress");
  if (told.progress.percent === null) bar.removeAttribute("value");
  else bar.value = told.progress.percent;
  bar.className = told.progress.moving ? "" : "done";
  fill.querySelector("p").textContent = told.progress.text;
}

async function look() {
  let moving = false;
  try {
    const answer = await fetch("/connect/state", { headers: { Accept: "application/json" }, redirect: "error" });
    if (answer.status === 401) return location.reload(); // the visit has ended; the page says so
    if (!answer.ok) throw new Error(String(answer.status));
    const { connections } = await answer.json();
    const cards = new Map([...document.querySelectorAll("[data-workspace]")].map((card) => [card.dataset.workspace, card]));
    if (connections.length !== cards.size || connections.some((told) => !cards.has(told.workspace_id))) return location.reload();
    for (const told of connections) show(cards.get(told.workspace_id), told);
    moving = connections.some((told) => told.progress && told.progress.moving);
    notice.hidden = true;
  } catch {
    notice.textContent = LOST;
    notice.hidden = false;
  }
  setTimeout(look, moving ? MOVING : STILL);
}

if (document.querySelector("[data-workspace]")) setTimeout(look, MOVING);
