"use strict";
// The page: requests the state every second and shows it.

const page = { state: null, tab: "contacts", updatedAt: new Map(), sliderMovedAt: 0, requests: 0 };
const COUNT_NAMES = {
  users: "users", leads: "leads", companies: "companies", archived: "archived", merged: "merged", deleted: "deleted",
};
const DELIVERY_NAMES = { sent: "sent", acknowledged: "acknowledged", waiting: "waiting", lost: "lost", dropped: "failed" };

// `byUser`: the user caused the refresh, so the rows are updated even under the mouse.
async function refresh(byUser = false) {
  const number = ++page.requests;
  try {
    const state = await request(`/page/state?search=${encodeURIComponent($("search").value.trim())}`);
    // A later request makes this response obsolete.
    if (number !== page.requests) return;
    page.state = state;
    showError($("notice"), null);
    show(state, byUser);
  } catch (error) {
    showError($("notice"), new Error(`The emulator does not respond. ${error.message}`));
  }
}

function show(state, byUser) {
  $("workspace").textContent = state.workspace_id;
  $("target").textContent = state.target.replace("http://", "");
  showCounts($("counts"), COUNT_NAMES, state.counts);
  showCounts($("delivery"), DELIVERY_NAMES, state.delivery);
  showSettings(state.settings);
  showRows(state, byUser);
  $("log").replaceChildren(...(state.log.length ? state.log.map(logLine) : [empty("No notifications yet.", "li")]));
}

function showCounts(list, names, counts) {
  list.replaceChildren(...Object.entries(names).map(([key, name]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, counts[key].toLocaleString("en")))));
}

function showSettings(settings) {
  $("running").setAttribute("aria-checked", String(settings.running));
  // Do not reset a slider while the user moves it.
  if (Date.now() - page.sliderMovedAt < 1500) return;
  $("rate").value = settings.rate;
  $("rate-out").textContent = `${settings.rate}/s`;
  const faults = [];
  for (const input of document.querySelectorAll("[data-fault]")) {
    const value = settings[input.dataset.fault];
    input.value = value;
    input.nextElementSibling.textContent = faultText(input, value);
    if (value > 0) faults.push(`${input.previousElementSibling.textContent.toLowerCase()} ${faultText(input, value)}`);
  }
  $("faults-out").textContent = faults.length ? faults.join(", ") : "none";
}

function faultText(input, value) {
  return input.dataset.fault === "delay_seconds" ? `${value} s` : `${Math.round(value * 100)} %`;
}

function showRows(state, byUser) {
  // Do not move rows under the mouse: the user may be about to click one.
  if (!byUser && matchMedia("(hover: hover)").matches && $("rows").matches(":hover")) return;
  const focused = document.activeElement.dataset.row;
  const rows = state[page.tab].map(page.tab === "contacts" ? contactRow : companyRow);
  $("rows").replaceChildren(...(rows.length ? rows : [empty("No matches.", "li")]));
  if (focused) $("rows").querySelector(`[data-row="${focused}"]`)?.focus({ preventScroll: true });
}

function tableRow(type, row, kind, subtitle, chips) {
  const before = page.updatedAt.get(row.id);
  page.updatedAt.set(row.id, row.updated_at);
  const fresh = before !== row.updated_at && page.started && Date.now() - row.updated_at < 5000;
  return make("li", { class: fresh ? "fresh" : null },
    make("button", { type: "button", class: "row", "data-row": row.id, onclick: () => openEditor(type, row) },
      make("span", { class: `avatar ${kind}`, "aria-hidden": "true" }, initials(row.title)),
      make("span", {}, make("span", { class: "title" }, row.title), " ", make("span", { class: "quiet" }, subtitle),
        make("span", { class: "chips" }, ...chips)),
      make("time", {}, formatTime(row.updated_at))));
}

function contactRow(row) {
  const chips = [
    row.archived ? make("span", { class: "chip warn" }, "archived") : null,
    row.role === "lead" ? make("span", { class: "chip warn" }, "lead") : null,
    ...row.companies.slice(0, 3).map((company) => make("span", { class: "chip company" }, company.name)),
    row.companies.length > 3 ? make("span", { class: "chip company" }, `${row.companies.length - 3} more`) : null,
    ...row.tags.map((tag) => make("span", { class: "chip" }, tag.name)),
  ];
  return tableRow("contact", row, row.archived ? "archived" : row.role, row.title === row.email ? "" : row.email || "", chips);
}

function companyRow(row) {
  const subtitle = [row.industry, row.size ? `${row.size} employees` : null].filter(Boolean).join(", ");
  const count = `${row.contacts} ${row.contacts === 1 ? "contact" : "contacts"}`;
  return tableRow("company", row, "company", subtitle, [make("span", { class: "chip" }, count)]);
}

function logLine(entry) {
  const retry = entry.attempt === 2 ? make("span", { class: "badge warn" }, "retry") : null;
  return make("li", {}, make("time", {}, formatTime(entry.at_ms)), make("span", { class: "topic" }, entry.topic),
    make("span", { class: "outcome" }, retry, retry ? " " : null, responseBadge(entry)), make("span", { class: "object" }, entry.name));
}

function responseBadge(entry) {
  if (entry.attempt === 0) return make("span", { class: "badge warn" }, "lost");
  if (entry.status === null) return make("span", { class: "badge bad" }, "no response");
  const good = entry.status >= 200 && entry.status < 300;
  return make("span", { class: `badge ${good ? "good" : "bad"}` }, `${entry.status} · ${Math.round(entry.seconds * 1000)} ms`);
}

function empty(text, tag) {
  return make(tag, { class: "empty" }, text);
}

async function control(settings) {
  page.sliderMovedAt = 0;
  try { await request("/control", settings); } catch (error) { showError($("notice"), error); }
  await refresh();
}

function selectTab(tab) {
  page.tab = tab;
  for (const name of ["contacts", "companies"]) $(`tab-${name}`).setAttribute("aria-selected", String(name === tab));
  $("rows").setAttribute("aria-labelledby", `tab-${tab}`);
  if (page.state) showRows(page.state, true);
}

function addListeners() {
  $("running").addEventListener("click", () => control({ running: $("running").getAttribute("aria-checked") !== "true" }));
  for (const input of document.querySelectorAll("input[type=range]")) {
    input.addEventListener("input", () => { page.sliderMovedAt = Date.now(); });
    const name = input.dataset.fault || "rate";
    input.addEventListener("change", () => control({ [name]: Number(input.value) }));
  }
  for (const name of ["contacts", "companies"]) $(`tab-${name}`).addEventListener("click", () => selectTab(name));
  for (const button of document.querySelectorAll("[data-new]")) {
    const kind = button.dataset.new;
    button.addEventListener("click", () => openEditor(kind === "company" ? "company" : "contact", null, kind));
  }
  $("search").addEventListener("input", () => refresh(true));
  $("ping").addEventListener("click", () => request("/page/ping", {}).then(() => refresh(), (error) => showError($("notice"), error)));
}

addListeners();
refresh().then(() => { page.started = true; });
setInterval(() => { if (!document.hidden) refresh(); }, 1000);
