/** The head that lies beside a file of a trail, with its signature. */
import { readFile } from 'node:fs/promises'
import { type HeadFacts, readHead } from './chain.ts'
import { headName, signatureName } from './files.ts'

/** Undefined: there is none that can be read. */
export async function readLatestHead(
  file: string,
): Promise<(HeadFacts & { readonly signer: Buffer | undefined }) | undefined> {
  const [head, signature] = await Promise.all(
    [headName(file), signatureName(file)].map((name) => readFile(name, 'utf8').catch(() => '')),
  )
  return head && signature ? readHead({ head, signature }) : undefined
}
