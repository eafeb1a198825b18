// Passkeys need the browser's help: each form that is marked asks for options, lets the browser make or use a passkey,
// and sends what came of it. Without JavaScript the forms stay hidden.
"use strict";
for (const form of document.querySelectorAll("form[data-passkey]")) {
  if (!window.PublicKeyCredential?.parseCreationOptionsFromJSON) continue;
  form.hidden = false;
  const problem = form.querySelector("[role=alert]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    try {
      const answer = await fetch(form.dataset.begin, { method: "POST" });
      if (!answer.ok) throw new Error("begin");
      const options = (await answer.json()).publicKey;
      const credential = form.dataset.passkey === "create"
        ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
        : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
      form.elements.credential.value = JSON.stringify(credential.toJSON());
      form.submit();
    } catch {
      problem.textContent = "The passkey was not used. Try again, or take another way.";
      problem.hidden = false;
    }
  });
}
