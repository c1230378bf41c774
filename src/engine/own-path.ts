/**
 * Where what we run inside on our own account comes from: by whole path, and what a script of ours calls by this PATH. An
 * image's own PATH may begin with a directory that one of its users may write to, and ours runs as another, root included.
 * The user's program keeps the PATH that is its own.
 */
export const OWN_PATH = '/usr/sbin:/usr/bin:/sbin:/bin'
export const OWN_SHELL = '/bin/sh'
/** For an exec in which nothing but ours runs: no library of the image's choice comes into it either. */
export const OWN_ENVIRONMENT: readonly string[] = [`PATH=${OWN_PATH}`, 'LD_PRELOAD=', 'LD_LIBRARY_PATH=']
