"use strict";
// The dialog that creates and edits one contact or company.

const FIELDS = {
  contact: [["name", "Name", "text"], ["email", "Email", "email"], ["phone", "Phone", "tel"], ["external_id", "External ID", "text"]],
  company: [["name", "Name", "text"], ["website", "Website", "url"], ["industry", "Industry", "text"],
            ["size", "Employees", "number"], ["monthly_spend", "Monthly spend", "number"]],
};
const editor = { type: null, id: null, kind: null, row: {} };

function openEditor(type, row, kind) {
  Object.assign(editor, { type, id: row ? row.id : null, kind, row: row || {} });
  $("editor-title").textContent = row ? row.title : `New ${kind}`;
  showError($("editor-error"), null);
  $("editor-fields").replaceChildren(...FIELDS[type].map(field), attributesField());
  $("editor-links").replaceChildren(...(row && type === "contact" ? contactLinks(row) : []));
  $("editor-actions").replaceChildren(...(row ? actionButtons(type, row) : []));
  if (!$("editor").open) $("editor").showModal();
}

function field([name, label, type]) {
  const value = editor.row[name] ?? "";
  // The email of an emulated contact may be any text, so the input has no type "email" that the browser would validate.
  const input = make("input", { type: type === "number" ? "number" : "text", inputmode: type === "number" ? "numeric" : type,
    name, value, min: type === "number" ? 0 : null, max: type === "number" ? 2147483647 : null, autocomplete: "off",
    placeholder: editor.id ? "" : "random if empty" });
  return make("label", {}, label, input);
}

function attributesField() {
  const text = make("textarea", { name: "custom_attributes", rows: "4", spellcheck: "false" });
  text.value = JSON.stringify(editor.row.custom_attributes || {}, null, 1);
  return make("label", { class: "wide" }, "Custom attributes (JSON)", text);
}

function contactLinks(row) {
  const groups = [
    linkGroup("Tags", row.tags, "untag", "tag", page.state.tags.filter((tag) => !row.tags.some((link) => link.id === tag.id))),
    linkGroup("Companies", row.companies, "detach", "attach", page.state.companies
      .filter((company) => !row.companies.some((link) => link.id === company.id))
      .map((company) => ({ id: company.id, name: company.title }))),
  ];
  if (row.role === "lead") {
    const users = page.state.contacts.filter((other) => other.role === "user" && !other.archived);
    groups.push(linkGroup("Merge into", [], null, "merge", users.map((user) => ({ id: user.id, name: user.title }))));
  }
  return row.archived ? [] : groups;
}

function linkGroup(label, links, remove, add, choices) {
  const chips = links.map((link) => make("span", { class: "chip" }, link.name,
    make("button", { type: "button", "aria-label": `Remove ${link.name}`, onclick: () => act(remove, link.id) }, "✕")));
  const select = make("select", { "aria-label": label, onchange: (event) => act(add, event.target.value) },
    make("option", { value: "" }, add === "merge" ? "Choose a user…" : "Add…"),
    ...choices.map((choice) => make("option", { value: choice.id }, choice.name)));
  return make("div", { class: "link-group" }, make("b", {}, label), ...chips, choices.length ? select : null);
}

function actionButtons(type, row) {
  const button = (label, action, extra) => make("button", { type: "button", class: extra, onclick: () => act(action, "") }, label);
  if (type === "company") return [button("Delete", "delete", "danger")];
  if (row.archived) return [button("Unarchive", "unarchive"), button("Delete", "delete", "danger")];
  return [
    row.role === "lead" ? button("Sign up", "sign_up") : null,
    row.unsubscribed ? button("Subscribe", "subscribe") : button("Unsubscribe", "unsubscribe"),
    button("Archive", "archive"), button("Delete", "delete", "danger"),
  ].filter(Boolean);
}

async function act(action, other) {
  if (action === "delete" && !confirm(`Delete ${editor.row.title} permanently?`)) return;
  await attempt(async () => {
    await request(`/page/${editor.type}/${editor.id}/${action}`, { other });
    await refresh(true);
    const row = page.state[editor.type === "contact" ? "contacts" : "companies"].find((each) => each.id === editor.id);
    if (row && !["delete", "merge", "archive"].includes(action)) openEditor(editor.type, row);
    else $("editor").close();
  });
}

async function save(event) {
  event.preventDefault();
  await attempt(async () => {
    const path = editor.id ? `/page/${editor.type}/${editor.id}` : `/page/new/${editor.kind}`;
    await request(path, formValues());
    $("editor").close();
    await refresh(true);
  });
}

function formValues() {
  const values = {};
  for (const input of $("editor-form").querySelectorAll("input, textarea")) {
    const text = input.value.trim();
    // An empty field of a new object receives a random value; one of an existing object becomes null.
    if (!text && !editor.id) continue;
    if (input.name === "custom_attributes") values[input.name] = parseAttributes(text);
    else values[input.name] = input.type === "number" && text ? Number(text) : text;
  }
  return values;
}

function parseAttributes(text) {
  try {
    const value = JSON.parse(text || "{}");
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch { /* The error is thrown below. */ }
  throw new Error('Custom attributes must be a JSON object, such as {"seats": 12}.');
}

async function attempt(action) {
  showError($("editor-error"), null);
  try { await action(); } catch (error) { showError($("editor-error"), error); }
}

$("editor-form").addEventListener("submit", save);
$("editor-close").addEventListener("click", () => $("editor").close());
