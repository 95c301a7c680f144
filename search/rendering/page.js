// A click on a name in a figure's legend hides its marks in all panels, or shows them again.
document.addEventListener("click", (event) => {
  const button = event.target.closest(".legend button");
  if (!button) return;
  const shown = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", shown);
  for (const plot of button.closest(".figure").querySelectorAll(".js-plotly-plot")) {
    const named = [...plot.data.keys()].filter((index) => plot.data[index].name === button.textContent);
    if (named.length) Plotly.restyle(plot, { visible: shown }, named);
  }
});
