import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The nearest folder above with a package.json: sources in src/ and bundles in dist/ lie at different depths. */
export const PACKAGE_ROOT = above(dirname(fileURLToPath(import.meta.url)))

function above(folder: string): string {
  const parent = dirname(folder)
  return existsSync(join(folder, 'package.json')) || parent === folder ? folder : above(parent)
}
