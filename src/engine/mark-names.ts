/** What a mark of ours is called on an engine (engine.ts `Marks`). */

/** By it the engine finds them among all volumes. */
export const MARK_LABEL = 'hatchway.mark'

/** As Docker and Podman name volumes; it is part of paths of the API. */
export const MARK_NAME = /^hatchway-[a-z0-9-]{1,200}$/
