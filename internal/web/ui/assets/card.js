// The form of a new card: Stripe's own script asks for the number in a frame of Stripe's, and only the name under which Stripe keeps the
// card is sent with the form.
"use strict";
for (const form of document.querySelectorAll("form[data-stripe]")) {
  if (!window.Stripe) continue;
  const stripe = window.Stripe(form.dataset.stripe, { locale: document.documentElement.lang });
  const elements = stripe.elements({ clientSecret: form.dataset.secret });
  elements.create("payment").mount(form.querySelector("[data-card]"));
  const problem = form.querySelector("[role=alert]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    const { error, setupIntent } = await stripe.confirmSetup({ elements, redirect: "if_required", confirmParams: { return_url: form.action } });
    if (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      for (const button of form.querySelectorAll("button")) button.disabled = false;
      return;
    }
    form.elements.setup_intent.value = setupIntent.id;
    form.submit();
  });
}
