/** AuthenticationMethods, sshd_config(5): which methods may come next and when it is enough, as auth2.c has it. */

/** Methods in order, each as "publickey" or "keyboard-interactive:device". One completed list lets in. */
export type MethodList = readonly string[]

/** The device where any will do. */
const ANY = ''

/** What may come next, for USERAUTH_FAILURE: names without devices, each once. */
export function methodNames(lists: readonly MethodList[]): string {
  return [...new Set(lists.flatMap(([first]) => (first === undefined ? [] : split(first).method)))].join(',')
}

/** With which devices this method may come next; none: it may not. */
export function devicesOf(lists: readonly MethodList[], method: string): readonly string[] {
  const firsts = lists.flatMap(([first]) => (first === undefined ? [] : split(first)))
  return [...new Set(firsts.filter((first) => first.method === method).map((first) => first.device))]
}

/** What is left to do after a success; undefined when no list begins so. An empty list among them: enough. */
export function afterSuccess(
  lists: readonly MethodList[],
  method: string,
  device = ANY,
): readonly MethodList[] | undefined {
  const begins = ([first = '']: MethodList) => {
    const wanted = split(first)
    return wanted.method === method && wanted.device === device
  }
  if (!lists.some(begins)) return undefined
  return lists.map((list) => (begins(list) ? list.slice(1) : list))
}

function split(entry: string): { method: string; device: string } {
  const [method = '', device = ANY] = entry.split(':', 2)
  return { method, device }
}
