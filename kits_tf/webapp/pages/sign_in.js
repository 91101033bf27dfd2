import { signIn } from "./api.js";

const form = document.getElementById("sign-in");
form.addEventListener("submit", async event => {
  event.preventDefault();
  try {
    await signIn(form.elements.token.value);
    location.reload();
  } catch (error) {
    form.querySelector("[role=alert]").textContent = error.message;
    form.elements.token.select();
  }
});
