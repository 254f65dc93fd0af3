import type { GroupListing } from '@tidelog/client'
import { connectionOptions, connectionProperties } from '../clients.ts'
import { CommandFailure, defineCommand } from '../command.ts'
import { flag, type OptionValues, text, UsageError } from '../option-table.ts'
import { outputFormat, outputOption, padded, renderRows } from '../rows.ts'
import { refuseTogether } from '../rules.ts'

const options = {
  ...connectionOptions,
  ...outputOption,
  list: flag('Lists the groups.'),
  consumer: flag('Only groups of consumers: of the consumer protocol, classic ones of consumers, and those that only commit offsets.'),
  share: flag('Only share groups.'),
  streams: flag('Only streams groups.'),
  'group-type': text('Only groups of this type.', { value: 'classic|consumer|share|streams' }),
  protocol: text('Only groups whose members speak this protocol, such as consumer or connect.', { value: 'protocol' }),
}
type Values = OptionValues<typeof options>

/** By the names that brokers use, as Java's tool prints them. */
const types: ReadonlyMap<string, string> = new Map(['Classic', 'Consumer', 'Share', 'Streams'].map((type) => [type.toLowerCase(), type]))
const MIN_WIDTH = 20

/** kafka-groups: groups of every type. */
export const groups = defineCommand({
  name: 'groups',
  summary: 'Lists groups of all types.',
  options,
  check(values) {
    if (values['bootstrap-server'] === undefined) throw new UsageError('Missing required option(s) [bootstrap-server]')
    if (!values.list) throw new UsageError('Command must include exactly one action: --list.')
    refuseTogether(values, 'consumer', ['share', 'streams', 'group-type', 'protocol'])
    refuseTogether(values, 'share', ['streams', 'group-type', 'protocol'])
    refuseTogether(values, 'streams', ['group-type', 'protocol'])
    outputFormat(values.output)
  },
  async run(values, { clients, stdout, interrupted: signal }) {
    const wantedType = values['group-type']?.toLowerCase()
    if (wantedType !== undefined && !types.has(wantedType)) throw new CommandFailure('--group-type must be a valid group type.')
    const admin = await clients.admin(connectionProperties(values))
    try {
      const rows = (await admin.listGroups({ signal }))
        .filter((group) => isWanted(group, values, wantedType))
        .map(({ groupId, type, protocolType }) => ({ group: groupId, type: types.get(type.toLowerCase()) ?? type, protocol: protocolType }))
      const format = outputFormat(values.output)
      stdout.write(format === 'table' ? tableOf(rows) : renderRows(rows, ['group', 'type', 'protocol'], format))
      return 0
    } finally {
      await admin.close()
    }
  },
})

function isWanted(group: GroupListing, values: Values, wantedType: string | undefined): boolean {
  const type = group.type.toLowerCase()
  if (wantedType !== undefined && type !== wantedType) return false
  if (values.protocol !== undefined && group.protocolType !== values.protocol) return false
  if (values.consumer) return type === 'consumer' || (type === 'classic' && ['consumer', ''].includes(group.protocolType))
  if (values.share) return type === 'share'
  if (values.streams) return type === 'streams'
  return true
}

function tableOf(rows: readonly { readonly group: string; readonly type: string; readonly protocol: string }[]): string {
  const cells = rows.map(({ group, type, protocol }) => [group, type, protocol])
  const width = cells.flat().reduce((widest, cell) => Math.max(widest, cell.length), MIN_WIDTH)
  const widths = [width, width, width]
  // As there, the rows end with a blank and the header does not.
  return `${padded(['GROUP', 'TYPE', 'PROTOCOL'], widths)}\n${cells.map((row) => `${padded(row, widths)} \n`).join('')}`
}
