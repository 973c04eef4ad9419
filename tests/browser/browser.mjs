// SPDX-License-Identifier: MIT
//
// A headless Chromium over its DevTools pipe: messages are JSON, each ended by a zero byte, in on
// its descriptor 3 and out on 4. Node needs no package for that.

import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class Browser {
    static async start(program) {
        const browser = new Browser();
        browser.profile = await mkdtemp(join(tmpdir(), "chromium-"));
        browser.process = spawn(program, [
            "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--remote-debugging-pipe", `--user-data-dir=${browser.profile}`,
        ], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
        browser.listen();
        return browser;
    }

    listen() {
        let rest = "";
        this.waiting = new Map();
        this.events = [];
        this.lastId = 0;
        this.process.stdio[4].setEncoding("utf8").on("data", (data) => {
            const messages = (rest + data).split("\0");
            rest = messages.pop();
            messages.map((text) => JSON.parse(text)).forEach((message) => this.receive(message));
        });
    }

    receive(message) {
        const waiting = this.waiting.get(message.id);
        if (!waiting) {
            this.events.push(message);
        } else if (message.error) {
            waiting.reject(new Error(message.error.message));
        } else {
            waiting.resolve(message.result);
        }
        this.waiting.delete(message.id);
    }

    send(method, params = {}, sessionId = this.session) {
        const id = ++this.lastId;
        this.process.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
        return new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }));
    }

    // Opens a page as a screen of this size, scheme "light" or "dark", would show it.
    async open(url, { width, height = 900, scheme = "light", scripts = true }) {
        const { targetId } = await this.send("Target.createTarget", { url: "about:blank" }, undefined);
        const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true }, undefined);
        this.session = sessionId;
        this.events = [];
        for (const domain of ["Page", "Runtime", "Log", "Network"]) {
            await this.send(`${domain}.enable`);
        }
        await this.send("Emulation.setDeviceMetricsOverride", { width, height, deviceScaleFactor: 1, mobile: width < 640 });
        await this.send("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
        await this.send("Emulation.setScriptExecutionDisabled", { value: !scripts });
        await this.send("Page.navigate", { url });
        while (!this.events.some((event) => event.method === "Page.loadEventFired")) {
            await new Promise((resolve) => setTimeout(resolve, 20));
        }
    }

    // What a function returns that runs in the page.
    async evaluate(inPage, ...values) {
        const expression = `(${inPage})(${values.map((value) => JSON.stringify(value)).join(",")})`;
        const { result, exceptionDetails } = await this.send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
        if (exceptionDetails) {
            throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
        }
        return result.value;
    }

    // What went wrong since the page was opened: script errors, warnings of the browser, requests.
    complaints() {
        return this.events.flatMap(({ method, params }) => {
            switch (method) {
            case "Runtime.exceptionThrown": return [params.exceptionDetails.exception?.description ?? "exception"];
            case "Runtime.consoleAPICalled": return [`console.${params.type}`];
            case "Log.entryAdded": return [params.entry.text];
            case "Network.requestWillBeSent":
                return params.request.url.startsWith("file:") ? [] : [`request for ${params.request.url}`];
            default: return [];
            }
        });
    }

    // Of the whole page or of the part that the screen shows.
    async screenshot(whole = true) {
        const { data } = await this.send("Page.captureScreenshot", { captureBeyondViewport: whole });
        return Buffer.from(data, "base64");
    }

    async pdf() {
        const { data } = await this.send("Page.printToPDF", { preferCSSPageSize: true });
        return Buffer.from(data, "base64");
    }

    async stop() {
        const gone = new Promise((resolve) => this.process.once("exit", resolve));
        await this.send("Browser.close", {}, undefined).catch(() => {});
        await gone;
        await rm(this.profile, { recursive: true, force: true, maxRetries: 5 });
    }
}
