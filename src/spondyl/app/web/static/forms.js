// Forms of accounts, users, usability and new reader studies.

import { post, toast } from "./page.js";

const given = (value) => (value === "" ? null : value);

function onSubmit(id, send) {
  document.getElementById(id)?.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = event.target.querySelector("button.main");
    button.disabled = true;
    try {
      await send(event.target, new FormData(event.target));
    } catch (error) {
      toast(error.message, true);
    } finally {
      button.disabled = false;
    }
  });
}

onSubmit("account", async (_, data) => {
  await post("/api/account", { password: data.get("password"), new_password: given(data.get("new_password")), specialty: data.get("specialty") });
  location.assign("/login");
});

onSubmit("new-user", async (_, data) => {
  await post("/api/users", Object.fromEntries(data));
  location.reload();
});

onSubmit("usability", async (form, data) => {
  const answers = Array.from({ length: 10 }, (_, k) => Number(data.get(`sus_${k + 1}`)));
  toast((await post("/api/usability", { answers })).message);
  form.reset();
});

onSubmit("new-reader-study", async (form, data) => {
  const truth = {};
  for (const choice of form.querySelectorAll("select[name=truth]")) {
    if (choice.value) truth[choice.dataset.study] = choice.value === "yes";
  }
  await post("/api/reader-studies", {
    name: data.get("name"), question: data.get("question"), seed: Number(data.get("seed")),
    washout_days: Number(data.get("washout_days")), sequential: data.has("sequential"),
    readers: data.getAll("readers"), truth, lesions_csv: await (data.get("lesions")?.text() ?? ""),
  });
  location.assign("/readings");
});

document.addEventListener("click", async (event) => {
  const button = event.target.closest("tr[data-user] button[data-do=change]");
  if (!button) return;
  const row = button.closest("tr");
  const change = {};
  for (const field of row.querySelectorAll("[data-field]")) {
    if (field.dataset.field === "active") change.active = field.value === "yes";
    else if (field.value) change[field.dataset.field] = field.value;
  }
  try {
    toast((await post(`/api/users/${row.dataset.user}`, change)).message);
    row.querySelector("input").value = "";
  } catch (error) {
    toast(error.message, true);
  }
});
