import { brokerConfig, groupConfig, notServed } from '@tidelog/broker'
import { loadCommands } from '@tidelog/cli'
import type { AnyConfigTable, ConfigRow } from '@tidelog/core'
import { apiNames, apis, errorTable } from '@tidelog/protocol'
import { logConfig } from '@tidelog/storage'
import { adminOperations, ourAdminOperations } from './admin-operations.ts'
import { apiPages } from './api-reference.ts'
import { faultsPage } from './fault-rows.ts'
import { guidePages } from './guides.ts'

const GENERATED = '<!-- Written by `npm run docs` from the tables in the code; change those. -->'

/** The pages under docs/ that follow from tables and, in part, from examples, by path from the root. `npm run docs` writes them, `npm run tidy` compares. */
export async function referencePages(): Promise<ReadonlyMap<string, string>> {
  return new Map([
    ['docs/reference/configs.md', configsPage()],
    ['docs/reference/apis.md', apisPage()],
    ['docs/reference/errors.md', errorsPage()],
    ['docs/reference/commands.md', await commandsPage()],
    ['docs/reference/admin.md', adminPage()],
    ['docs/faults.md', faultsPage()],
    ...(await apiPages()),
    ...guidePages(),
  ])
}

const page = (title: string, ...parts: string[]): string => `# ${title}\n\n${GENERATED}\n\n${parts.join('\n\n')}\n`

const cell = (text: string): string => text.replaceAll('|', '\\|')
const code = (text: string): string => (text === '' ? '' : `\`${cell(text)}\``)

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n')
}

function defaultOf({ defaultText, canonical }: ConfigRow): string {
  if (defaultText === undefined) return 'must be given'
  if (defaultText === null) return 'not set'
  return defaultText === '' ? 'empty' : code(canonical(defaultText))
}

const docOf = ({ doc, unused }: ConfigRow): string => cell(unused === undefined ? doc : `${doc} *No effect: ${unused}.*`)
const typeOf = ({ type, unit }: ConfigRow): string => (unit === undefined ? type : `${type}, ${unit}`)

function dynamicConfigs(rows: AnyConfigTable['rows']): string {
  return table(
    ['Name', 'Type', 'Default', 'Valid values', 'From the broker', 'What it does'],
    [...rows].map(([name, row]) => [
      code(name),
      typeOf(row),
      defaultOf(row),
      code(row.valid),
      row.brokerNames.map(code).join(', '),
      docOf(row),
    ]),
  )
}

function configsPage(): string {
  const brokerRows = [...brokerConfig.rows].sort(([a], [b]) => (a < b ? -1 : 1))
  return page(
    'Configurations',
    'Names, types, valid values and defaults are those of Apache Kafka 4.3 (and 3.9 for names that 4.3 dropped); the few other defaults are those a broker needs to start without a file.',
    'A `long` beyond 2^53 − 1, such as 9223372036854775807, is kept and shown exactly and acts as 2^53 − 1, which is never reached.',
    '## Topics',
    "A topic's own value holds; then the broker's configurations named beside it, the first that is set; then the default.",
    dynamicConfigs(logConfig.rows),
    '## Brokers',
    'Set in `server.properties` or by `--override NAME=VALUE`. What is *per-broker* or *cluster-wide* can also be changed while the broker runs (`kafka-configs`), for one broker or, if cluster-wide, for all.',
    table(
      ['Name', 'Type', 'Default', 'Valid values', 'Change', 'What it does'],
      brokerRows.map(([name, row]) => [code(name), typeOf(row), defaultOf(row), code(row.valid), row.update, docOf(row)]),
    ),
    '## Groups',
    dynamicConfigs(groupConfig.rows),
  )
}

function adminPage(): string {
  return page(
    'Admin: from Java to TypeScript',
    "Every method of Java's `Admin` (Apache Kafka 4.3) and ours. Options are members of the last argument, in Java's words: `{ validateOnly: true, timeoutMs: 5000 }`; " +
      'each call takes `timeoutMs` and an `AbortSignal` as `signal`. Where Java hands out futures by name, ours resolves with all results, or throws one error: that of the one thing that ' +
      'was asked for, or a `PartialFailureError` that says what failed and what did not. A broker that is too old for a call is an `UnsupportedVersionError`.',
    table(
      ['Java', 'Ours', 'Notes'],
      Object.entries(adminOperations).map(([java, { ours = '', note = '' }]) => [code(java), ours === '' ? '–' : code(ours), note]),
    ),
    'Ours has besides:',
    table(
      ['Ours', ''],
      Object.entries(ourAdminOperations).map(([ours, note]) => [code(ours), note]),
    ),
  )
}

function apisPage(): string {
  const unserved = new Set<string>(notServed)
  const rows = apiNames
    .map((name) => ({ ...apis[name], name }))
    .sort((a, b) => a.key - b.key)
    .map(({ key, name, versions, announced, flexibleFrom }) => [
      String(key),
      name,
      unserved.has(name) ? '—' : announced.join('–'),
      versions.join('–'),
      flexibleFrom === undefined ? 'never' : `${flexibleFrom}`,
    ])
  return page(
    'APIs',
    'What a broker announces in ApiVersions, and the versions that the protocol package can read and write: from the oldest of Apache Kafka 3.9 to the newest of 4.3.',
    table(['Key', 'API', 'Served', 'Known versions', 'Flexible from'], rows),
  )
}

function errorsPage(): string {
  const rows = Object.entries(errorTable)
    .sort(([, a], [, b]) => a.code - b.code)
    .map(([name, { code: number, retriable, meaning }]) => [String(number), name, retriable ? 'yes' : 'no', cell(meaning)])
  return page(
    'Error codes',
    'Every error code of the protocol. A client sends a request again by itself when its error is retriable.',
    table(['Code', 'Name', 'Retriable', 'Meaning'], rows),
  )
}

async function commandsPage(): Promise<string> {
  const commands = await loadCommands()
  return page(
    'Commands',
    'What `tidelog COMMAND --help` prints. The options are those of the tools of Apache Kafka 4.3, which `bin/` also has under their own names, and `--output`; those that are deprecated there are taken and not listed.',
    ...commands.flatMap((command) => [`## ${command.name}`, `\`\`\`\n${command.usage().trimEnd()}\n\`\`\``]),
  )
}
