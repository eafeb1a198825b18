// Beside Stripe's own script. A form with a place for a card: Stripe asks for the number in a frame of its own, and only the name under which
// it keeps the card is sent with the form. A form without one: the customer confirms a payment at the bank, and we ask Stripe what came of it.
"use strict";
for (const form of document.querySelectorAll("form[data-stripe]")) {
  if (!window.Stripe) continue;
  const { stripe: key, secret, method } = form.dataset, place = form.querySelector("[data-card]"), problem = form.querySelector("[role=alert]");
  const stripe = window.Stripe(key, { locale: document.documentElement.lang });
  const elements = place && stripe.elements({ clientSecret: secret });
  if (place) elements.create("payment").mount(place);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.hidden = true;
    const { error, setupIntent } = place
      ? await stripe.confirmSetup({ elements, redirect: "if_required", confirmParams: { return_url: form.action } })
      : await stripe.confirmCardPayment(secret, { payment_method: method });
    if (error) {
      problem.textContent = error.message;
      problem.hidden = false;
      for (const button of form.querySelectorAll("button")) button.disabled = false;
      return;
    }
    if (place) form.elements.setup_intent.value = setupIntent.id;
    form.submit();
  });
}
