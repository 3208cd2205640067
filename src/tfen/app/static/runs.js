// Finished cross-validations, side by side.
import { $, ask, element, table } from "./common.js";

const runs = await ask("api/runs");
table($("runs"), [["Run", true], ["Accuracy"], ["UAR"], ["Deviation over folds"], ["Folds"], ["Sequences"], ["Subjects"], ["Set", true], ["Network", true], ["Epoch", true]],
  runs.map((one) => [
    one.report ? element("a", { href: `runs/${one.report}`, textContent: one.run }) : one.run,
    `${(100 * one.accuracy).toFixed(1)} %`, `${(100 * one.uar).toFixed(1)} %`, `${(100 * one.std).toFixed(1)} %`,
    one.folds, one.sequences, one.subjects, one.set, one.variant, one.epoch_chosen_by,
  ]));
if (!runs.length) $("runs").replaceChildren(element("caption", { textContent: "No finished run was found. Make one with tfen crossval, and its report with tfen report." }));
