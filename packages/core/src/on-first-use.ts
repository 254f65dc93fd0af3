import { createRequire } from 'node:module'

const load = createRequire(import.meta.url)

/**
 * A package of npm's, loaded when it is first asked for. Native code and large packages take tens of ms each to load, and a command such as
 * `tidelog topics --list` needs none of them.
 * @param name Must be one that a `require` finds: CommonJS, or ES modules without top-level await.
 */
export function onFirstUse<T>(name: string): () => T {
  let loaded: T | undefined
  return () => {
    loaded ??= load(name) as T
    return loaded
  }
}
