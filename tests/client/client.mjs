// SPDX-License-Identifier: MIT
//
// node client.mjs NEXT_TOKEN MODEL.gguf...: for each model, the next-token distributions that
// node-llama-cpp's llama.cpp computes behind every token of a text, against those of our own forward
// pass (the program NEXT_TOKEN). llama.cpp rounds activations to 8 bits before it multiplies them with
// quantized weights and we do not, hence the tolerances.

import {execFileSync} from "node:child_process";
import {basename} from "node:path";
import {getLlama} from "node-llama-cpp";

const text = "The kernel keeps a list of all the devices that a driver can handle. When a new " +
    "device is added, the bus code walks over this list and calls";
const maxMeanKl = 0.003; // nats; up to 0.0005 was measured
const clearMargin = 0.05; // probabilities this far apart may not change places

const llama = await getLlama({
    gpu: false, build: "never", skipDownload: true, logLevel: "error", progressLogs: false,
});

async function clientDistributions(path, tokens) {
    const model = await llama.loadModel({modelPath: path});
    const context = await model.createContext({contextSize: 512});
    const outputs = await context.getSequence().controlledEvaluate(
        tokens.map((token) => [token, {generateNext: {probabilities: true}}]));
    const distributions = outputs.map((output) => output.next.probabilities);
    await context.dispose();
    await model.dispose();
    return distributions;
}

// KL(ours || theirs) of one position.
function divergence(ours, theirs) {
    return ours.reduce((sum, p, token) =>
        p > 0 ? sum + p * Math.log(p / Math.max(theirs.get(token) ?? 0, 1e-10)) : sum, 0);
}

// Whether the client's best token is ours, or one that was nearly as probable.
function sameChoice(ours, theirs) {
    const theirBest = [...theirs.entries()].reduce((best, entry) => entry[1] > best[1] ? entry : best);
    return Math.max(...ours) - ours[theirBest[0]] < clearMargin;
}

async function check(nextToken, path) {
    const {tokens, probabilities} = JSON.parse(
        execFileSync(nextToken, [path, text], {maxBuffer: 1 << 28}));
    const theirs = await clientDistributions(path, tokens);
    const meanKl = probabilities.reduce((sum, ours, i) => sum + divergence(ours, theirs[i]), 0) /
        tokens.length;
    const nSame = probabilities.filter((ours, i) => sameChoice(ours, theirs[i])).length;
    const passed = meanKl <= maxMeanKl && nSame === tokens.length;
    console.log(`${passed ? "ok  " : "FAIL"} ${basename(path).padEnd(24)} mean KL ` +
        `${meanKl.toExponential(2)} nats, same choice ${nSame}/${tokens.length}`);
    return passed;
}

const [nextToken, ...models] = process.argv.slice(2);
let nFailed = 0;
for (const path of models) {
    nFailed += await check(nextToken, path) ? 0 : 1;
}
console.log(`${models.length - nFailed} passed, ${nFailed} failed`);
process.exit(nFailed === 0 && models.length > 0 ? 0 : 1);
