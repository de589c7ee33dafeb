// Bundles one measurement of the folder e2e and runs it.
//
//   node scripts/run-bench.mjs NAME [arguments]
import { spawn } from "node:child_process";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = path.dirname(path.dirname(fileURLToPath(import.meta.url)));
const [name = "", ...rest] = process.argv.slice(2);
const outfile = path.join(root, "node_modules/.cache/spillway-bench", `${name}.mjs`);
await build({
  absWorkingDir: root, entryPoints: [path.join("e2e", `${name}.bench.ts`)], outfile,
  bundle: true, packages: "external", platform: "node", format: "esm", target: "node20", sourcemap: "inline",
  logLevel: "warning",
});
const child = spawn(process.execPath, ["--enable-source-maps", outfile, ...rest], { cwd: root, stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => child.kill(signal));
child.on("exit", (code, signal) => { process.exitCode = signal ? 1 : (code ?? 1); });
