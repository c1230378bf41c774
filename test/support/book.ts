import type { ForwardBook } from '../../src/forward/book.ts'

/** For forwards of which nobody wants to know. */
export const NO_BOOK: ForwardBook = { demand() {}, opened: () => () => {}, listening: () => () => {} }
