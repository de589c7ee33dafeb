// Builds everything that is served or published into dist: the SDK as one ES
// module with its types, the demo app, and the fleet console.
import { execFileSync } from "node:child_process";
import { copyFile, mkdir, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const dist = path.join(root, "dist");
const target = ["es2022", "chrome110", "firefox115", "safari16.4"];

await rm(path.join(dist, "types"), { recursive: true, force: true });
await mkdir(path.join(dist, "console"), { recursive: true });
const common = { absWorkingDir: root, bundle: true, format: "esm", target, sourcemap: true, logLevel: "warning", outdir: dist };
await Promise.all([
  build({ ...common, entryPoints: [{ in: "src/index.ts", out: "spillway-client" }] }),
  build({
    ...common, entryPoints: [{ in: "demo/main.tsx", out: "demo" }, { in: "demo/style.css", out: "demo" }], minify: true,
    jsx: "automatic", jsxImportSource: "preact",
  }),
  build({
    ...common, entryPoints: [{ in: "console/main.tsx", out: "console/console" }, { in: "console/style.css", out: "console/console" }], minify: true,
    jsx: "automatic", jsxImportSource: "preact",
  }),
  copyFile(path.join(root, "demo/index.html"), path.join(dist, "index.html")),
  copyFile(path.join(root, "console/index.html"), path.join(dist, "console/index.html")),
]);
execFileSync(process.execPath, [path.join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.types.json"], { cwd: root, stdio: "inherit" });
