// Builds the page into a folder: `node build.mjs [FOLDER]`, dist/ without one. The same sources give the same bytes.
// Leaves out checking types: `npm run check` does.

import { build } from "esbuild";
import { copyFile, mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL(".", import.meta.url));
const folder = process.argv[2] ?? `${here}dist`;

await mkdir(folder, { recursive: true });
await build({
  absWorkingDir: here,
  entryPoints: ["src/app.ts", "src/app.css"],
  outdir: folder,
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  charset: "utf8",
  conditions: ["production"],
  // The licence of what is built in goes with it.
  legalComments: "eof",
  logLevel: "warning",
});
await copyFile(`${here}src/index.html`, `${folder}/index.html`);
