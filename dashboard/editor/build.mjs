// Makes dashboard/static/editor.js of editor.js: `scripts/editor.sh` runs it. The same input gives the same bytes.
import { build } from 'esbuild';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname } from 'node:path';

const entry = { entryPoints: ['editor.js'], bundle: true, minify: true, format: 'esm', target: 'es2022', charset: 'utf8' };
const { metafile } = await build({ ...entry, metafile: true, write: false });

// The licence of each package that is in the file, at its head: it goes wherever the file goes.
const packageOf = (path) => path.match(/^node_modules\/(@[^/]+\/[^/]+|[^/]+)\//)?.[1];
const packages = [...new Set(Object.keys(metafile.inputs).map(packageOf).filter(Boolean))].sort();
const byLicence = new Map();
for (const name of packages) {
  const folder = `node_modules/${name}`;
  const file = readdirSync(folder).find((file) => /^licen[cs]e/i.test(file));
  if (!file) throw new Error(`${name} has no licence file`);
  const text = readFileSync(`${folder}/${file}`, 'utf8').replaceAll('\r\n', '\n').trim();
  const { version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8'));
  byLicence.set(text, [...(byLicence.get(text) ?? []), `${name} ${version}`]);
}
const parts = [...byLicence].map(([text, names]) => `${names.join('\n')}\n\n${text}`);
const banner = `/*!\nMade by scripts/editor.sh of dashboard/editor and these packages:\n\n${parts.join('\n\n')}\n*/`;

await build({ ...entry, banner: { js: banner }, legalComments: 'none', outfile: '../static/editor.js' });
