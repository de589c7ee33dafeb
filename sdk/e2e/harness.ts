import { createServer, type Server } from "node:http";
import { mkdir, readFile } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";
import { chromium, type Browser, type BrowserContext, type Page } from "playwright-core";

/** The folder of the SDK: the runner sees to it that tests run there. */
export const root = process.cwd();

/** The flags with which Chromium runs unattended, with made-up devices. */
const flags = [
  "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
];

/** How Chromium is started. */
export function unattended(...more: string[]): { executablePath: string; args: string[] } {
  return { executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: [...flags, ...more] };
}

/** Starts Chromium. Close it, also when a test fails. */
export function startBrowser(...more: string[]): Promise<Browser> {
  return chromium.launch(unattended(...more));
}

/**
 * Gives each page of a context a camera of its own, which draws. Chromium's made-up
 * camera is one device for all its pages, and on a busy machine it sometimes gives
 * no more frames, to none of them, once a further page opens it.
 */
export async function ownCameras(context: BrowserContext): Promise<void> {
  await context.addInitScript(() => {
    const devices = navigator.mediaDevices as MediaDevices | undefined;
    if (!devices) return; // a page that is not served
    const numberOf = (of: ConstrainULong | undefined, otherwise: number) => (typeof of === "object" ? of.ideal ?? of.exact ?? otherwise : of ?? otherwise);
    const camera = ({ width, height, frameRate }: MediaTrackConstraints): MediaStreamTrack => {
      const canvas = document.createElement("canvas");
      canvas.width = numberOf(width, 640);
      canvas.height = numberOf(height, 360);
      const pen = canvas.getContext("2d");
      const rate = numberOf(frameRate, 30);
      const [track] = canvas.captureStream(rate).getTracks();
      if (!pen || !track) throw new Error("this page cannot draw");
      let frame = 0;
      const draw = () => {
        frame++;
        pen.fillStyle = `hsl(${String((frame * 2) % 360)} 45% 40%)`;
        pen.fillRect(0, 0, canvas.width, canvas.height);
        pen.fillStyle = "#fff";
        pen.font = `${String(canvas.height / 4)}px monospace`;
        pen.fillText(String(frame), canvas.width / 10 + ((frame * 3) % (canvas.width / 3)), canvas.height / 1.6);
      };
      draw();
      const timer = setInterval(() => (track.readyState === "live" ? draw() : clearInterval(timer)), 1000 / rate);
      return track;
    };
    const open = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async (constraints) => {
      const { video, ...rest } = constraints ?? {};
      const stream = video && !rest.audio ? new MediaStream() : await open(video ? rest : constraints);
      if (video) stream.addTrack(camera(video === true ? {} : video));
      return stream;
    };
  });
}

/** Serves the built demo on a free port. */
export async function serveDemo(): Promise<{ url: string; close(): void }> {
  const types: Record<string, string> = { ".html": "text/html", ".js": "text/javascript", ".css": "text/css" };
  const server: Server = createServer((request, response) => {
    const name = new URL(request.url ?? "/", "http://demo").pathname;
    const folder = name.startsWith("/console/") ? "dist/console" : "dist";
    const file = path.join(root, folder, name.endsWith("/") ? "index.html" : path.basename(name));
    readFile(file).then(
      (content) => response.writeHead(200, { "content-type": types[path.extname(file)] ?? "text/plain" }).end(content),
      () => response.writeHead(404).end());
  });
  await new Promise<void>((done) => { server.listen(0, "127.0.0.1", done); });
  const address = server.address();
  if (typeof address !== "object" || !address) throw new Error("no address");
  return { url: `http://127.0.0.1:${address.port}/`, close: () => server.close() };
}

/** The script that makes a page believe in a gateway and a node. */
export async function fakeScript(): Promise<string> {
  const result = await build({
    entryPoints: [path.join(root, "e2e/fake/page.ts")], bundle: true, write: false, format: "iife", target: "es2022",
  });
  return result.outputFiles[0]?.text ?? "";
}

/** Waits until document.body.dataset.state is this. */
export async function untilState(page: Page, state: string, timeout = 15_000): Promise<void> {
  await page.waitForFunction((s) => document.body.dataset["state"] === s, state, { timeout });
}

/** Saves a picture of the page if SCREENSHOTS names a folder. */
export async function screenshot(page: Page, name: string): Promise<void> {
  const folder = process.env["SCREENSHOTS"];
  if (!folder) return;
  await mkdir(folder, { recursive: true });
  await page.screenshot({ path: path.join(folder, `${name}.png`) });
}

/** Collects what a page complains of. */
export function complaints(target: Page | BrowserContext): string[] {
  const heard: string[] = [];
  const listen = (page: Page) => {
    page.on("pageerror", (error) => heard.push(String(error)));
    page.on("console", (message) => {
      if (message.type() === "error") heard.push(message.text());
    });
  };
  if ("pages" in target) target.on("page", listen);
  else listen(target);
  return heard;
}
