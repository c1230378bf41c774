/** Docker's own grammar of names and ids. It keeps a name out of paths and options: no slash, no leading dash. */
export function isContainerRef(text: string): boolean {
  return /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,253}$/.test(text)
}
