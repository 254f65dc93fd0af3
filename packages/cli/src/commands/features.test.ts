import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Admin, BrokerError, type FeatureUpdate, PartialFailureError } from '@tidelog/client'
import { errorTable } from '@tidelog/protocol'
import { runWith } from '../command-harness.ts'
import { features } from './features.ts'

const at = ['--bootstrap-server', 'localhost:9092']
const refused = (feature: string) => new BrokerError(errorTable.INVALID_UPDATE_VERSION.code, feature, 'Because.')

/** An admin that remembers what it was asked to change, and refuses with `failure`. */
function changing(failure?: Error) {
  const asked: { updates: readonly FeatureUpdate[]; validateOnly: boolean | undefined }[] = []
  const admin: Partial<Admin> = {
    updateFeatures: async (updates, options) => {
      asked.push({ updates, validateOnly: options?.validateOnly })
      if (failure !== undefined) throw failure
    },
  }
  return { admin, asked }
}

test('describe prints a row a feature in order of name, metadata.version by its releases', async () => {
  const admin: Partial<Admin> = {
    describeFeatures: async () => ({
      finalizedFeatures: new Map([['metadata.version', { minVersionLevel: 30, maxVersionLevel: 30 }]]),
      finalizedFeaturesEpoch: 878,
      supportedFeatures: new Map([
        ['metadata.version', { minVersion: 7, maxVersion: 99 }],
        ['group.version', { minVersion: 0, maxVersion: 1 }],
      ]),
    }),
  }
  const { code, stdout } = await runWith(features, { admin }, ...at, 'describe')
  assert.equal(code, 0)
  assert.equal(
    stdout,
    'Feature: group.version                             SupportedMinVersion: 0                SupportedMaxVersion: 1                FinalizedVersionLevel: 0                Epoch: 878\n' +
      'Feature: metadata.version                          SupportedMinVersion: 3.3-IV3          SupportedMaxVersion: UNKNOWN [99]     FinalizedVersionLevel: 4.3-IV0          Epoch: 878\n',
  )
  const asJson = await runWith(features, { admin }, 'describe', ...at, '--output', 'json')
  assert.equal(JSON.parse(asJson.stdout)[0].feature, 'group.version')
})

test('upgrade, downgrade and disable ask for all levels together and tell what became of each', async () => {
  const { admin, asked } = changing()
  const raised = await runWith(features, { admin }, ...at, 'upgrade', '--feature', 'b=2', '--feature', 'a=1')
  assert.deepEqual([raised.code, raised.stdout], [0, 'a was upgraded to 1.\nb was upgraded to 2.\n'])
  const lowered = await runWith(features, { admin }, ...at, 'downgrade', '--feature', 'b=1', '--dry-run', '--unsafe')
  assert.equal(lowered.stdout, 'b can be downgraded to 1.\n')
  const without = await runWith(features, { admin }, ...at, 'disable', '--feature', 'b')
  assert.equal(without.stdout, 'b was disabled.\n')
  assert.deepEqual(asked, [
    {
      updates: [
        { feature: 'a', maxVersionLevel: 1, upgradeType: 'upgrade' },
        { feature: 'b', maxVersionLevel: 2, upgradeType: 'upgrade' },
      ],
      validateOnly: false,
    },
    { updates: [{ feature: 'b', maxVersionLevel: 1, upgradeType: 'unsafe-downgrade' }], validateOnly: true },
    { updates: [{ feature: 'b', maxVersionLevel: 0, upgradeType: 'safe-downgrade' }], validateOnly: false },
  ])
})

test('what the broker refuses is told of every feature, and counted', async () => {
  const one = await runWith(features, { admin: changing(refused('a')).admin }, ...at, 'disable', '--feature', 'a')
  assert.deepEqual([one.code, one.stdout, one.stderr], [1, 'Could not disable a. Because.\n', '1 out of 1 operation(s) failed.\n'])
  const failures = new Map(['a', 'b'].map((name) => [name, refused(name)]))
  const { admin } = changing(new PartialFailureError('updateFeatures', failures, []))
  const both = await runWith(features, { admin }, ...at, 'upgrade', '--feature', 'a=1', '--feature', 'b=1', '--dry-run')
  assert.equal(both.stdout, 'Can not upgrade a to 1. Because.\nCan not upgrade b to 1. Because.\n')
  assert.equal(both.stderr, '2 out of 2 operation(s) failed.\n')
})

test('the levels of a release of Kafka are asked for together, without those at 0', async () => {
  const { admin, asked } = changing()
  await runWith(features, { admin }, ...at, 'upgrade', '--release-version', '4.0-IV0')
  assert.deepEqual(asked[0]?.updates.map(({ feature, maxVersionLevel }) => `${feature}=${maxVersionLevel}`).sort(), [
    'group.version=1',
    'kraft.version=1',
    'metadata.version=22',
  ])
})

test('releases and dependencies are told without a cluster', async () => {
  const mapping = await runWith(features, {}, 'version-mapping', '--release-version', '4.2')
  assert.match(mapping.stdout, /^metadata.version=29 \(4.2\)\nkraft.version=1\ntransaction.version=2\n/)
  const needed = await runWith(
    features,
    {},
    'feature-dependencies',
    '--feature',
    'eligible.leader.replicas.version=1',
    '--feature',
    'group.version=1',
  )
  assert.equal(
    needed.stdout,
    'eligible.leader.replicas.version=1 requires:\n    metadata.version=23 (4.0-IV1)\ngroup.version=1 has no dependencies.\n',
  )
})

test('mistakes in the arguments are told in the words of the tool', async () => {
  const told = async (...args: string[]) => (await runWith(features, changing(), ...args)).stderr
  assert.equal(await told(...at), 'Command line error: too few arguments. Type --help for help.')
  assert.match(await told('nosuch'), /^Command line error: invalid choice: 'nosuch' \(choose from 'describe', 'upgrade',/)
  assert.match(await told('describe'), /You must specify either --bootstrap-controller or --bootstrap-server/)
  assert.match(await told('feature-dependencies'), /argument --feature is required/)
  assert.match(await told(...at, 'describe', '--unsafe'), /unsafe is not a recognized option/)
  assert.equal(await told(...at, 'upgrade'), 'You must specify at least one feature to upgrade\n')
  assert.equal(await told(...at, 'upgrade', '--feature', 'a'), "Can't parse feature=level string a: equals sign not found.\n")
  assert.equal(
    await told(...at, 'upgrade', '--feature', 'a=99999'),
    "Can't parse feature=level string a=99999: unable to parse 99999 as a short.\n",
  )
  assert.equal(await told(...at, 'upgrade', '--feature', 'a=1', '--feature', 'a=2'), 'Feature a was specified more than once.\n')
  assert.match(
    await told(...at, 'upgrade', '--metadata', '9.9'),
    /^Unknown metadata.version '9.9'. Supported metadata.version are: 3.3-IV3,/,
  )
})
