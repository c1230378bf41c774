/** What a person types to run this program: the script of a checkout is not on the PATH, and says how it was called. */
export const PROGRAM_NAME = process.env.HATCHWAY_PROGRAM || 'hatchway'
