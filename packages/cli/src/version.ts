import { readFileSync } from 'node:fs'

/** The version in the package.json that lies nearest above this code: the installed package's, in a checkout the workspace's. */
export function version(): string {
  for (let dir = new URL('.', import.meta.url); dir.pathname !== '/'; dir = new URL('..', dir)) {
    try {
      const { version } = JSON.parse(readFileSync(new URL('package.json', dir), 'utf8')) as { version?: string }
      if (version !== undefined) return version
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
  return 'unknown'
}
