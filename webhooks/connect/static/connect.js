// Polls the state of the connections and updates the page. Without this script the page stays as it was loaded.
"use strict";

const ACTIVE_INTERVAL = 1500; // milliseconds between polls while a backfill runs, so that its bar moves
const IDLE_INTERVAL = 15000; // milliseconds otherwise: a connection that ended elsewhere shows up within seconds
const LOST = "The mirror does not respond. This page may be out of date.";

const notice = document.getElementById("lost");

function update(card, connection) {
  card.querySelector(".line").textContent = connection.line;
  const badge = card.querySelector(".badge");
  badge.textContent = connection.badge;
  badge.className = "badge " + (connection.connected ? "good" : "off");
  const leave = card.querySelector(".leave");
  if (leave) leave.hidden = !connection.connected;
  const backfill = card.querySelector(".backfill");
  backfill.hidden = !connection.progress;
  if (!connection.progress) return;
  const bar = backfill.querySelector("progress");
  if (connection.progress.percent === null) bar.removeAttribute("value");
  else bar.value = connection.progress.percent;
  bar.className = connection.progress.moving ? "" : "done";
  backfill.querySelector("p").textContent = connection.progress.text;
}

async function poll() {
  let active = false;
  try {
    const response = await fetch("/connect/state", { headers: { Accept: "application/json" }, redirect: "error" });
    if (response.status === 401) return location.reload(); // the session has ended; the reloaded page explains it
    if (!response.ok) throw new Error(String(response.status));
    const { connections } = await response.json();
    const cards = new Map([...document.querySelectorAll("[data-workspace]")].map((card) => [card.dataset.workspace, card]));
    if (connections.length !== cards.size || connections.some((each) => !cards.has(each.workspace_id))) return location.reload();
    for (const connection of connections) update(cards.get(connection.workspace_id), connection);
    active = connections.some((each) => each.progress && each.progress.moving);
    notice.hidden = true;
  } catch {
    notice.textContent = LOST;
    notice.hidden = false;
  }
  setTimeout(poll, active ? ACTIVE_INTERVAL : IDLE_INTERVAL);
}

if (document.querySelector("[data-workspace]")) setTimeout(poll, ACTIVE_INTERVAL);
