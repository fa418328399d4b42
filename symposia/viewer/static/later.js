// What is loaded when it is first needed, and what only a file needs.

import { answerOf } from "./held.js";
import { AgainstRun } from "./views/against.js";
import { Batch, Batches } from "./views/batch.js";
import { CallView } from "./views/call.js";
import { Compare } from "./views/compare.js";
import { Fork } from "./views/fork.js";
import { Graph } from "./views/graph.js";
import { StepView } from "./views/step.js";

export const views = { AgainstRun, Batch, Batches, CallView, Compare, Fork, Graph, StepView, answerOf };
