/**
 * Bundles src/ and the libraries it uses into dist/: a start then reads some sixty files in place of four hundred, and
 * `hatchway stdio` is waited for. ssh2 and node-pty stay packages: they have native parts, and ssh2 is augmented as it is
 * loaded (src/ssh/ssh2.ts).
 */
import { chmod, readdir, readFile, rm, writeFile } from 'node:fs/promises'
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
await writeFile(resolve(dist, 'licenses.txt'), await licenses(output))

/** Of every package that a bundle holds a part of. */
async function licenses(files) {
  const modules = files.flatMap((file) => file.moduleIds ?? [])
  const folders = modules.map((id) => /^\0?(.*\/node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(id)?.[1])
  const texts = [...new Set(folders.filter(Boolean))].sort().map(async (folder) => {
    const { name, version, license } = JSON.parse(await readFile(`${folder}/package.json`, 'utf8'))
    const names = ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'LICENCE', 'license', 'license.md', 'License', 'LICENSE-MIT']
    const found = await Promise.all(names.map((file) => readFile(`${folder}/${file}`, 'utf8').catch(() => '')))
    return `${name} ${version} (${license})\n\n${found.find(Boolean) ?? ''}`
  })
  return (await Promise.all(texts)).join(`\n${'-'.repeat(80)}\n\n`)
}
