// SPDX-License-Identifier: MIT
//
// Opens a report as telephones, desktops and people without scripts do, and fails on the first thing
// that is missing: node check_report.mjs CHROMIUM REPORT.html TRAP.html

import assert from "node:assert/strict";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

import { Browser } from "./browser.mjs";

const [program, report, trap] = process.argv.slice(2);
const address = (path) => pathToFileURL(resolve(path)).href;

const views = [
    { width: 390, scheme: "light" },
    { width: 390, scheme: "dark" },
    { width: 1280, scheme: "light" },
    { width: 1280, scheme: "dark" },
    { width: 390, scheme: "light", scripts: false },
];

// Everything below runs in the page.

function describe() {
    const box = (element) => element.getBoundingClientRect();
    const all = (selector) => [...document.querySelectorAll(selector)];
    const isDrawn = (element) => box(element).width > 0 && box(element).height > 0;
    const right = (element) => Math.round(box(element).right);
    return {
        charts: all("svg.plot, svg.map").length,
        undrawn: all("svg.plot, svg.map, .cell rect, .mark .best, .mark .beaten").filter((element) => !isDrawn(element)).length,
        marks: all(".mark").length,
        cells: all(".cell").length,
        labels: all("text.name").filter((element) => getComputedStyle(element).display !== "none").length,
        tables: all("details table").length,
        scrollWidth: document.documentElement.scrollWidth,
        outside: all("svg *").filter((element) => isDrawn(element) && (right(element) > innerWidth || box(element).left < 0)).length,
        smallText: all("svg text").filter((element) => parseFloat(getComputedStyle(element).fontSize) < 11).length,
    };
}

// Relative luminance, WCAG 2.
function luminance(color) {
    const linear = color.match(/[\d.]+/g).slice(0, 3).map((byte) => byte / 255)
        .map((x) => (x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

function readColors() {
    const style = (selector) => getComputedStyle(document.querySelector(selector));
    const shades = [...document.querySelectorAll(".ramp")][0].children;
    const texts = ["body", ".tick", ".legend", "summary", ".cell text"].map((selector) =>
        [selector, selector.startsWith(".tick") || selector.startsWith(".cell") ? style(selector).fill : style(selector).color]);
    return {
        paper: style("body").backgroundColor,
        cell: style(".cell rect").fill,
        shades: [...shades].map((shade) => getComputedStyle(shade).backgroundColor),
        texts: Object.fromEntries(texts),
    };
}

async function pointAt(selector) {
    const nextFrame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const element = document.querySelector(selector);
    element.scrollIntoView({ block: "center" });
    await nextFrame(); // scrolling hides the hint
    await nextFrame();
    const box = element.getBoundingClientRect();
    return { x: box.x + box.width / 2, y: box.y + box.height / 2 };
}

// Everything above runs in the page.

function checkLayout(page, view) {
    assert.equal(page.charts, 1 + 3 + 3 + 2, "charts");
    assert.equal(page.marks, 3, "a mark for every file");
    assert.equal(page.cells, 2 * 3 * 36 + 2 * 35, "a cell for every matrix");
    assert.equal(page.undrawn, 0, "all is drawn");
    assert.equal(page.labels, 3, "every file is named");
    assert.ok(page.tables >= page.charts, "a table for every chart");
    assert.ok(page.scrollWidth <= view.width, `nothing is wider than the screen: ${page.scrollWidth}`);
    assert.equal(page.outside, 0, "no part of a chart is outside of the screen");
    assert.equal(page.smallText, 0, "text can be read");
}

function contrast(a, b) {
    const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (light + 0.05) / (dark + 0.05);
}

function checkColors(colors, view) {
    assert.equal(luminance(colors.paper) < 0.2, view.scheme === "dark", `paper is ${view.scheme}`);
    for (const [selector, color] of Object.entries(colors.texts)) {
        const ground = selector === ".cell text" ? colors.cell : colors.paper;
        assert.ok(contrast(color, ground) >= 4.5, `${selector}: contrast ${contrast(color, ground)}`);
    }
    // Whoever sees no hue sees the order: each shade is farther from the paper than the one before.
    const distances = colors.shades.map((shade) => contrast(shade, colors.paper));
    assert.deepEqual(distances, [...distances].sort((a, b) => a - b), "shades differ in lightness");
}

async function checkHint(browser, selector, pattern) {
    const point = await browser.evaluate(pointAt, selector);
    await browser.send("Input.dispatchMouseEvent", { type: "mouseMoved", ...point });
    const hint = await browser.evaluate(() => {
        const { hidden, textContent } = document.getElementById("hint");
        return hidden ? "" : textContent;
    });
    assert.match(hint, pattern, `hint of ${selector}`);
}

async function checkView(browser, view) {
    await browser.open(address(report), view);
    checkLayout(await browser.evaluate(describe), view);
    checkColors(await browser.evaluate(readColors), view);
    if (view.scripts === false) {
        assert.ok(await browser.evaluate(() => document.querySelectorAll(".cell title, .mark title").length) > 0, "titles");
    } else {
        await checkHint(browser, ".mark", /KL divergence: 0\.\d+ ± 0\.\d+/);
        await checkHint(browser, "#recipes .cell", /type: Q\d_/);
    }
    assert.deepEqual(browser.complaints(), [], "no errors and no requests");
}

async function checkTrap(browser) {
    await browser.open(address(trap), { width: 390 });
    const page = await browser.evaluate(() => ({
        scripts: document.scripts.length,
        images: document.images.length,
        heading: document.querySelector("h1").textContent,
    }));
    assert.deepEqual([page.scripts, page.images], [1, 0], "names are text");
    assert.match(page.heading, /<img src=x/);
    assert.deepEqual(browser.complaints(), [], "no errors and no requests");
}

const browser = await Browser.start(program);
try {
    for (const view of views) {
        await checkView(browser, view);
    }
    await checkTrap(browser);
    assert.ok((await browser.pdf()).length > 10000, "it prints");
} finally {
    await browser.stop();
}
console.log(`reports are drawn in ${views.length} views`);
