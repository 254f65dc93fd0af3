import { resolve } from 'node:path'
import type { BrokerConfig } from './broker-config.ts'

/** The data directories, the first of which also holds what belongs to no partition unless metadata.log.dir says otherwise. */
export function logDirsOf(config: Pick<BrokerConfig, 'log.dirs' | 'log.dir'>): readonly string[] {
  return config['log.dirs'] ?? config['log.dir']
}

/** `*` in cordoned.log.dirs: all of them. KIP-1066. */
const EVERY_DIR = '*'

const isEvery = (cordoned: readonly string[]): boolean => cordoned.includes(EVERY_DIR)

/** Whether the directory at `path`, absolute, gets no further partitions. */
export function isCordoned(config: BrokerConfig, path: string): boolean {
  const cordoned = config['cordoned.log.dirs']
  return isEvery(cordoned) || cordoned.some((dir) => resolve(dir) === path)
}

/** Whether none of the broker's directories takes further partitions. */
export function areAllCordoned(config: BrokerConfig): boolean {
  return logDirsOf(config).every((dir) => isCordoned(config, resolve(dir)))
}

/** What is wrong with cordoned.log.dirs, in Kafka's words: its entries are those of log.dirs, letter by letter. */
export function cordonedProblem(config: BrokerConfig): string | undefined {
  const cordoned = config['cordoned.log.dirs']
  if (isEvery(cordoned)) return cordoned.length === 1 ? undefined : 'When cordoned.log.dirs is set to *, it must not contain other values'
  const missing = cordoned.filter((dir) => !logDirsOf(config).includes(dir))
  return missing.length === 0
    ? undefined
    : `All entries in cordoned.log.dirs must be present in log.dirs or log.dir. Missing entries : ${missing.join(', ')}`
}
