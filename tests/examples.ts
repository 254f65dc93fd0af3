import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** What a file under examples/ exports. */
export type Example = (bootstrapServers: string, registryUrl: string) => Promise<void>

const dir = fileURLToPath(new URL('../../examples', import.meta.url))

/** Every example by a name such as `producing: send one record`. */
export async function examples(): Promise<[name: string, example: Example][]> {
  const files = readdirSync(join(dir, 'dist')).filter((name) => name.endsWith('.js') && existsSync(join(dir, name.replace(/\.js$/, '.ts'))))
  const loaded = await Promise.all(
    files.map(async (file) => {
      const exported = (await import(pathToFileURL(join(dir, 'dist', file)).href)) as Record<string, Example>
      return Object.entries(exported).map(([name, example]): [string, Example] => [
        `${file.replace(/\.js$/, '')}: ${name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`,
        example,
      ])
    }),
  )
  return loaded.flat()
}
