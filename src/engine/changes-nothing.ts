/** Docker's actions "exec_create: sh -c ...", "archive-path", "top", ...; Podman's "exec" and "exec_died". */
const UNCHANGING = /^(exec|archive-path|top$|resize|attach|health_status)/

/** What sessions and our own questions make an engine tell: none of it changes a container. */
export function changesNothing(action: string): boolean {
  return UNCHANGING.test(action)
}
