// An example is copied with the lines that the page's examples begin with, so that what is pasted runs.
"use strict";

{
  const copyShown = window.copyTargetText;
  window.copyTargetText = (trigger) => {
    const shown = copyShown(trigger);
    const preamble = document.querySelector(".preamble pre");
    return preamble && trigger.closest(".example") ? `${preamble.innerText.trim()}\n\n${shown}` : shown;
  };
}
