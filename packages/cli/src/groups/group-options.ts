import { connectionOptions } from '../clients.ts'
import { flag, list, number, type OptionValues, optional, text, UsageError } from '../option-table.ts'
import { outputFormat, outputOption } from '../rows.ts'
import { given, isGiven } from '../rules.ts'

export const groupOptions = {
  ...connectionOptions,
  ...outputOption,
  list: flag('Lists the consumer groups.'),
  describe: flag('Shows offsets and lag of groups, or their members, or their state.'),
  delete: flag('Deletes groups that have no members, with their offsets.'),
  'reset-offsets': flag('Moves the offsets of groups that have no members; shows what it would do unless --execute is there.'),
  'delete-offsets': flag('Deletes offsets of a group.'),
  group: list('The group; may be repeated.', { value: 'group' }),
  'all-groups': flag('All consumer groups.'),
  topic: list('The topic, with some of its partitions as topic:0,1; may be repeated.', { value: 'topic' }),
  'all-topics': flag('With --reset-offsets: every partition that the group has an offset of.'),
  offsets: flag('With --describe: offsets and lag. This is the default.'),
  members: flag('With --describe: the members.'),
  state: optional('With --describe: the state. With --list: the state of each group, or only groups in these states.', { value: 'states' }),
  type: optional('With --list: the type of each group, or only groups of these types.', { value: 'types' }),
  verbose: flag('With --describe: more columns.'),
  'to-earliest': flag('Reset to the first offset.'),
  'to-latest': flag('Reset to the end.'),
  'to-current': flag('Reset to the committed offset, or to the end where there is none.'),
  'to-offset': number('Reset to this offset.', { value: 'offset' }),
  'shift-by': number('Reset by this many records, forth or back.', { value: 'n' }),
  'to-datetime': text('Reset to the first record since a time: YYYY-MM-DDThh:mm:ss.sss.', { value: 'time' }),
  'by-duration': text('Reset to the first record since so long ago: PnDTnHnMnS.', { value: 'duration' }),
  'from-file': text('Reset to the offsets of a file that --export wrote.', { value: 'file' }),
  'dry-run': flag('Show what a reset would do.'),
  execute: flag('Do it.'),
  export: flag('Show the new offsets as CSV.'),
  timeout: number('The longest that a call may take in ms; 30000 by default.', { value: 'ms' }),
  'validate-regex': text('Says whether a regular expression is one.', { value: 'regex' }),
}
export type GroupValues = OptionValues<typeof groupOptions>

const actions = ['list', 'describe', 'delete', 'reset-offsets', 'delete-offsets', 'validate-regex']
const scenarios = ['to-offset', 'to-earliest', 'to-latest', 'to-current', 'shift-by', 'by-duration', 'to-datetime', 'from-file']
const named = (names: readonly string[]) => names.map((name) => `[${name}]`).join(', ')

/** @throws UsageError in the words of Kafka's tool for options that do not go together. */
export function checkGroupOptions(values: GroupValues): void {
  if (given(values, actions).length !== 1)
    throw new UsageError(
      'Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets, --validate-regex',
    )
  if (isGiven(values, 'validate-regex')) return
  if (!isGiven(values, 'bootstrap-server')) throw new UsageError('Missing required argument "[bootstrap-server]"')
  outputFormat(values.output)
  const groups = given(values, ['all-groups', 'group'])
  if (groups.length > 1) throw new UsageError('Option "[group]" can\'t be used with option "[all-groups]"')
  if (values.describe) {
    requireOneOf('describe', ['all-groups', 'group'], values)
    const subjects = ['members', 'offsets', 'state']
    if (given(values, subjects).length > 1) throw new UsageError(`Option [describe] takes at most one of these options: ${named(subjects)}`)
    if (values.state) throw new UsageError('Option [describe] does not take a value for [state]')
  }
  if (values.delete) {
    requireOneOf('delete', ['group', 'all-groups'], values)
    if (isGiven(values, 'topic'))
      throw new UsageError('The consumer does not support topic-specific offset deletion from a consumer group.')
  }
  if (values['delete-offsets'] && given(values, ['group', 'topic']).length < 2)
    throw new UsageError(`Option [delete-offsets] takes the following options: ${named(['group', 'topic'])}`)
  if (values['reset-offsets']) checkReset(values)
}

function requireOneOf(action: string, options: readonly string[], values: GroupValues): void {
  if (given(values, options).length === 0) throw new UsageError(`Option [${action}] takes one of these options: ${named(options)}`)
}

function checkReset(values: GroupValues): void {
  if (values['dry-run'] && values.execute)
    throw new UsageError(`Option [reset-offsets] only accepts one of ${named(['dry-run', 'execute'])}`)
  requireOneOf('reset-offsets', ['group', 'all-groups'], values)
  const chosen = given(values, scenarios)
  if (!chosen.includes('from-file') && given(values, ['all-topics', 'topic']).length === 0)
    throw new UsageError('One of the reset scopes should be defined: --all-topics, --topic.')
  if (chosen.length === 0)
    throw new UsageError(
      "Option '[reset-offsets]' requires one of the following scenarios: [[shift-by], [to-offset], [to-earliest], [to-current], [to-latest], [by-duration], [to-datetime], [from-file]]",
    )
  const [first, second] = chosen
  if (second !== undefined) throw new UsageError(`Option "[${first}]" can't be used with option "[${second}]"`)
}
