/** The page: its key lives in this memory alone, so that a reload signs out. All text is set as text. */
const AGAIN_MS = 2_000
let key = ''

const at = (id) => document.getElementById(id)
const say = (text) => {
  at('said').textContent = text
}

async function call(name, body = {}) {
  const headers = { 'content-type': 'application/json', ...(key && { authorization: `Bearer ${key}` }) }
  const answer = await fetch(`/api/${name}`, { method: 'POST', headers, body: JSON.stringify(body) })
  const said = await answer.json()
  if (answer.status === 401) leave()
  if (!answer.ok) throw new Error(said.error)
  return said
}

function leave() {
  key = ''
  at('live').hidden = true
  at('sign-in').hidden = false
}

async function signIn(token) {
  const { key: got, name, endsAt } = await call('sign-in', { token })
  key = got
  at('token').value = ''
  at('who').textContent = `${name}, until ${new Date(endsAt).toLocaleTimeString()}`
  at('sign-in').hidden = true
  at('live').hidden = false
  say('')
  await show()
}

async function show() {
  const { sessions, connections } = await call('live')
  list('sessions', sessions, 'session', ({ id, identity, user, container, start, bytesIn, bytesOut }) => ({
    id,
    texts: [id, identity.name, `${user}@${container.name}`, start, `${bytesIn} bytes in, ${bytesOut} out`],
  }))
  list('connections', connections, 'connection', ({ connectionId, identity, login, remote, container }) => ({
    id: connectionId,
    texts: [connectionId, identity.name, login, remote.address, container ? `into ${container.name}` : ''],
  }))
}

/** An item that is there already stays, with the focus that is in it. */
function list(where, rows, what, read) {
  const all = rows.map(read)
  const before = new Map([...at(where).children].map((item) => [item.dataset.id, item]))
  for (const { id, texts } of all) {
    const item = before.get(id) ?? newItem(where, what, id, texts.length)
    before.delete(id)
    for (const [index, text] of texts.entries()) item.children[index].textContent = text
  }
  for (const item of before.values()) item.remove()
}

function newItem(where, what, id, columns) {
  const item = document.createElement('li')
  item.dataset.id = id
  for (let column = 0; column < columns; column += 1) item.append(document.createElement('span'))
  const button = document.createElement('button')
  button.type = 'button'
  button.textContent = `End ${what} ${id}`
  button.addEventListener('click', () => {
    // Asked twice: the second press ends it.
    if (button.dataset.sure) return void tried(() => end(what, id))
    button.dataset.sure = 'yes'
    button.textContent = `Press again to end ${what} ${id}`
  })
  item.append(button)
  at(where).append(item)
  return item
}

async function end(what, id) {
  const { killed } = await call('kill', { what, id })
  say(killed ? `${what} ${id} was ended` : `${what} ${id} is over already`)
  await show()
}

async function tried(act) {
  try {
    await act()
  } catch (error) {
    say(error.message)
  }
}

at('sign-in').addEventListener('submit', (event) => {
  event.preventDefault()
  void tried(() => signIn(at('token').value.trim()))
})
at('sign-out').addEventListener('click', () => void tried(() => call('sign-out').finally(leave)))
async function again() {
  if (key) await tried(show)
  setTimeout(again, AGAIN_MS)
}
// Not sent to the server, and gone from the history: the link of `hatchway admin token`.
const [, token] = location.hash.split('#')
if (token) {
  history.replaceState(null, '', '/')
  void tried(() => signIn(token))
}
void again()
