import assert from 'node:assert/strict'
import test from 'node:test'
import { debianCommand, startBrokerProcess, succeed } from './harness.ts'

test('kcat 1.7: metadata, keyed and headered records with every codec, tombstones, offsets by time, a group, a restart', async (t) => {
  const kcat = await debianCommand('kcat')
  const broker = await startBrokerProcess(t)
  const call = (args: string[], input?: string) => succeed(kcat, ['-b', broker.bootstrap, ...args], input === undefined ? {} : { input })

  for (const codec of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    const topic = `kcat-${codec}`
    await call(['-P', '-t', topic, '-p', '0', '-z', codec, '-K', ':', '-Z', '-H', 'a=1', '-H', 'a=2'], 'k1:v1\nk2:\nk3:v3\n')
    const { stdout } = await call(['-C', '-t', topic, '-o', 'beginning', '-e', '-q', '-f', '%o %k %S %s %h\n'])
    assert.equal(stdout, '0 k1 2 v1 a=1,a=2\n1 k2 -1  a=1,a=2\n2 k3 2 v3 a=1,a=2\n')
  }

  const described = JSON.parse((await call(['-L', '-J'])).stdout) as { topics: { topic: string; partitions: { leader: number }[] }[] }
  const topic = described.topics.find(({ topic: name }) => name === 'kcat-zstd')
  assert.ok(topic?.partitions.every(({ leader }) => leader === 1))

  assert.match((await call(['-Q', '-t', 'kcat-none:0:-1'])).stdout, /offset 3/)
  assert.match((await call(['-Q', '-t', 'kcat-none:0:1000'])).stdout, /offset 0/)

  await call(['-P', '-t', 'grouped', '-X', 'enable.idempotence=true'], Array.from({ length: 1000 }, (_, i) => `r${i}\n`).join(''))
  const group = ['-G', 'kcat-group', '-X', 'auto.offset.reset=earliest', '-q', '-e', 'grouped']
  assert.equal((await call(group)).stdout.trim().split('\n').length, 1000)

  await broker.restart()
  await call(['-P', '-t', 'grouped'], 'after\n')
  assert.equal((await call(group)).stdout.trim(), 'after')
})
