// What people do again and again.
import assert from "node:assert/strict";

/** Picks one of a list that opens. */
export async function choose(tab, label, option) {
  const field = tab.getByRole("textbox", { name: label }).or(tab.getByRole("combobox", { name: label })).first();
  await field.click();
  await tab.getByRole("option", { name: option, exact: true }).click();
}

/** Waits for the preview, sees that it says what is expected, and applies it. */
export async function apply(tab, says, { reason } = {}) {
  const dialog = tab.getByRole("dialog");
  await dialog.getByText(says).first().waitFor();
  if (reason) await dialog.getByLabel(/Why/).fill(reason);
  await dialog.getByRole("button", { name: "Apply", exact: true }).click();
  await dialog.waitFor({ state: "hidden" });
}

export async function refused(answer, status, code) {
  assert.equal(answer.status, status, JSON.stringify(answer.body));
  assert.equal(answer.body.code, code);
}
