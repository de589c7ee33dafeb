// Bundles the tests of a folder and runs them with node's test runner. The
// bundles lie under node_modules, so that packages are found from there.
//
//   node scripts/run-tests.mjs FOLDER [options of node --test]
import { spawn } from "node:child_process";
import { mkdir, readdir, rm } from "node:fs/promises";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const [folder = "test", ...options] = process.argv.slice(2);
const out = path.join(root, "node_modules/.cache/spillway-tests", folder);
await rm(out, { recursive: true, force: true });
await mkdir(out, { recursive: true });
const tests = (await readdir(path.join(root, folder))).filter((f) => f.endsWith(".test.ts"));
await build({
  absWorkingDir: root, entryPoints: tests.map((f) => path.join(folder, f)), outdir: out, outExtension: { ".js": ".mjs" },
  bundle: true, packages: "external", platform: "node", format: "esm", target: "node20", sourcemap: "inline",
  logLevel: "warning",
});
const args = ["--test", "--enable-source-maps", ...options, ...tests.map((f) => path.join(out, f.replace(/\.ts$/, ".mjs")))];
const child = spawn(process.execPath, args, { cwd: root, stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => { process.exitCode = signal ? 1 : (code ?? 1); });
