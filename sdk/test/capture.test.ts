import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, test } from "node:test";
import { openScreen, type ScreenShareOptions } from "../src/capture.js";

interface Asked { video: { frameRate: { ideal: number } }; audio: false | Record<string, boolean>; systemAudio: string }

describe("sharing a screen", () => {
  let asked: Asked | undefined;
  const before = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  beforeEach(() => {
    const track = (kind: string) => ({ kind, contentHint: "" });
    const mediaDevices = {
      getDisplayMedia: async (options: Asked) => {
        asked = options;
        const sound = options.audio ? [track("audio")] : [];
        const picture = [track("video")];
        return { getAudioTracks: () => sound, getVideoTracks: () => picture, getTracks: () => [...picture, ...sound] };
      },
    };
    Object.defineProperty(globalThis, "navigator", { configurable: true, value: { mediaDevices } });
  });
  afterEach(() => { if (before) Object.defineProperty(globalThis, "navigator", before); });

  const cases: [string, ScreenShareOptions, { hint: string; rate: number; system: string; tracks: number }][] = [
    ["slides unless something else is said", {}, { hint: "detail", rate: 15, system: "exclude", tracks: 1 }],
    ["text", { contentHint: "text" }, { hint: "text", rate: 15, system: "exclude", tracks: 1 }],
    ["a film with its sound", { contentHint: "motion", audio: true }, { hint: "motion", rate: 30, system: "include", tracks: 2 }],
  ];
  for (const [name, options, want] of cases) {
    test(name, async () => {
      const tracks = await openScreen(options);
      assert.equal(tracks[0].contentHint, want.hint);
      assert.deepEqual([asked?.video.frameRate.ideal, asked?.systemAudio, tracks.length], [want.rate, want.system, want.tracks]);
      if (options.audio) assert.deepEqual(asked?.audio, { echoCancellation: false, noiseSuppression: false, autoGainControl: false });
      else assert.equal(asked?.audio, false);
    });
  }
});
