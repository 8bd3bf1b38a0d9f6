// An example is copied with the lines that the page's examples begin with, so that what is pasted runs.
"use strict";

{
  const withPreamble = (trigger, text) => {
    const preamble = document.querySelector(".preamble pre");
    return preamble && trigger.closest(".example") ? `${preamble.innerText.trim()}\n\n${text}` : text;
  };
  const Clipboard = window.ClipboardJS;
  window.ClipboardJS = class extends Clipboard {
    constructor(buttons, options) {
      super(buttons, { ...options, text: (trigger) => withPreamble(trigger, options.text(trigger)) });
    }
  };
}
