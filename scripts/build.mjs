/**
 * Bundles src/ and the libraries it uses into dist/: a start then reads some sixty files in place of four hundred, and
 * `hatchway stdio` is waited for. ssh2 and node-pty stay packages: they have native parts, and ssh2 is augmented as it is
 * loaded (src/ssh/ssh2.ts).
 */
import { chmod, cp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { rolldown } from 'rolldown'

const top = resolve(import.meta.dirname, '..')
const dist = resolve(top, 'dist')

const PACKAGES = [/^ssh2(\/|$)/, 'node-pty']
// Beside the program, what bench/ drives by itself.
const ENTRIES = [
  'main',
  'config/load',
  'engine/cli/cli',
  'engine/docker/docker',
  'evidence/audit/record',
  'evidence/audit/signing-key',
  'evidence/audit/trail',
  'guest/pool',
  'sftp/tap',
  'ssh/server',
]

const bundle = await rolldown({
  input: Object.fromEntries(ENTRIES.map((name) => [name, resolve(top, `src/${name}.ts`)])),
  cwd: top,
  platform: 'node',
  external: PACKAGES,
})
// But not the stamps of ./hatchway.
const old = (await readdir(dist).catch(() => [])).filter((name) => !name.startsWith('.hatchway'))
await Promise.all(old.map((name) => rm(resolve(dist, name), { recursive: true })))
const { output } = await bundle.write({
  dir: dist,
  format: 'esm',
  sourcemap: true,
  chunkFileNames: 'chunks/[name].js',
})
await chmod(resolve(dist, 'main.js'), 0o755)
await cp(resolve(top, 'page'), resolve(dist, 'page'), { recursive: true })
await writeFile(resolve(dist, 'NOTICE'), await notice(output))

/**
 * The bundle is a copy of parts of these packages, and their licences ask that a copy carries the copyright notice and the
 * terms. What npm installs beside it brings its own.
 */
async function notice(files) {
  const modules = files.flatMap((file) => file.moduleIds ?? [])
  const folders = modules.map((id) => /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1])
  const texts = await Promise.all([...new Set(folders.filter(Boolean))].sort().map(licence))
  return ['Hatchway holds parts of these packages:\n', ...texts].join(`\n${'-'.repeat(80)}\n\n`)
}

async function licence(folder) {
  const { name, version, license, author } = JSON.parse(await readFile(`${folder}/package.json`, 'utf8'))
  const files = (await readdir(folder)).filter((file) => /^(licen[cs]e|copying|notice)/i.test(file)).sort()
  const texts = await Promise.all(files.map((file) => readFile(`${folder}/${file}`, 'utf8')))
  if (texts.length === 0) {
    // Some publish the name of the licence alone.
    if (license !== 'MIT') throw new Error(`${name} ${version} (${license}) has no licence file: see scripts/build.mjs`)
    texts.push(mit(author?.name ?? author ?? `the authors of ${name}`))
  }
  return `${name} ${version} (${license})\n\n${texts.join('\n')}`
}

function mit(holder) {
  return `Copyright (c) ${holder}

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated documentation
files (the "Software"), to deal in the Software without restriction, including without limitation the rights to use, copy,
modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit persons to whom the
Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE,
ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`
}
