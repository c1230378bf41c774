/**
 * A real VS Code server in a container, the way of Remote-SSH: installed by a script on bash's stdin, listening on the
 * container's loopback, its workbench loaded through ssh -D by a real browser, a terminal opened in it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openPage, type Page, whyNoChromium } from '../support/chromium.ts'
import { freePort } from '../support/port.ts'
import { GATEWAY_ROADS, openRoad, type Road } from '../support/roads.ts'
import { until } from '../support/wait.ts'

const SCRIPT = new URL('../../scripts/vscode-server.sh', import.meta.url).pathname
const SETTINGS = {
  'terminal.integrated.gpuAcceleration': 'off', // its text is in the page then
  'workbench.startupEditor': 'none',
  'chat.disableAIFeatures': true,
}
/** As Remote-SSH's script: finds the server that runs, else starts one that outlives this shell, then says where. */
const INSTALL = `
umask 077; D=$HOME/.vscode-test; mkdir -p $D/data/Machine
[ -e $D/token ] || head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \\n' >$D/token
echo '${JSON.stringify(SETTINGS)}' >$D/data/Machine/settings.json
if kill -0 $(cat $D/pid 2>/dev/null) 2>/dev/null; then echo found==yes==; else
  /opt/vscode/node /opt/vscode/out/server-main.js --start-server --host=127.0.0.1 --port=0 --server-data-dir=$D \\
    --connection-token-file=$D/token --telemetry-level=off --disable-workspace-trust --accept-server-license-terms >$D/log 2>&1 </dev/null &
  echo $! >$D/pid
fi
for i in $(seq 300); do
  P=$(sed -n 's/^Extension host agent listening on //p' $D/log); [ -z "$P" ] || break; sleep 0.2
done
echo listeningOn==$P== token==$(cat $D/token)== pid==$(cat $D/pid)== user==$(id -un)==
`
const { root, why } = await server()
const skip = why ?? (await whyNoChromium())
const HAS_TERMINAL = `document.querySelector('.xterm-helper-textarea') !== null`
const BACKQUOTE = { key: '`', code: 'Backquote', keyCode: 192, ctrl: true }

interface Login {
  readonly ssh: ChildProcess
  readonly said: ReadonlyMap<string, string>
}

if (skip !== undefined) test.skip(`VS Code's server and workbench (${skip})`, () => {})
else
  describe.each(GATEWAY_ROADS)('VS Code on %s', (name) => {
    let road: Road
    let socks: number
    let page: Page | undefined
    let login: Login | undefined

    beforeAll(async () => {
      road = await openRoad(name, { containerArgs: ['-v', `${root}:/opt/vscode:ro`] })
      socks = await freePort()
    })
    afterAll(async () => {
      login?.ssh.kill('SIGKILL')
      await page?.close()
      await road?.close()
    })

    /** `ssh -T -D PORT HOST bash`, kept open: the forward lives on the same connection. */
    async function logIn(): Promise<Login> {
      const args = ['-F', road.client.config, '-T', '-D', `127.0.0.1:${socks}`, 't', 'bash']
      const ssh = spawn('ssh', args, { stdio: ['pipe', 'pipe', 'inherit'] })
      let text = ''
      ssh.stdout.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk
      })
      ssh.stdin.on('error', () => {}).write(INSTALL)
      await until('the server inside listens', () => /listeningOn==\d+==.*user==/.test(text), 60_000)
      return {
        ssh,
        said: new Map([...text.matchAll(/(\w+)==(.*?)==/g)].map(([, key = '', value = '']) => [key, value])),
      }
    }

    const focus = () => page?.evaluate(`document.querySelector('.xterm-helper-textarea').focus()`)
    const terminalText = async () => String(await page?.evaluate(`document.querySelector('.xterm-rows')?.innerText`))
    const shown = (pattern: RegExp, limit = 120_000) =>
      until(`the terminal shows ${pattern}`, async () => pattern.test(await terminalText()), limit, 300).catch(
        async (error: unknown) => {
          // To be looked at: what the browser shows says more than a time-out.
          await writeFile('/tmp/hw-test-vscode.png', (await page?.screenshot()) ?? '')
          throw error
        },
      )

    /** Chromium gives up on all it loads when a network comes or goes, as with every container that another test starts. */
    async function openWorkbench(url: string): Promise<void> {
      const there = `document.querySelector('.monaco-workbench .part.statusbar') !== null`
      for (let tries = 1; ; tries++) {
        try {
          await page?.open(url)
          return void (await until('the workbench is there', () => page?.evaluate(there).then(Boolean), 60_000, 300))
        } catch (error) {
          if (tries === 4) throw error
        }
      }
    }

    /** The key hides what is shown: it is pressed again only where nothing came of it, and later each time. */
    async function openTerminal(): Promise<void> {
      const shows = (selector: string) =>
        page?.evaluate(`document.querySelector('${selector}')?.checkVisibility() === true`)
      let patience = 2500
      let pressed = 0
      await until(
        'its terminal opens',
        async () => {
          if (await shows('.xterm-rows')) return true
          if (Date.now() - pressed > patience && !(await shows('.part.panel .integrated-terminal'))) {
            await page?.press(BACKQUOTE)
            pressed = Date.now()
            patience *= 2
          }
          return false
        },
        180_000,
        200,
      )
    }

    test('opens its workbench through the forward, and a terminal there runs a command', async () => {
      login = await logIn()
      expect(login.said.get('user')).toBe('dev')
      page = await openPage([`--proxy-server=socks5://127.0.0.1:${socks}`, '--proxy-bypass-list=<-loopback>'])
      // With a folder: a workbench that had to load itself anew finds its terminals again by that.
      const query = `tkn=${login.said.get('token')}&folder=/home/dev`
      await openWorkbench(`http://127.0.0.1:${login.said.get('listeningOn')}/?${query}`)
      await openTerminal()
      await shown(/[$#]/)
      await focus()
      await page.type('echo "in $(hostname) as $(id -un): $((6*7))"\n')
      const hostname = (await road.container.inside('hostname')).stdout.toString().trim()
      await shown(new RegExp(`in ${hostname} as dev: 42`))
    }, 480_000)

    test('a new connection finds the same server, and its terminal is still there', async () => {
      const before = login
      before?.ssh.kill('SIGKILL')
      await until('the old connection is gone', () => before?.ssh.exitCode !== null || before?.ssh.signalCode !== null)
      login = await logIn()
      expect(login.said.get('found')).toBe('yes')
      expect(login.said.get('pid')).toBe(before?.said.get('pid'))
      expect(login.said.get('listeningOn')).toBe(before?.said.get('listeningOn'))
      // The workbench dials again by itself, to the same session of the same server. Where Chromium gave up on too much it
      // loads itself anew and what was typed meanwhile is lost: as a person would, this types again.
      for (let tries = 1; ; tries++) {
        await until('its terminal is there', () => page?.evaluate(HAS_TERMINAL).then(Boolean), 60_000, 300)
        await focus()
        await page?.type('echo again-$((40+3))\n')
        const isLast = tries === 4
        const isShown = shown(/as dev: 42[\s\S]*again-43/, 30_000).then(() => true)
        if (await (isLast ? isShown : isShown.catch(() => false))) break
      }
    }, 480_000)
  })

async function server(): Promise<{ root: string; why: string | undefined }> {
  const made = await execa(SCRIPT, { timeout: 900_000, reject: false })
  if (made.exitCode === 0) return { root: made.stdout, why: undefined }
  if (made.exitCode === 77) return { root: '', why: made.stderr.trim() }
  throw new Error(`vscode-server.sh: ${made.stderr}`)
}
