/** The policy as a table: rules, who asks for what, and which rule decided. */
import { describe, expect, test } from 'vitest'
import type { RuleInput } from '../../src/config/rules.ts'
import { decide, short } from './world.ts'

type Row = readonly [line: string, expected: string, from?: string]

const SETS: readonly { readonly what: string; readonly rules?: readonly RuleInput[]; readonly rows: readonly Row[] }[] =
  [
    {
      what: 'no rules: who was let in may do everything, but for names not accepted',
      rows: [
        ['alice web enter', '+ no rules'],
        ['alice dev@web shell', '+ no rules'],
        ['alice root@web shell', '+ no rules'],
        ['bob dev@db exec rm -rf /', '+ no rules'],
        ['bob dev@db sftp', '+ no rules'],
        ['bob dev@db start', '+ no rules'],
        ['bob dev@db -L 10.0.0.1:22', '+ no rules'],
        ['bob dev@db -R localhost:8080', '+ no rules'],
        ['bob dev@db socket /run/x', '+ no rules'],
        ['bob dev@db env LANG', '+ no rules'],
        ['bob dev@db env LC_ALL', '+ no rules'],
        ['bob dev@db env LD_PRELOAD', '- environment.accept'],
        ['kim dev@db pty', '- key'],
        ['kim dev@db agent', '- key'],
        ['kim dev@db -L db:5432', '+ no rules'],
        ['kim dev@db -L db:22', '- key'],
        ['old dev@db shell', '- key'],
        ['old db enter', '- key'],
      ],
    },
    {
      what: 'an empty table permits nothing',
      rules: [],
      rows: [
        ['alice web enter', '-'],
        ['alice dev@web shell', '-'],
        ['alice dev@web env LANG', '-'],
        ['kim dev@db pty', '- key'],
      ],
    },
    {
      what: 'a rule without keys is for all, as anybody but root',
      rules: [{}],
      rows: [
        ['alice web enter', '+1'],
        ['alice dev@web enter', '+1'],
        ['alice dev@web shell', '+1'],
        ['carol 4242@lone sftp', '-'],
        ['alice dev@web start', '+1'],
        ['alice dev@web agent', '+1'],
        ['alice dev@web x11', '+1'],
        ['alice dev@web env LC_TIME', '+1'],
        ['alice dev@web env PATH', '-'],
        ['alice root@web shell', '-'],
        ['alice root@web enter', '-'],
        ['alice toor@web shell', '-'],
        ['kim dev@web agent', '- key'],
      ],
    },
    {
      what: 'who: names',
      rules: [{ who: { identities: ['alice', '*@corp.example'] } }],
      rows: [
        ['alice dev@web shell', '+1'],
        ['dave dev@web shell', '+1'],
        ['bob dev@web shell', '-'],
        ['bob web enter', '-'],
        ['carol dev@web shell', '-'],
      ],
    },
    {
      what: 'who: case counts, and a pattern is all of the name',
      rules: [{ who: { identities: ['Alice', 'lic', 'alic?x', 'dave'] } }],
      rows: [
        ['alice dev@web shell', '-'],
        ['dave dev@web shell', '-'],
      ],
    },
    {
      what: 'who: groups',
      rules: [{ who: { groups: ['dev'] } }, { who: { groups: ['o*'] } }],
      rows: [
        ['alice dev@web shell', '+1'],
        ['bob dev@web shell', '+2'],
        ['carol dev@web shell', '-'],
        ['dave dev@web shell', '-'],
      ],
    },
    {
      what: 'who: key fingerprints',
      rules: [{ who: { keys: [`SHA256:${'bob'.padEnd(43, 'x')}`] } }],
      rows: [
        ['bob dev@web shell', '+1'],
        ['alice dev@web shell', '-'],
      ],
    },
    {
      what: 'who: certificate principals',
      rules: [{ who: { principals: ['*-admin'] } }],
      rows: [
        ['carol dev@web shell', '+1'],
        ['alice dev@web shell', '-'],
      ],
    },
    {
      what: 'who: each key given must be so',
      rules: [{ who: { identities: ['a*', 'b*'], groups: ['ops'] } }],
      rows: [
        ['bob dev@web shell', '+1'],
        ['alice dev@web shell', '-'],
      ],
    },
    {
      what: 'containers: names',
      rules: [{ containers: { names: ['web', 'lo*'] } }],
      rows: [
        ['alice web enter', '+1'],
        ['alice dev@web shell', '+1'],
        ['alice dev@lone shell', '+1'],
        ['alice web-2 enter', '-'],
        ['alice dev@web-2 shell', '-'],
        ['alice dev@db shell', '-'],
      ],
    },
    {
      what: 'containers: images',
      rules: [{ containers: { images: ['shop/web:*', 'alpine'] } }],
      rows: [
        ['alice dev@web shell', '+1'],
        ['alice dev@web-2 shell', '+1'],
        ['alice dev@lone shell', '+1'],
        ['alice dev@db shell', '-'],
      ],
    },
    {
      what: 'containers: labels',
      rules: [{ containers: { labels: { team: 'blue' } } }],
      rows: [
        ['alice dev@web shell', '+1'],
        ['alice dev@web-2 shell', '+1'],
        ['alice dev@db shell', '-'],
        ['alice dev@lone shell', '-'],
      ],
    },
    {
      what: 'containers: all labels; a value is a pattern, also of nothing',
      rules: [
        { containers: { labels: { team: 'blue', tier: '*' } } },
        { containers: { labels: { team: 're?' } } },
        { containers: { labels: { constructor: '*' } } },
      ],
      rows: [
        ['alice dev@web-2 shell', '+1'],
        ['alice dev@db shell', '+2'],
        ['alice dev@web shell', '-'],
        ['alice dev@lone shell', '-'],
      ],
    },
    {
      what: 'containers: compose projects',
      rules: [{ containers: { projects: ['sh*'] } }],
      rows: [
        ['alice dev@web shell', '+1'],
        ['alice dev@db shell', '+1'],
        ['alice dev@web-2 shell', '-'],
      ],
    },
    {
      what: 'containers: engines',
      rules: [{ containers: { engines: ['ssh://*'] } }, { containers: { engines: ['unix://*'], names: ['web'] } }],
      rows: [
        ['alice dev@web shell', '+2'],
        ['alice dev@db shell', '-'],
      ],
    },
    {
      what: 'users: names, patterns and uids; no pattern is root',
      rules: [{ users: ['dev', 'po*', '4242'] }],
      rows: [
        ['alice dev@web shell', '+1'],
        ['alice postgres@web shell', '+1'],
        ['alice 4242@web shell', '+1'],
        ['alice app@web shell', '-'],
        ['alice app@web enter', '-'],
        ['alice web enter', '+1'],
        ['alice root@web shell', '-'],
        ['alice toor@web shell', '-'],
      ],
    },
    {
      what: 'users: "*" is everybody but uid 0',
      rules: [{ users: ['*'] }],
      rows: [
        ['alice dev@web shell', '+1'],
        ['alice root@web shell', '-'],
        ['alice toor@web shell', '-'],
        ['alice root@web enter', '-'],
      ],
    },
    {
      what: 'users: root is uid 0 by whatever name',
      rules: [{ users: ['root'] }],
      rows: [
        ['alice root@web shell', '+1'],
        ['alice toor@web shell', '+1'],
        ['alice dev@web shell', '-'],
      ],
    },
    {
      what: 'users: naming an alias of root is not naming root',
      rules: [{ users: ['toor'] }, { users: ['0'] }],
      rows: [
        ['alice toor@web shell', '+2'],
        ['alice root@web shell', '+2'],
      ],
    },
    {
      what: 'users: a rule that denies means root with a pattern, and without a list',
      rules: [
        { effect: 'deny', users: ['r*', 'postgres'], actions: { shell: true } },
        { effect: 'deny', containers: { names: ['db'] }, actions: { sftp: true } },
        { users: ['*', 'root'] },
      ],
      rows: [
        ['alice root@web shell', '-1'],
        ['alice postgres@web shell', '-1'],
        ['alice toor@web shell', '+3'],
        ['alice root@web exec id', '+3'],
        ['alice root@db sftp', '-2'],
        ['alice dev@db sftp', '-2'],
        ['alice dev@db exec id', '+3'],
      ],
    },
    {
      what: 'actions: only those named',
      rules: [{ actions: { shell: true } }],
      rows: [
        ['alice dev@web shell', '+1'],
        ['alice dev@web pty', '+1'],
        ['alice dev@web env LANG', '+1'],
        ['alice web enter', '+1'],
        ['alice dev@web exec id', '-'],
        ['alice dev@web sftp', '-'],
        ['alice dev@web agent', '-'],
        ['alice dev@web x11', '-'],
        ['alice dev@web start', '-'],
        ['alice dev@web -L db:1', '-'],
        ['alice dev@web -R localhost:1', '-'],
        ['alice dev@web socket /x', '-'],
      ],
    },
    {
      what: 'actions: a terminal comes with a shell or commands, unless it is refused',
      rules: [
        { containers: { names: ['web'] }, actions: { exec: true, pty: false } },
        { containers: { names: ['db'] }, actions: { sftp: true } },
        { containers: { names: ['lone'] }, actions: { pty: true } },
        { containers: { names: ['web-2'] }, actions: { exec: ['ls'] } },
      ],
      rows: [
        ['alice dev@web pty', '-'],
        ['alice dev@web exec id', '+1'],
        ['alice dev@db pty', '-'],
        ['alice dev@db sftp', '+2'],
        ['alice dev@lone pty', '+3'],
        ['alice lone enter', '-'],
        ['alice dev@web-2 pty', '+4'],
        ['alice dev@web-2 exec ls', '+4'],
      ],
    },
    {
      what: 'actions: command patterns',
      rules: [{ actions: { exec: ['git *', "git-upload-pack '*'", 'id', 'echo $HOME'] } }],
      rows: [
        ['alice dev@web exec git pull', '+1'],
        ['alice dev@web exec git log --oneline -n 3', '+1'],
        ['alice dev@web exec id', '+1'],
        ["alice dev@web exec git-upload-pack '/srv/r.git'", '+1'],
        ['alice dev@web exec echo $HOME', '+1'],
        ['alice dev@web exec git', '-'],
        ['alice dev@web exec id -u', '-'],
        ['alice dev@web exec git log; sh', '-'],
        ['alice dev@web exec git log | sh', '-'],
        ['alice dev@web exec git log & sh', '-'],
        ['alice dev@web exec git $(sh)', '-'],
        ['alice dev@web exec git `sh`', '-'],
        ['alice dev@web exec git log > /etc/x', '-'],
        ['alice dev@web exec git log < /etc/x', '-'],
        ['alice dev@web exec git log\nsh', '-'],
        ['alice dev@web exec git "x"', '-'],
        ['alice dev@web exec git \\x', '-'],
        ['alice dev@web exec git x*', '-'],
        ['alice dev@web exec git {a}', '-'],
        ['alice dev@web exec git #', '-'],
        ['alice dev@web exec git !x', '-'],
        ["alice dev@web exec git-upload-pack 'a'; sh '", '-'],
        ["alice dev@web exec git-upload-pack 'a' 'b'", '-'],
        ['alice dev@web exec git ünï', '+1'],
        ['alice dev@web shell', '-'],
        ['alice web enter', '+1'],
      ],
    },
    {
      what: 'actions: what denies commands has wildcards that mean all',
      rules: [{ effect: 'deny', actions: { exec: ['*secret*'] } }, { actions: { exec: true } }],
      rows: [
        ['alice dev@web exec cat /secret; true', '-1'],
        ['alice dev@web exec id', '+2'],
        ['alice web enter', '+2'],
      ],
    },
    {
      what: 'actions: sftp to read only; the first rule decides how',
      rules: [
        { who: { groups: ['ops'] }, actions: { sftp: true } },
        { actions: { sftp: 'read-only' } },
        { actions: { sftp: true } },
      ],
      rows: [
        ['bob dev@web sftp', '+1'],
        ['alice dev@web sftp', '+2r'],
        ['alice web enter', '+2'],
        ['alice dev@web shell', '-'],
      ],
    },
    {
      what: 'actions: hosts and ports to forward to',
      rules: [
        {
          actions: {
            forwardLocal: [
              'db:5432',
              '*.svc:80-90',
              'localhost:3000',
              '10.0.0.0/8:*',
              '[fd00::/8]:443',
              '[::2]:1',
              'x:*',
            ],
          },
        },
      ],
      rows: [
        ['alice dev@web -L db:5432', '+1'],
        ['alice dev@web -L DB.:5432', '+1'],
        ['alice dev@web -L db:5433', '-'],
        ['alice dev@web -L db2:5432', '-'],
        ['alice dev@web -L a.svc:80', '+1'],
        ['alice dev@web -L a.svc:90', '+1'],
        ['alice dev@web -L a.svc:91', '-'],
        ['alice dev@web -L localhost:3000', '+1'],
        ['alice dev@web -L 127.0.0.1:3000', '+1'],
        ['alice dev@web -L ::1:3000', '+1'],
        ['alice dev@web -L 127.0.0.2:3000', '-'],
        ['alice dev@web -L 0.0.0.0:3000', '-'],
        ['alice dev@web -L localhost:3001', '-'],
        ['alice dev@web -L 10.255.0.1:22', '+1'],
        ['alice dev@web -L ::ffff:10.0.0.1:22', '+1'],
        ['alice dev@web -L ::ffff:a00:1:22', '+1'],
        ['alice dev@web -L 11.0.0.1:22', '-'],
        ['alice dev@web -L 10.0.0.1.evil:22', '-'],
        ['alice dev@web -L fd00::1:443', '+1'],
        ['alice dev@web -L fd00::1:444', '-'],
        ['alice dev@web -L ::2:1', '+1'],
        ['alice dev@web -L 0:0:0:0:0:0:0:2:1', '+1'],
        ['alice dev@web -L x:0', '+1'],
        ['alice dev@web -R localhost:8080', '-'],
        ['alice dev@web socket /run/x', '-'],
      ],
    },
    {
      what: 'actions: an address that is denied is denied by its other names',
      rules: [
        {
          effect: 'deny',
          actions: { forwardLocal: ['169.254.169.254:*', '127.0.0.0/8:22', 'localhost:23', '[::1]:24'] },
        },
        { actions: { forwardLocal: true } },
      ],
      rows: [
        ['alice dev@web -L 169.254.169.254:80', '-1'],
        ['alice dev@web -L ::ffff:169.254.169.254:80', '-1'],
        ['alice dev@web -L 0xa9fea9fe:80', '-1'],
        ['alice dev@web -L 169.254.43518:80', '-1'],
        ['alice dev@web -L 0251.254.169.254:80', '-1'],
        ['alice dev@web -L 127.1:22', '-1'],
        ['alice dev@web -L 0:22', '-1'],
        ['alice dev@web -L 0:23', '-1'],
        ['alice dev@web -L ::FFFF:A9FE:A9FE:80', '-1'],
        ['alice dev@web -L 169.254.169.253:80', '+2'],
        ['alice dev@web -L 127.0.0.1:22', '-1'],
        ['alice dev@web -L 127.1.2.3:22', '-1'],
        ['alice dev@web -L localhost:22', '-1'],
        ['alice dev@web -L x.localhost:22', '-1'],
        ['alice dev@web -L LocalHost.:22', '-1'],
        ['alice dev@web -L 0.0.0.0:22', '-1'],
        ['alice dev@web -L :22', '-1'],
        ['alice dev@web -L :::22', '-1'],
        ['alice dev@web -L 0:0::0:22', '-1'],
        ['alice dev@web -L ::ffff:0.0.0.0:22', '-1'],
        ['alice dev@web -L 127.0.0.1:23', '-1'],
        ['alice dev@web -L ::1:23', '-1'],
        ['alice dev@web -L 0.0.0.0:23', '-1'],
        ['alice dev@web -L ::1:24', '-1'],
        ['alice dev@web -L 0:0:0:0:0:0:0:1:24', '-1'],
        ['alice dev@web -L localhost:24', '-1'],
        ['alice dev@web -L 127.0.0.1:25', '+2'],
        ['alice web enter', '+2'],
      ],
    },
    {
      what: 'actions: where to listen inside',
      rules: [{ actions: { forwardRemote: ['localhost:8000-8999', '*:9000'] } }],
      rows: [
        ['alice dev@web -R localhost:8080', '+1'],
        ['alice dev@web -R localhost:9000', '+1'],
        ['alice dev@web -R :9000', '+1'],
        ['alice dev@web -R 0.0.0.0:9000', '+1'],
        ['alice dev@web -R :8080', '-'],
        ['alice dev@web -R localhost:0', '-'],
        ['alice dev@web -L localhost:8080', '-'],
      ],
    },
    ...(['0.0.0.0:*', '[::]:*', '[::]:8080', '0.0.0.0/0:8080'] as const).map((pattern) => ({
      what: `actions: every address denied as ${pattern} is denied by every name of it`,
      rules: [{ effect: 'deny' as const, actions: { forwardRemote: [pattern] } }, { actions: { forwardRemote: true } }],
      rows: [
        ['alice dev@web -R :8080', '-1'],
        ['alice dev@web -R *:8080', '-1'],
        ['alice dev@web -R 0.0.0.0:8080', '-1'],
        ['alice dev@web -R :::8080', '-1'],
        ['alice dev@web -R ::ffff:0.0.0.0:8080', '-1'],
        ['alice dev@web -R 0:8080', '-1'],
        ['alice dev@web -R 0x0:8080', '-1'],
        ['alice dev@web -R localhost:8080=', '-1'],
        ['alice dev@web -L db:8080', '-'],
      ] as const,
    })),
    {
      what: 'actions: an address denied is denied to who listens on every one',
      rules: [
        { effect: 'deny', actions: { forwardRemote: ['127.0.0.1:80', '10.0.0.0/8:81', 'localhost:82', 'db:83'] } },
        { actions: { forwardRemote: true } },
      ],
      rows: [
        ...[80, 81, 82, 83].flatMap((port): Row[] => [
          [`alice dev@web -R :${port}`, '-1'],
          [`alice dev@web -R *:${port}`, '-1'],
          [`alice dev@web -R :::${port}`, '-1'],
          // "=" and what GatewayPorts made of it.
          [`alice dev@web -R localhost:${port}=`, '-1'],
        ]),
        ['alice dev@web -R 10.1.1.1:80', '+2'],
        ['alice dev@web -R 10.1.1.1:80=localhost', '-1'],
        ['alice dev@web -R db:82=localhost', '-1'],
        ['alice dev@web -R 192.0.2.1:81=192.0.2.1', '+2'],
        ['alice dev@web -R *:84', '+2'],
      ],
    },
    {
      what: 'actions: where a rule allows, the address that is asked for counts',
      rules: [{ actions: { forwardRemote: ['localhost:8000', '0.0.0.0:9000'] } }],
      rows: [
        ['alice dev@web -R localhost:8000=', '+1'],
        ['alice dev@web -R 0.0.0.0:9000=localhost', '+1'],
        ['alice dev@web -R 0.0.0.0:8000=localhost', '-'],
        ['alice dev@web -R :9000', '-'],
        ['alice dev@web -R *:9000', '-'],
      ],
    },
    {
      what: 'actions: sockets, without their detours',
      rules: [{ actions: { forwardSocket: ['/run/app/*', '/tmp/x.sock'] } }],
      rows: [
        ['alice dev@web socket /run/app/a.sock', '+1'],
        // A link of the container's may stand in the way of "..", and the kernel follows it.
        ['alice dev@web socket /tmp/l/../../run/app/docker', '-'],
        ['alice dev@web socket /run/app/x/../a.sock', '-'],
        ['alice dev@web socket /run/./app/b', '-'],
        ['alice dev@web socket //run/app/b', '-'],
        ['alice dev@web socket /run/app//b', '-'],
        ['alice dev@web socket /run/app/b/', '-'],
        ['alice dev@web socket /run/app/b/.', '-'],
        ['alice dev@web socket /run/app/..', '-'],
        ['alice dev@web socket /run/app/..b', '+1'],
        ['alice dev@web socket /tmp/x.sock', '+1'],
        ['alice dev@web socket /run/app/../docker.sock', '-'],
        ['alice dev@web socket run/app/a.sock', '-'],
        ['alice dev@web socket /var/run/docker.sock', '-'],
      ],
    },
    {
      what: 'actions: a socket that is denied, by other paths to it',
      rules: [
        { effect: 'deny', actions: { forwardSocket: ['/var/run/docker.sock', '/tmp/l/*'] } },
        { actions: { forwardSocket: true } },
      ],
      rows: [
        ['alice dev@web socket /tmp/l/../x', '-1'],
        ['alice dev@web socket docker.sock', '-1'],
        ['alice dev@web socket ./docker.sock', '-1'],
        ['alice dev@web socket /tmp/../tmp/x', '+2'],
        ['alice dev@web socket /var/run/docker.sock', '-1'],
        ['alice dev@web socket /var/run/x/../docker.sock', '-1'],
        ['alice dev@web socket //var/run//docker.sock', '-1'],
        ['alice dev@web socket var/run/docker.sock', '-1'],
        ['alice dev@web socket /var/run/other.sock', '+2'],
      ],
    },
    {
      what: 'actions: variables a rule names are those, not environment.accept',
      rules: [
        { containers: { names: ['web'] }, actions: { shell: true, env: ['GIT_*'] } },
        { containers: { names: ['db'] }, actions: { shell: true, env: true } },
        { containers: { names: ['lone'] }, actions: { shell: true, env: false } },
        { containers: { names: ['web-2'] }, actions: { agent: true } },
      ],
      rows: [
        ['alice dev@web env GIT_AUTHOR_NAME', '+1'],
        ['alice dev@web env LANG', '-'],
        ['alice dev@db env ANYTHING', '+2'],
        ['alice dev@lone env LANG', '-'],
        ['alice dev@web-2 env LANG', '-'],
        ['alice dev@web-2 agent', '+4'],
        ['alice web-2 enter', '-'],
      ],
    },
    {
      what: 'from: networks',
      rules: [{ from: ['10.0.0.0/8', '192.0.2.7', '2001:db8::/32'] }],
      rows: [
        ['alice dev@web shell', '+1', '10.200.3.4'],
        ['alice dev@web shell', '+1', '::ffff:10.0.0.1'],
        ['alice dev@web shell', '+1', '192.0.2.7'],
        ['alice dev@web shell', '-', '192.0.2.8'],
        ['alice dev@web shell', '+1', '2001:db8:1::1'],
        ['alice dev@web shell', '-', '2001:db9::1'],
        ['alice dev@web shell', '-', 'somewhere'],
        ['alice dev@web shell', '-', ''],
        ['alice web enter', '-', '11.0.0.1'],
      ],
    },
    {
      what: 'when: it is Tuesday noon in UTC',
      rules: [
        { containers: { names: ['web'] }, when: ['Mon-Fri 08:00-18:00 UTC'] },
        { containers: { names: ['db'] }, when: ['Sat,Sun UTC', 'Wed 10:00-14:00 UTC'] },
        { containers: { names: ['lone'] }, when: ['Tue 20:00-22:00 Asia/Tokyo'] },
        { containers: { names: ['web-2'] }, when: ['12:01-24:00 UTC', '00:00-12:00 UTC'] },
      ],
      rows: [
        ['alice dev@web shell', '+1'],
        ['alice dev@db shell', '-'],
        ['alice dev@lone shell', '+3'],
        ['alice dev@web-2 shell', '-'],
        ['alice db enter', '-'],
      ],
    },
    {
      what: 'the first rule that applies decides',
      rules: [
        { name: 'break', effect: 'deny', containers: { names: ['db'] }, who: { groups: ['staff'] } },
        { who: { groups: ['staff'] }, containers: { projects: ['shop'] }, actions: { shell: true } },
        { effect: 'deny', who: { identities: ['alice'] }, actions: { exec: true } },
        { actions: { exec: true } },
      ],
      rows: [
        ['alice dev@db shell', '-1'],
        ['alice db enter', '-1'],
        ['alice dev@db exec id', '-1'],
        ['alice dev@web shell', '+2'],
        ['alice web enter', '+2'],
        ['alice dev@web exec id', '-3'],
        ['dave dev@web exec id', '+4'],
        ['bob dev@db exec id', '+4'],
        ['bob dev@db shell', '-'],
      ],
    },
    {
      what: 'entering: something must be left to do there',
      rules: [
        { effect: 'deny', containers: { names: ['web'] }, actions: { shell: true, exec: true } },
        { effect: 'deny', containers: { names: ['db'] }, actions: { shell: true, exec: ['x*'] } },
        { effect: 'deny', containers: { names: ['lone'] }, users: ['dev'] },
        { actions: { shell: true, exec: true } },
      ],
      rows: [
        ['alice web enter', '-'],
        ['alice dev@web enter', '-'],
        ['alice db enter', '+4'],
        ['alice lone enter', '+4'],
        ['alice dev@lone enter', '-3'],
        ['alice app@lone enter', '+4'],
        ['alice web-2 enter', '+4'],
      ],
    },
    {
      what: 'labels only narrow',
      rules: [{ users: ['*', 'root'] }],
      rows: [
        ['alice for-alice enter', '+1'],
        ['alice dev@for-alice shell', '+1'],
        ['bob for-alice enter', '- label hatchway.allow'],
        ['bob dev@for-alice shell', '- label hatchway.allow'],
        ['alice dev@for-dev shell', '+1'],
        ['bob dev@for-dev shell', '- label hatchway.allow'],
        ['bob dev@for-bobs-key shell', '+1'],
        ['alice dev@for-bobs-key shell', '- label hatchway.allow'],
        ['alice for-nobody enter', '- label hatchway.allow'],
        ['bob dev@for-all shell', '+1'],
        ['alice app@as-app shell', '+1'],
        ['alice root@as-app shell', '+1'],
        ['alice as-app enter', '+1'],
        ['alice dev@as-app shell', '- label hatchway.users'],
        ['alice dev@as-any shell', '+1'],
        ['alice root@as-any shell', '- label hatchway.users'],
        ['old dev@for-alice shell', '- key'],
      ],
    },
    {
      what: 'labels never widen',
      rules: [{ who: { identities: ['bob'] } }],
      rows: [
        ['alice for-alice enter', '-'],
        ['alice dev@for-alice shell', '-'],
        ['bob dev@for-alice shell', '- label hatchway.allow'],
        ['bob root@as-app shell', '-'],
        ['bob dev@for-all shell', '+1'],
      ],
    },
    {
      what: 'labels narrow also where there are no rules',
      rows: [
        ['bob for-alice enter', '- label hatchway.allow'],
        ['alice dev@for-alice shell', '+ no rules'],
        ['bob root@as-any shell', '- label hatchway.users'],
      ],
    },
  ]

