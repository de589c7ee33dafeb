import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import path from "node:path";
import { describe, test } from "node:test";
import { arrange, arrangeFocus, tileStyle, type Rect, type Size } from "../demo/layout.js";
import { invitation, readQuery } from "../demo/query.js";
import { errorWords, hueOf, initials, mediaNotice, waitingSentence, wordsFor, wordsForClose } from "../demo/words.js";

const stages: Size[] = [
  { width: 1240, height: 580 }, { width: 1880, height: 900 }, { width: 370, height: 640 }, { width: 370, height: 260 }, { width: 700, height: 700 },
];
const overlap = (a: Rect, b: Rect) =>
  a.x < b.x + b.width - 0.01 && b.x < a.x + a.width - 0.01 && a.y < b.y + b.height - 0.01 && b.y < a.y + a.height - 0.01;
const inside = (r: Rect, s: Size) => r.x >= -0.01 && r.y >= -0.01 && r.x + r.width <= s.width + 0.01 && r.y + r.height <= s.height + 0.01;

describe("layout", () => {
  for (const stage of stages) {
    for (const count of [1, 2, 3, 5, 7, 12, 25, 49]) {
      const style = tileStyle(stage, 12, count);
      test(`${count} on ${stage.width}×${stage.height}: within the stage, apart, of one size, of a good shape`, () => {
        const rects = arrange(count, stage, style);
        assert.equal(rects.length, count);
        const [first] = rects;
        assert.ok(first);
        for (const r of rects) {
          assert.ok(inside(r, stage), JSON.stringify(r));
          assert.ok(Math.abs(r.width - first.width) < 0.01 && Math.abs(r.height - first.height) < 0.01);
        }
        const aspect = first.width / first.height;
        assert.ok(aspect >= style.minAspect - 0.01 && aspect <= style.maxAspect + 0.01, `aspect ${aspect}`);
        rects.forEach((a, i) => rects.slice(i + 1).forEach((b) => assert.ok(!overlap(a, b))));
      });
      test(`${count} on ${stage.width}×${stage.height}: no other grid has larger tiles`, () => {
        const [chosen] = arrange(count, stage, style);
        let best = 0;
        for (let columns = 1; columns <= count; columns++) {
          for (let rows = Math.ceil(count / columns); rows <= count; rows++) {
            const w = (stage.width - 12 * (columns - 1)) / columns;
            const h = (stage.height - 12 * (rows - 1)) / rows;
            if (w <= 0 || h <= 0) continue;
            // The largest box of an allowed shape in a cell, found by trying shapes.
            for (let aspect = style.minAspect; aspect <= style.maxAspect + 1e-9; aspect += (style.maxAspect - style.minAspect) / 64) {
              const width = Math.min(w, h * aspect);
              best = Math.max(best, (width * width) / aspect);
            }
          }
        }
        assert.ok((chosen?.width ?? 0) * (chosen?.height ?? 0) >= best - 1, `${chosen?.width}×${chosen?.height} is less than ${best}`);
      });
    }
  }
  test("the last row is centred", () => {
    const rects = arrange(5, { width: 1240, height: 580 }, tileStyle({ width: 1240, height: 580 }, 12, 5));
    const last = rects.filter((r) => r.y === rects.at(-1)?.y);
    const left = Math.min(...last.map((r) => r.x));
    const right = Math.max(...last.map((r) => r.x + r.width));
    assert.equal(last.length, 2);
    assert.ok(Math.abs(left - (1240 - right)) < 0.01);
  });
  test("nobody, or no room, is no tiles", () => {
    assert.deepEqual(arrange(0, { width: 100, height: 100 }, tileStyle({ width: 100, height: 100 }, 8, 0)), []);
    assert.deepEqual(arrange(3, { width: 0, height: 100 }, tileStyle({ width: 0, height: 100 }, 8, 3)), []);
  });
  for (const stage of stages) {
    test(`a shared screen on ${stage.width}×${stage.height} is the largest by far`, () => {
      for (const others of [0, 1, 4, 11]) {
        const [large, ...rest] = arrangeFocus(others, stage, tileStyle(stage, 8, others + 1));
        assert.ok(large);
        assert.equal(rest.length, others);
        for (const r of rest) {
          assert.ok(inside(r, stage));
          assert.ok(!overlap(large, r));
          assert.ok(large.width * large.height > 1.5 * r.width * r.height);
        }
      }
    });
  }
});

