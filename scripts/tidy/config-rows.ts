import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { brokerConfig, groupConfig } from '@tidelog/broker'
import type { AnyConfigTable } from '@tidelog/core'
import { logConfig } from '@tidelog/storage'
import { referencePages } from '../reference.ts'
import { type Finding, lineAt, root, type SourceFile } from './sources.ts'

/** Where rows are declared: a name that stands there is not read by it. */
const declares = (path: string): boolean =>
  path.startsWith('packages/broker/src/config/rows/') || /\/(log|group|broker)-config\.ts$/.test(path)

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')

/** Code that takes a configuration's value: `config['name']`, or `config.name` where the name has no dot. */
const readsValue = (name: string): RegExp => new RegExp(`\\[\\s*'${escaped(name)}'\\s*\\]|[cC]onfig\\.${escaped(name)}\\b`)

/** Every configuration row has a reader or says why it needs none, and not both. Broker rows that only give topics their defaults are read with those. */
export function checkConfigRows(sources: readonly SourceFile[]): Finding[] {
  const readers = sources.filter(({ path, isTest, room }) => !isTest && room !== 'client' && room !== 'cli' && !declares(path))
  const tables: readonly AnyConfigTable[] = [brokerConfig, logConfig, groupConfig]
  const givesDefault = new Set([...logConfig.rows.values()].flatMap(({ brokerNames }) => brokerNames))
  return tables.flatMap((table) =>
    [...table.rows].flatMap(([name, { unused }]): Finding[] => {
      const place = placeOf(name, sources, table)
      const reader = readers.find(({ code }) => readsValue(name).test(code))
      const mentioned = reader ?? readers.find(({ code }) => code.includes(`'${name}'`))
      if (unused === undefined && mentioned === undefined && !(table === brokerConfig && givesDefault.has(name)))
        return [{ ...place, message: `nobody reads ${name}, and the row gives no reason: unused: '…'` }]
      if (unused !== undefined && reader !== undefined)
        return [{ ...place, message: `${name} says it is unused, and ${reader.path} reads it` }]
      return []
    }),
  )
}

function placeOf(name: string, sources: readonly SourceFile[], table: AnyConfigTable): { path: string; line: number } {
  const isBroker = table === brokerConfig
  const file = sources.find(({ path, code }) => declares(path) && path.includes('/rows/') === isBroker && rowAt(code, name) >= 0)
  return { path: file?.path ?? 'packages', line: file === undefined ? 1 : lineAt(file.code, rowAt(file.code, name) + 1) }
}

const rowAt = (code: string, name: string): number => code.search(new RegExp(`^  '?${escaped(name)}'?: `, 'm'))

/** docs/reference/ says what the tables say. */
export async function checkReferencePages(): Promise<Finding[]> {
  return [...(await referencePages())]
    .filter(([path, text]) => !existsSync(join(root, path)) || readFileSync(join(root, path), 'utf8') !== text)
    .map(([path]) => ({ path, line: 1, message: 'differs from the tables or examples: npm run docs' }))
}
