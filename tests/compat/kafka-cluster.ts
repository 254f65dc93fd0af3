import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { freePort } from '@tidelog/testkit'
import { javaArgs, kafkaJars, succeed } from './harness.ts'

/** Apache Kafka 4.3 as a cluster of several brokers, the first of which is the controller too and must stay. */
export interface KafkaCluster {
  readonly bootstrap: string
  /** kill −9. The controller has others lead within two seconds or so. */
  kill(nodeId: number): Promise<void>
  /** Starts a broker that was killed. */
  revive(nodeId: number): void
}

/** @param racks One broker each, with the ids 1, 2 … It may take a while until all of them serve: topics with several replicas tell. */
export async function startKafkaCluster(t: TestContext, racks: readonly string[]): Promise<KafkaCluster> {
  const dir = mkdtempSync(join(tmpdir(), 'tidelog-compat-'))
  const children = new Map<number, ChildProcess>()
  const kill = async (nodeId: number) => {
    const child = children.get(nodeId)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  t.after(async () => {
    for (const nodeId of children.keys()) await kill(nodeId)
    rmSync(dir, { recursive: true, force: true })
  })
  const jars = await kafkaJars('4.3.0')
  const controllerPort = await freePort()
  const ports: number[] = []
  const start = (nodeId: number) => {
    const file = join(dir, `${nodeId}.properties`)
    children.set(nodeId, spawn('java', ['-Xmx512M', ...javaArgs, '-cp', jars, 'kafka.Kafka', file], { stdio: 'ignore' }))
  }
  for (const [index, rack] of racks.entries()) {
    const nodeId = index + 1
    const port = await freePort()
    ports.push(port)
    const isController = nodeId === 1
    const properties = {
      'process.roles': isController ? 'broker,controller' : 'broker',
      'node.id': String(nodeId),
      'broker.rack': rack,
      'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
      listeners: `PLAINTEXT://127.0.0.1:${port}${isController ? `,CONTROLLER://127.0.0.1:${controllerPort}` : ''}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
      'controller.listener.names': 'CONTROLLER',
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
      'replica.selector.class': 'org.apache.kafka.common.replica.RackAwareReplicaSelector',
      'broker.session.timeout.ms': '2000',
      'broker.heartbeat.interval.ms': '300',
      'group.initial.rebalance.delay.ms': '0',
      'auto.create.topics.enable': 'false',
      'offsets.topic.num.partitions': '1',
      'offsets.topic.replication.factor': String(racks.length),
      'min.insync.replicas': '1',
      'log.dirs': join(dir, String(nodeId)),
    }
    mkdirSync(join(dir, String(nodeId)))
    const file = join(dir, `${nodeId}.properties`)
    writeFileSync(
      file,
      Object.entries(properties)
        .map(([name, value]) => `${name}=${value}\n`)
        .join(''),
    )
    await succeed('java', [...javaArgs, '-cp', jars, 'kafka.tools.StorageTool', 'format', '-t', 'abcdefghijklmnopqrstug', '-c', file])
    start(nodeId)
  }
  return { bootstrap: ports.map((port) => `127.0.0.1:${port}`).join(','), kill, revive: start }
}
