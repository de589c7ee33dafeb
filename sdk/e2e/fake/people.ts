/** Draws a moving picture of somebody, so that pages can be looked at without twelve cameras. */
export function picture(seed: number, width = 320, height = 180, frameRate = 10): { track: MediaStreamTrack; stop(): void } {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  const hue = (seed * 67 + 15) % 360;
  let n = 0;
  const draw = () => {
    if (!context) return;
    n += 1;
    const sway = Math.sin(n / 9 + seed) * width * 0.02;
    const sky = context.createLinearGradient(0, 0, width, height);
    sky.addColorStop(0, `hsl(${hue} 30% 72%)`);
    sky.addColorStop(1, `hsl(${(hue + 40) % 360} 34% 46%)`);
    context.fillStyle = sky;
    context.fillRect(0, 0, width, height);
    context.fillStyle = `hsl(${(hue + 190) % 360} 28% 34%)`;
    context.beginPath();
    context.ellipse(width / 2 + sway, height * 1.08, width * 0.25, height * 0.46, 0, 0, Math.PI * 2);
    context.fill();
    context.fillStyle = `hsl(${20 + (seed % 4) * 6} 45% ${38 + ((seed * 13) % 40)}%)`;
    context.beginPath();
    context.ellipse(width / 2 + sway * 1.6, height * 0.45, height * 0.17, height * 0.22, 0, 0, Math.PI * 2);
    context.fill();
    context.fillStyle = `hsl(${(seed * 31) % 50} 30% ${15 + ((seed * 7) % 30)}%)`;
    context.beginPath();
    context.ellipse(width / 2 + sway * 1.6, height * 0.33, height * 0.185, height * 0.14, 0, Math.PI, 0);
    context.fill();
  };
  draw();
  const timer = setInterval(draw, 1000 / frameRate);
  const stream = canvas.captureStream(frameRate);
  const [track] = stream.getVideoTracks();
  if (!track) throw new Error("canvas gives no track");
  return { track, stop: () => clearInterval(timer) };
}

/** A picture of one plain colour, for looking at pixels. */
export function plain(colour: string, width = 160, height = 90): MediaStreamTrack {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  let n = 0;
  setInterval(() => {
    if (!context) return;
    context.fillStyle = colour;
    context.fillRect(0, 0, width, height);
    context.fillStyle = `rgb(${n++ % 16} 0 0)`;
    context.fillRect(0, 0, 4, 4);
  }, 50);
  const [track] = canvas.captureStream(20).getVideoTracks();
  if (!track) throw new Error("canvas gives no track");
  return track;
}

/** A shared screen: a page with lines of text. */
export function screen(): MediaStreamTrack {
  const canvas = document.createElement("canvas");
  canvas.width = 1280;
  canvas.height = 720;
  const context = canvas.getContext("2d");
  let n = 0;
  const draw = () => {
    if (!context) return;
    context.fillStyle = "#fbfbf8";
    context.fillRect(0, 0, 1280, 720);
    context.fillStyle = "#20312e";
    context.font = "600 44px sans-serif";
    context.fillText("Water levels, week 47", 90, 120);
    context.font = "26px sans-serif";
    ["The upper gate was opened on Tuesday at noon.", "Inflow fell below the ten-year mean.", "No reading is missing."].forEach(
      (line, i) => context.fillText(`•  ${line}`, 96, 200 + i * 52));
    for (let i = 0; i < 14; i++) {
      context.fillStyle = `hsl(176 60% ${34 + (i % 5) * 5}%)`;
      const h = 60 + 120 * Math.abs(Math.sin(i * 0.7 + n / 40));
      context.fillRect(96 + i * 78, 660 - h, 52, h);
    }
    n += 1;
  };
  draw();
  setInterval(draw, 200);
  const [track] = canvas.captureStream(5).getVideoTracks();
  if (!track) throw new Error("canvas gives no track");
  return track;
}
