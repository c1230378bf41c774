/** The admin page in a real browser: signed in by the link, used by keyboard alone on a narrow screen, looked at by axe. */
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openPage, type Page, whyNoChromium } from '../support/chromium.ts'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { hatchway } from '../support/program.ts'
import { openTerminal } from '../support/pty.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

const LONG = 120_000
const TAB = { key: 'Tab', code: 'Tab', keyCode: 9 }
const ENTER = { key: 'Enter', code: 'Enter', keyCode: 13, text: '\r' }
const skip = await whyNoChromium()
if (skip) console.warn(`test/e2e/admin-page.test.ts is skipped: ${skip}`)

let keys: Keys
let container: TestContainer
let gateway: Gateway
let client: SshClient
let page: Page
let socket: string

beforeAll(async () => {
  if (skip) return
  ;[keys, container] = await Promise.all([makeKeys(), startContainer('busybox')])
  socket = join(keys.dir, 'control.sock')
  const env = { HATCHWAY_CONFIG: '/dev/null', HATCHWAY_ADMIN_LISTEN: '127.0.0.1:0' }
  gateway = await startGateway({ keys, engine: 'docker', env, args: ['--control-socket', socket] })
  client = await makeSshClient(gateway.target(`dev@${container.name}`))
  // What a telephone shows.
  page = await openPage(['--window-size=360,740'])
}, LONG)
afterAll(async () => {
  await page?.close()
  await client?.close()
  await gateway?.stop()
  await Promise.all([keys?.close(), container?.remove()])
})

const text = async (selector: string) =>
  String(await page.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ''`))
const focused = async () => String(await page.evaluate('document.activeElement.textContent'))

/** As a person without a mouse: Tab until the button has the focus, then Enter. */
async function pressButton(name: RegExp): Promise<void> {
  for (let tabs = 0; !name.test(await focused()); tabs++) {
    if (tabs === 20) throw new Error(`Tab does not lead to ${name}`)
    await page.press(TAB)
  }
  await page.press(ENTER)
}

test.skipIf(skip !== undefined)(
  'a link signs in, a live session is seen and ended by keyboard, and axe finds nothing',
  async () => {
    const { code, out, err } = await hatchway(['admin', 'token', '--name', 'olga', '--control-socket', socket])
    expect({ code, err }).toMatchObject({ code: 0 })
    const link = /http:\/\/\S+/.exec(out)?.[0] ?? ''
    const terminal = openTerminal('ssh', ['-F', client.config, '-tt', 't', 'sleep 600'])
    try {
      await page.open(link)
      await until('the page is signed in', async () => /^olga, until /.test(await text('#who')))
      expect(String(await page.evaluate('location.href'))).not.toContain('#')
      await until('the session is there', async () => (await text('#sessions')).includes(`dev@${container.name}`))
      expect(await text('#connections')).toContain('End connection')
      // Nothing to the right of the screen.
      expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true)
      expect(Number(await page.evaluate('window.innerWidth'))).toBeLessThanOrEqual(500)
      expect(await violations()).toEqual([])

      await pressButton(/^End session/)
      expect(await focused()).toMatch(/^Press again to end session/)
      await page.press(ENTER)
      await until('the page says that it was ended', async () => /^session \w+ was ended$/.test(await text('#said')))
      await until('the session is gone', async () => (await text('#sessions')) === '')
      expect(await violations()).toEqual([])

      await pressButton(/^Sign out$/)
      await until('the form is back', async () => (await text('#sign-in')).includes('Sign in'))
      // The link has been used.
      await page.open('about:blank')
      await page.open(link)
      await until('the link is refused', async () => (await text('#said')).includes('token'))
      expect(await page.evaluate(`document.querySelector('#live').hidden`)).toBe(true)
    } finally {
      terminal.kill()
    }
  },
  LONG,
)

/** What axe has against the page, by its rules' names. */
async function violations(): Promise<unknown> {
  const source = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')
  await page.evaluate(`${source}; window.found = undefined; void axe.run().then((found) => { window.found = found })`)
  await until('axe has looked', () => page.evaluate('window.found !== undefined').then(Boolean))
  return page.evaluate("window.found.violations.map(({ id, help }) => id + ': ' + help)")
}
