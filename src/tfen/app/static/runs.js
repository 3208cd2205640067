// Finished cross-validations, side by side.
import { $, ask, element, emptyTable, table } from "./common.js";

const runs = await ask("api/runs");
const figure = (share) => `${(100 * share).toFixed(1)} %`;
table($("runs"), [
  { text: "Run", left: true, help: "Its folder." }, { text: "Accuracy", help: "Share of all sequences that were told rightly." },
  { text: "UAR", help: "Mean over the expressions of the share told rightly." },
  { text: "Deviation over folds", help: "Standard deviation of the folds' accuracies; a single fold has none." },
  { text: "Folds", help: "How many parts were tested, each by a network that learned from the others." },
  { text: "Sequences", help: "How many were tested." }, { text: "Subjects", help: "How many people were tested." },
  { text: "Set", left: true, help: "The data set." }, { text: "Network", left: true, help: "The variant of the network." },
  { text: "Epoch", left: true, help: "What chose the epoch that is reported." },
], runs.map((one) => [
  one.report ? element("a", { href: `runs/${one.report}`, textContent: one.run }) : one.run,
  figure(one.accuracy), figure(one.uar), one.folds < 2 || one.std === null ? "–" : figure(one.std),
  `${one.folds}`, `${one.sequences}`, `${one.subjects}`, one.set, one.variant, one.epoch_chosen_by,
]));
if (!runs.length) emptyTable($("runs"), "No finished run was found. Make one with tfen crossval, and its report with tfen report.");
