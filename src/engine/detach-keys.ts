/**
 * The engine looks for its detach keys in the program's input and holds back what begins like them; they cannot be
 * switched off (`""` means the default ctrl-p,ctrl-q). This sequence nobody types, and ctrl-^ is the least missed key.
 */
export const DETACH_KEYS = 'ctrl-^,ctrl-],ctrl-_,ctrl-@,ctrl-^,ctrl-]'
