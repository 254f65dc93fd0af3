import type { AnyConfigTable, ConfigRow } from '@tidelog/core'
import { type Declaration, exportsOf, type Member } from './declarations.ts'
import { entryPoints } from './entry-points.ts'

/** One page a job; a declaration goes to the first whose files it comes from. */
const pages: readonly { readonly path: string; readonly title: string; readonly files: RegExp }[] = [
  { path: 'api-producer.md', title: 'API: producer', files: /^packages\/client\/dist\/producer\// },
  { path: 'api-consumer.md', title: 'API: consumer', files: /^packages\/client\/dist\/(?:consumer|share)/ },
  { path: 'api-admin.md', title: 'API: admin', files: /^packages\/client\/dist\/admin\// },
  { path: 'api-serdes.md', title: 'API: serdes and schema registry', files: /^packages\/client\/dist\/(?:serde|registry)\// },
  { path: 'api-common.md', title: 'API: errors, connections, broker', files: /./ },
]
const GENERATED = '<!-- Written by `npm run docs` from the doc comments in the code; change those. -->'

/** kafkajs's interface is kafkajs's, and has a guide. */
const described = Object.entries(entryPoints).filter(([subpath]) => subpath !== './kafkajs')

/** The reference pages of what users import, by path from the root. */
export async function apiPages(): Promise<Map<string, string>> {
  const byPage = new Map<string, string[]>(pages.map(({ path }) => [path, []]))
  const seen = new Set<string>()
  for (const [subpath, file] of described) {
    const declarations = [...exportsOf(`packages/${file.replace('/', '/dist/')}.d.ts`).values()]
    for (const declaration of declarations.sort(byRank)) {
      if (seen.has(declaration.name) || declaration.doc.includes('@internal')) continue
      seen.add(declaration.name)
      const { path } = pages.find(({ files }) => files.test(declaration.path))!
      byPage.get(path)!.push(sectionOf(declaration, `tidelog${subpath.slice(1)}`))
    }
  }
  const made = new Map(
    pages.map(({ path, title }) => [`docs/reference/${path}`, `# ${title}\n\n${GENERATED}\n\n${byPage.get(path)!.join('\n\n')}\n`]),
  )
  return made.set('docs/reference/client-options.md', await optionsPage())
}

/** Classes first, then what one calls, then types. */
const rank = { class: 0, function: 1, const: 1, interface: 2, type: 2 } as const
const byRank = (a: Declaration, b: Declaration): number => rank[a.kind] - rank[b.kind] || (a.name < b.name ? -1 : 1)

function sectionOf({ name, head, doc, members }: Declaration, from: string): string {
  const imported = from === 'tidelog' ? '' : `From \`${from}\`.`
  return [`## ${name}`, imported, docOf(doc), `\`${shortened(head)}\``, members.map(memberOf).join('\n')]
    .filter((part) => part !== '')
    .join('\n\n')
}

const memberOf = ({ signature, doc }: Member): string => {
  const text = docOf(doc).replace(/\s+/g, ' ')
  return `- \`${shortened(signature)}\`${text === '' ? '' : `\n  ${text}`}`
}

/** What `readonly` says everywhere need not be said everywhere. */
const shortened = (code: string): string => code.replace(/\breadonly (?=\w+\??:)/g, '').replace(/import\("[^"]*"\)\./g, '')

/** Tags as words; `<` outside of code would be HTML. */
function docOf(doc: string): string {
  return doc
    .replace(/\s*@param (\w[\w.]*)\s+/g, '\n\n*$1*: ')
    .replace(/\s*@returns?\s+/g, '\n\n*Gives*: ')
    .replace(/\s*@throws\s+/g, '\n\n*Throws*: ')
    .replace(/\s*@typeParam (\w+)\s+/g, '\n\n*$1*: ')
    .split(/(`[^`\n]*`)/)
    .map((part, index) => (index % 2 === 1 ? part : part.replaceAll('<', '&lt;')))
    .join('')
    .trim()
}

interface OptionTables {
  readonly [client: string]: { readonly table: AnyConfigTable; readonly nameOf: (kafkaName: string) => string }
}

/** The clients' own tables: of no use to importers, so no index exports them. */
async function optionTables(): Promise<OptionTables> {
  const load = (file: string) => import(new URL(`../../packages/client/dist/config/${file}.js`, import.meta.url).href)
  const [{ camelOf }, { producerConfig }, { consumerConfig }, { shareConsumerConfig }, { adminConfig }] = await Promise.all(
    ['client-config', 'producer-config', 'consumer-config', 'share-consumer-config', 'admin-config'].map(load),
  )
  return Object.fromEntries(
    Object.entries({ Producer: producerConfig, Consumer: consumerConfig, ShareConsumer: shareConsumerConfig, Admin: adminConfig }).map(
      ([name, { table }]) => [name, { table, nameOf: camelOf }],
    ),
  )
}

async function optionsPage(): Promise<string> {
  const tables = Object.entries(await optionTables())
  const names = [...new Set(tables.flatMap(([, { table }]) => [...table.rows.keys()]))]
  const clientsOf = (name: string) => tables.filter(([, { table }]) => table.rows.has(name)).map(([client]) => client)
  const groups = new Map<string, string[]>()
  for (const name of names) {
    const clients = clientsOf(name)
    const title = clients.length === tables.length ? 'All clients' : clients.join(', ').replace(/, (\w+)$/, ' and $1')
    groups.set(title, [...(groups.get(title) ?? []), name])
  }
  const sections = [...groups].map(([title, members]) => {
    const rows = members.map((name) => {
      const having = tables.filter(([, { table }]) => table.rows.has(name))
      const [, { table, nameOf }] = having[0]!
      const { canonical, type, unit, valid, doc, unused } = table.rows.get(name)!
      const shown = ({ defaultText }: Pick<ConfigRow, 'defaultText'>) =>
        defaultText === undefined
          ? 'must be given'
          : defaultText === null
            ? 'not set'
            : defaultText === ''
              ? 'empty'
              : `\`${canonical(defaultText)}\``
      const defaults = having.map(([client, other]) => ({ client, text: shown(other.table.rows.get(name)!) }))
      const others = defaults.filter(({ text }) => text !== defaults[0]!.text).map(({ client, text }) => `; ${client}: ${text}`)
      const effect = unused === undefined ? doc : `${doc} *${unused}*`
      const cells = [
        `\`${nameOf(name)}\``,
        `\`${name}\``,
        unit === undefined ? type : `${type}, ${unit}`,
        defaults[0]!.text + others.join(''),
        valid === '' ? '' : `\`${valid}\``,
        effect,
      ]
      return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
    })
    return `## ${title}\n\n| Option | Kafka's name | Type | Default | Valid values | What it does |\n| --- | --- | --- | --- | --- | --- |\n${rows.join('\n')}`
  })
  return `# Options of the clients

${GENERATED}

\`fromProperties()\` takes Kafka's names. Italics say why a configuration has no effect, or where else it is given: serializers, partitioners and assignors are functions
and objects among the options ([ProducerOptions](api-producer.md#produceroptions), [ConsumerOptions](api-consumer.md#consumeroptions),
[ShareConsumerOptions](api-consumer.md#shareconsumeroptions)); TLS, SASL and proxies may be given in Node's words
([ConnectionOptions](api-common.md#connectionoptions)).

${sections.join('\n\n')}
`
}
