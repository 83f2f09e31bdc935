/**
 * The arithmetic of `cargo xtask bench-web`: what is measured cannot be tested, what is made of it can.
 */

import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";

import { models, writeAdd } from "../../bench/models.mjs";
import { difference } from "../../bench/same.mjs";
import { gaps, geometric, largest, median, percentile, ratio, turns } from "../../bench/stats.mjs";
import { bar, ms, plain, table, verdict } from "../../bench/table.mjs";

test("a median is the middle, whatever the order, and the numbers stay as they were", () => {
  const numbers = [9, 1, 10];
  assert.equal(median(numbers), 9);
  assert.deepEqual(numbers, [9, 1, 10]);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.ok(Number.isNaN(median([])));
});

test("a percentile is one of the numbers, and not above its share of them", () => {
  const hundred = Array.from({ length: 100 }, (_, index) => 100 - index);
  assert.equal(percentile(hundred, 0.5), 50);
  assert.equal(percentile(hundred, 0.99), 99);
  assert.equal(percentile(hundred, 0.999), 100);
  assert.equal(percentile(hundred, 0), 1);
  assert.equal(percentile(hundred, 1), 100);
  assert.equal(percentile([7], 0.99), 7);
  assert.ok(Number.isNaN(percentile([], 0.5)));
});

test("the largest of more numbers than a call takes", () => {
  assert.equal(largest(Array.from({ length: 300_000 }, (_, index) => -Math.abs(index - 200_000))), -0);
  assert.equal(largest([]), -Infinity);
});

test("the geometric mean treats twice and half as opposites", () => {
  assert.ok(Math.abs(geometric([2, 0.5]) - 1) < 1e-12);
  assert.ok(Math.abs(geometric([8, 1]) - Math.sqrt(8)) < 1e-12);
});

test("a ratio is taken round by round: a slow round counts on both sides", () => {
  assert.equal(ratio([2, 20, 2], [1, 10, 1]), 2);
  // The ratio of the medians would be 3.
  assert.equal(ratio([1, 3, 30], [1, 1, 10]), 3);
  assert.equal(ratio([1, 9, 3], [1, 3, 3]), 1);
});

test("gaps are between the ticks, one less than those", () => {
  assert.deepEqual(gaps([1, 4, 20, 21]), [3, 16, 1]);
  assert.deepEqual(gaps([5]), []);
});

test("turns go there and back", () => {
  const items = ["a", "b", "c"];
  assert.deepEqual(turns(items, 0), ["a", "b", "c"]);
  assert.deepEqual(turns(items, 1), ["c", "b", "a"]);
  assert.deepEqual(items, ["a", "b", "c"]);
});

test("results differ by type, extents, count, or too many elements too far apart", () => {
  const limits = { atol: 0.1, rtol: 0, outside: 0.25 };
  const output = (values, dims = [values.length], type = "float32") => [{ type, dims, values }];
  const same = (a, b) => difference(a, b, limits);
  assert.equal(same(output([1, 2, 3, "NaN"]), output([1.05, 2, 3, "NaN"])), undefined);
  assert.equal(same(output([1, 2, 3, 9]), output([1, 2, 3, 4])), undefined);
  assert.match(same(output([1, 2, 9, 9]), output([1, 2, 3, 4])), /2 of 4 elements/);
  assert.match(same(output([1, "NaN", "NaN", 1]), output([1, 1, 1, 1])), /2 of 4 elements/);
  assert.match(same(output([1, 2], [2, 1]), output([1, 2])), /\[2,1\]/);
  assert.match(same(output([1], [1], "int64"), output([1])), /int64/);
  assert.match(same([], output([1])), /0 outputs/);
});

test("a bar is passed at its figure, and a figure that is none passes nothing", () => {
  assert.equal(bar("x", 2, { most: 2 }).passes, true);
  assert.equal(bar("x", 2.01, { most: 2 }).passes, false);
  assert.equal(bar("x", 1.7, { least: 1.7 }).passes, true);
  assert.equal(bar("x", 1.69, { least: 1.7 }).passes, false);
  assert.equal(bar("x", NaN, { most: 2 }).passes, false);
  assert.equal(verdict(bar("gap", 17, { most: 16 }, " ms")), "short  gap: 17.00 ms (at most 16 ms)");
});

test("figures keep the digits that count, and what is missing is a dash", () => {
  assert.deepEqual([123.4, 12.34, 1.234, 0.01234, NaN].map(ms), ["123", "12.3", "1.23", "0.012", "–"]);
  assert.equal(plain(undefined), "–");
  assert.deepEqual(table(["a", "b"], [[1, 2]]), ["| a | b |", "| --- | ---: |", "| 1 | 2 |", ""]);
});

test("the model of one Add is one that the package runs", async () => {
  const { inferry } = await import("./support.mjs");
  const folder = mkdtempSync(join(tmpdir(), "inferry-add-"));
  try {
    const add = writeAdd(folder);
    const model = await inferry.compile(readFileSync(join(folder, "bench/add.onnx")));
    const [x, y] = add.values.map(({ type, dims, data }) => new inferry.Tensor(type, data, dims));
    const { z } = await model.run({ x, y });
    assert.deepEqual([...z.data], [11, 22, 33, 44]);
    model.runtime.dispose();
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("the models are those with a fixture", () => {
  const folder = fileURLToPath(new URL("../../../../tests/models", import.meta.url));
  const names = models([folder]).map(({ name }) => name);
  assert.ok(names.includes("mtcnn_cascade/pnet"));
  assert.ok(!names.some((name) => name.startsWith("small/")));
});