describe("the page's address", () => {
  test("is read as it was promised", () => {
    assert.deepEqual(readQuery("?room=R&name=N&role=viewer&autojoin=1&capture=320x180@10&codecs=vp9,vp8&scalable=0"), {
      room: "R", name: "N", identity: undefined, role: "viewer", admin: false, autojoin: true, capture: { width: 320, height: 180, frameRate: 10 }, codecs: ["vp9", "vp8"], scalable: false,
    });
  });
  test("may be empty or wrong", () => {
    const nothing = { room: "", name: "", identity: undefined, role: "publisher", admin: false, autojoin: false, capture: undefined, codecs: undefined, scalable: undefined };
    assert.deepEqual(readQuery(""), nothing);
    assert.deepEqual(readQuery("?role=king&autojoin=yes&capture=big"), nothing);
    assert.deepEqual(readQuery("?capture=0x180@10"), nothing);
  });
  test("an invitation names the room only", () => {
    assert.equal(invitation("http://h:1/?room=x&name=me&autojoin=1", "a b"), "http://h:1/?room=a+b");
  });
});

describe("words", () => {
  test("every code of the contract has words of its own kind", () => {
    const generated = readFileSync(path.join(process.cwd(), "src/events.ts"), "utf8");
    const codes = [...(/export type Code =(.+?");\n/s.exec(generated)?.[1] ?? "").matchAll(/\| "(\w+)"/g)].map((m) => m[1] ?? "");
    assert.ok(codes.length > 30);
    for (const code of codes) {
      const words = (errorWords as Partial<Record<string, { title: string; text: string }>>)[code];
      assert.ok(words && words.title.length > 5 && words.text.length > 10, code);
      assert.doesNotMatch(`${words.title} ${words.text}`, /[a-z]_[a-z]|JWT|HS256|undefined/, code);
    }
  });
  test("an unknown code still gets words", () => assert.equal(wordsFor("new_in_2031" as "internal"), errorWords.internal));
  test("leaving is no failure", () => assert.equal(wordsForClose("left").title, "You left the room"));
  const sentences: [number, string][] = [
    [24_600, "about 25 s"], [8_400, "about 8 s"], [0, "any moment now"], [61_000, "about 65 s"], [180_000, "about 3 min"],
  ];
  for (const [remainingMs, end] of sentences) {
    test(`${remainingMs} ms of waiting is "${end}"`, () => assert.equal(waitingSentence({ remainingMs }), `Starting a server for this room, ${end}`));
  }
  test("a missing device is said plainly", () => {
    assert.match(mediaNotice("media_denied", "camera and microphone"), /did not allow .* cannot see or hear you/);
    assert.match(mediaNotice("media_missing", "microphone"), /No microphone was found.*cannot hear you/);
  });
  const names: [string, string][] = [["Ada Byron", "AB"], ["kofi", "K"], ["  mei   lin wu ", "MW"], ["ingrid-þ", "IÞ"], ["🦊 fox", "🦊F"], ["", ""]];
  for (const [name, letters] of names) test(`the initials of "${name}" are "${letters}"`, () => assert.equal(initials(name), letters));
  test("a person's colour is always the same, people's differ", () => {
    assert.equal(hueOf("ada"), hueOf("ada"));
    assert.ok(new Set(["ada", "bob", "eve", "mei"].map(hueOf)).size > 2);
  });
});
