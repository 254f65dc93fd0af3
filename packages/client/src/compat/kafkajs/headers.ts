import type { RecordHeader } from '@tidelog/protocol'
import type { IHeaders } from './types-client.ts'

/** As kafkajs shows headers: by name, with a list where a name comes several times. */
export function headersByName(headers: readonly RecordHeader[]): IHeaders {
  const byName: Record<string, Buffer | Buffer[] | null> = {}
  for (const { key, value } of headers) {
    const known = Object.hasOwn(byName, key) ? byName[key] : undefined
    if (known === undefined) set(byName, key, value)
    else if (Array.isArray(known)) known.push(value as Buffer)
    else set(byName, key, [known as Buffer, value as Buffer])
  }
  return byName as IHeaders
}

/** A header may be called __proto__. */
const set = <T>(object: Record<string, T>, name: string, value: T): void =>
  void Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })
