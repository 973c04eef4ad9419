// SPDX-License-Identifier: MIT
//
// Pictures of a page to look at: node screenshots.mjs PAGE.html DIRECTORY [CHROMIUM]

import { writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { Browser } from "./browser.mjs";

const views = [
    { name: "top", width: 960, height: 740, scheme: "light", whole: false },
    { name: "desktop", width: 1280, scheme: "light" },
    { name: "desktop-dark", width: 1280, scheme: "dark" },
    { name: "phone", width: 390, scheme: "light" },
    { name: "phone-dark", width: 390, scheme: "dark" },
];

const [page, directory, program = "chromium"] = process.argv.slice(2);
const browser = await Browser.start(program);
for (const view of views) {
    await browser.open(pathToFileURL(resolve(page)).href, view);
    await writeFile(join(directory, `${view.name}.png`), await browser.screenshot(view.whole));
}
await writeFile(join(directory, "print.pdf"), await browser.pdf());
await browser.stop();
