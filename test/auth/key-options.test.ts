import { describe, expect, it } from 'vitest'
import { NO_OPTIONS, parseKeyOptions } from '../../src/auth/key-options.ts'
import { type Restrictions, UNRESTRICTED } from '../../src/auth/restrictions.ts'

const NOTHING: Restrictions = {
  ...UNRESTRICTED,
  pty: false,
  portForwarding: false,
  agentForwarding: false,
  x11Forwarding: false,
}

describe('key options are sshd’s', () => {
  it.each<[string, Partial<Restrictions>]>([
    ['', {}],
    [',,', {}],
    ['no-pty,', { pty: false }],
    ['NO-PTY', { pty: false }],
    ['no-pty,pty', {}],
    ['no-port-forwarding', { portForwarding: false }],
    ['no-agent-forwarding', { agentForwarding: false }],
    ['no-X11-forwarding', { x11Forwarding: false }],
    ['user-rc,no-user-rc', {}],
    ['no-touch-required', { touchRequired: false }],
    ['no-touch-required,touch-required', {}],
    ['verify-required', { verifyRequired: true }],
    ['verify-required,no-verify-required', {}],
    ['restrict', NOTHING],
    ['restrict,pty', { ...NOTHING, pty: true }],
    ['pty,restrict', NOTHING],
    ['restrict,Port-Forwarding,agent-forwarding,x11-forwarding', { pty: false }],
    ['command="ls"', { command: 'ls' }],
    ['command=""', { command: '' }],
    [String.raw`command="a \"b\", c=\\ d"`, { command: String.raw`a "b", c=\\ d` }],
    [String.raw`command="a\\"b"`, { command: String.raw`a\"b` }],
    ['environment="A=1",environment="B=",environment="A=2"', { environment: ['A=1', 'B='] }],
    ['environment="9=x=y"', { environment: ['9=x=y'] }],
    ['permitopen="h:1",permitopen="[::1]:65535",permitopen="*:*"', { permitOpen: [['h:1', '[::1]:65535', '*:*']] }],
    ['permitlisten="8080",permitlisten="localhost:*"', { permitListen: [['*:8080', 'localhost:*']] }],
    ['expiry-time="20300102Z"', { expiresAt: Date.UTC(2030, 0, 2) }],
    ['expiry-time="203001020304utc"', { expiresAt: Date.UTC(2030, 0, 2, 3, 4) }],
    ['expiry-time="20300102030405"', { expiresAt: new Date(2030, 0, 2, 3, 4, 5).getTime() }],
    ['expiry-time="20400101Z",expiry-time="20300101Z",expiry-time="20350101Z"', { expiresAt: Date.UTC(2030, 0, 1) }],
    ['tunnel="0"', {}],
    ['tunnel="ANY"', {}],
  ])('%s', (text, restrictions) => {
    expect(parseKeyOptions(text)).toEqual({ ...NO_OPTIONS, restrictions: { ...UNRESTRICTED, ...restrictions } })
  })

  it.each([
    ['from="10.0.0.0/8,!10.1.*"', { from: '10.0.0.0/8,!10.1.*' }],
    ['cert-authority', { certAuthority: true }],
    ['cert-authority,principals="a,b"', { certAuthority: true, principals: ['a', 'b'] }],
    ['cert-authority,principals=""', { certAuthority: true, principals: [] }],
  ])('%s', (text, options) => {
    expect(parseKeyOptions(text)).toEqual({ ...NO_OPTIONS, ...options })
  })

  it.each([
    ['command="a",command="a"', /more than one command/],
    ['from="a",from="b"', /more than one from/],
    ['cert-authority,principals="a",principals="b"', /more than one principals/],
    ['principals="a"', /without cert-authority/],
    ['no-restrict', /no-restrict is not known/],
    ['no-cert-authority', /not known/],
    ['ptyx', /ptyx is not known/],
    ['pty_x', /cannot be read/],
    ['pty="yes"', /not known/],
    ['command', /not known/],
    ['command=ls', /not in quotes/],
    ['command="ls"x', /cannot be read/],
    ['command="ls', /not in quotes/],
    ['constructor', /not known/],
    ['toString="x"', /not known/],
    ['environment="A"', /NAME=value/],
    ['environment="A B=1"', /NAME=value/],
    ['environment="=1"', /NAME=value/],
    ['permitopen="80"', /HOST:PORT/],
    ['permitopen="h:0"', /HOST:PORT/],
    ['permitopen="h:65536"', /HOST:PORT/],
    ['permitopen="::1:80"', /HOST:PORT/],
    ['permitlisten="x"', /PORT/],
    ['expiry-time="2030"', /no time/],
    ['expiry-time="20301301"', /no time/],
    ['expiry-time="19700101Z"', /no time/],
    ['expiry-time="203001012500"', /no time/],
    ['tunnel="x"', /no device/],
    ['no-such-option', /no-such-option is not known/],
  ])('%s is refused', (text, reason) => {
    expect(parseKeyOptions(text)).toMatch(reason)
  })
})
