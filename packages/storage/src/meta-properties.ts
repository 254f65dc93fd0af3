import { join } from 'node:path'
import { isUuid, messageOf, parseProperties } from '@tidelog/core'
import { type FileSystem, readTextIfPresent, writeFileAtomically } from './file-system.ts'

/*
 * meta.properties in a log dir, a Java properties file:
 *   version=0  broker.id, cluster.id                    ZooKeeper mode, up to Kafka 3.9
 *   version=1  node.id, directory.id, cluster.id        KRaft mode, and what is written here
 */
const FILE_NAME = 'meta.properties'

export interface MetaProperties {
  readonly version: number
  readonly nodeId: number | undefined
  readonly clusterId: string | undefined
  /** Names this directory; a cluster tells by it which disk a replica is on. KIP-858. */
  readonly directoryId: string | undefined
}

/** Why a directory must not be opened: one line for the operator. Nothing in it has been touched. */
export class LogDirRefusedError extends Error {
  override readonly name = 'LogDirRefusedError'
}

/** Reads the file. Undefined when it is missing, that is, the directory is new. @throws LogDirRefusedError when it is garbage. */
export async function readMetaProperties(fs: FileSystem, dir: string): Promise<MetaProperties | undefined> {
  const path = join(dir, FILE_NAME)
  const text = await readTextIfPresent(fs, path)
  if (text === undefined) return undefined
  const refuse = (reason: string): never => {
    throw new LogDirRefusedError(`${path} is damaged: ${reason}`)
  }
  let values: Map<string, string>
  try {
    values = parseProperties(text)
  } catch (error) {
    return refuse(messageOf(error))
  }
  const version = values.get('version')
  if (version !== '0' && version !== '1') return refuse(version === undefined ? 'it has no version' : `version ${version} is not known`)
  const numberOf = (name: string): number | undefined => {
    const value = values.get(name)
    if (value === undefined) return undefined
    if (!/^\d{1,10}$/.test(value) || Number(value) > 0x7fffffff) return refuse(`${name} is ${JSON.stringify(value.slice(0, 40))}`)
    return Number(value)
  }
  const nodeId = version === '1' ? numberOf('node.id') : numberOf('broker.id')
  const clusterId = values.get('cluster.id')
  const directoryId = values.get('directory.id')
  if (version === '1' && nodeId === undefined) return refuse('it has no node.id')
  if (version === '1' && clusterId === undefined) return refuse('it has no cluster.id')
  if (directoryId !== undefined && !isUuid(directoryId)) return refuse(`directory.id is ${JSON.stringify(directoryId.slice(0, 40))}`)
  return { version: Number(version), nodeId, clusterId, directoryId }
}

/** Writes version 1. @param writtenMs Wall-clock time for the comment line that Java's properties files begin with. */
export async function writeMetaProperties(
  fs: FileSystem,
  dir: string,
  { nodeId, clusterId, directoryId }: { nodeId: number; clusterId: string; directoryId: string },
  writtenMs: number,
): Promise<void> {
  const lines = [
    `#`,
    `#${new Date(writtenMs).toUTCString()}`,
    `node.id=${nodeId}`,
    `directory.id=${directoryId}`,
    'version=1',
    `cluster.id=${clusterId}`,
  ]
  await writeFileAtomically(fs, join(dir, FILE_NAME), `${lines.join('\n')}\n`)
}
