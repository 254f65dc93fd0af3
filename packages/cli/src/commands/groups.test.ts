import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Admin, GroupListing } from '@tidelog/client'
import { runWith } from '../command-harness.ts'
import { groups } from './groups.ts'

const at = ['--bootstrap-server', 'b:1']
const listed: GroupListing[] = [
  { groupId: 'classic-one', type: 'classic', protocolType: 'consumer', state: 'Stable' },
  { groupId: 'connect-one', type: 'classic', protocolType: 'connect', state: 'Stable' },
  { groupId: 'new-one', type: 'consumer', protocolType: 'consumer', state: 'Empty' },
  { groupId: 'simple-one', type: 'classic', protocolType: '', state: 'Empty' },
]
const admin: Partial<Admin> = { listGroups: async () => listed }
const namesIn = (stdout: string) =>
  stdout
    .split('\n')
    .slice(1, -1)
    .map((line) => line.split(' ')[0])

// The text was printed by kafka-groups of Apache Kafka 4.3.
test('groups of all types are listed with type and protocol', async () => {
  const two = {
    listGroups: async () =>
      [listed[0]!, { ...listed[2]!, groupId: 'g848' }].map((group, i) => (i === 0 ? { ...group, groupId: 'gclassic' } : group)),
  }
  const { code, stdout } = await runWith(groups, { admin: two }, ...at, '--list')
  assert.equal(code, 0)
  assert.equal(
    stdout,
    'GROUP                TYPE                 PROTOCOL            \n' +
      'gclassic             Classic              consumer             \n' +
      'g848                 Consumer             consumer             \n',
  )
  assert.equal((await runWith(groups, { admin: { listGroups: async () => [] } }, ...at, '--list')).stdout.split('\n').length, 2)
  const asJson = await runWith(groups, { admin }, ...at, '--list', '--output', 'json')
  assert.deepEqual(JSON.parse(asJson.stdout)[1], { group: 'connect-one', type: 'Classic', protocol: 'connect' })
})

test('filters go by type, by protocol, and by what counts as a group of consumers', async () => {
  const names = async (...args: string[]) => namesIn((await runWith(groups, { admin }, ...at, '--list', ...args)).stdout)
  assert.deepEqual(await names('--consumer'), ['classic-one', 'new-one', 'simple-one'])
  assert.deepEqual(await names('--group-type', 'Consumer'), ['new-one'])
  assert.deepEqual(await names('--protocol', 'connect'), ['connect-one'])
  assert.deepEqual(await names('--group-type', 'classic', '--protocol', 'consumer'), ['classic-one'])
  assert.deepEqual(await names('--share'), [])
  assert.deepEqual(await names('--streams'), [])
})

test('mistakes in the options are told in the words of the tool', async () => {
  const told = async (...args: string[]) => {
    const { code, stderr } = await runWith(groups, { admin }, ...args)
    return `${code} ${stderr.split('\n')[0]}`
  }
  assert.equal(await told(), '1 Missing required option(s) [bootstrap-server]')
  assert.equal(await told(...at), '1 Command must include exactly one action: --list.')
  assert.equal(await told(...at, '--list', '--consumer', '--share'), `1 Option "[consumer]" can't be used with option "[share]"`)
  assert.equal(
    await told(...at, '--list', '--consumer', '--group-type', 'classic'),
    `1 Option "[consumer]" can't be used with option "[group-type]"`,
  )
  assert.equal(await told(...at, '--list', '--group-type', 'foo'), '1 --group-type must be a valid group type.')
})
