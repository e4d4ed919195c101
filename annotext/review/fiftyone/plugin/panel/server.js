// FiftyOne as the panel uses it, and annotext's operators behind it.

const React = window.React;
const h = React.createElement;
const { useRecoilValue, useRecoilValueLoadable } = window.recoil;
const state = window.__fos__;
const operators = window.__foo__;
const plugins = window.__fop__;
const { usePanelContext } = window.__fosp__;

const NAME = "annotext_review";
const PLUGIN = "@annotext/review/";
const ANSWER_MS = 20000; // longer than the server waits for its database

function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** Call one of the plugin's Python operators: resolves to its answer, rejects with an Error that says why. */
function call(name, params) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error("the server does not answer; does `annotext review open` still run?")), ANSWER_MS);
    operators.executeOperator(PLUGIN + name, params, {
      skipErrorNotification: true,
      skipOutput: true,
      callback: (answer) => {
        clearTimeout(late);
        const result = answer && answer.result;
        if (answer && answer.error) reject(new Error(readable(answer)));
        else if (result && result.problem) reject(new Error(result.problem));
        else if (result && "ok" in result) resolve(result.ok);
        else reject(new Error("the server gave no answer"));
      },
    });
  });
}

function readable(answer) {
  const text = String(answer.errorMessage || (answer.error && answer.error.message) || answer.error);
  return /failed to fetch|networkerror|load failed/i.test(text)
    ? "the server cannot be reached; does `annotext review open` still run?"
    : text.slice(0, 400);
}
