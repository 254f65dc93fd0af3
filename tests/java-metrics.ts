import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface JavaMetric {
  /** `producer`, `classic` and `consumer` (a consumer of either protocol), `share`, `admin`. */
  readonly client: string
  readonly group: string
  readonly name: string
  /** Their keys, in order. */
  readonly tags: readonly string[]
}

/** What tests/compat/java/Metrics.java prints: CLIENT GROUP TAGS: NAMES. */
export function parseMetrics(text: string): JavaMetric[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => {
      const [what, names] = line.split(': ') as [string, string]
      const [client, group, tags] = what.split(' ') as [string, string, string]
      return names.split(' ').map((name) => ({ client, group, name, tags: tags.split(',') }))
    })
}

/** Of Kafka 4.3's clients; `npm run test:interop` compares it with them. */
export const javaMetrics = (): JavaMetric[] =>
  parseMetrics(readFileSync(join(fileURLToPath(new URL('../..', import.meta.url)), 'tests', 'compat', 'java', 'metrics.txt'), 'utf8'))
