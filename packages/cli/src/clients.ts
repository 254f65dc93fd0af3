import { readFileSync } from 'node:fs'
import type { Admin, Consumer, Producer } from '@tidelog/client'
import { parseProperties } from '@tidelog/core'
import { text, UsageError } from './option-table.ts'

/** How a command reaches the cluster; tests pass their own. */
export interface Clients {
  admin(properties: ReadonlyMap<string, string>): Promise<Admin>
  /** Sends text as UTF-8. */
  producer(properties: ReadonlyMap<string, string>): Promise<Producer<string, string>>
  /** Hands keys and values out as the bytes they are. */
  consumer(properties: ReadonlyMap<string, string>): Promise<Consumer<Buffer, Buffer>>
}

/** Clients of a real cluster, loaded when the first one is asked for: `--help` needs none. */
export const realClients: Clients = {
  async admin(properties) {
    const { Admin, fromProperties } = await import('@tidelog/client')
    return new Admin(fromProperties(properties))
  },
  async producer(properties) {
    const { Producer, fromProperties, string } = await import('@tidelog/client')
    return new Producer({ ...fromProperties(properties), keySerializer: string, valueSerializer: string })
  },
  async consumer(properties) {
    const { Consumer, fromProperties, bytes } = await import('@tidelog/client')
    return new Consumer({ ...fromProperties(properties), keyDeserializer: bytes, valueDeserializer: bytes })
  },
}

export const connectionOptions = {
  'bootstrap-server': text('Brokers to connect to first; the others are found through them.', { value: 'host:port,…' }),
  'command-config': text('A properties file with settings of the client.', { value: 'file' }),
}

interface ConnectionValues {
  readonly 'bootstrap-server': string | undefined
  readonly 'command-config': string | undefined
}

/** The client's properties: the file's, with the address of the command line. */
export function connectionProperties(values: ConnectionValues): Map<string, string> {
  const properties = readPropertiesFile(values['command-config'])
  if (values['bootstrap-server'] !== undefined) properties.set('bootstrap.servers', values['bootstrap-server'])
  return properties
}

/** @throws UsageError when the file cannot be read. */
export function readPropertiesFile(path: string | undefined): Map<string, string> {
  if (path === undefined) return new Map()
  try {
    return parseProperties(readFileSync(path))
  } catch (error) {
    throw new UsageError(`Cannot read ${path}: ${(error as Error).message}`)
  }
}

/**
 * `name=value` words as properties; a word without `=` has the empty value.
 * @throws UsageError for a word without a name.
 */
export function parsePropertyWords(words: readonly string[]): Map<string, string> {
  const properties = new Map<string, string>()
  for (const word of words) {
    const equals = word.indexOf('=')
    const name = equals === -1 ? word : word.slice(0, equals)
    if (name === '') throw new UsageError(`Invalid command line properties: ${words.join(' ')}`)
    properties.set(name, equals === -1 ? '' : word.slice(equals + 1))
  }
  return properties
}