describe.each(SETS)('$what', ({ rules, rows }) => {
  test.each(rows.map(([line, expected, from = '10.1.2.3']) => [line, expected, from] as const))(
    '%s: %s (%s)',
    (line, expected, from) => {
      expect(short(decide(rules, line, from))).toBe(expected)
    },
  )
})

test('the table has 200 rows and more', () => {
  expect(SETS.flatMap(({ rows }) => rows).length).toBeGreaterThan(200)
})

describe('what a user reads', () => {
  const said = (rules: readonly RuleInput[], line: string) => {
    const decision = decide(rules, line)
    return decision.allowed ? undefined : decision.reason
  }

  test('what, where and as whom, but not which rule', () => {
    expect(said([], 'alice dev@web sftp')).toBe('sftp in web as dev is not permitted')
    expect(said([], 'alice root@web enter')).toBe('entering web as root is not permitted')
    expect(said([], 'alice dev@web -L db:5432')).toBe('forwarding to db:5432 in web as dev is not permitted')
    expect(said([{ name: 'secret name', effect: 'deny' }], 'alice dev@web shell')).toBe(
      'a shell in web as dev is not permitted',
    )
  })

  test('a command is not repeated: it may hold secrets', () => {
    expect(said([], 'alice dev@web exec login --password=x')).toBe('this command in web as dev is not permitted')
  })

  test("a rule's own sentence", () => {
    const rules = [{ effect: 'deny', message: 'ask ops@example.com' } as const]
    expect(said(rules, 'alice dev@web shell')).toBe('a shell in web as dev is not permitted: ask ops@example.com')
  })
})
