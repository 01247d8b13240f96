"use strict";
// The page: asks for the state every second and shows it.

const page = { state: null, tab: "contacts", seen: new Map(), touched: 0, turn: 0 };
const COUNT_NAMES = {
  users: "users", leads: "leads", companies: "companies", archived: "archived", merged: "merged", deleted: "deleted",
};
const DELIVERY_NAMES = { sent: "sent", acknowledged: "answered 200", waiting: "waiting", lost: "lost", dropped: "gave up" };

async function refresh(byHand = false) {
  const turn = ++page.turn;
  try {
    const state = await call(`/page/state?search=${encodeURIComponent($("search").value.trim())}`);
    // An answer that was overtaken by a later one is old news.
    if (turn !== page.turn) return;
    page.state = state;
    complain($("notice"), null);
    show(state, byHand);
  } catch (error) {
    complain($("notice"), new Error(`The emulator does not answer. ${error.message}`));
  }
}

function show(state, byHand) {
  $("workspace").textContent = state.workspace_id;
  $("target").textContent = state.target.replace("http://", "");
  showCounts($("counts"), COUNT_NAMES, state.counts);
  showCounts($("delivery"), DELIVERY_NAMES, state.delivery);
  showSettings(state.settings);
  showRows(state, byHand);
  $("log").replaceChildren(...(state.log.length ? state.log.map(logLine) : [empty("Nothing was sent yet.", "li")]));
}

function showCounts(list, names, counts) {
  list.replaceChildren(...Object.entries(names).map(([key, name]) =>
    make("div", {}, make("dt", {}, name), make("dd", {}, counts[key].toLocaleString("en")))));
}

function showSettings(settings) {
  $("running").setAttribute("aria-checked", String(settings.running));
  // A slider that somebody is moving is left alone.
  if (Date.now() - page.touched < 1500) return;
  $("rate").value = settings.rate;
  $("rate-out").textContent = `${settings.rate} per s`;
  const mishaps = [];
  for (const input of document.querySelectorAll("[data-weather]")) {
    const value = settings[input.dataset.weather];
    input.value = value;
    input.nextElementSibling.textContent = weatherWords(input, value);
    if (value > 0) mishaps.push(`${input.previousElementSibling.textContent.toLowerCase()} ${weatherWords(input, value)}`);
  }
  $("weather-out").textContent = mishaps.length ? mishaps.join(", ") : "fine";
}

function weatherWords(input, value) {
  return input.dataset.weather === "delay_seconds" ? `${value} s` : `${Math.round(value * 100)} %`;
}

function showRows(state, byHand) {
  // Rows do not move by themselves away from under a mouse that is about to click one.
  if (!byHand && matchMedia("(hover: hover)").matches && $("rows").matches(":hover")) return;
  const focused = document.activeElement.dataset.row;
  const lines = state[page.tab].map(page.tab === "contacts" ? contactLine : companyLine);
  $("rows").replaceChildren(...(lines.length ? lines : [empty("Nothing found.", "li")]));
  if (focused) $("rows").querySelector(`[data-row="${focused}"]`)?.focus({ preventScroll: true });
}

function line(type, row, kind, under, chips) {
  const known = page.seen.get(row.id);
  page.seen.set(row.id, row.updated_at);
  const fresh = known !== row.updated_at && page.started && Date.now() - row.updated_at < 5000;
  return make("li", { class: fresh ? "fresh" : null },
    make("button", { type: "button", class: "row", "data-row": row.id, onclick: () => openEditor(type, row) },
      make("span", { class: `face ${kind}`, "aria-hidden": "true" }, initials(row.title)),
      make("span", {}, make("span", { class: "title" }, row.title), " ", make("span", { class: "quiet" }, under),
        make("span", { class: "chips" }, ...chips)),
      make("time", {}, clock(row.updated_at))));
}

function contactLine(row) {
  const chips = [
    row.archived ? make("span", { class: "chip warn" }, "archived") : null,
    row.role === "lead" ? make("span", { class: "chip warn" }, "lead") : null,
    ...row.companies.slice(0, 3).map((company) => make("span", { class: "chip company" }, company.name)),
    row.companies.length > 3 ? make("span", { class: "chip company" }, `${row.companies.length - 3} more`) : null,
    ...row.tags.map((tag) => make("span", { class: "chip" }, tag.name)),
  ];
  return line("contact", row, row.archived ? "archived" : row.role, row.title === row.email ? "" : row.email || "", chips);
}

function companyLine(row) {
  const words = [row.industry, row.size ? `${row.size} employees` : null].filter(Boolean).join(", ");
  const count = `${row.contacts} ${row.contacts === 1 ? "contact" : "contacts"}`;
  return line("company", row, "company", words, [make("span", { class: "chip" }, count)]);
}

function logLine(entry) {
  const again = entry.attempt === 2 ? make("span", { class: "answer warn" }, "retry") : null;
  return make("li", {}, make("time", {}, clock(entry.at_ms)), make("span", { class: "topic" }, entry.topic),
    make("span", { class: "outcome" }, again, again ? " " : null, answer(entry)), make("span", { class: "what" }, entry.name));
}

function answer(entry) {
  if (entry.attempt === 0) return make("span", { class: "answer warn" }, "lost");
  if (entry.status === null) return make("span", { class: "answer bad" }, "no answer");
  const good = entry.status >= 200 && entry.status < 300;
  return make("span", { class: `answer ${good ? "good" : "bad"}` }, `${entry.status} · ${Math.round(entry.seconds * 1000)} ms`);
}

function empty(text, tag) {
  return make(tag, { class: "empty" }, text);
}

async function control(settings) {
  page.touched = 0;
  try { await call("/control", settings); } catch (error) { complain($("notice"), error); }
  await refresh();
}

function choose(tab) {
  page.tab = tab;
  for (const name of ["contacts", "companies"]) $(`tab-${name}`).setAttribute("aria-selected", String(name === tab));
  $("rows").setAttribute("aria-labelledby", `tab-${tab}`);
  if (page.state) showRows(page.state, true);
}

function listen() {
  $("running").addEventListener("click", () => control({ running: $("running").getAttribute("aria-checked") !== "true" }));
  for (const input of document.querySelectorAll("input[type=range]")) {
    input.addEventListener("input", () => { page.touched = Date.now(); });
    const name = input.dataset.weather || "rate";
    input.addEventListener("change", () => control({ [name]: Number(input.value) }));
  }
  for (const name of ["contacts", "companies"]) $(`tab-${name}`).addEventListener("click", () => choose(name));
  for (const button of document.querySelectorAll("[data-new]")) {
    const kind = button.dataset.new;
    button.addEventListener("click", () => openEditor(kind === "company" ? "company" : "contact", null, kind));
  }
  $("search").addEventListener("input", () => refresh(true));
  $("ping").addEventListener("click", () => call("/page/ping", {}).then(() => refresh(), (error) => complain($("notice"), error)));
}

listen();
refresh().then(() => { page.started = true; });
setInterval(() => { if (!document.hidden) refresh(); }, 1000);
